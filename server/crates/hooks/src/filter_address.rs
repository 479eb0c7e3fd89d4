//! Where a filter outside of this process listens: a milter, a scanner.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// A socket of this host, or a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterAddress {
    Unix(PathBuf),
    Tcp(FilterHost, u16),
}

/// A host of a TCP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterHost {
    Ip(IpAddr),
    /// Asked of the system at each connection.
    Name(String),
}

/// What is no address of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterAddressError {
    #[error("is no address of a filter, such as \"unix:/run/filter.sock\" or \"127.0.0.1:8891\"")]
    Form,
    #[error("has a path that is not absolute, or is longer than the 107 octets that a socket's may have")]
    Path,
}

impl FilterAddress {
    /// Octets of a socket's path.
    const MAX_PATH_OCTETS: usize = 107;

    /// Reads `unix:/path` or `host:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// [`FilterAddressError`].
    pub fn parse(text: &str) -> Result<Self, FilterAddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = path.starts_with('/') && path.len() <= Self::MAX_PATH_OCTETS && !path.contains('\0');
            return if fits { Ok(Self::Unix(path.into())) } else { Err(FilterAddressError::Path) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = Some(address.port()).filter(|port| *port != 0).ok_or(FilterAddressError::Form)?;
            return Ok(Self::Tcp(FilterHost::Ip(address.ip()), port));
        }
        let (host, port) = text.rsplit_once(':').ok_or(FilterAddressError::Form)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(FilterAddressError::Form)?;
        match model::Domain::parse(host) {
            Ok(domain) if domain.literal().is_none() => {
                Ok(Self::Tcp(FilterHost::Name(domain.to_ascii()), port))
            }
            _ => Err(FilterAddressError::Form),
        }
    }
}

impl fmt::Display for FilterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(FilterHost::Ip(ip), port) => SocketAddr::new(*ip, *port).fmt(f),
            Self::Tcp(FilterHost::Name(name), port) => write!(f, "{name}:{port}"),
        }
    }
}

/// As it is shown.
impl Serialize for FilterAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in
            ["unix:/run/a.sock", "127.0.0.1:8891", "[::1]:8891", "filter.example.org:8891", "localhost:1"]
        {
            assert_eq!(FilterAddress::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("unix:/{}", "a".repeat(107));
        for bad in ["", "unix:", "unix:a.sock", &long, "host", "host:", "host:0", "host:x", "::1:25", "a b:1"]
        {
            assert!(FilterAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
