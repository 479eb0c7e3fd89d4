//! DNS as the other rooms ask it: MX, addresses, TXT and PTR, with failures that say whether asking again may help.
//!
//! Only this crate names the resolver library. Tests script their answers with [`Fake`].
//!
//! Standards: RFC 1035, RFC 5321 section 5 (what a mail server asks for).

mod resolver;

pub use resolver::{BoxFuture, DnsError, Mx, Resolver};
