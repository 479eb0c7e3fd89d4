//! What is wrong with certificates and keys, by file.

use std::io;
use std::path::PathBuf;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}: is larger than 1 MiB", file.display())]
    TooLarge { file: PathBuf },
    #[error("{}: is not PEM: {why}", file.display())]
    NotPem { file: PathBuf, why: String },
    #[error("{}: has no certificate (BEGIN CERTIFICATE)", file.display())]
    NoCertificate { file: PathBuf },
    #[error("{}: its certificate number {nth} is damaged", file.display())]
    DamagedCertificate { file: PathBuf, nth: usize },
    #[error("{}: has no private key (BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)", file.display())]
    NoKey { file: PathBuf },
    #[error("{}: its key has a passphrase; write it without one, as with openssl pkey", file.display())]
    EncryptedKey { file: PathBuf },
    #[error("{}: its key cannot be used: {why}", file.display())]
    UnusableKey { file: PathBuf, why: String },
    #[error("{}: is not the key of the first certificate in {}", key.display(), certificate.display())]
    WrongKey { key: PathBuf, certificate: PathBuf },
    #[error("{}: cannot vouch for others: {why}", file.display())]
    UnusableAuthorities { file: PathBuf, why: String },
    /// Not about a file: what rustls or ring would not do.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Everything that is wrong; never empty. Shown a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

/// What works and should not stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("{}: the certificate expired on {on}", file.display())]
    Expired { file: PathBuf, on: String },
    #[error("{}: the certificate is not valid before {from}", file.display())]
    NotYetValid { file: PathBuf, from: String },
    #[error("{}: the certificate is for no domain name; clients that look will not take it", file.display())]
    NoNames { file: PathBuf },
    #[error("{}: any user of this machine can read the key (mode {mode:04o})", file.display())]
    OpenKey { file: PathBuf, mode: u32 },
    #[error("{what}; a certificate that nobody signed stands in for it")]
    StandIn { what: String },
}
