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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no host, as in \"api.example.org\", \"*.example.org\", \"api.example.org:8443\", \"127.0.0.1:11333\" or \"[::1]:80\""
)]
pub struct NoHttpHost(String);

impl FromStr for HttpHost {
    type Err = NoHttpHost;

    fn from_str(text: &str) -> Result<Self, NoHttpHost> {
        parse(text).ok_or_else(|| NoHttpHost(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<HttpHost> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, Some(port.parse().ok().filter(|port| *port != 0)?))
        }
        _ => (text, None),
    };
    let address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => Some(IpAddr::V6(inner.parse().ok()?)),
        None => host.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4),
    };
    let name = |text: &str| {
        let domain = Domain::parse(text).ok().filter(|domain| domain.literal().is_none())?;
        Some(domain.to_ascii().to_ascii_lowercase())
    };
    let name = match (address, host.strip_prefix("*.")) {
        (Some(address), _) => HostName::Address(address.to_canonical()),
        (None, Some(parent)) => HostName::Below(name(parent)?),
        (None, None) => HostName::Exactly(name(host)?),
    };
    Some(HttpHost { name, port })
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
            assert_eq!(text.parse::<HttpHost>(), Err(NoHttpHost(text.to_owned())));
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_can_be_written() {
        for text in ["api.example.org", "*.example.org:8443", "127.0.0.1:11333", "[::1]"] {
            assert_eq!(text.parse::<HttpHost>().unwrap().to_string(), text);
        }
    }
}
