//! What the configuration gives to this room.

use std::path::PathBuf;

/// Certificates, and what is asked of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The first stands for no name and for unknown names. None at all: a certificate that nobody signed.
    pub certificates: Vec<CertificateFiles>,
    /// Authorities, in PEM, that vouch for clients. Without them no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    pub min_version: MinVersion,
}

/// A certificate with its chain, and its key. Both may be one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM; the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// Names of a certificate that nobody signed, which stands in while the files are not there or cannot be used. Without
    /// names the files have to be there.
    pub stand_in: Vec<String>,
}

/// The oldest version of TLS that a client may speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}
