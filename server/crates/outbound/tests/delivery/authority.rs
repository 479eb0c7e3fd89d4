//! Certificates of a test's own making.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tls::client::{Connector, Options};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("an authority of the test's")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What makes handshakes and believes this authority.
    pub(crate) fn connector(&self) -> Connector {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        Connector::open(&Options { ca_file: Some(file) }).unwrap()
    }

    /// The authority's own certificate, in DER.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// A server for this name, whose certificate ran out in 2020 if it is `expired`.
    pub(crate) fn server(&self, name: &str, expired: bool) -> TlsAcceptor {
        self.server_of(name, expired, tokio_rustls::rustls::ALL_VERSIONS)
    }

    pub(crate) fn server_of(
        &self,
        name: &str,
        expired: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap()))
    }
}
