//! From an address to a session that takes transactions.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use model::{QueueId, Reply};
use rand::RngExt;
use smtp::client::{self, Binding, Event, Failure, Protocol, Step};
use tls::client::{ConnectError, TlsStream};
use transcript::Transcript;

use crate::connection::{self, Connection};
use crate::demand::{Demand, Encryption, TlsLevel};
use crate::link::{self, Link};
use crate::mx::{Address, Endpoint};
use crate::options::Options;
use crate::route::Credentials;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("could not connect: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Tls(ConnectError),
    #[error("the TLS handshake timed out")]
    TlsTimeout,
    /// It ended right behind the handshake: so a host says that it does not like what was agreed.
    #[error("the session ended behind the TLS handshake: {0}")]
    Secured(Failure),
    #[error(transparent)]
    Session(Failure),
}

impl OpenError {
    /// As the sender would be told. What was demanded and is not to be had puts mail off: it is never a reason to bounce.
    pub(crate) fn reply(&self, address: &str, demand: &Demand) -> Reply {
        let reason = demand.reason;
        match self {
            Self::Connect(error) => {
                Reply::new(451, (4, 4, 1), format!("could not connect to {address}: {error}"))
            }
            Self::Tls(_) | Self::TlsTimeout => {
                Reply::new(451, (4, 7, 5), format!("{address}: {self}; TLS is asked for by {reason}"))
            }
            Self::Session(Failure::NoTls | Failure::Refused { step: Step::StartTls, .. }) => {
                let said = match self {
                    Self::Session(Failure::Refused { reply, .. }) => format!("STARTTLS was refused: {reply}"),
                    _ => self.to_string(),
                };
                Reply::new(451, (4, 7, 10), format!("{address}: {said}; TLS is asked for by {reason}"))
            }
            //= RFC 4954 section 6: 5.7.8 says that the credentials are wrong. They are ours, not the sender's: the mail waits until somebody
            // has looked.
            Self::Session(Failure::Refused { step: Step::Auth, reply }) => {
                Reply::new(451, (4, 7, 8), format!("{address} refused our credentials: {reply}"))
            }
            Self::Secured(failure) | Self::Session(failure) => {
                let mut reply = failure_reply(failure);
                reply.text = format!("{address} said: {}", reply.text);
                reply
            }
        }
    }

    /// Whether a plain session may go better.
    fn is_about_tls(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Tls(_) | Self::TlsTimeout | Self::Secured(_) => true,
            Self::Session(failure) => matches!(
                failure,
                Failure::Refused { step: Step::StartTls, .. }
                    | Failure::Timeout(Step::StartTls)
                    | Failure::ConnectionLost(Step::StartTls)
            ),
        }
    }
}

/// What a failed session amounts to; what the peer said, where it said something.
pub(crate) fn failure_reply(failure: &Failure) -> Reply {
    let status = match failure {
        Failure::Refused { reply, .. } => return reply.clone(),
        Failure::Timeout(_) | Failure::ConnectionLost(_) => (4, 4, 2),
        Failure::NoTls => (4, 7, 10),
        //= RFC 3463 section 3.8: 4.7.4, security features are not supported.
        Failure::NoMechanism | Failure::Sasl(_) => (4, 7, 4),
        Failure::Protocol(_) => (4, 5, 0),
    };
    Reply::new(451, status, failure.to_string())
}

/// A host that is to have a session, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) protocol: Protocol,
    pub(crate) demand: &'a Demand,
    /// Where connections come from.
    pub(crate) sources: &'a [IpAddr],
    pub(crate) credentials: Option<&'a Credentials>,
    /// The message that the session is for, first of all.
    pub(crate) about: QueueId,
    pub(crate) options: &'a Options,
}

