//! Names of sessions and of queue entries, short enough to read aloud and to `grep` for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32 in lower case: no i, l, o or u, so that nobody misreads an id.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Thirteen digits of five bits hold 64 bits.
const DIGITS: usize = 13;

/// A queue entry's name; rises with time, so that sorting by id sorts by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueId(pub u64);

/// A session's name, unique among the sessions of a running server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A text that is no id: wrong length, or a character that ids do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: 13 characters of 0-9 and a-z without i, l, o, u")]
pub struct IdError;

fn write_base32(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; DIGITS];
    for (place, digit) in text.iter_mut().enumerate() {
        let shift = 5 * (DIGITS - 1 - place);
        *digit = ALPHABET[(value >> shift) as usize & 31];
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base32(self.0, f)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base32(self.0, f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base32(self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base32(self.0, f)
    }
}

impl FromStr for QueueId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != DIGITS {
            return Err(IdError);
        }
        text.bytes()
            .try_fold(0u64, |value, byte| {
                let digit = ALPHABET.iter().position(|d| *d == byte.to_ascii_lowercase()).ok_or(IdError)?;
                let shifted = value.checked_mul(32).ok_or(IdError)?;
                Ok(shifted | digit as u64)
            })
            .map(Self)
    }
}

impl TryFrom<String> for QueueId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<QueueId> for String {
    fn from(id: QueueId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_sort_as_their_numbers() {
        for value in [0, 1, 31, 32, 1 << 40, u64::MAX] {
            assert_eq!(QueueId(value).to_string().parse(), Ok(QueueId(value)));
        }
        assert!(QueueId(7).to_string() < QueueId(1 << 33).to_string());
        assert_eq!("short".parse::<QueueId>(), Err(IdError));
        assert_eq!("uuuuuuuuuuuuu".parse::<QueueId>(), Err(IdError));
        assert_eq!("zzzzzzzzzzzzz".parse::<QueueId>(), Err(IdError));
    }
}
