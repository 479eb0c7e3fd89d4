//! Why there is no session.

use std::io;

use rustls::{CertificateError, Error};

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

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is for another host.
    Name,
    Expired,
    /// Nobody who is believed vouches for it.
    Issuer,
    Other,
}

impl ConnectError {
    /// What is wrong with the certificate, if it is the certificate.
    pub fn certificate_fault(&self) -> Option<CertificateFault> {
        let Self::Certificate(error) = self else { return None };
        Some(match error {
            Error::InvalidCertificate(fault) => match fault {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    CertificateFault::Name
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    CertificateFault::Expired
                }
                CertificateError::UnknownIssuer => CertificateFault::Issuer,
                _ => CertificateFault::Other,
            },
            _ => CertificateFault::Other,
        })
    }

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
