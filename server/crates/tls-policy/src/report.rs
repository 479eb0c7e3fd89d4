//! What became of sessions under the policies of domains, day by day, and the report on it that a domain asks for.
//!
//! Standards: RFC 8460 (3 the record, 4 the report, 4.3 result types, 5.3 by mail, 5.4 by HTTPS).
//! Limits: 10,000 domains and 100,000 rows a day, 8 policies a domain, 64 kinds of failure a policy; what is beyond is not counted. Two addresses of a record.

mod ledger;
mod letter;
mod post;
mod record;
mod render;

pub use ledger::{Ledger, ROOM, Tallies, count};
pub use letter::letter;
pub use post::post;
pub use record::{Rua, addresses};
pub use render::compressed;

use serde::{Deserialize, Serialize};

/// Which policy a session was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Tlsa,
    Sts,
    NoPolicyFound,
}

/// A policy as a report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    pub policy_type: Kind,
    /// TLSA records, or the lines of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    pub policy_domain: String,
    /// The patterns of an MTA-STS policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// Why a session failed, RFC 8460 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultType {
    StarttlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    ValidationFailure,
    TlsaInvalid,
    DnssecInvalid,
    DaneRequired,
    StsPolicyFetchError,
    StsPolicyInvalid,
    StsWebpkiInvalid,
}

/// A session that failed, or never began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    pub result_type: ResultType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiving_mx_hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<String>,
}

#[cfg(test)]
mod tests;
