//! Why there is no session.

use std::io;

use rustls::Error;

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0:?} is neither a name nor an address that a certificate can be for")]
    Name(String),
    /// The certificate does not prove what was asked of it: by whom it is, for whom, until when.
    #[error("the certificate was not accepted: {0}")]
    Certificate(Error),
    /// The two sides have nothing in common, or the other one does not speak TLS.
    #[error("the TLS handshake failed: {0}")]
    Handshake(Error),
    #[error("the connection broke during the TLS handshake: {0}")]
    Io(io::Error),
}

impl ConnectError {
    /// Whether it is for the certificate alone that there is no session.
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(inner @ (Error::InvalidCertificate(_) | Error::NoCertificatesPresented)) => {
                Self::Certificate(inner.clone())
            }
            Some(inner) => Self::Handshake(inner.clone()),
            None => Self::Io(error),
        }
    }
}
