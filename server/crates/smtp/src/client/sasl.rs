//! How a session proves who it is (RFC 4954): the client's side of the SASL mechanisms.
//!
//! Mechanisms that show the password are used over TLS alone. The better ones come first; the next is tried where the peer does not have one
//! after all (504), or cannot bind it to the TLS session.
//!
//! Standards: RFC 4616 (PLAIN), 5802 and 7677 (SCRAM-SHA-256), 5929 and 9266 (channel bindings), draft-murchison-sasl-login.
//! Limits: from 4,096 to 200,000 rounds of SCRAM's hash: fewer are too easily guessed through, more hold up the other sessions.

mod scram;

use std::collections::VecDeque;
use std::fmt;

use scram::Scram;

/// As whom the peer is told to know us.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// Printable ASCII without a comma, 18 characters or more, made for this session alone.
    pub nonce: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What ties an exchange to the TLS session that it goes over (RFC 5056).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// `tls-exporter` or `tls-server-end-point`.
    pub kind: &'static str,
    pub data: Vec<u8>,
}

/// Why an exchange was broken off by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslFault {
    #[error("a challenge that the mechanism does not have")]
    Challenge,
    #[error("the number of hash rounds that it asks for is not between 4,096 and 200,000")]
    Rounds,
    #[error("it did not prove that it knows the password")]
    NotMutual,
    #[error("the user name or password has characters that none may have")]
    Characters,
}

/// Whatever a session can be offered, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    ScramSha256Plus,
    ScramSha256,
    Plain,
    Login,
}

impl Mechanism {
    const ALL: [Self; 4] = [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    fn shows_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
    }

    /// Those of the offered ones that may be used, the best first.
    pub(super) fn usable(offered: &[String], is_secured: bool, is_bound: bool) -> VecDeque<Self> {
        let may = |mechanism: &Self| {
            (is_secured || !mechanism.shows_password()) && (is_bound || *mechanism != Self::ScramSha256Plus)
        };
        let is_offered = |mechanism: &Self| offered.iter().any(|name| name == mechanism.name());
        Self::ALL.into_iter().filter(|mechanism| may(mechanism) && is_offered(mechanism)).collect()
    }
}

/// One exchange.
#[derive(Debug)]
pub(super) enum Exchange {
    /// All is said with the command.
    Plain,
    /// What is still to be said.
    Login(VecDeque<Vec<u8>>),
    Scram(Box<Scram>),
}

impl Exchange {
    /// Begins an exchange: with its initial response, if the mechanism has one.
    pub(super) fn begin(
        mechanism: Mechanism,
        credentials: &Credentials,
        binding: Option<&Binding>,
        was_bound_offered: bool,
    ) -> Result<(Self, Option<Vec<u8>>), SaslFault> {
        let Credentials { username, password, .. } = credentials;
        Ok(match mechanism {
            Mechanism::Plain if username.contains('\0') || password.contains('\0') => {
                return Err(SaslFault::Characters);
            }
            Mechanism::Plain => (Self::Plain, Some(format!("\0{username}\0{password}").into_bytes())),
            Mechanism::Login => {
                let said = [username, password].map(|text| text.clone().into_bytes());
                (Self::Login(said.into()), None)
            }
            Mechanism::ScramSha256Plus => {
                let (scram, first) = Scram::begin(credentials, scram::Gs2::of(binding))?;
                (Self::Scram(Box::new(scram)), Some(first))
            }
            Mechanism::ScramSha256 => {
                //= RFC 5802 section 6: "y" where we could bind and the peer does not offer it, so that it sees when its offer was taken out.
                let could = binding.is_some() && !was_bound_offered;
                let gs2 = if could { scram::Gs2::NotOffered } else { scram::Gs2::None };
                let (scram, first) = Scram::begin(credentials, gs2)?;
                (Self::Scram(Box::new(scram)), Some(first))
            }
        })
    }

    /// The response to a challenge.
    pub(super) fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault> {
        match self {
            Self::Plain => Err(SaslFault::Challenge),
            Self::Login(rest) => rest.pop_front().ok_or(SaslFault::Challenge),
            Self::Scram(scram) => scram.respond(challenge),
        }
    }

    /// Whether a yes may be believed.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Login(rest) => rest.is_empty(),
            Self::Scram(scram) => scram.is_proven(),
        }
    }
}
