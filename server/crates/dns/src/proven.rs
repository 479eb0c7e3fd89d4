//! Answers with what DNSSEC says of them, for DANE: a name that is trusted because its zone is signed.
//!
//! Standards: RFC 4035 section 4.3 (secure, insecure, bogus), RFC 6698 section 2.1 (TLSA), RFC 7672 section 2.1 (what a client
//! makes of each).

use crate::resolver::DnsError;

/// One TLSA record, RFC 6698 section 2.1; whether it is usable is for TLS to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// 2 is DANE-TA, 3 is DANE-EE.
    pub usage: u8,
    /// 0 is the certificate, 1 its public key.
    pub selector: u8,
    /// 0 is the data itself, 1 its SHA-256, 2 its SHA-512.
    pub matching: u8,
    pub data: Vec<u8>,
}

/// An answer, and whether it may be relied on.
///
/// A bogus answer is none: it is [`DnsError::Bogus`], a failure that may pass. [`DnsError::NoData`] and
/// [`DnsError::NxDomain`] are answers, secure or not like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<T> {
    /// What the plain question would give.
    pub answer: Result<Vec<T>, DnsError>,
    /// Signatures up to a trust anchor prove the answer, every CNAME that leads to it with it.
    pub is_secure: bool,
    /// The name that the records belong to, in lower case: the one asked for, or where its CNAMEs lead.
    pub name: String,
    /// The first CNAME is proven, though perhaps not what it leads to (RFC 7672 section 2.2.2).
    pub is_alias_secure: bool,
}

impl<T> Proven<T> {
    /// An answer that nothing proves.
    pub fn insecure(name: &str, answer: Result<Vec<T>, DnsError>) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        Self { answer, is_secure: false, name, is_alias_secure: false }
    }
}

/// Where the TLSA records of a server are: `_25._tcp.mx.example.org` (RFC 7672 section 2.2.3).
pub fn tlsa_name(port: u16, host: &str) -> String {
    format!("_{port}._tcp.{}", host.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tlsa_records_are_named_after_port_and_protocol() {
        assert_eq!(tlsa_name(25, "mx.example.org."), "_25._tcp.mx.example.org");
    }
}
