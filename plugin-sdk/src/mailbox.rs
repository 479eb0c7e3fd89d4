//! Addresses and what came along with them. RFC 5321 section 4.1.2.

use std::fmt;

/// A mailbox as MAIL or RCPT named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// As it was written, case kept, without the quotes of a quoted string.
    pub local: String,
    /// In lower case; empty for `RCPT TO:<postmaster>`.
    pub domain: String,
}

impl Mailbox {
    /// The mailbox `local@domain`; what has no `@` is a local part alone.
    #[must_use]
    pub fn new(address: &str) -> Mailbox {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        Mailbox { local: local.to_owned(), domain: domain.to_ascii_lowercase() }
    }

    /// Whether this is the mailbox of a domain's (or this server's) postmaster, who must stay reachable: RFC 5321 4.5.1.
    #[must_use]
    pub fn is_postmaster(&self) -> bool {
        self.local.eq_ignore_ascii_case("postmaster")
    }

    /// Whether the domain is this one or lies under it.
    #[must_use]
    pub fn is_within(&self, domain: &str) -> bool {
        let (domain, own) = (domain.as_bytes(), self.domain.as_bytes());
        let Some(at) = own.len().checked_sub(domain.len()) else { return false };
        own[at..].eq_ignore_ascii_case(domain) && (at == 0 || own[at - 1] == b'.')
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        if self.domain.is_empty() { Ok(()) } else { write!(f, "@{}", self.domain) }
    }
}

/// An ESMTP parameter of MAIL or RCPT: `SIZE=1000`, `SMTPUTF8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// In upper case.
    pub keyword: String,
    /// What follows the equals sign, if there is one.
    pub value: Option<String>,
}

/// One recipient of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Names the recipient within its transaction.
    pub id: u32,
    /// Where the mail goes.
    pub address: Mailbox,
    /// What RCPT said beside the address.
    pub params: Vec<Param>,
    /// What the client named, before aliases and plugins.
    pub original: Mailbox,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_within_itself_and_its_parents_but_not_within_a_suffix() {
        let mailbox = Mailbox::new("a@mail.Example.org");
        assert!(mailbox.is_within("example.org") && mailbox.is_within("MAIL.example.org"));
        assert!(!mailbox.is_within("ample.org") && !mailbox.is_within("a.mail.example.org"));
    }

    #[test]
    fn a_mailbox_without_a_domain_is_written_without_an_at_sign() {
        assert_eq!(Mailbox::new("postmaster").to_string(), "postmaster");
        assert_eq!(Mailbox::new("a@b@example.org").to_string(), "a@b@example.org");
    }
}
