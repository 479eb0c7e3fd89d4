//! Password records: the text in the configuration that stands for a password.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHasher};
use subtle::Choice;

use super::scram::{self, ScramRecord};
use super::{PasswordError, prepare};

/// Memory of one check that a record may ask for, in KiB: 1 GiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Passes over the memory that a record may ask for.
const MAX_PASSES: u32 = 100;
/// Lanes that a record may ask for.
const MAX_LANES: u32 = 64;
/// Octets of a record's text.
const MAX_TEXT_OCTETS: usize = 1024;

/// What is kept of a password. Debug output and errors do not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// `$argon2id$...`, the PHC string format: for PLAIN and LOGIN.
    Argon2id(Box<PasswordHash>),
    /// `SCRAM-SHA-256$...`, RFC 5803: for SCRAM, and for PLAIN and LOGIN.
    Scram(Box<ScramRecord>),
}

/// Why a text is no [`Record`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("is no password record: it begins neither with \"$argon2id$\" nor with \"SCRAM-SHA-256$\"")]
    Unknown,
    #[error("is longer than {MAX_TEXT_OCTETS} octets")]
    TooLong,
    #[error("is an Argon2 record of another kind than argon2id")]
    OtherArgon2,
    #[error("is no valid Argon2 record: {0}")]
    Argon2(String),
    #[error("is an Argon2 record without its hash")]
    NoHash,
    #[error("asks for more than 1 GiB of memory, {MAX_PASSES} passes or {MAX_LANES} lanes")]
    TooCostly,
    #[error("is no valid SCRAM record, which is SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>")]
    Scram,
    #[error("has a number of iterations that is not within 4096 and 1000000")]
    Iterations,
    #[error("has a {0} that is no base64")]
    Base64(&'static str),
    #[error("has a salt that is not 1 to 64 octets long")]
    Salt,
    #[error("has a {0} that is not 32 octets long")]
    KeyLength(&'static str),
}

impl Record {
    /// An Argon2id record of a password: 19 MiB, 2 passes, 1 lane, as OWASP advises, with a new salt.
    ///
    /// # Errors
    /// The password is empty or has characters that passwords do not have, or the system has no randomness.
    pub fn argon2id(password: &str) -> Result<Self, PasswordError> {
        let hash = Argon2::default().hash_password(prepare(password)?.as_bytes());
        Ok(Self::Argon2id(Box::new(hash.map_err(|_| PasswordError::NoRandomness)?)))
    }

    /// A SCRAM-SHA-256 record of a password, with a new salt and [`super::DEFAULT_SCRAM_ITERATIONS`].
    ///
    /// # Errors
    /// As [`Self::argon2id`].
    pub fn scram(password: &str) -> Result<Self, PasswordError> {
        let record = ScramRecord::create(&prepare(password)?).map_err(|_| PasswordError::NoRandomness)?;
        Ok(Self::Scram(Box::new(record)))
    }

    /// The record as it is written into the configuration.
    pub fn to_text(&self) -> String {
        match self {
            Self::Argon2id(hash) => hash.to_string(),
            Self::Scram(record) => record.to_text(),
        }
    }

    /// Whether this is the password's, which was prepared; as long for each answer.
    pub(super) fn matches(&self, password: &[u8]) -> Choice {
        match self {
            Self::Argon2id(hash) => {
                Choice::from(u8::from(Argon2::default().verify_password(password, hash.as_ref()).is_ok()))
            }
            Self::Scram(record) => record.matches(password),
        }
    }

    /// A record that costs the same to check, and matches nothing that anybody knows.
    pub(super) fn decoy(&self, secret: &[u8]) -> Self {
        match self {
            Self::Argon2id(hash) => {
                let mut decoy = hash.clone();
                let unknown = scram::hmac_sha256(secret, b"argon2");
                decoy.hash = Output::new(&unknown).ok().or(decoy.hash);
                Self::Argon2id(decoy)
            }
            Self::Scram(record) => Self::Scram(Box::new(ScramRecord::nobody(secret, "", record.iterations))),
        }
    }

    /// The SCRAM keys, when these are.
    pub(crate) fn as_scram(&self) -> Option<&ScramRecord> {
        match self {
            Self::Scram(record) => Some(record),
            Self::Argon2id(_) => None,
        }
    }
}

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        if text.len() > MAX_TEXT_OCTETS {
            return Err(RecordError::TooLong);
        }
        if let Some(rest) = text.strip_prefix(scram::SCHEME).and_then(|rest| rest.strip_prefix('$')) {
            return Ok(Self::Scram(Box::new(ScramRecord::parse(rest)?)));
        }
        if !text.starts_with("$argon2") {
            return Err(RecordError::Unknown);
        }
        let hash = PasswordHash::new(text).map_err(|error| RecordError::Argon2(error.to_string()))?;
        if hash.algorithm != ARGON2ID_IDENT {
            return Err(RecordError::OtherArgon2);
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(RecordError::NoHash);
        }
        let params = Params::try_from(&hash).map_err(|error| RecordError::Argon2(error.to_string()))?;
        let cheap = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        cheap.then(|| Self::Argon2id(Box::new(hash))).ok_or(RecordError::TooCostly)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2id(_) => "Argon2id(..)",
            Self::Scram(_) => "Scram(..)",
        })
    }
}

impl fmt::Debug for ScramRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramRecord(..)")
    }
}
