//! From an address to a session that takes transactions.

use std::io;
use std::net::IpAddr;

use model::Reply;
use smtp::client::{Event, Failure, Protocol, Step};
use tls::client::{ConnectError, TlsStream};

use crate::connection::Connection;
use crate::demand::{Demand, Encryption, TlsLevel};
use crate::link::{self, Link};
use crate::mx::{Address, Endpoint};
use crate::options::Options;

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
        Failure::Protocol(_) => (4, 5, 0),
    };
    Reply::new(451, status, failure.to_string())
}

/// Connects from one of the sources, is greeted, makes TLS of it as demanded, and says EHLO or LHLO. Where TLS fails that is not demanded, a second connection
/// goes without it.
pub(crate) async fn open(
    endpoint: &Endpoint,
    protocol: Protocol,
    demand: &Demand,
    sources: &[IpAddr],
    options: &Options,
) -> Result<Connection, OpenError> {
    match attempt(endpoint, protocol, demand, sources, options).await {
        Err(error) if demand.may_be_plain() && error.is_about_tls() => {
            tracing::info!(host = %endpoint.host, %error, "TLS failed: mail goes to this host in plain text");
            attempt(endpoint, protocol, &Demand::of(TlsLevel::Off), sources, options).await
        }
        outcome => outcome,
    }
}

async fn attempt(
    endpoint: &Endpoint,
    protocol: Protocol,
    demand: &Demand,
    sources: &[IpAddr],
    options: &Options,
) -> Result<Connection, OpenError> {
    let source = endpoint.source(sources).map_err(OpenError::Connect)?;
    let link = link::connect(&endpoint.address, source, options.limits.connect_timeout).await;
    let link = link.map_err(OpenError::Connect)?;
    let mut connection = match demand.encryption {
        Encryption::Implicit => {
            let stream = handshake(link, endpoint, demand, options).await?;
            let agreed = stream.agreed().to_string();
            Connection::begin(Box::new(stream), endpoint, protocol, demand, options).over(agreed)
        }
        Encryption::Never | Encryption::StartTls => {
            Connection::begin(link, endpoint, protocol, demand, options)
        }
    };
    loop {
        match connection.next_event().await {
            Event::Ready => return Ok(connection),
            Event::StartTls => connection = secure(connection, endpoint, demand, options).await?,
            Event::Ended(Some(failure)) => {
                let is_secured = connection.is_secured() && demand.encryption == Encryption::StartTls;
                connection.close().await;
                return Err(match (is_secured, failure) {
                    (false, failure) | (true, failure @ Failure::Refused { .. }) => {
                        OpenError::Session(failure)
                    }
                    (true, failure) => OpenError::Secured(failure),
                });
            }
            other => {
                return Err(OpenError::Session(Failure::Protocol(format!("no session began: {other:?}"))));
            }
        }
    }
}

/// STARTTLS was agreed to.
async fn secure(
    connection: Connection,
    endpoint: &Endpoint,
    demand: &Demand,
    options: &Options,
) -> Result<Connection, OpenError> {
    let (link, rest) = connection.into_parts();
    let stream = handshake(link, endpoint, demand, options).await?;
    let agreed = stream.agreed().to_string();
    Ok(rest.secured(Box::new(stream)).over(agreed))
}

async fn handshake(
    link: Box<dyn Link>,
    endpoint: &Endpoint,
    demand: &Demand,
    options: &Options,
) -> Result<TlsStream<Box<dyn Link>>, OpenError> {
    let name = match &endpoint.address {
        // A host without a name is one by its address.
        Address::Tcp(address) if is_literal(&endpoint.host) => address.ip().to_string(),
        _ => endpoint.host.clone(),
    };
    let attempt = options.tls.connect(link, &name, &demand.trust);
    match tokio::time::timeout(options.timeouts.tls, attempt).await {
        Ok(made) => made.map_err(OpenError::Tls),
        Err(_) => Err(OpenError::TlsTimeout),
    }
}

fn is_literal(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}
