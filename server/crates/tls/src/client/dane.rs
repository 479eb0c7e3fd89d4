//! DANE: a host's certificate is what its TLSA records say, whoever signed it.
//!
//! The caller has the records proven by DNSSEC, or they are worth nothing. Chains and names are verified by webpki; here is decided
//! which certificate is a trust anchor.
//!
//! Standards: RFC 7672 (3.1 usages, 3.2 names; PKIX-TA and PKIX-EE are not for SMTP), RFC 7671 (5.1 no name and no date for DANE-EE,
//! 5.2 DANE-TA, 8 and 9 digests and their agility), RFC 6698 section 2.1.
//! Known gaps: an anchor that is given as a bare key and not shown by the host is not found (RFC 7672 section 3.1.2 has hosts show it); a raw
//! public key (RFC 7250) is not taken.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256, Sha512};

/// The usages that are for SMTP; RFC 7218 has the names.
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

/// A TLSA record (RFC 6698 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether it can say anything about a host's certificate. One that cannot is left out, as if it were not there; when none
    /// can, TLS is still a must, though with any certificate (RFC 7672 section 2.2).
    pub fn is_usable(&self) -> bool {
        //= RFC 7672 section 3.1.3: PKIX-TA(0) and PKIX-EE(1) are unusable: nobody knows which authorities a mail server should believe.
        let is_for_smtp = matches!(self.usage, DANE_TA | DANE_EE) && self.selector <= 1;
        is_for_smtp
            && match self.matching {
                0 => !self.data.is_empty(),
                1 => self.data.len() == 32,
                2 => self.data.len() == 64,
                _ => false,
            }
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            0 => certificate.to_vec(),
            _ => match ParsedCertificate::try_from(certificate) {
                Ok(parsed) => parsed.subject_public_key_info().to_vec(),
                Err(_) => return false,
            },
        };
        match self.matching {
            0 => self.data == selected,
            1 => self.data == *Sha256::digest(&selected),
            _ => self.data == *Sha512::digest(&selected),
        }
    }
}

/// What is known of a host by DNSSEC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dane {
    /// Those that are not usable are passed over.
    pub records: Vec<Tlsa>,
    /// Names that a certificate may be for besides the host's own: the domain of the recipients (RFC 7672 section 3.2.2).
    pub names: Vec<String>,
}

/// No record fits.
#[derive(Debug, thiserror::Error)]
#[error("no TLSA record matches the certificate")]
pub struct NoMatch;

/// Judges what a host shows.
///
/// # Errors
/// [`NoMatch`], wrapped; or what is wrong with the chain below an anchor that matches.
fn verify(
    dane: &Dane,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let usable = || dane.records.iter().filter(|record| record.is_usable());
    //= RFC 7671 section 5.1: for DANE-EE neither the name nor the dates in the certificate count.
    if usable().any(|record| record.usage == DANE_EE && record.matches(own)) {
        return Ok(());
    }
    let mut failure = Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NoMatch))));
    for record in usable().filter(|record| record.usage == DANE_TA) {
        // An anchor that the record holds whole need not be shown.
        let whole = (record.selector == 0 && record.matching == 0)
            .then(|| CertificateDer::from(record.data.as_slice()));
        let shown = others.iter().filter(|certificate| record.matches(certificate));
        for anchor in shown.chain(whole.as_ref()) {
            match below(anchor, dane, own, others, name, now, algorithms) {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// Whether an anchor vouches for the certificate, and it is for the host.
fn below(
    anchor: &CertificateDer<'_>,
    dane: &Dane,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(anchor.clone().into_owned())?;
    let own = ParsedCertificate::try_from(own)?;
    verify_server_cert_signed_by_trust_anchor(&own, &roots, others, now, algorithms.all)?;
    //= RFC 7672 section 3.2.2: the TLSA base domain, or the domain that the mail is for.
    verify_server_name(&own, name).or_else(|error| {
        let is_for = |name: &String| {
            ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&own, &name).is_ok())
        };
        if dane.names.iter().any(is_for) { Ok(()) } else { Err(error) }
    })
}

/// The records as rustls asks them.
#[derive(Debug)]
pub(super) struct Records {
    dane: Dane,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Records {
    pub(super) fn new(dane: Dane, provider: &CryptoProvider) -> Self {
        Self { dane, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Records {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify(&self.dane, own, others, name, now, &self.algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
