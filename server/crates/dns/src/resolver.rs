//! The questions, the answers and the failures.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use crate::proven::{Proven, Tlsa};

/// A boxed future, so that a resolver can be used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One MX record (RFC 5321 section 5.1); an exchange of `.` says that the domain takes no mail (RFC 7505).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    pub preference: u16,
    /// A host name in lower case, without its last dot; empty for the null MX.
    pub exchange: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name exists, without records of this type.
    #[error("no such record")]
    NoData,
    /// The name does not exist.
    #[error("no such domain")]
    NxDomain,
    /// The servers failed, or their answer was not to be trusted; asking later may help.
    #[error("the name servers failed: {0}")]
    ServFail(String),
    /// DNSSEC says that the answer was tampered with, or its zone is ill kept; asking later may help.
    #[error("the answer fails DNSSEC validation")]
    Bogus,
    /// No server answered in time; asking later may help.
    #[error("the name servers did not answer in time")]
    TimedOut,
    /// The question is no valid name.
    #[error("not a valid domain name")]
    BadName,
}

impl DnsError {
    /// Whether the same question may be answered later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::ServFail(_) | Self::Bogus | Self::TimedOut)
    }
}

/// Whoever answers. Names are given without or with their last dot, U-labels or A-labels.
///
/// An answer is never empty: no record is [`DnsError::NoData`]. Dropping a future abandons the question.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The MX records, as they came (not sorted).
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>>;

    /// The IPv6 and IPv4 addresses, CNAMEs followed. One family that fails does not hide the other.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;

    /// The TXT records, the strings of each joined.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>>;

    /// The names that the address's reverse zone gives, in lower case, without their last dot.
    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>>;

    /// The MX records, with what DNSSEC says of them. Insecure, unless the resolver validates.
    fn mx_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Mx>> {
        Box::pin(async move { Proven::insecure(name, self.mx(name).await) })
    }

    /// The addresses, with what DNSSEC says of them: secure when those of both families are.
    fn addresses_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<IpAddr>> {
        Box::pin(async move { Proven::insecure(name, self.addresses(name).await) })
    }

    /// The TLSA records. A resolver that does not validate has none to offer: they are worth nothing unproven.
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Tlsa>> {
        Box::pin(async move { Proven::insecure(name, Err(DnsError::NoData)) })
    }
}
