//! Mailboxes and the two paths of an envelope (RFC 5321 section 4.1.2, RFC 6531 section 3.3).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Domain, DomainError};

/// `local-part@domain`. The local part is kept without its quotes and is written with them where they are needed.
///
/// At most 64 octets of local part and 254 in all (RFC 5321 section 4.5.3.1, less the angle brackets). A clone is the same text in memory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    local: Arc<str>,
    domain: Domain,
}

/// Why a text is no [`Mailbox`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    #[error("the address has no \"@\"")]
    NoAt,
    #[error("the local part is empty")]
    EmptyLocal,
    #[error("the local part is longer than 64 octets")]
    LocalTooLong,
    #[error("the address is longer than 254 octets")]
    TooLong,
    #[error("the local part is not valid")]
    Local,
    #[error("{0}")]
    Domain(#[from] DomainError),
}

impl Mailbox {
    /// Octets in a local part, RFC 5321 section 4.5.3.1.1.
    pub const MAX_LOCAL_OCTETS: usize = 64;
    /// Octets in an address: the path limit of 256 (section 4.5.3.1.3) without its angle brackets.
    pub const MAX_OCTETS: usize = 254;

    /// A mailbox from its two parts, the local part without quotes.
    pub fn new(local: &str, domain: Domain) -> Result<Self, MailboxError> {
        if local.is_empty() {
            return Err(MailboxError::EmptyLocal);
        }
        if local.len() > Self::MAX_LOCAL_OCTETS {
            return Err(MailboxError::LocalTooLong);
        }
        if local.chars().any(char::is_control) {
            return Err(MailboxError::Local);
        }
        if local.len() + 1 + domain.as_str().len() > Self::MAX_OCTETS {
            return Err(MailboxError::TooLong);
        }
        Ok(Self { local: local.into(), domain })
    }

    /// Reads `local@domain` or `"quoted local"@domain`.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let (local, rest) = if text.starts_with('"') {
            let (local, rest) = unquote(text)?;
            (Cow::Owned(local), rest)
        } else {
            let at = text.rfind('@').ok_or(MailboxError::NoAt)?;
            let local = &text[..at];
            if local.is_empty() {
                return Err(MailboxError::EmptyLocal);
            }
            if !is_dot_string(local) {
                return Err(MailboxError::Local);
            }
            (Cow::Borrowed(local), &text[at..])
        };
        let domain = rest.strip_prefix('@').ok_or(MailboxError::NoAt)?;
        Self::new(&local, Domain::parse(domain)?)
    }

    /// The local part, without quotes; its case belongs to the receiving host (RFC 5321 section 2.4).
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain, in lower case.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether every octet is ASCII, so that a peer without SMTPUTF8 can take it.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.as_str().is_ascii()
    }
}

/// Splits `"quoted"rest`; the content comes back without quotes and backslashes.
fn unquote(text: &str) -> Result<(String, &str), MailboxError> {
    let mut local = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => local.push(chars.next().ok_or(MailboxError::Local)?.1),
            c if c.is_control() => return Err(MailboxError::Local),
            c => local.push(c),
        }
    }
    Err(MailboxError::Local)
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 section 3.2.3, and everything beyond ASCII (RFC 6532 section 3.2).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl FromStr for Mailbox {
    type Err = MailboxError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = MailboxError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

/// Where a report of failure goes: a mailbox, or nowhere (RFC 5321 section 4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`, the sender of reports; it never gets one.
    Null,
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox, or nothing for the null reverse-path.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// With angle brackets, as in MAIL.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Where a message goes: a mailbox, or `<Postmaster>` without a domain (RFC 5321 section 4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// This host's postmaster, in any mixture of cases.
    Postmaster,
    Mailbox(Mailbox),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_are_taken_off_and_put_back_where_needed() {
        let spaced = Mailbox::parse("\"john \\\"q\\\" doe\"@example.org").unwrap();
        assert_eq!(spaced.local(), "john \"q\" doe");
        assert_eq!(spaced.to_string(), "\"john \\\"q\\\" doe\"@example.org");
        assert_eq!(Mailbox::parse("\"ann\"@example.org").unwrap().to_string(), "ann@example.org");
    }

    #[test]
    fn limits_of_rfc_5321_hold() {
        assert!(Mailbox::parse(&format!("{}@example.org", "a".repeat(64))).is_ok());
        assert_eq!(
            Mailbox::parse(&format!("{}@example.org", "a".repeat(65))),
            Err(MailboxError::LocalTooLong)
        );
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for bad in ["ann", "@b", "a@", ".a@b", "a..b@c", "a b@c", "\"a@b", "\"a\"b@c", "a\r\n@b", "a<b@c"] {
            assert!(Mailbox::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_mailbox_reads_back_as_itself(local in "\\PC{1,16}", domain in "[a-z0-9]{1,8}(\\.[a-z]{2,4}){0,2}") {
            if let Ok(mailbox) = Mailbox::new(&local, Domain::parse(&domain).unwrap()) {
                prop_assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = Mailbox::parse(&text);
        }
    }
}
