//! A certificate with its key, as it is shown to clients.

use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::fault::{Fault, Warning};
use crate::options::CertificateFiles;
use crate::{file, x509};

/// A chain that may be shown.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    /// In lower case; a wildcard with its asterisk.
    pub(crate) names: Vec<String>,
    /// RFC 5929 section 4.
    pub(crate) end_point: Option<Vec<u8>>,
    /// From when to when; nothing for one that stands in.
    pub(crate) validity: Option<(Timestamp, Timestamp)>,
}

impl Certificate {
    /// Reads files, or makes what stands in for them.
    pub(crate) fn load(
        files: &CertificateFiles,
        provider: &CryptoProvider,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Fault> {
        match Self::read(&files.certificate, &files.key, provider, warnings) {
            Err(fault) if !files.stand_in.is_empty() => {
                warnings.push(Warning::StandIn { what: fault.to_string() });
                Self::self_signed(&files.stand_in, provider)
            }
            read => read,
        }
    }

    fn read(
        certificate: &Path,
        key: &Path,
        provider: &CryptoProvider,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Fault> {
        let (text, _) = file::read(certificate)?;
        let chain = file::certificates(certificate, &text)?;
        let mut all = chain.iter().map(x509::read);
        let damaged = |nth| Fault::DamagedCertificate { file: certificate.to_owned(), nth };
        let contents = all.next().flatten().ok_or_else(|| damaged(1))?;
        if let Some(at) = all.position(|contents| contents.is_none()) {
            return Err(damaged(at + 2));
        }
        let (text, mode) = file::read(key)?;
        let private = file::key(key, &text)?;
        let end_point = x509::end_point(&chain[0], &contents);
        let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Fault::WrongKey { key: key.to_owned(), certificate: certificate.to_owned() }
            }
            Error::InvalidCertificate(_) => damaged(1),
            other => Fault::UnusableKey { file: key.to_owned(), why: other.to_string() },
        })?;
        warn(certificate, &contents, warnings);
        if mode & 0o004 != 0 {
            warnings.push(Warning::OpenKey { file: key.to_owned(), mode });
        }
        let validity = Some((contents.not_before, contents.not_after));
        Ok(Self { key: Arc::new(certified), names: contents.dns_names, end_point, validity })
    }

    /// A certificate that nobody else signed, with a new key, for clients that do not look: most of those that use STARTTLS.
    pub(crate) fn self_signed(names: &[String], provider: &CryptoProvider) -> Result<Self, Fault> {
        let setup = |error: rcgen::Error| Fault::Setup(error.to_string());
        let mut params = CertificateParams::new(names).map_err(setup)?;
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        let key = KeyPair::generate().map_err(setup)?;
        let chain = vec![params.self_signed(&key).map_err(setup)?.der().clone()];
        let contents = x509::read(&chain[0]);
        let end_point = contents.as_ref().and_then(|contents| x509::end_point(&chain[0], contents));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = CertifiedKey::from_der(chain, key, provider);
        let key = Arc::new(certified.map_err(|error| Fault::Setup(error.to_string()))?);
        let names = contents.map(|contents| contents.dns_names).unwrap_or_default();
        Ok(Self { key, names, end_point, validity: None })
    }
}

fn warn(certificate: &Path, contents: &x509::Contents, warnings: &mut Vec<Warning>) {
    let (now, file) = (clock::wall(), certificate.to_owned());
    if contents.not_after < now {
        warnings.push(Warning::Expired { file, on: x509::date(contents.not_after) });
    } else if contents.not_before > now {
        warnings.push(Warning::NotYetValid { file, from: x509::date(contents.not_before) });
    }
    if contents.dns_names.is_empty() {
        warnings.push(Warning::NoNames { file: certificate.to_owned() });
    }
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its domain names, in lower case.
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// Reads a file's first certificate; whether its key is at hand is not asked.
///
/// # Errors
/// The file cannot be used.
pub fn summary(certificate: &Path) -> Result<Summary, Fault> {
    let (text, _) = file::read(certificate)?;
    let chain = file::certificates(certificate, &text)?;
    let contents = x509::read(&chain[0]);
    let contents =
        contents.ok_or_else(|| Fault::DamagedCertificate { file: certificate.to_owned(), nth: 1 })?;
    let x509::Contents { dns_names, not_before, not_after, .. } = contents;
    Ok(Summary { names: dns_names, not_before, not_after })
}
