//! One request and its answer over one connection.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hooks::{HttpAnswer, HttpError, HttpRequest, HttpTerms};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Octets of an answer's status line and header fields.
pub const MAX_HEAD_OCTETS: usize = 64 << 10;
/// Header fields of an answer.
pub const MAX_HEAD_FIELDS: usize = 200;
/// Addresses of a host that are tried.
pub const MAX_ADDRESSES: usize = 4;

/// Connects to the first address that answers, asks, and reads the answer.
pub(crate) async fn exchange(
    request: HttpRequest,
    addresses: &[SocketAddr],
    tls: Option<Arc<ClientConfig>>,
    terms: &HttpTerms,
) -> Result<HttpAnswer, HttpError> {
    let stream = connect(addresses, terms.time).await?;
    // Requests are small and must not wait for an acknowledgement.
    stream.set_nodelay(true).map_err(failed)?;
    let host = request.host.clone();
    let request = prepare(request)?;
    match tls {
        None => converse(stream, request, terms.answer_octets).await,
        Some(config) => {
            let name = match host.parse::<IpAddr>() {
                Ok(address) => ServerName::IpAddress(address.into()),
                Err(_) => {
                    ServerName::try_from(host).map_err(|error| HttpError::BadInput(error.to_string()))?
                }
            };
            let stream = TlsConnector::from(config).connect(name, stream).await.map_err(handshake_failed)?;
            converse(stream, request, terms.answer_octets).await
        }
    }
}

/// Each address has its share of the time, so that one that is silent does not use it up.
async fn connect(addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, HttpError> {
    let share = time / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let mut last = HttpError::Failed("there is no address to connect to".to_owned());
    for address in addresses {
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => HttpError::Failed(format!("{address}: {error}")),
            Err(_) => HttpError::TimedOut(share),
        };
    }
    Err(last)
}

fn prepare(request: HttpRequest) -> Result<Request<Full<Bytes>>, HttpError> {
    let bad = |error: &dyn Display| HttpError::BadInput(error.to_string());
    let usual = if request.encrypted { 443 } else { 80 };
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host };
    let host = if request.port == usual { host } else { format!("{host}:{}", request.port) };
    let target: Uri = request.target.parse().map_err(|error| bad(&error))?;
    let mut built =
        Request::builder().method(request.method.as_str()).uri(target).body(Full::new(request.body));
    let headers = built.as_mut().map_err(|error| bad(error))?.headers_mut();
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(&error))?;
        headers.append(name, HeaderValue::from_bytes(&value).map_err(|error| bad(&error))?);
    }
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| bad(&error))?);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("waxwing"));
    built.map_err(|error| bad(&error))
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>, limit: u64) -> Result<HttpAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let begun = http1::Builder::new()
        .max_buf_size(MAX_HEAD_OCTETS)
        .max_headers(MAX_HEAD_FIELDS)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = begun.map_err(|error| broken(&error))?;
    let mut exchange = std::pin::pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        read(answer, limit).await
    });
    // The connection's own end is no news: what it broke is told by the exchange.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn read(answer: Response<Incoming>, limit: u64) -> Result<HttpAnswer, HttpError> {
    let (head, body) = answer.into_parts();
    // What says that it is too large is not begun.
    if body.size_hint().lower() > limit {
        return Err(HttpError::TooLarge(limit));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(HttpError::TooLarge(limit)),
        Err(error) => match error.downcast_ref::<hyper::Error>() {
            Some(error) => return Err(broken(error)),
            None => return Err(failed(error)),
        },
    };
    Ok(HttpAnswer { status: head.status.as_u16(), headers: fields(&head.headers), body })
}

fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    headers.iter().map(field).collect()
}

fn handshake_failed(error: std::io::Error) -> HttpError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => HttpError::Certificate(error.to_string()),
        _ => HttpError::Failed(format!("the TLS handshake failed: {error}")),
    }
}

fn broken(error: &hyper::Error) -> HttpError {
    if error.is_parse_too_large() {
        return HttpError::TooLarge(MAX_HEAD_OCTETS as u64);
    }
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    HttpError::Failed(format!("{error}{cause}"))
}

fn failed(error: impl Display) -> HttpError {
    HttpError::Failed(error.to_string())
}
