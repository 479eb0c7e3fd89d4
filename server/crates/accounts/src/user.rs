//! One user: a name, what proves it, and the addresses that it may send from.

use std::str::FromStr;

use model::{Domain, DomainError, Mailbox, MailboxError};

use crate::local_domains::LocalDomains;
use crate::password::Record;

/// What is known of a user. Its name is the identity that every mechanism ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As `alice@example.org`. ASCII case makes no difference.
    pub name: Mailbox,
    /// Any of them opens; none: no mechanism with a password does.
    pub records: Vec<Record>,
    /// Addresses that the user may send from beside the own one.
    pub senders: Vec<Sender>,
    /// Identities in a client certificate that stand for this user, for EXTERNAL: compared whole, without regard to
    /// ASCII case. What a certificate's identities are says whoever reads it (RFC 4422 appendix A).
    pub certificate: Vec<String>,
}

/// An address, or all addresses of a domain, that a user may send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// As `sales@example.org`, and its subaddresses when its domain is local.
    Mailbox(Mailbox),
    /// As `@example.org`: this domain, not those below it.
    Domain(Domain),
}

/// Why a text is no [`Sender`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    #[error("\"{0}\" is no address: {1}")]
    Mailbox(String, MailboxError),
    #[error("\"{0}\" is no \"@\" and domain: {1}")]
    Domain(String, DomainError),
}

impl FromStr for Sender {
    type Err = SenderError;

    fn from_str(text: &str) -> Result<Self, SenderError> {
        match text.strip_prefix('@') {
            Some(domain) => Domain::parse(domain)
                .map(Self::Domain)
                .map_err(|error| SenderError::Domain(text.to_owned(), error)),
            None => Mailbox::parse(text)
                .map(Self::Mailbox)
                .map_err(|error| SenderError::Mailbox(text.to_owned(), error)),
        }
    }
}

impl User {
    /// A user that nothing opens yet, and who sends as themselves.
    pub fn new(name: Mailbox) -> Self {
        Self { name, records: Vec::new(), senders: Vec::new(), certificate: Vec::new() }
    }

    /// Whether the user may send from an address: the own one, a listed one, a subaddress of either where `local` knows
    /// subaddresses of its domain, or one of a listed domain. Cases are as in [`LocalDomains::lookup`].
    pub fn may_send_as(&self, address: &Mailbox, local: &LocalDomains) -> bool {
        let listed = |sender: &Sender| match sender {
            Sender::Mailbox(sender) => covers(sender, address, local),
            Sender::Domain(domain) => domain == address.domain(),
        };
        covers(&self.name, address, local) || self.senders.iter().any(listed)
    }
}

/// Whether an address is another one, or a subaddress of it.
fn covers(owned: &Mailbox, address: &Mailbox, local: &LocalDomains) -> bool {
    let same = |other: &Mailbox| {
        owned.domain() == other.domain() && owned.local().eq_ignore_ascii_case(other.local())
    };
    same(address) || local.mailbox(address).is_some_and(|(mailbox, _)| same(&mailbox))
}
