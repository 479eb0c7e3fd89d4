//! DNS as the other rooms ask it: MX, addresses, TXT, PTR and TLSA, with failures that say whether asking again may
//! help, and with what DNSSEC says where that matters.
//!
//! Only this crate names the resolver library. [`Hickory`] asks real servers, and [`Current`] is the one of now; tests script their answers with
//! [`Fake`].
//!
//! What DANE rests on is asked through a second resolver, which validates ([`Resolver::mx_proven`] and its like); all other
//! questions go the plain way, so that a broken signature or a forwarder that strips signatures cannot stop what needs none.
//!
//! Standards: RFC 1035, RFC 5321 section 5 (what a mail server asks for), RFC 5782 (names in DNS lists), RFC
//! 5890 (A-labels), RFC 4035 and 5155 (DNSSEC, by hickory), RFC 6698 (TLSA).
//! Limits: [`Options`]. Cancel safety: dropping a question's future abandons it.
//! Known gaps: a trust anchor is a DNSKEY of the root and does not roll by itself (RFC 5011); where CNAMEs lead through
//! several answers, the last one is not checked for a wildcard that a closer name should have hidden; MX records and addresses that
//! a wildcard makes in a zone with NSEC are insecure, as the library cannot validate them.

mod current;
mod fake;
mod hickory;
mod names;
mod proven;
mod resolver;

pub use current::Current;
pub use fake::Fake;
pub use hickory::{Hickory, Options, SetupError};
pub use names::{MAX_PTR_NAMES, confirmed_name, dnsbl_name, reverse_name};
pub use proven::{Proven, Tlsa, tlsa_name};
pub use resolver::{BoxFuture, DnsError, Mx, Resolver};
