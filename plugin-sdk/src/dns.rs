//! The domain name system, through the server's resolver. Needs the grant `dns`.

use crate::host;
use std::fmt;
use std::net::IpAddr;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The name exists and has no such record.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// The servers did not answer properly, or what they said failed validation.
    ServFail,
    /// They did not answer in time.
    TimedOut,
    /// The plugin has no grant `dns`, or has asked too often in this hook.
    Denied,
}

impl Failure {
    /// Whether the answer is a sound "there is none", rather than a failure to find out.
    #[must_use]
    pub fn is_absence(self) -> bool {
        matches!(self, Failure::NoData | Failure::NxDomain)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::NoData => "no such record",
            Failure::NxDomain => "no such name",
            Failure::ServFail => "server failure",
            Failure::TimedOut => "timed out",
            Failure::Denied => "not granted",
        })
    }
}

impl std::error::Error for Failure {}

/// One mail exchanger; the lowest preference comes first in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried earlier.
    pub preference: u16,
    /// The host.
    pub exchange: String,
}

/// The TXT records of a name, each with its strings joined.
///
/// # Errors
/// [`Failure`].
pub fn txt(name: &str) -> Result<Vec<String>, Failure> {
    host::txt(name)
}

/// The A and AAAA records of a name.
///
/// # Errors
/// [`Failure`].
pub fn addresses(name: &str) -> Result<Vec<IpAddr>, Failure> {
    Ok(parsed(host::addresses(name)?))
}

/// The MX records of a name.
///
/// # Errors
/// [`Failure`].
pub fn mx(name: &str) -> Result<Vec<Mx>, Failure> {
    host::mx_records(name)
}

/// The names of an address.
///
/// # Errors
/// [`Failure`].
pub fn ptr(ip: IpAddr) -> Result<Vec<String>, Failure> {
    host::ptr(&ip.to_string())
}

/// Asks DNS block lists about an address, all at the same time: which zones list it, with the addresses that they
/// answer. A zone that fails or has no answer is left out. RFC 5782.
#[must_use]
pub fn dnsbl(ip: IpAddr, zones: &[String]) -> Vec<(String, Vec<IpAddr>)> {
    let answers = host::dnsbl(&ip.to_string(), zones).into_iter();
    answers.map(|(zone, found)| (zone, parsed(found))).filter(|(_, found)| !found.is_empty()).collect()
}

fn parsed(addresses: Vec<String>) -> Vec<IpAddr> {
    addresses.iter().filter_map(|a| a.parse().ok()).collect()
}
