//! DNS as the other rooms ask it: MX, addresses, TXT and PTR, with failures that say whether asking again may
//! help.
//!
//! Only this crate names the resolver library. [`Hickory`] asks real servers; tests script their answers with
//! [`Fake`].
//!
//! Standards: RFC 1035, RFC 5321 section 5 (what a mail server asks for), RFC 5782 (names in DNS lists), RFC
//! 5890 (A-labels).
//! Limits: [`Options`]. Cancel safety: dropping a question's future abandons it.
//! Known gaps: no TLSA records and no DNSSEC validation.

mod fake;
mod hickory;
mod names;
mod resolver;

pub use fake::Fake;
pub use hickory::{Hickory, Options, SetupError};
pub use names::{MAX_PTR_NAMES, confirmed_name, dnsbl_name, reverse_name};
pub use resolver::{BoxFuture, DnsError, Mx, Resolver};
