//! The sender rewriting scheme: mail that is forwarded to another host leaves with a sender of ours, so that it passes SPF there, and
//! what is returned to that sender finds its way back.
//!
//! ```text
//! ann@from.example             -> SRS0=HASH=TT=from.example=ann@ours.example        forwarded by us
//! SRS0=...@other.example       -> SRS1=HASH=other.example==...@ours.example         forwarded to us, and by us again
//! SRS1=HASH=first.example==... -> SRS1=OURS=first.example==...@ours.example         and again: the first is remembered
//! ```
//!
//! `TT` is the day, and counts for [`MAX_AGE_DAYS`]. `HASH` is over the rest, with a secret of this host: nobody else can make an address
//! that we would relay for. Everything is compared without regard to ASCII case, since hosts on the way may change it.
//!
//! Standards: none; the scheme is Meng Weng Wong's and Shevek's, as libsrs2 and postsrsd speak it. RFC 5321 section 4.5.3.1.1 bounds
//! local parts.
//! Limits: a local part of 64 octets: what would be longer is not rewritten ([`SrsError::TooLong`]).
//! Known gaps: none.

use model::{Domain, Mailbox, Timestamp};
use ring::hmac;

/// Days that an address counts.
pub const MAX_AGE_DAYS: u64 = 21;
/// Days have two digits of five bits, and begin again after 1,024.
const DAYS: u64 = 1024;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Digits of five bits: 30 bits, of which a client can try few before its errors end the session.
const HASH_DIGITS: usize = 6;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Rewrites senders, and reads what was rewritten.
#[derive(Clone)]
pub struct Srs {
    key: hmac::Key,
    domain: Domain,
}

/// Why an address is not rewritten, or not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    #[error("the rewritten address would be too long")]
    TooLong,
    #[error("not an address that this host has made")]
    Forged,
    #[error("the address counts no longer: it was made more than {MAX_AGE_DAYS} days ago")]
    Expired,
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Srs").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Srs {
    /// Rewritten senders are of this domain, which has to lead back to this host.
    pub fn new(secret: &[u8], domain: Domain) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), domain }
    }

    /// The sender under which mail of this sender is forwarded.
    ///
    /// # Errors
    /// [`SrsError::TooLong`].
    pub fn forward(&self, sender: &Mailbox, now: Timestamp) -> Result<Mailbox, SrsError> {
        let local = sender.local();
        let (tag, rest) = match (strip(local, "SRS0"), strip(local, "SRS1").and_then(signed)) {
            // The separator stays behind the tag of the other host: only that host knows which it was.
            (Some(_), _) => ("SRS1", format!("{}={}", sender.domain().to_ascii(), &local[4..])),
            (None, Some((_, first))) => ("SRS1", first.to_owned()),
            (None, None) => {
                let (day, domain) = (day_of(now), sender.domain().to_ascii());
                ("SRS0", format!("{}={domain}={local}", digits(day, 2)))
            }
        };
        let local = format!("{tag}={}={rest}", self.hash(tag, &rest));
        Mailbox::new(&local, self.domain.clone()).map_err(|_| SrsError::TooLong)
    }

    /// Whether an address is of the domain of rewritten senders.
    pub fn is_of(&self, address: &Mailbox) -> bool {
        *address.domain() == self.domain
    }

    /// Where mail to this address goes back to; nothing when it is no rewritten one of ours.
    ///
    /// # Errors
    /// [`SrsError::Forged`] and [`SrsError::Expired`].
    pub fn reverse(&self, address: &Mailbox, now: Timestamp) -> Option<Result<Mailbox, SrsError>> {
        if !self.is_of(address) {
            return None;
        }
        let local = address.local();
        if let Some(rest) = strip(local, "SRS0") {
            return Some(self.believe("SRS0", rest).and_then(|rest| original(rest, now)));
        }
        let rest = strip(local, "SRS1")?;
        Some(self.believe("SRS1", rest).and_then(relayed))
    }

    /// What stands behind the hash, if it is ours.
    fn believe<'a>(&self, tag: &str, rest: &'a str) -> Result<&'a str, SrsError> {
        let (hash, rest) = signed(rest).ok_or(SrsError::Forged)?;
        let hash = hash.to_ascii_lowercase();
        let is_ours = subtle::ConstantTimeEq::ct_eq(hash.as_bytes(), self.hash(tag, rest).as_bytes());
        if bool::from(is_ours) { Ok(rest) } else { Err(SrsError::Forged) }
    }

    /// The tag is hashed too: behind another one the rest would mean something else.
    fn hash(&self, tag: &str, rest: &str) -> String {
        let hash = hmac::sign(&self.key, format!("{tag}={rest}").to_ascii_lowercase().as_bytes());
        let octets = hash.as_ref().iter().take(8);
        digits(octets.fold(0, |value, octet| value << 8 | u64::from(*octet)), HASH_DIGITS)
    }
}

/// `SRS0=ann@from.example` is stored as `TT=from.example=ann`.
fn original(rest: &str, now: Timestamp) -> Result<Mailbox, SrsError> {
    let mut parts = rest.splitn(3, '=');
    let (Some(day), Some(domain), Some(local)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SrsError::Forged);
    };
    let day = value_of(day).ok_or(SrsError::Forged)?;
    if (day_of(now) + DAYS - day) % DAYS > MAX_AGE_DAYS {
        return Err(SrsError::Expired);
    }
    mailbox(local, domain)
}

/// The first host's own address, which it will read by itself.
fn relayed(rest: &str) -> Result<Mailbox, SrsError> {
    let (domain, behind) = rest.split_once('=').ok_or(SrsError::Forged)?;
    mailbox(&format!("SRS0{behind}"), domain)
}

fn mailbox(local: &str, domain: &str) -> Result<Mailbox, SrsError> {
    let domain = Domain::parse(domain).map_err(|_| SrsError::Forged)?;
    Mailbox::new(local, domain).map_err(|_| SrsError::Forged)
}

/// What stands behind a tag and one of the separators that hosts use.
fn strip<'a>(local: &'a str, tag: &str) -> Option<&'a str> {
    let (start, rest) = local.split_at_checked(tag.len())?;
    start.eq_ignore_ascii_case(tag).then_some(rest)?.strip_prefix(['=', '+', '-'])
}

/// A hash and what stands behind it.
fn signed(rest: &str) -> Option<(&str, &str)> {
    rest.split_once('=')
}

fn day_of(now: Timestamp) -> u64 {
    now.0 / DAY_MS % DAYS
}

/// The lowest bits, five to a digit.
fn digits(value: u64, count: usize) -> String {
    (0..count).rev().map(|place| char::from(ALPHABET[(value >> (5 * place)) as usize & 31])).collect()
}

fn value_of(digits: &str) -> Option<u64> {
    let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte.to_ascii_lowercase());
    let value = |value, byte| Some(value * 32 + digit(byte)? as u64);
    (digits.len() == 2).then(|| digits.bytes().try_fold(0, value)).flatten()
}

#[cfg(test)]
mod tests;
