//! Whose mail ends here: local domains, their mailboxes, aliases and subaddresses.
//!
//! Where a domain's mail is put (a maildir, LMTP, another host) is told elsewhere; here is told whether an
//! address is one of ours and which mailbox it means. Nothing here waits, reads a file or looks at a clock.
//!
//! Standards: RFC 5321 (2.4 case of local parts, 3.9 aliases, 4.5.1 postmaster), RFC 5233 (subaddresses), RFC
//! 2142 section 5.
//! Limits: [`MAX_ALIAS_DEPTH`], [`MAX_ALIAS_RECIPIENTS`].
//! Known gaps: local parts beyond ASCII are compared octet by octet, without Unicode normalisation.

mod expand;
mod local_domains;

pub use expand::{ExpandError, MAX_ALIAS_DEPTH, MAX_ALIAS_RECIPIENTS};
pub use local_domains::{AccountsError, DomainOptions, LocalDomains, Lookup, Options};
