//! The nouns of mail that every other room speaks of: mailboxes, paths, the envelope, replies, ids, and content
//! as pieces of stored bytes.
//!
//! Nothing here waits, reads a file or looks at a clock; a time is a [`Timestamp`] that somebody hands in.
//!
//! Standards: RFC 5321 (4.1.2 and 4.1.3 syntax, 4.2 replies, 4.5.3.1 sizes), RFC 3463 (enhanced status codes), RFC 6531
//! (addresses beyond ASCII), RFC 5890 (internationalised domain names), RFC 3461, 2852 and 6710 (parameters of an envelope).

mod content;
mod domain;
mod envelope;
mod esmtp;
mod histogram;
mod id;
mod mailbox;
mod reply;
mod time;

pub use content::{Content, Piece, Source};
pub use domain::{Domain, DomainError};
pub use envelope::{Envelope, Param, Recipient};
pub use esmtp::{
    DeliverBy, EXPANDED, FORWARDED_AS, LateMode, MAX_ENVID_OCTETS, MAX_ORCPT_OCTETS, Notify, REFUSED,
    SUBMITTED_BY, decode_xtext, encode_xtext, is_internal, parse_priority,
};
pub use histogram::{Histogram, HistogramView};
pub use id::{QueueId, SessionId};
pub use mailbox::{ForwardPath, Mailbox, MailboxError, ReversePath};
pub use reply::{EnhancedStatus, Reply};
pub use time::Timestamp;
