//! One request over HTTPS, to a host whose certificate an authority vouches for.
//!
//! Limits: 10 s, connecting included; four addresses of the host.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::Resolver;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// From the first connection to the last octet.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of the host that are tried.
const MAX_ADDRESSES: usize = 4;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The host is not who it should be.
    #[error("{0}")]
    Certificate(String),
    #[error("{0}")]
    Failed(String),
}

fn failed(error: impl Display) -> Error {
    Error::Failed(error.to_string())
}

/// Asks, and reads the answer; its body is nothing when it has more than `limit` octets.
pub(crate) async fn exchange(
    resolver: &dyn Resolver,
    tls: &Arc<ClientConfig>,
    host: (&str, u16),
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Option<Bytes>>, Error> {
    let work = exchange_in_time(resolver, tls, host, request, limit);
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(answer) => answer,
        Err(_) => Err(failed("it took more than 10 s")),
    }
}

async fn exchange_in_time(
    resolver: &dyn Resolver,
    tls: &Arc<ClientConfig>,
    (host, port): (&str, u16),
    mut request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Option<Bytes>>, Error> {
    let addresses = resolver.addresses(host).await.map_err(failed)?;
    let stream = connect(&addresses, port).await.map_err(failed)?;
    let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
    let stream =
        TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => Error::Certificate(error.to_string()),
                _ => failed(error),
            }
        })?;
    let begun = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = begun.map_err(failed)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(host).map_err(failed)?);
    headers.insert(USER_AGENT, HeaderValue::from_static("waxwing"));
    let exchange = async {
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => Some(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Response::from_parts(head, body))
    };
    // The connection's own end is no news: what it broke is told by the exchange.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> std::io::Result<TcpStream> {
    let addresses: Vec<_> =
        addresses.iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(*ip, port)).collect();
    TcpStream::connect(addresses.as_slice()).await
}
