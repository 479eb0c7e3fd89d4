//! What a finished handshake says.

use std::fmt;

use rustls::CommonState;

use crate::facts;

/// What was agreed with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// "TLSv1.3" or "TLSv1.2".
    pub version: &'static str,
    /// By its registered name, as "TLS_AES_256_GCM_SHA384".
    pub cipher: String,
    /// Whether the certificate is for the host and somebody vouches for it, asked for or not.
    pub verified: bool,
}

impl Agreed {
    pub(super) fn of(connection: &CommonState, verified: bool) -> Self {
        Self { version: facts::version(connection), cipher: facts::cipher(connection), verified }
    }
}

/// As in the log.
impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verified = if self.verified { "verified" } else { "unverified" };
        write!(f, "{} {} {verified}", self.version, self.cipher)
    }
}
