//! The server's side of AUTH: which mechanisms a connection is offered, and the exchange of one of them.
//!
//! Decoded responses go in, challenges come out, and at the end a user or a [`Failure`]. A step may compute for some tens of
//! milliseconds (Argon2, PBKDF2, a signature); drive it where that does no harm.
//!
//! Standards: RFC 4954 (AUTH), 4422 (SASL), and those of each mechanism in `sasl`.
//! Limits: [`AttemptLimits`]; a response of 12 KiB, over it 501 5.5.2.
//! Known gaps: nobody may act for somebody else: an authorization identity is empty or the user's own.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use model::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};

use crate::attempts::{AttemptLimits, Attempts};
use crate::directory::Directory;
use crate::failure::Failure;
use crate::mechanism::Mechanism;
use crate::password::{Decoys, PasswordError, Record, ScramRecord, default_iterations};
use crate::sasl::{Desk, Next, State};
use crate::token::TokenOptions;
use crate::user::User;

/// Octets of one decoded response: what a command line holds, RFC 4954 section 4.
const MAX_RESPONSE_OCTETS: usize = 12 << 10;

/// What an [`Authenticator`] is made from.
#[derive(Debug, Clone, Default)]
pub struct AuthOptions {
    pub directory: Directory,
    /// The mechanisms that may be used; nothing: those that serve every user who has what they need. SCRAM is then left out
    /// as soon as one user has a password without a SCRAM record: a client that prefers it could not log in.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Whose tokens count; nothing: nobody's.
    pub tokens: Option<TokenOptions>,
    pub limits: AttemptLimits,
    /// Whether mechanisms that show a password or a token are offered without TLS; for networks that nobody listens on.
    pub plaintext_without_tls: bool,
}

/// What makes the salts of users that there are not. It stays the same across restarts, or asking before and after one
/// would tell them from real ones. Debug output does not show it.
#[derive(Clone, Copy)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, PasswordError> {
        let mut octets = [0; 32];
        SystemRandom::new().fill(&mut octets).map_err(|_| PasswordError::NoRandomness)?;
        Ok(Self(octets))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an exchange may know of its connection.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The client, for [`AttemptLimits`].
    pub address: IpAddr,
    pub tls: bool,
    /// The channel binding `tls-exporter`, 32 octets: RFC 9266; nothing where TLS does not give one that is unique.
    pub exporter: Option<Vec<u8>>,
    /// The channel binding `tls-server-end-point`, the hash of our certificate: RFC 5929 section 4.
    pub server_end_point: Option<Vec<u8>>,
    /// What the client's certificate says of it; the certificate was verified.
    pub client_identities: Vec<String>,
}

impl Channel {
    /// A connection without TLS.
    pub fn without_tls(address: IpAddr) -> Self {
        Self { address, tls: false, exporter: None, server_end_point: None, client_identities: Vec::new() }
    }

    fn can_bind(&self) -> bool {
        self.exporter.is_some() || self.server_end_point.is_some()
    }
}

/// When an exchange begins, by both clocks: one for limits, one for what a token says.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub wall: Timestamp,
}

/// Offers mechanisms and begins exchanges. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Site>);

/// What all exchanges share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) options: AuthOptions,
    pub(crate) secret: Secret,
    pub(crate) attempts: Attempts,
    pub(crate) decoys: Decoys,
    /// What SCRAM asks of users that there are not: what most records have.
    iterations: NonZeroU32,
}

/// One exchange, between two messages of the client.
#[derive(Debug)]
pub struct Exchange {
    site: Arc<Site>,
    channel: Channel,
    at: Moment,
    state: State,
    /// The client has had its empty challenge.
    asked: bool,
}

/// Where an exchange stands after a message of the client.
#[derive(Debug)]
pub enum Step {
    /// 334 with these octets in base64, which may be none; go on with the response.
    Challenge(Exchange, Vec<u8>),
    /// 235.
    Authenticated { user: Arc<User> },
    /// [`Failure::reply`]. The name is what the client claimed, whoever that is; for the log.
    Failed { name_tried: Option<String>, reason: Failure },
}

impl Authenticator {
    /// The secret has to be the same after a restart; see [`Secret`].
    pub fn new(options: AuthOptions, secret: Secret) -> Self {
        let attempts = Attempts::new(options.limits.clone());
        Self::with_attempts(options, secret, attempts)
    }

    /// The same with other options, as after a reload: failed attempts are remembered. Exchanges that have begun go on as
    /// they began.
    #[must_use]
    pub fn with_options(&self, options: AuthOptions) -> Self {
        let attempts = self.0.attempts.with_limits(options.limits.clone());
        Self::with_attempts(options, self.0.secret, attempts)
    }

    fn with_attempts(options: AuthOptions, secret: Secret, attempts: Attempts) -> Self {
        let records = || options.directory.users().iter().flat_map(|user| &user.records);
        let decoys = Decoys::new(records(), &secret.0);
        let iterations = usual_iterations(records().filter_map(Record::as_scram));
        Self(Arc::new(Site { options, secret, attempts, decoys, iterations }))
    }

