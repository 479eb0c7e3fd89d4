//! Gets a policy's text over HTTPS.
//!
//! Standards: RFC 8461 section 3.3 (no redirects, `text/plain`, the certificate is verified), RFC 9112 (by hyper).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::{BoxFuture, Resolver};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::sts::Fault;

/// Octets of a policy, RFC 8461 section 3.3.
const MAX_OCTETS: usize = 64 * 1024;
/// From the first connection to the last octet.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of the policy host that are tried.
const MAX_ADDRESSES: usize = 4;

/// Whoever can get a policy.
pub trait Fetcher: Send + Sync + fmt::Debug {
    /// The text of a domain's policy.
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, Fault>>;
}

/// Over HTTPS, from `mta-sts.DOMAIN`.
pub struct Https {
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
    port: u16,
}

impl Https {
    /// The configuration verifies certificates against authorities; the port is 443, but for tests.
    pub fn new(resolver: Arc<dyn Resolver>, tls: Arc<ClientConfig>, port: u16) -> Self {
        Self { resolver, tls, port }
    }

    async fn get(&self, domain: &str) -> Result<Bytes, Fault> {
        let host = format!("mta-sts.{domain}");
        let addresses = self.resolver.addresses(&host).await.map_err(|error| Fault::fetch(&host, &error))?;
        let stream = connect(&addresses, self.port).await.map_err(|error| Fault::fetch(&host, &error))?;
        let name = ServerName::try_from(host.clone()).map_err(|error| Fault::fetch(&host, &error))?;
        let stream =
            TlsConnector::from(self.tls.clone()).connect(name, stream).await.map_err(|error| match error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                Some(rustls::Error::InvalidCertificate(_)) => Fault::Certificate(error.to_string()),
                _ => Fault::fetch(&host, &error),
            })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::fetch(&host, &error))?;
        let request = Request::get("/.well-known/mta-sts.txt")
            .header(HOST, &host)
            .header(USER_AGENT, "waxwing")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Fault::fetch(&host, &error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| Fault::fetch(&host, &error))?;
            //= RFC 8461 section 3.3: redirects are not followed, and all but 200 is no policy.
            if response.status() != hyper::StatusCode::OK {
                return Err(Fault::fetch(&host, &format!("HTTP status {}", response.status())));
            }
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if !is_plain_text(kind) {
                return Err(Fault::Policy(format!("it comes as {}", kind.unwrap_or("nothing named"))));
            }
            let body = Limited::new(response.into_body(), MAX_OCTETS).collect().await.map_err(|error| {
                match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => Fault::Policy("it is longer than 64 KiB".to_owned()),
                    None => Fault::fetch(&host, &error),
                }
            })?;
            Ok(body.to_bytes())
        };
        // The connection's own end is no news: whatever it broke is told by the exchange.
        let exchange = std::pin::pin!(exchange);
        let mut connection = std::pin::pin!(connection);
        let mut exchange = exchange;
        tokio::select! {
            biased;
            text = &mut exchange => text,
            _ = &mut connection => exchange.await,
        }
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> std::io::Result<TcpStream> {
    let addresses = addresses.iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(*ip, port));
    TcpStream::connect(addresses.collect::<Vec<_>>().as_slice()).await
}

fn is_plain_text(kind: Option<&str>) -> bool {
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/plain")
}

impl Fetcher for Https {
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, Fault>> {
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, self.get(domain)).await {
                Ok(text) => text,
                Err(_) => Err(Fault::fetch(&format!("mta-sts.{domain}"), &"it took more than 10 s")),
            }
        })
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("port", &self.port).finish_non_exhaustive()
    }
}
