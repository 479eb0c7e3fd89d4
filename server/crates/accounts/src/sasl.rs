//! The exchanges of the mechanisms, one file each, and what they have in common.
//!
//! They are ours rather than the server side of `rsasl` (its client side tests them): that one takes passwords and keys
//! through callbacks that are typed at run time, hands SCRAM user names over as they were escaped, makes a new salt for an
//! unknown user with each question, and gives no way to refuse an attempt between the name and the check. What is left of a
//! mechanism beside those is a message or two. The cryptography is that of `ring` and `argon2`.
//!
//! Standards: RFC 4422; 4616 (PLAIN), 5802, 7677, 5929 and 9266 (SCRAM and its channel bindings), 7628 (OAUTHBEARER).
//! Limits: names of [`MAX_NAME_OCTETS`].

mod external;
mod login;
mod oauth;
mod plain;
mod scram;

use std::sync::Arc;

use crate::authenticator::{Channel, Moment, Site};
use crate::directory::{canonical, parse};
use crate::failure::Failure;
use crate::mechanism::Mechanism;
use crate::password;
use crate::user::User;

/// Octets of a user's name, RFC 4616 section 2.
const MAX_NAME_OCTETS: usize = 255;

/// Where an exchange stands.
#[derive(Debug)]
pub(crate) enum State {
    Plain,
    LoginName,
    LoginPassword(login::Password),
    ScramFirst(scram::First),
    ScramFinal(Box<scram::Final>),
    ScramProved(scram::Proved),
    External,
    Token(oauth::Dialect),
    TokenRefused(oauth::Refused),
}

/// What comes of a response.
#[derive(Debug)]
pub(crate) enum Next {
    Challenge(State, Vec<u8>),
    Done(Arc<User>),
    Failed(Option<String>, Failure),
}

impl State {
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::ScramSha256Plus => Self::ScramFirst(scram::First { plus: true }),
            Mechanism::ScramSha256 => Self::ScramFirst(scram::First { plus: false }),
            Mechanism::External => Self::External,
            Mechanism::OauthBearer => Self::Token(oauth::Dialect::OauthBearer),
            Mechanism::Xoauth2 => Self::Token(oauth::Dialect::Xoauth2),
            Mechanism::Plain => Self::Plain,
            Mechanism::Login => Self::LoginName,
        }
    }

    /// What asks for the first response, where AUTH had none.
    //= RFC 4954 section 4: a mechanism in which the client begins is asked with an empty challenge.
    pub(crate) fn opening(&self) -> Option<Vec<u8>> {
        match self {
            Self::LoginName => Some(login::ASK_NAME.to_vec()),
            Self::Plain | Self::ScramFirst(_) | Self::External | Self::Token(_) => Some(Vec::new()),
            Self::LoginPassword(_) | Self::ScramFinal(_) | Self::ScramProved(_) | Self::TokenRefused(_) => {
                None
            }
        }
    }

    pub(crate) fn step(self, desk: &Desk<'_>, response: &[u8]) -> Next {
        match self {
            Self::Plain => plain::step(desk, response),
            Self::LoginName => login::name(response),
            Self::LoginPassword(state) => state.step(desk, response),
            Self::ScramFirst(state) => state.step(desk, response),
            Self::ScramFinal(state) => state.step(desk, response),
            Self::ScramProved(state) => state.step(response),
            Self::External => external::step(desk, response),
            Self::Token(dialect) => dialect.step(desk, response),
            Self::TokenRefused(state) => state.step(),
        }
    }
}

impl Next {
    fn malformed() -> Self {
        Self::Failed(None, Failure::Malformed)
    }
}

/// What a mechanism may ask of the server.
pub(crate) struct Desk<'a> {
    pub(crate) site: &'a Site,
    pub(crate) channel: &'a Channel,
    pub(crate) at: Moment,
}

impl Desk<'_> {
    fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.site.options.directory.user(name)
    }

    /// Counts an attempt for this name. Nothing may be checked where it fails.
    fn charge(&self, name: &str) -> Result<(), Failure> {
        let free = self.site.attempts.charge(&canonical(name), self.channel.address, self.at.now);
        free.then_some(()).ok_or(Failure::TooMany)
    }

    /// The attempt that was charged for this name succeeded.
    fn succeeded(&self, name: &str) {
        self.site.attempts.succeeded(&canonical(name), self.channel.address);
    }

    /// The end of a mechanism with a password that was shown.
    fn check_password(&self, name: &str, password: &str, authorization: &str) -> Next {
        let failed = |failure| Next::Failed(Some(name.to_owned()), failure);
        if let Err(failure) = self.charge(name) {
            return failed(failure);
        }
        let user = self.user(name);
        let records = user.map_or(&[][..], |user| &user.records);
        let effort = self.site.options.directory.effort();
        let (matched, _) = password::check(records, password, effort, &self.site.decoys);
        match user {
            Some(user) if matched && is_same_identity(authorization, name) => {
                self.succeeded(name);
                Next::Done(user.clone())
            }
            _ => failed(Failure::Credentials),
        }
    }
}

/// Whether an authorization identity is none, or the authentication identity.
fn is_same_identity(authorization: &str, name: &str) -> bool {
    authorization.is_empty()
        || authorization == name
        || parse(authorization).is_some_and(|identity| parse(name) == Some(identity))
}

/// A name or identity in a response: text without control characters, not too long.
fn text(octets: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(octets).map_err(|_| Failure::Malformed)?;
    if text.len() > MAX_NAME_OCTETS || text.contains(char::is_control) {
        return Err(Failure::Malformed);
    }
    Ok(text)
}

/// A saslname (RFC 5801 section 4): `=2C` is a comma, `=3D` an equals sign.
fn unescape(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Failure::Malformed),
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain)
}
