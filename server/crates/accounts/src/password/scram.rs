//! SCRAM's keys for a password: what a server keeps in its place (RFC 5802 section 3, RFC 7677, RFC 5803).

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use subtle::{Choice, ConstantTimeEq};

use super::{NoRandomness, RecordError};

/// The scheme's name in a record.
pub(crate) const SCHEME: &str = "SCRAM-SHA-256";
/// Iterations of PBKDF2 that a record may ask for. RFC 7677 section 4 has the least; more than the most makes
/// each PLAIN login a burden.
pub const SCRAM_ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;
/// Iterations of new records: some tens of milliseconds.
pub const DEFAULT_SCRAM_ITERATIONS: u32 = 100_000;
/// Octets of salt: new records have the first, none may have more than the second.
const SALT_OCTETS: usize = 16;
const MAX_SALT_OCTETS: usize = 64;

/// Octets of SHA-256, and of every key here.
pub(crate) const KEY_OCTETS: usize = digest::SHA256_OUTPUT_LEN;
/// A key.
pub(crate) type Key = [u8; KEY_OCTETS];

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramRecord {
    pub(crate) iterations: NonZeroU32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: Key,
    pub(crate) server_key: Key,
}

impl ScramRecord {
    /// The record of a prepared password, with a new salt.
    pub(crate) fn create(password: &str) -> Result<Self, NoRandomness> {
        let mut salt = vec![0; SALT_OCTETS];
        SystemRandom::new().fill(&mut salt).map_err(|_| NoRandomness)?;
        Ok(Self::derive(password.as_bytes(), salt, default_iterations()))
    }

    //= RFC 5802 section 3: StoredKey is H(HMAC(SaltedPassword, "Client Key")); ServerKey is an HMAC as well.
    pub(crate) fn derive(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let mut salted: Key = [0; KEY_OCTETS];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
        let stored_key = sha256(&hmac_sha256(&salted, b"Client Key"));
        let server_key = hmac_sha256(&salted, b"Server Key");
        Self { iterations, salt, stored_key, server_key }
    }

    /// Whether this is the prepared password's; as long for each answer.
    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        let derived = Self::derive(password, self.salt.clone(), self.iterations);
        derived.stored_key.ct_eq(&self.stored_key) & derived.server_key.ct_eq(&self.server_key)
    }

    /// A record that no password has: keys that only a secret gives, the same ones for the same name, so that asking
    /// twice does not tell that there is nobody behind it.
    pub(crate) fn nobody(secret: &[u8], name: &str, iterations: NonZeroU32) -> Self {
        let keyed = |purpose: &str| hmac_sha256(secret, format!("{purpose}\0{name}").as_bytes());
        Self {
            iterations,
            salt: keyed("salt")[..SALT_OCTETS].to_vec(),
            stored_key: keyed("stored"),
            server_key: keyed("server"),
        }
    }

    /// Reads what follows `SCRAM-SHA-256$`.
    pub(super) fn parse(text: &str) -> Result<Self, RecordError> {
        let (parameters, keys) = text.split_once('$').ok_or(RecordError::Scram)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(RecordError::Scram)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(RecordError::Scram)?;
        let iterations: u32 = iterations.parse().map_err(|_| RecordError::Iterations)?;
        let bounded = Some(iterations).filter(|count| SCRAM_ITERATIONS.contains(count));
        let salt = BASE64.decode(salt).map_err(|_| RecordError::Base64("salt"))?;
        if salt.is_empty() || salt.len() > MAX_SALT_OCTETS {
            return Err(RecordError::Salt);
        }
        Ok(Self {
            iterations: bounded.and_then(NonZeroU32::new).ok_or(RecordError::Iterations)?,
            salt,
            stored_key: key(stored_key, "StoredKey")?,
            server_key: key(server_key, "ServerKey")?,
        })
    }

    /// As it is written into the configuration. Whoever reads it can try passwords, and can pose as this server.
    pub(super) fn to_text(&self) -> String {
        let [salt, stored, server] =
            [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|octets| BASE64.encode(octets));
        format!("{SCHEME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

fn key(text: &str, name: &'static str) -> Result<Key, RecordError> {
    let octets = BASE64.decode(text).map_err(|_| RecordError::Base64(name))?;
    Key::try_from(octets).map_err(|_| RecordError::KeyLength(name))
}

/// [`DEFAULT_SCRAM_ITERATIONS`], which is not zero.
pub(crate) fn default_iterations() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(DEFAULT_SCRAM_ITERATIONS - 1)
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    octets_of(tag.as_ref())
}

pub(crate) fn sha256(message: &[u8]) -> Key {
    octets_of(digest::digest(&digest::SHA256, message).as_ref())
}

fn octets_of(output: &[u8]) -> Key {
    let mut key = [0; KEY_OCTETS];
    key.copy_from_slice(output);
    key
}
