//! Certificates of clients: asked for, never demanded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::fault::Fault;
use crate::{file, x509};

/// The authorities that vouch for clients.
///
/// In a handshake every certificate will do whose key the client has: a mail server that is asked shows the one it has, and
/// must not be turned away for it. Who vouches for it is asked afterwards, by [`Self::identities`].
#[derive(Debug)]
pub(crate) struct ClientCa {
    authorities: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    pub(crate) fn read(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, Fault> {
        let (text, _) = file::read(file)?;
        let unusable =
            |why: &dyn ToString| Fault::UnusableAuthorities { file: file.to_owned(), why: why.to_string() };
        let mut roots = RootCertStore::empty();
        for certificate in file::certificates(file, &text)? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self { authorities: verifier })
    }

    /// The names of a client in the chain that it showed: mail addresses and domain names, or else the common name. None when
    /// no authority vouches for it.
    pub(crate) fn identities(&self, chain: &[CertificateDer<'_>]) -> Vec<String> {
        let Some((own, others)) = chain.split_first() else { return Vec::new() };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(clock::wall().0));
        if let Err(error) = self.authorities.verify_client_cert(own, others, now) {
            tracing::debug!(%error, "no authority vouches for the client's certificate");
            return Vec::new();
        }
        let Some(contents) = x509::read(own) else { return Vec::new() };
        let mut names = contents.emails;
        names.extend(contents.dns_names);
        if names.is_empty() {
            names.extend(contents.common_name);
        }
        names
    }
}

impl ClientCertVerifier for ClientCa {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