    /// The users.
    pub fn directory(&self) -> &Directory {
        &self.0.options.directory
    }

    #[cfg(test)]
    pub(crate) fn site(&self) -> &Site {
        &self.0
    }

    /// Failed attempts, of all authenticators that came from one another.
    pub fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    /// The mechanisms of EHLO's AUTH line, the strongest first; none: there is no such line.
    pub fn mechanisms(&self, channel: &Channel) -> Vec<&'static str> {
        Mechanism::ALL
            .into_iter()
            .filter(|mechanism| self.0.refusal(*mechanism, channel).is_none())
            .map(Mechanism::as_str)
            .collect()
    }

    /// Begins an exchange. The first step takes the initial response, or nothing when AUTH had none.
    ///
    /// # Errors
    /// The mechanism is not offered, or the client has failed too often.
    pub fn begin(&self, mechanism: &str, channel: Channel, at: Moment) -> Result<Exchange, Failure> {
        let mechanism: Mechanism = mechanism.parse().map_err(|_| Failure::UnknownMechanism)?;
        if let Some(failure) = self.0.refusal(mechanism, &channel) {
            return Err(failure);
        }
        if self.0.attempts.is_full(None, channel.address, at.now) {
            return Err(Failure::TooMany);
        }
        let state = State::new(mechanism);
        Ok(Exchange { site: self.0.clone(), channel, at, state, asked: false })
    }
}

impl Site {
    /// Why a mechanism is not offered on a channel.
    pub(crate) fn refusal(&self, mechanism: Mechanism, channel: &Channel) -> Option<Failure> {
        let allowed = self.options.mechanisms.as_ref();
        if allowed.is_some_and(|allowed| !allowed.contains(&mechanism)) {
            return Some(Failure::TooWeak);
        }
        if !self.serves(mechanism, channel) {
            return Some(Failure::UnknownMechanism);
        }
        //= RFC 4954 section 4: no plaintext mechanism without a layer that protects it.
        let open = mechanism.is_plaintext() && !channel.tls && !self.options.plaintext_without_tls;
        open.then_some(Failure::NeedsTls)
    }

    /// Whether somebody could log in with it over a channel that is protected.
    fn serves(&self, mechanism: Mechanism, channel: &Channel) -> bool {
        let directory = &self.options.directory;
        match mechanism {
            Mechanism::Plain | Mechanism::Login => {
                directory.users().iter().any(|user| !user.records.is_empty())
            }
            Mechanism::ScramSha256 => self.serves_scram(),
            Mechanism::ScramSha256Plus => channel.tls && channel.can_bind() && self.serves_scram(),
            Mechanism::External => {
                channel.tls && !channel.client_identities.is_empty() && directory.has_certificates()
            }
            Mechanism::OauthBearer | Mechanism::Xoauth2 => self.options.tokens.is_some(),
        }
    }

    fn serves_scram(&self) -> bool {
        let users = self.options.directory.users().iter().filter(|user| !user.records.is_empty());
        let mut has_scram = users.map(|user| user.records.iter().any(|record| record.as_scram().is_some()));
        match self.options.mechanisms {
            Some(_) => has_scram.any(|has| has),
            None => has_scram.clone().next().is_some() && has_scram.all(|has| has),
        }
    }

    /// The SCRAM keys of a user, or such as nobody's password has.
    pub(crate) fn scram_record(&self, user: Option<&User>, name: &str) -> ScramRecord {
        let record = user.and_then(|user| user.records.iter().find_map(Record::as_scram));
        record.cloned().unwrap_or_else(|| ScramRecord::nobody(&self.secret.0, name, self.iterations))
    }
}

fn usual_iterations<'a>(records: impl Iterator<Item = &'a ScramRecord>) -> NonZeroU32 {
    let mut counts = std::collections::BTreeMap::<NonZeroU32, usize>::new();
    for record in records {
        *counts.entry(record.iterations).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, users)| *users).map_or_else(default_iterations, |(usual, _)| usual)
}

impl Exchange {
    /// Takes the client's response, decoded from base64; nothing when AUTH had no initial response (`=` is an empty one).
    ///
    /// The exchange is used up: what comes back is the only way on. To drop it is to cancel, as `*` does.
    pub fn step(self, response: Option<&[u8]>) -> Step {
        let Self { site, channel, at, state, asked } = self;
        let failed = |reason| Step::Failed { name_tried: None, reason };
        let Some(response) = response else {
            return match state.opening() {
                Some(challenge) if !asked => {
                    Step::Challenge(Self { site, channel, at, state, asked: true }, challenge)
                }
                _ => failed(Failure::Malformed),
            };
        };
        if response.len() > MAX_RESPONSE_OCTETS {
            return failed(Failure::Malformed);
        }
        match state.step(&Desk { site: &site, channel: &channel, at }, response) {
            Next::Challenge(state, challenge) => {
                Step::Challenge(Self { site, channel, at, state, asked: true }, challenge)
            }
            Next::Done(user) => Step::Authenticated { user },
            Next::Failed(name_tried, reason) => Step::Failed { name_tried, reason },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
