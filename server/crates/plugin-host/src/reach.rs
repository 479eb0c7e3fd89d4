//! Which hosts a plugin may ask over HTTP: the patterns of its grants.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hooks::Networks;
use ipnet::IpNet;
use model::Domain;
use serde::{Serialize, Serializer};

/// One host that may be asked, as the configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    name: HostName,
    /// Nothing: 80 without TLS and 443 with it.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostName {
    /// In lower case, in A-labels.
    Exactly(String),
    /// Any name below this one, not this one itself.
    Below(String),
    Address(IpAddr),
}

/// What is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is a host as in \"api.example.org\", \"*.example.org\", \"api.example.org:8443\", \"127.0.0.1:11333\" or \"[::1]:80\""
)]
pub struct NoHttpHost;

impl FromStr for HttpHost {
    type Err = NoHttpHost;

    fn from_str(text: &str) -> Result<Self, NoHttpHost> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or(NoHttpHost)?),
            None => None,
        };
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match inner {
            Some(inner) => Some(IpAddr::V6(inner.parse().map_err(|_| NoHttpHost)?)),
            None => host.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4),
        };
        if let Some(address) = address {
            return Ok(Self { name: HostName::Address(address.to_canonical()), port });
        }
        let name = |text: &str| match Domain::parse(text) {
            Ok(domain) if !text.starts_with('[') => Ok(domain.to_ascii().to_ascii_lowercase()),
            _ => Err(NoHttpHost),
        };
        let name = match host.strip_prefix("*.") {
            Some(parent) => HostName::Below(name(parent)?),
            None => HostName::Exactly(name(host)?),
        };
        Ok(Self { name, port })
    }
}

impl HttpHost {
    /// Whether this is the host; `host` is a name in lower case, or an address without brackets.
    pub(crate) fn is(&self, host: &str, port: u16, encrypted: bool) -> bool {
        let usual = if encrypted { 443 } else { 80 };
        let is_name = match &self.name {
            HostName::Exactly(name) => name == host,
            HostName::Below(parent) => {
                host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            HostName::Address(address) => {
                host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == *address)
            }
        };
        is_name && port == self.port.unwrap_or(usual)
    }

    /// The network of an address that the configuration names itself: it may be a private one.
    pub(crate) fn network(&self) -> Option<IpNet> {
        match self.name {
            HostName::Address(address) => Some(IpNet::from(address)),
            _ => None,
        }
    }
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            HostName::Exactly(name) => f.write_str(name)?,
            HostName::Below(parent) => write!(f, "*.{parent}")?,
            HostName::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostName::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for HttpHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every network there is.
pub fn everywhere() -> Networks {
    let all = [IpNet::new_assert([0, 0, 0, 0].into(), 0), IpNet::new_assert([0u16; 8].into(), 0)];
    Networks(all.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, host: &str, port: u16, encrypted: bool) -> bool {
        pattern.parse::<HttpHost>().unwrap().is(host, port, encrypted)
    }

    #[test]
    fn a_pattern_is_one_host_or_what_is_below_a_name() {
        assert!(is("API.example.org", "api.example.org", 443, true));
        assert!(is("api.example.org", "api.example.org", 80, false));
        assert!(!is("api.example.org", "api.example.org", 80, true));
        assert!(!is("api.example.org", "api.example.org", 8443, true));
        assert!(!is("api.example.org", "evil-api.example.org", 443, true));
        assert!(is("*.example.org", "a.b.example.org", 443, true));
        assert!(!is("*.example.org", "example.org", 443, true));
        assert!(!is("*.example.org", "badexample.org", 443, true));
        assert!(
            is("a.example:8080", "a.example", 8080, false) && !is("a.example:8080", "a.example", 80, false)
        );
        assert!(
            is("127.0.0.1:11333", "127.0.0.1", 11333, false) && !is("127.0.0.1", "127.0.0.1", 11333, false)
        );
        assert!(is("[::1]:80", "::1", 80, false) && is("127.0.0.1", "::ffff:127.0.0.1", 80, false));
    }

    #[test]
    fn what_is_no_host_is_no_pattern() {
        for text in [
            "",
            "*",
            "*.",
            "a b",
            "http://a.example",
            "a.example/x",
            "a.example:0",
            "a.example:x",
            "a@b.example",
            "*.*.example",
        ] {
            assert_eq!(text.parse::<HttpHost>(), Err(NoHttpHost), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_can_be_written() {
        for text in ["api.example.org", "*.example.org:8443", "127.0.0.1:11333", "[::1]"] {
            assert_eq!(text.parse::<HttpHost>().unwrap().to_string(), text);
        }
    }
}
