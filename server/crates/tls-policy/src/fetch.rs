//! Gets a policy's text over HTTPS.
//!
//! Standards: RFC 8461 section 3.3 (no redirects, `text/plain`, the certificate is verified), RFC 9112 (by hyper).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dns::{BoxFuture, Resolver};
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use rustls::ClientConfig;

use crate::https;
use crate::sts::Fault;

/// Octets of a policy, RFC 8461 section 3.3.
const MAX_OCTETS: usize = 64 * 1024;
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
        let failed = |error: https::Error| match error {
            https::Error::Certificate(why) => Fault::Certificate(why),
            https::Error::Failed(why) => Fault::fetch(&host, &why),
        };
        let request = Request::get("/.well-known/mta-sts.txt").body(Full::default());
        let request = request.map_err(|error| Fault::fetch(&host, &error))?;
        let answer = https::exchange(&*self.resolver, &self.tls, (&host, self.port), request, MAX_OCTETS);
        let answer = answer.await.map_err(failed)?;
        //= RFC 8461 section 3.3: redirects are not followed, and all but 200 is no policy.
        if answer.status() != hyper::StatusCode::OK {
            return Err(Fault::fetch(&host, &format!("HTTP status {}", answer.status())));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !is_plain_text(kind) {
            return Err(Fault::Policy(format!("it comes as {}", kind.unwrap_or("nothing named"))));
        }
        answer.into_body().ok_or_else(|| Fault::Policy("it is longer than 64 KiB".to_owned()))
    }
}

fn is_plain_text(kind: Option<&str>) -> bool {
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/plain")
}

impl Fetcher for Https {
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, Fault>> {
        Box::pin(self.get(domain))
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("port", &self.port).finish_non_exhaustive()
    }
}
