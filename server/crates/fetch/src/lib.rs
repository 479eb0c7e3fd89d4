//! Requests to other hosts over HTTP, on behalf of plugins: the network's side of what they ask.
//!
//! Who may ask which host is decided above; here it is seen to that the host is where it may be. A name is resolved by the server's
//! own resolver, its addresses are looked at ([`is_public`]), and the address that was looked at is the one that is connected to: a
//! name that leads to this machine or its network reaches nothing, whatever it led to a moment ago. A redirect is an answer
//! and is not followed, so it reaches nothing either.
//!
//! Standards: RFC 9110, RFC 9112 (by hyper); RFC 6890 and the IANA registries of special addresses.
//! Limits: the terms of each request ([`hooks::HttpTerms`]: time, octets of the answer, networks); [`MAX_HEAD_OCTETS`] and
//! [`MAX_HEAD_FIELDS`] of an answer; [`MAX_ADDRESSES`] that are tried; [`Options::at_once`].
//! Errors: [`hooks::HttpError`].
//! Cancel safety: a request that is dropped closes its connection.
//! Known gaps: each request has a connection of its own; HTTP/2 is not spoken.

mod address;
mod client;
mod exchange;

pub use address::is_public;
pub use client::{Fetch, Options};
pub use exchange::{MAX_ADDRESSES, MAX_HEAD_FIELDS, MAX_HEAD_OCTETS};
