//! Certificates from an authority that speaks ACME, got and renewed while the server runs.
//!
//! [`Renewals`] is one task. It sleeps until a certificate is due, proves over HTTP that the names are ours (HTTP-01), writes
//! the new certificate with its key into one file, and has the [`tls::Acceptor`] read it. Whatever fails is logged and tried
//! again later; the server and the certificate that it has are left alone. Until the first certificate is there, one that
//! nobody signed stands in for it: [`Options::files`] says so to the acceptor.
//!
//! Files, in a folder of their own (0700), each 0600 and replaced whole:
//! - `account.json`: the account's key and address, and the authority that it is for.
//! - `certificate.pem`: the key, and the certificate with its chain.
//!
//! The addresses for HTTP are bound while an order is under way and closed after it. Whoever cannot bind them then, since it
//! gives up root's rights before, binds them early: [`HeldSockets`] do not listen until they are needed.
//!
//! Standards: RFC 8555 (8.3 HTTP-01), by instant-acme.
//! Limits: an order of 5 minutes; 64 connections at once of 10 s each, heads of 8 KiB. After a failure 5 minutes pass, then
//! twice as many each time, at most 12 hours; a reload tries at once.
//! Known gaps: no DNS-01, so no wildcards; no external account binding; no ARI; contacts are told when the account is made.

mod account;
mod challenges;
mod error;
mod file;
mod options;
mod order;
mod renewals;
mod sockets;

pub use error::Error;
pub use options::Options;
pub use renewals::Renewals;
pub use sockets::HeldSockets;

#[cfg(test)]
mod tests;
