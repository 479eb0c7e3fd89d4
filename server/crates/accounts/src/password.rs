//! Passwords: how they are prepared, what is kept of them, and how one is checked.
//!
//! A check that fails does the same work whoever was named, somebody or nobody: [`Effort`] says how many records of each
//! kind are computed, and what a user's own records leave of it is done on records that match nothing.
//!
//! Standards: RFC 4013 (SASLprep, by way of RFC 4616 and 5802), RFC 9106 (Argon2id), RFC 5803 and 7677 (SCRAM records).
//! Limits: [`MAX_RECORDS`] records a user; a password of 1 to [`MAX_PASSWORD_OCTETS`] octets.
//! Known gaps: records of different costs (memory, passes, iterations) take different times; write them all with
//! `waxwing passwd`.

mod record;
mod scram;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use record::{Record, RecordError};
pub use scram::{DEFAULT_SCRAM_ITERATIONS, SCRAM_ITERATIONS, ScramRecord};
pub(crate) use scram::{KEY_OCTETS, Key, default_iterations, hmac_sha256, sha256};
use subtle::Choice;

/// Records that one user may have: 8. A failed login computes as many of each kind as any user has.
pub const MAX_RECORDS: usize = 8;
/// Octets of a password: 1,024.
pub const MAX_PASSWORD_OCTETS: usize = 1024;

/// Why a password is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is empty")]
    Empty,
    #[error("the password is longer than {MAX_PASSWORD_OCTETS} octets")]
    TooLong,
    #[error("the password has characters that a password cannot have, such as control characters")]
    Characters,
    #[error("the system has no randomness to give")]
    NoRandomness,
}

/// The system gave no random octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRandomness;

/// A password as it is hashed: SASLprep makes one of what different keyboards send for the same characters.
fn prepare(password: &str) -> Result<Cow<'_, str>, PasswordError> {
    if password.len() > MAX_PASSWORD_OCTETS {
        return Err(PasswordError::TooLong);
    }
    match stringprep::saslprep(password) {
        Ok(prepared) if prepared.is_empty() => Err(PasswordError::Empty),
        Ok(prepared) => Ok(prepared),
        Err(_) => Err(PasswordError::Characters),
    }
}

/// How many records of each kind a failed check computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Effort {
    pub(crate) argon2: usize,
    pub(crate) scram: usize,
}

impl Effort {
    /// That of a check of all of these records.
    pub(crate) fn of(records: &[Record]) -> Self {
        let scram = records.iter().filter(|record| record.as_scram().is_some()).count();
        Self { argon2: records.len() - scram, scram }
    }

    /// The greater of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { argon2: self.argon2.max(other.argon2), scram: self.scram.max(other.scram) }
    }

    fn spend(&mut self, record: &Record) {
        match record {
            Record::Argon2id(_) => self.argon2 += 1,
            Record::Scram(_) => self.scram += 1,
        }
    }
}

/// Records that no password has, for what is computed in vain; one of each kind that some user has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoys {
    argon2: Option<Record>,
    scram: Option<Record>,
}

impl Decoys {
    /// As costly as the first of each kind, with results that only the secret gives.
    pub(crate) fn new<'a>(records: impl Iterator<Item = &'a Record> + Clone, secret: &[u8]) -> Self {
        let first = |scram: bool| records.clone().find(|record| record.as_scram().is_some() == scram);
        Self {
            argon2: first(false).map(|record| record.decoy(secret)),
            scram: first(true).map(|record| record.decoy(secret)),
        }
    }
}

/// Checks a password against every record, and against decoys until `effort` is spent. Says whether one matched, and what
/// was computed. A password that cannot be prepared matches nothing, and costs the same.
pub(crate) fn check(records: &[Record], password: &str, effort: Effort, decoys: &Decoys) -> (bool, Effort) {
    let prepared = prepare(password);
    let usable = Choice::from(u8::from(prepared.is_ok()));
    // What is refused is computed all the same, up to the length that a password may have.
    let raw = &password.as_bytes()[..password.len().min(MAX_PASSWORD_OCTETS)];
    let octets = prepared.as_ref().map_or(raw, |text| text.as_bytes());
    let mut spent = Effort::default();
    let mut matched = Choice::from(0);
    for record in records {
        spent.spend(record);
        matched |= record.matches(octets);
    }
    let missing = [
        (&decoys.argon2, effort.argon2.saturating_sub(spent.argon2)),
        (&decoys.scram, effort.scram.saturating_sub(spent.scram)),
    ];
    for (decoy, times) in missing {
        for decoy in std::iter::repeat_n(decoy, times).flatten() {
            spent.spend(decoy);
            let _ = decoy.matches(octets);
        }
    }
    ((matched & usable).into(), spent)
}
