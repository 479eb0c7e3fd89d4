//! Why an authentication did not succeed, and the reply that says so. The one place where replies to AUTH are worded.

use model::Reply;

/// Why there is no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// Whoever asks is nobody here, or did not prove it, or may not be whom they want to act for. It is not said which.
    #[error("authentication credentials invalid")]
    Credentials,
    /// A message of the exchange cannot be read.
    #[error("the response is not as the mechanism writes it")]
    Malformed,
    /// There is no such mechanism, or not on this connection.
    #[error("this authentication mechanism is not offered here")]
    UnknownMechanism,
    /// The mechanism shows a password or token, and the connection is not encrypted.
    #[error("encryption is required for this authentication mechanism")]
    NeedsTls,
    /// The mechanism is known, and the postmaster does not allow it.
    #[error("this authentication mechanism is not allowed here; use another")]
    TooWeak,
    /// Too many attempts have failed; see [`crate::AttemptLimits`].
    #[error("too many failed authentications; try again later")]
    TooMany,
    /// Something that is needed is not there just now.
    #[error("temporary authentication failure")]
    Temporary,
}

impl Failure {
    /// What AUTH is answered.
    //= RFC 4954 section 6: these codes, with the enhanced statuses of that section.
    pub fn reply(self) -> Reply {
        let (code, status) = match self {
            Self::Credentials => (535, (5, 7, 8)),
            Self::Malformed => (501, (5, 5, 2)),
            Self::UnknownMechanism => (504, (5, 5, 4)),
            Self::NeedsTls => (538, (5, 7, 11)),
            Self::TooWeak => (534, (5, 7, 9)),
            Self::TooMany | Self::Temporary => (454, (4, 7, 0)),
        };
        Reply::new(code, status, self.to_string())
    }

    /// A word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Malformed => "malformed",
            Self::UnknownMechanism => "unknown-mechanism",
            Self::NeedsTls => "needs-tls",
            Self::TooWeak => "too-weak",
            Self::TooMany => "too-many",
            Self::Temporary => "temporary",
        }
    }
}
