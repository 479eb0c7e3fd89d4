//! TLS towards the hosts that mail is sent to.
//!
//! A [`Connector`] makes handshakes over streams that are there already, and says what was agreed. How much a certificate must say is
//! asked for each connection, by [`Trust`]. Handshakes have no deadline here: the caller drops those that take too long.
//!
//! Standards: RFC 8446, 5246 (TLS 1.3 and 1.2, by rustls with ring), 5280 and 9525 (chains and names, by webpki), 6066 section 3 (SNI, which
//! is never an address), 5929 and 9266 (channel bindings), 7435 (a certificate that nobody looks at is better than none).
//! Limits: 1,024 hosts whose sessions are remembered, for each kind of trust apart.
//! Errors: [`ConnectError`]; every one of them is about this connection, not about the message.
//! Known gaps: no client certificate; no revocation lists and no OCSP; sessions under [`Trust::Dane`] are not resumed.

mod agreed;
mod dane;
mod error;
mod roots;
mod stream;
mod verifiers;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::fault::Faults;

pub use agreed::Agreed;
use dane::Records;
pub use dane::{Dane, NoMatch, Tlsa};
pub use error::{CertificateFault, ConnectError};
pub use stream::TlsStream;
use verifiers::{Anyone, Authorities};

/// Hosts whose sessions can be resumed.
const REMEMBERED_HOSTS: usize = 1_024;

/// What the configuration gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Authorities, in PEM, that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// What a certificate has to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: any certificate will do, expired or for another name.
    Any,
    /// That an authority vouches for it, that it is for the host, and that it is valid today.
    WebPki,
    /// What the host's TLSA records ask for (RFC 7672).
    Dane(Dane),
}

/// Makes handshakes. Clones share everything, the remembered sessions with it.
#[derive(Clone)]
pub struct Connector(Arc<Shared>);

struct Shared {
    provider: Arc<CryptoProvider>,
    authorities: Arc<Authorities>,
    /// Sessions are remembered by config: one that nobody looked at is not resumed where somebody looks.
    any: Arc<ClientConfig>,
    web_pki: Arc<ClientConfig>,
}

impl Connector {
    /// Reads the system's authorities, and those of the options. That the system has none goes to the log: then only those of the
    /// options vouch for hosts.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(options: &Options) -> Result<Self, Faults> {
        let roots = roots::read(options).map_err(|fault| Faults(vec![fault]))?;
        Ok(Self::trusting(roots))
    }

    /// Believes no authority: with [`Trust::WebPki`] every handshake fails.
    pub fn trusting_nobody() -> Self {
        Self::trusting(rustls::RootCertStore::empty())
    }

    fn trusting(roots: rustls::RootCertStore) -> Self {
        let provider = Arc::new(ring::default_provider());
        let authorities = Arc::new(Authorities::new(roots, &provider));
        let any = config(&provider, Arc::new(Anyone::new(&provider)));
        let web_pki = config(&provider, authorities.clone());
        Self(Arc::new(Shared { provider, authorities, any, web_pki }))
    }

    /// How [`Trust::WebPki`] is done, for others who speak TLS: the authorities vouch for the host.
    pub fn web_pki(&self) -> Arc<ClientConfig> {
        self.0.web_pki.clone()
    }

    /// Makes a handshake with a host: its name, which is asked for by SNI, or its address, for which there is no SNI.
    ///
    /// # Errors
    /// There is no session; the stream is closed. Cancel safe in that nothing but the stream is lost.
    pub async fn connect<S>(
        &self,
        stream: S,
        server_name: &str,
        trust: &Trust,
    ) -> Result<TlsStream<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = parse_name(server_name)?;
        let config = match trust {
            Trust::Any => self.0.any.clone(),
            Trust::WebPki => self.0.web_pki.clone(),
            Trust::Dane(dane) => {
                let mut config =
                    config(&self.0.provider, Arc::new(Records::new(dane.clone(), &self.0.provider)));
                // Records change: what they said of an earlier session proves nothing.
                Arc::make_mut(&mut config).resumption = Resumption::disabled();
                config
            }
        };
        let inner = TlsConnector::from(config).connect(name.clone(), stream).await?;
        let (_, connection) = inner.get_ref();
        let verified = match trust {
            Trust::Any => self.0.authorities.vouch_for(connection, &name),
            Trust::WebPki | Trust::Dane(_) => true,
        };
        let agreed = Agreed::of(connection, verified);
        Ok(TlsStream::new(inner, agreed))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("authorities", &self.0.authorities).finish_non_exhaustive()
    }
}

/// A name in A-labels, or an address with or without brackets.
fn parse_name(text: &str) -> Result<ServerName<'static>, ConnectError> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(text.trim_end_matches('.').to_owned())
        .map_err(|_| ConnectError::Name(text.to_owned()))
}

fn config(provider: &Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider.clone());
    // Both versions are compiled in, which is all that is asked here.
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring has cipher suites for both versions");
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(REMEMBERED_HOSTS);
    Arc::new(config)
}