impl Hop<'_> {
    /// That there is no session, to whoever listens.
    pub(crate) fn tells(&self, refusal: &Reply) {
        let (host, address) = (&self.endpoint.host, self.endpoint.address.ip());
        Transcript::new(Arc::clone(&self.options.transcripts)).write(
            || connection::opening(host, address),
            |tap| {
                tap.about(self.about);
                tap.note(format!("no session: {refusal}"));
            },
        );
    }

    /// What the session is told. `binding` is that of a handshake that was made already.
    pub(crate) fn session_options(&self, binding: Option<Binding>) -> client::Options {
        let credentials = self.credentials.map(|credentials| client::Credentials {
            username: credentials.username.clone(),
            password: credentials.password.0.clone(),
            nonce: nonce(),
        });
        client::Options {
            hostname: self.options.hostname.clone(),
            protocol: self.protocol,
            tls: self.demand.tls(),
            binding,
            credentials,
            timeouts: self.options.timeouts.clone(),
        }
    }
}

/// For SCRAM: 142 random bits.
fn nonce() -> String {
    let mut rng = rand::rng();
    (0..24).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// Is greeted over a link that was just made, makes TLS of it as demanded, says EHLO or LHLO, and authenticates. Where TLS fails that is
/// not demanded, a second connection, from one of the sources, goes without it.
pub(crate) async fn open(hop: Hop<'_>, link: Box<dyn Link>) -> Result<Connection, OpenError> {
    match attempt(hop, link).await {
        Err(error) if hop.demand.may_be_plain() && error.is_about_tls() => {
            let host = &hop.endpoint.host;
            tracing::info!(%host, %error, "TLS failed: mail goes to this host in plain text");
            let source = hop.endpoint.source(hop.sources).map_err(OpenError::Connect)?;
            let timeout = hop.options.limits.connect_timeout;
            let link = link::connect(&hop.endpoint.address, source, timeout).await;
            let plain = Hop { demand: &Demand::of(TlsLevel::Off), ..hop };
            attempt(plain, link.map_err(OpenError::Connect)?).await
        }
        outcome => outcome,
    }
}

async fn attempt(hop: Hop<'_>, link: Box<dyn Link>) -> Result<Connection, OpenError> {
    let mut connection = match hop.demand.encryption {
        Encryption::Implicit => {
            let stream = handshake(link, hop).await?;
            let (agreed, binding) = (stream.agreed().clone(), binding(&stream));
            Connection::begin(Box::new(stream), hop, binding).over(&agreed)
        }
        Encryption::Never | Encryption::StartTls => Connection::begin(link, hop, None),
    };
    loop {
        match connection.next_event().await {
            Event::Ready => return Ok(connection),
            Event::StartTls => connection = secure(connection, hop).await?,
            Event::Ended(Some(failure)) => {
                let is_secured = connection.is_secured() && hop.demand.encryption == Encryption::StartTls;
                connection.close().await;
                return Err(match failure {
                    Failure::ConnectionLost(Step::Hello)
                    | Failure::Timeout(Step::Hello)
                    | Failure::Protocol(_)
                        if is_secured =>
                    {
                        OpenError::Secured(failure)
                    }
                    failure => OpenError::Session(failure),
                });
            }
            other => {
                return Err(OpenError::Session(Failure::Protocol(format!("no session began: {other:?}"))));
            }
        }
    }
}

/// STARTTLS was agreed to.
async fn secure(connection: Connection, hop: Hop<'_>) -> Result<Connection, OpenError> {
    let (link, rest) = connection.into_parts();
    let stream = handshake(link, hop).await?;
    let (agreed, binding) = (stream.agreed().clone(), binding(&stream));
    Ok(rest.secured(Box::new(stream), binding).over(&agreed))
}

fn binding(stream: &TlsStream<Box<dyn Link>>) -> Option<Binding> {
    stream.channel_binding().map(|(kind, data)| Binding { kind, data })
}

async fn handshake(link: Box<dyn Link>, hop: Hop<'_>) -> Result<TlsStream<Box<dyn Link>>, OpenError> {
    let name = match &hop.endpoint.address {
        // A host without a name is one by its address.
        Address::Tcp(address) if is_literal(&hop.endpoint.host) => address.ip().to_string(),
        _ => hop.demand.name.as_ref().unwrap_or(&hop.endpoint.host).clone(),
    };
    let attempt = hop.options.tls.connect(link, &name, &hop.demand.trust);
    match tokio::time::timeout(hop.options.timeouts.tls, attempt).await {
        Ok(made) => made.map_err(OpenError::Tls),
        Err(_) => Err(OpenError::TlsTimeout),
    }
}

fn is_literal(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}
