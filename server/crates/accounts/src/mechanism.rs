//! The SASL mechanisms, by name.

use std::fmt;
use std::str::FromStr;

/// A SASL mechanism (RFC 4422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SCRAM bound to the TLS connection, RFC 5802 and 7677.
    ScramSha256Plus,
    /// SCRAM, RFC 5802 and 7677.
    ScramSha256,
    /// A client certificate, RFC 4422 appendix A.
    External,
    /// A bearer token, RFC 7628.
    OauthBearer,
    /// A bearer token, as mail providers wrote it before RFC 7628.
    Xoauth2,
    /// A name and a password, RFC 4616.
    Plain,
    /// A name and a password, asked for one after the other: never a standard, and wide-spread.
    Login,
}

/// A text that is no [`Mechanism`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is none of {names}", names = Mechanism::ALL.map(Mechanism::as_str).join(", "))]
pub struct UnknownMechanism(String);

impl Mechanism {
    /// All of them, the strongest first: the order in which they are offered.
    pub const ALL: [Self; 7] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::External,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::Plain,
        Self::Login,
    ];

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::External => "EXTERNAL",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether whoever listens learns enough to log in as the user.
    pub fn is_plaintext(self) -> bool {
        matches!(self, Self::Plain | Self::Login | Self::OauthBearer | Self::Xoauth2)
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(text: &str) -> Result<Self, UnknownMechanism> {
        let same = |mechanism: &Self| mechanism.as_str().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(same).ok_or_else(|| UnknownMechanism(text.to_owned()))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
