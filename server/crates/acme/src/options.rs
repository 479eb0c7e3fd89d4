//! What the configuration gives to this room.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tls::CertificateFiles;

/// One certificate, and whom to get it from. The terms of the authority were accepted by whoever made this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the authority's directory is, over HTTPS.
    pub directory_url: String,
    /// Mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// In lower case, without wildcards; at least one.
    pub names: Vec<String>,
    /// Where the authority's question arrives: port 80 of the names, or what leads there.
    pub http_bind: Vec<SocketAddr>,
    /// PEM: the one root that vouches for the authority's own HTTPS, instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long before its end a certificate is renewed, but never before two thirds of its time.
    pub renew_before: Duration,
    /// Where account and certificate are kept.
    pub dir: PathBuf,
}

impl Options {
    /// The certificate and its key, with the names of what stands in for it until it is there.
    pub fn files(&self) -> CertificateFiles {
        let file = self.certificate();
        CertificateFiles { certificate: file.clone(), key: file, stand_in: self.names.clone() }
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("certificate.pem")
    }

    pub(crate) fn account(&self) -> PathBuf {
        self.dir.join("account.json")
    }
}
