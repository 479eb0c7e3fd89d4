//! What the configuration says of a milter.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks::OnFailure;

/// One milter.
#[derive(Debug, Clone, PartialEq)]
pub struct MilterOptions {
    /// What logs, metrics and replies of this server's own call it.
    pub name: Arc<str>,
    pub address: Address,
    pub on_failure: OnFailure,
    /// The listeners whose sessions it is told of, by name; none: all of them.
    pub listeners: Vec<String>,
    /// Asked before the plugins rather than after them.
    pub before_plugins: bool,
    /// Macros with fixed values, which take the place of the server's own: `daemon_name` and the like.
    pub macros: Vec<(String, String)>,
    pub timeouts: Timeouts,
    /// Octets of a body that it puts in place of the old one.
    pub body_octets: u64,
}

impl MilterOptions {
    /// A milter with the defaults.
    pub fn new(name: &str, address: Address) -> Self {
        Self {
            name: name.into(),
            address,
            on_failure: OnFailure::default(),
            listeners: Vec::new(),
            before_plugins: false,
            macros: Vec::new(),
            timeouts: Timeouts::default(),
            body_octets: 50 << 20,
        }
    }
}

/// How long a milter is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until a command is answered: the negotiation, connect, HELO, MAIL, RCPT, DATA.
    pub command: Duration,
    /// Until a header field or a piece of the body is answered.
    pub content: Duration,
    /// Until the end of the message is answered; a milter that says that it makes progress is given it again.
    pub end_of_message: Duration,
    /// All of a message's content, with whatever progress: a client waits 10 minutes (RFC 5321 section 4.5.3.2.6).
    pub message: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            content: Duration::from_secs(60),
            end_of_message: Duration::from_secs(180),
            message: Duration::from_secs(540),
        }
    }
}

/// Where a milter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(Host, u16),
}

/// A host of a TCP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Ip(std::net::IpAddr),
    /// Asked of the system at each connection.
    Name(String),
}

/// What is no address of a milter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is no address of a milter, such as \"unix:/run/opendkim/opendkim.sock\" or \"127.0.0.1:8891\"")]
    Form,
    #[error("has a path that is not absolute, or is longer than the 107 octets that a socket's may have")]
    Path,
}

impl Address {
    /// Octets of a socket's path.
    const MAX_PATH_OCTETS: usize = 107;

    /// Reads `unix:/path` or `host:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = path.starts_with('/') && path.len() <= Self::MAX_PATH_OCTETS && !path.contains('\0');
            return if fits { Ok(Self::Unix(path.into())) } else { Err(AddressError::Path) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = Some(address.port()).filter(|port| *port != 0).ok_or(AddressError::Form)?;
            return Ok(Self::Tcp(Host::Ip(address.ip()), port));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Form)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(AddressError::Form)?;
        match model::Domain::parse(host) {
            Ok(domain) if domain.literal().is_none() => Ok(Self::Tcp(Host::Name(domain.to_ascii()), port)),
            _ => Err(AddressError::Form),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(Host::Ip(ip), port) => SocketAddr::new(*ip, *port).fmt(f),
            Self::Tcp(Host::Name(name), port) => write!(f, "{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in
            ["unix:/run/a.sock", "127.0.0.1:8891", "[::1]:8891", "milter.example.org:8891", "localhost:1"]
        {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("unix:/{}", "a".repeat(107));
        for bad in ["", "unix:", "unix:a.sock", &long, "host", "host:", "host:0", "host:x", "::1:25", "a b:1"]
        {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
