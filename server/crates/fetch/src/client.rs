//! Who asks: the resolver, the authorities that are believed, and how many requests there are at once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dns::{DnsError, Resolver};
use hooks::{BoxFuture, HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTerms};
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::address::is_public;
use crate::exchange::{self, MAX_ADDRESSES};

/// How requests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Requests at once, of all plugins together. Those beyond wait, within their time.
    pub at_once: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { at_once: 200 }
    }
}

/// Makes requests.
pub struct Fetch {
    resolver: Arc<dyn Resolver>,
    tls: ArcSwap<ClientConfig>,
    turns: Semaphore,
}

impl Fetch {
    /// Asks this resolver, and believes whom `tls` believes.
    pub fn new(resolver: Arc<dyn Resolver>, tls: Arc<ClientConfig>, options: Options) -> Self {
        Self { resolver, tls: ArcSwap::new(tls), turns: Semaphore::new(options.at_once.max(1)) }
    }

    /// Believes others from now on.
    pub fn believe(&self, tls: Arc<ClientConfig>) {
        self.tls.store(tls);
    }

    async fn ask_in_time(&self, request: HttpRequest, terms: &HttpTerms) -> Result<HttpAnswer, HttpError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await.map_err(|error| HttpError::Failed(error.to_string()))?;
        let addresses = self.addresses(&request, terms).await?;
        let tls = request.encrypted.then(|| self.tls.load_full());
        exchange::exchange(request, &addresses, tls, terms).await
    }

    /// Where the host is, as far as it may be asked there.
    async fn addresses(
        &self,
        request: &HttpRequest,
        terms: &HttpTerms,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        let host = &request.host;
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.addresses(host).await.map_err(|error| unresolved(host, &error))?,
        };
        let may = |address: &IpAddr| is_public(*address) || terms.private.contains(*address);
        let (allowed, others): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(may);
        match (allowed.is_empty(), others.first()) {
            (true, Some(address)) => Err(HttpError::Private { host: host.clone(), address: *address }),
            (true, None) => Err(HttpError::NoSuchHost(host.clone())),
            (false, _) => {
                let place = |address| SocketAddr::new(address, request.port);
                Ok(allowed.into_iter().take(MAX_ADDRESSES).map(place).collect())
            }
        }
    }
}

fn unresolved(host: &str, error: &DnsError) -> HttpError {
    match error {
        DnsError::NxDomain | DnsError::NoData | DnsError::BadName => HttpError::NoSuchHost(host.to_owned()),
        other => HttpError::Failed(format!("DNS does not say where {host} is: {other}")),
    }
}

impl HttpClient for Fetch {
    fn ask(&self, request: HttpRequest, terms: HttpTerms) -> BoxFuture<'_, Result<HttpAnswer, HttpError>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(terms.time, self.ask_in_time(request, &terms)).await;
            answer.unwrap_or(Err(HttpError::TimedOut(terms.time)))
        })
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.turns.available_permits();
        f.debug_struct("Fetch").field("resolver", &self.resolver).field("free", &free).finish_non_exhaustive()
    }
}
