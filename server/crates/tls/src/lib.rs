//! TLS for those who connect to us: certificates, what is agreed with a client, and their exchange while the server runs. For
//! those to whom we connect there is [`client`].
//!
//! [`Acceptor`] hands each session that begins the [`Generation`] of now: a `rustls::ServerConfig` for the handshake, and
//! [`Generation::facts`] for what the handshake said. A reload makes a new generation; running sessions keep theirs.
//! Nothing here reads from a socket.
//!
//! - A certificate is chosen by the name that the client asks for (SNI): exact, then a wildcard of one label, in any case of
//!   letters. The first one of the configuration stands for no name and for unknown names.
//! - Sessions resume across reloads: all generations share their ticket keys, which change every six hours, and a cache.
//! - A client is asked for a certificate when there are authorities to hold it against, and none is turned away for its
//!   certificate: mail servers show what they have. Only one that an authority vouches for gives the client a name.
//!
//! Standards: RFC 8446, 5246 (TLS 1.3 and 1.2, by rustls with ring), 6066 section 3 (SNI), 9525 (names), 5929 section 4 and
//! 9266 (channel bindings), 7468 (PEM).
//! Limits: a file of 1 MiB; 4,096 sessions in the cache; certificates are looked at for changes every 60 s.
//! Known gaps: one certificate for a name, so no RSA beside ECDSA; no OCSP stapling; a certificate signed with RSASSA-PSS or
//! Ed25519 has no `tls-server-end-point`; keys with a passphrase are refused.

mod acceptor;
mod certificate;
mod choice;
pub mod client;
mod client_ca;
mod facts;
mod fault;
mod file;
mod options;
mod x509;

pub use acceptor::{Acceptor, Generation, check};
pub use certificate::{Summary, summary};
pub use facts::Facts;
pub use fault::{Fault, Faults, Warning};
pub use options::{CertificateFiles, MinVersion, Options};

#[cfg(test)]
mod tests;
