//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677): both sides prove that they know a password which neither says.
//!
//! Client and server send two messages each: [`First`] takes the client's first, [`Final`] its second, and [`Proved`] the
//! empty response to the server's second, as SMTP has no place for it beside 235.
//! A user that there is not, or that has no keys, is asked like any other, and fails at the proof.
//!
//! Channel bindings: `tls-exporter` (RFC 9266) and `tls-server-end-point` (RFC 5929). A client that says that it could bind, and
//! believes that we cannot although we offered it, has been lied to, and is refused (RFC 5802 section 6).

mod message;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use self::message::{ClientFinal, ClientFirst, Gs2Flag};
use super::{Desk, Next, State, is_same_identity};
use crate::directory::canonical;
use crate::failure::Failure;
use crate::mechanism::Mechanism;
use crate::password::{KEY_OCTETS, Key, ScramRecord, hmac_sha256, sha256};
use crate::user::User;

/// Octets of randomness in our part of the nonce.
const NONCE_OCTETS: usize = 24;

/// Nothing was said yet.
#[derive(Debug)]
pub(crate) struct First {
    pub(super) plus: bool,
}

/// The client has our salt, and owes its proof.
#[derive(Debug)]
pub(crate) struct Final {
    /// Nobody, when the name is nobody's or the user has no keys.
    user: Option<Arc<User>>,
    name: String,
    record: ScramRecord,
    /// The gs2-header and what it binds to, which the client repeats.
    binding: Vec<u8>,
    /// `client-first-message-bare,server-first-message,`.
    said: String,
    nonce: String,
}

/// The client has proved itself and has our proof.
#[derive(Debug)]
pub(crate) struct Proved {
    user: Arc<User>,
}

impl First {
    pub(super) fn step(self, desk: &Desk<'_>, response: &[u8]) -> Next {
        let mut random = [0; NONCE_OCTETS];
        match SystemRandom::new().fill(&mut random) {
            Ok(()) => self.answer(desk, response, &BASE64.encode(random)),
            Err(_) => Next::Failed(None, Failure::Temporary),
        }
    }

    fn answer(self, desk: &Desk<'_>, response: &[u8], server_nonce: &str) -> Next {
        let first = match ClientFirst::read(response) {
            Ok(first) => first,
            Err(failure) => return Next::Failed(None, failure),
        };
        let failed = |failure| Next::Failed(Some(first.name.clone()), failure);
        let bound = match self.bound(desk, first.flag) {
            Ok(bound) => bound,
            Err(failure) => return failed(failure),
        };
        if !is_same_identity(&first.authorization, &first.name) {
            return failed(Failure::Credentials);
        }
        if let Err(failure) = desk.charge(&first.name) {
            return failed(failure);
        }
        let user = desk.user(&first.name);
        let record = desk.site.scram_record(user.map(|user| &**user), &canonical(&first.name));
        let nonce = format!("{}{server_nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&record.salt), record.iterations);
        let next = Final {
            user: user.filter(|user| user.records.iter().any(|record| record.as_scram().is_some())).cloned(),
            name: first.name.clone(),
            record,
            binding: [first.header.as_bytes(), bound].concat(),
            said: format!("{},{challenge},", first.bare),
            nonce,
        };
        Next::Challenge(State::ScramFinal(Box::new(next)), challenge.into_bytes())
    }

    /// What the client's flag binds the exchange to; nothing for a client that does not bind.
    fn bound<'a>(&self, desk: &Desk<'a>, flag: Gs2Flag<'_>) -> Result<&'a [u8], Failure> {
        match (flag, self.plus) {
            (Gs2Flag::Binds(kind), true) => {
                let bound = match kind {
                    "tls-exporter" => &desk.channel.exporter,
                    "tls-server-end-point" => &desk.channel.server_end_point,
                    _ => &None,
                };
                //= RFC 5802 section 6: a type of binding that we do not have fails.
                bound.as_deref().ok_or(Failure::Credentials)
            }
            (Gs2Flag::CannotBind, false) => Ok(&[]),
            (Gs2Flag::CouldBind, false) => {
                //= RFC 5802 section 6: we offered it and the client did not see that: somebody has changed the list.
                let offered = desk.site.refusal(Mechanism::ScramSha256Plus, desk.channel).is_none();
                if offered { Err(Failure::Credentials) } else { Ok(&[]) }
            }
            //= RFC 5802 section 5.1: PLUS binds, and without PLUS nothing does.
            (Gs2Flag::Binds(_), false) | (Gs2Flag::CannotBind | Gs2Flag::CouldBind, true) => {
                Err(Failure::Malformed)
            }
        }
    }
}

impl Final {
    pub(super) fn step(self, desk: &Desk<'_>, response: &[u8]) -> Next {
        let failed = |failure| Next::Failed(Some(self.name.clone()), failure);
        let message = match ClientFinal::read(response) {
            Ok(message) => message,
            Err(failure) => return failed(failure),
        };
        let same_binding = message.binding.ct_eq(&self.binding);
        let same_nonce = message.nonce.as_bytes().ct_eq(self.nonce.as_bytes());
        let auth_message = format!("{}{}", self.said, message.without_proof);
        let proven = self.record.stored_key.ct_eq(&sha256(&self.client_key(&auth_message, &message.proof)));
        match &self.user {
            Some(user) if bool::from(same_binding & same_nonce & proven) => {
                desk.succeeded(&self.name);
                let signature = hmac_sha256(&self.record.server_key, auth_message.as_bytes());
                let verifier = format!("v={}", BASE64.encode(signature));
                let proved = Proved { user: user.clone() };
                Next::Challenge(State::ScramProved(proved), verifier.into_bytes())
            }
            _ => failed(Failure::Credentials),
        }
    }

    //= RFC 5802 section 3: ClientKey is ClientProof XOR HMAC(StoredKey, AuthMessage).
    fn client_key(&self, auth_message: &str, proof: &Key) -> Key {
        let signature = hmac_sha256(&self.record.stored_key, auth_message.as_bytes());
        let mut key = [0; KEY_OCTETS];
        for (octet, (a, b)) in key.iter_mut().zip(proof.iter().zip(&signature)) {
            *octet = a ^ b;
        }
        key
    }
}

impl Proved {
    pub(super) fn step(self, response: &[u8]) -> Next {
        match response {
            [] => Next::Done(self.user),
            _ => Next::Failed(Some(self.user.name.to_string()), Failure::Malformed),
        }
    }
}
