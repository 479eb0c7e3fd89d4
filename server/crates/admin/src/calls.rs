//! Carries out what was asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use inbound::GrantError;
use ipnet::IpNet;
use model::{Domain, QueueId, Timestamp};
use plugin_host::PluginHost;
use queue::{BoxFuture, Entry, State, Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use crate::answer::{
    Applied, DeliveryStatus, DestinationStatus, EntryRow, EntryView, Listening, Page, PluginCounts,
    QueueStatus, RelayGrant, Reloaded, ServerStatus, SessionStatus, written,
};
use crate::request::{Request, StateFilter};

/// Entries of a page.
const PAGE: usize = 500;
/// Entries that are looked at for one page, so that a filter that finds nothing still answers soon.
const LOOKED_AT: usize = 5_000;
/// Destinations that a status tells of.
const DESTINATIONS: usize = 100;
/// Why an entry is held that the postmaster holds.
const HELD_BY_POSTMASTER: &str = "held by the postmaster";

/// Reads the configuration again; the error lists its faults.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync>;

/// The other rooms, as this one sees them.
#[derive(Clone)]
pub struct Services {
    pub version: &'static str,
    pub hostname: String,
    pub started: Timestamp,
    pub store: Arc<dyn Store>,
    pub engine: outbound::Engine,
    pub plugins: PluginHost,
    pub inbound: Arc<inbound::Server>,
    pub reload: Reload,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl Services {
    /// The answer to a request; the error is a sentence for the postmaster.
    pub(crate) async fn answer(&self, request: Request) -> Result<Value, String> {
        let engine = &self.engine;
        match request {
            Request::Status => json(self.status()),
            Request::PluginList => json(self.plugins.status()),
            Request::QueueList { after, state, domain } => {
                let wanted = Wanted { state, domain: ascii_domain(domain.as_deref())? };
                json(self.read(move |store| page(store, after, &wanted)).await?)
            }
            Request::QueueShow { id } => {
                json(self.read(move |store| Ok(EntryView::of(&store.entry(id)?))).await?)
            }
            Request::QueueRetry { id } => json(applied(engine.retry(id).await)?),
            Request::QueueHold { id } => json(applied(engine.hold(id, HELD_BY_POSTMASTER).await)?),
            Request::QueueRelease { id } => json(applied(engine.release(id).await)?),
            Request::QueueRemove { id } => json(applied(engine.remove(id).await)?),
            Request::QueueRetryAll => json(engine.retry_all().await.map_err(sentence)?),
            Request::QueueRetryDomain { domain } => {
                json(engine.retry_domain(&parse_domain(&domain)?).await.map_err(sentence)?)
            }
            Request::RelayAllow { network, seconds } => {
                let (network, span) = (parse_network(&network)?, Duration::from_secs(seconds));
                let until = self.on_disk(move |inbound| inbound.allow_relay(network, span)).await?;
                json(RelayGrant::of(network, until, clock::wall()))
            }
            Request::RelayList => {
                let now = clock::wall();
                let grants = self.inbound.relay_grants().list(now);
                let shown = grants.into_iter().map(|(network, until)| RelayGrant::of(network, until, now));
                json(shown.collect::<Vec<_>>())
            }
            Request::RelayRevoke { network } => {
                let network = parse_network(&network)?;
                self.on_disk(move |inbound| inbound.relay_grants().revoke(network, clock::wall())).await?;
                json(written(network))
            }
            Request::Reload => json((self.reload)().await?),
        }
    }

    /// Asks the store on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || read(&*store)).await;
        done.map_err(|_| "reading the queue ended early".to_owned())?.map_err(sentence)
    }

    /// Changes who may relay, on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        change: impl FnOnce(&inbound::Server) -> Result<T, GrantError> + Send + 'static,
    ) -> Result<T, String> {
        let inbound = Arc::clone(&self.inbound);
        let done = tokio::task::spawn_blocking(move || change(&inbound)).await;
        done.map_err(|_| "the change ended early".to_owned())?.map_err(|error| error.to_string())
    }

    fn status(&self) -> ServerStatus {
        let sessions = self.inbound.stats();
        let totals = self.store.totals();
        let plugins = self.plugins.status();
        let listening = |(name, address): &(Arc<str>, std::net::SocketAddr)| Listening {
            name: name.to_string(),
            address: address.to_string(),
        };
        ServerStatus {
            version: self.version.to_owned(),
            pid: std::process::id(),
            hostname: self.hostname.clone(),
            uptime_s: clock::wall().since(self.started).as_secs(),
            listeners: self.inbound.local_addresses().iter().map(listening).collect(),
            sessions: SessionStatus {
                open: sessions.sessions_open,
                total: sessions.sessions,
                turned_away: sessions.turned_away,
                messages_accepted: sessions.accepted,
                octets_accepted: sessions.accepted_octets,
                messages_refused: sessions.refused,
                messages_discarded: sessions.discarded,
                messages_held: sessions.held,
                recipients_refused: sessions.recipients_refused,
            },
            queue: QueueStatus {
                waiting: totals.waiting,
                held: totals.held,
                corrupt: totals.corrupt,
                disk_octets: totals.disk_octets,
            },
            delivery: self.delivery(),
            plugins: PluginCounts {
                loaded: plugins.plugins.len(),
                refused: plugins.refused.len(),
                instances: plugins.instances,
                instances_limit: plugins.instances_limit,
            },
        }
    }

    fn delivery(&self) -> DeliveryStatus {
        let stats = self.engine.stats();
        let mut destinations = stats.destinations;
        destinations.sort_by_key(|destination| std::cmp::Reverse(destination.queued));
        destinations.truncate(DESTINATIONS);
        let view = |destination: outbound::DestinationStats| DestinationStatus {
            name: destination.name,
            queued: destination.queued,
            connections: destination.connections,
            last_error: destination.last_error,
            backoff_s: destination.backoff.map(|backoff| backoff.as_secs()),
        };
        DeliveryStatus {
            delivered: stats.delivered,
            deferred: stats.deferred,
            bounced: stats.bounced,
            expired: stats.expired,
            reports: stats.reports,
            active: stats.active,
            memory_octets: stats.memory_octets,
            destinations: destinations.into_iter().map(view).collect(),
        }
    }
}

/// Which entries are listed.
#[derive(Debug)]
pub(crate) struct Wanted {
    state: Option<StateFilter>,
    domain: Option<String>,
}

impl Wanted {
    fn has(&self, entry: &Entry) -> bool {
        entry.recipients.iter().any(|queued| {
            let of_state = match self.state {
                None => !queued.state.is_final(),
                Some(StateFilter::Waiting) => matches!(queued.state, State::Waiting { .. }),
                Some(StateFilter::Held) => matches!(queued.state, State::Held { .. }),
            };
            let of_domain = |domain: &String| queued.recipient.address.domain().to_ascii() == *domain;
            of_state && self.domain.as_ref().is_none_or(of_domain)
        })
    }
}

/// The next entries that are wanted; looks at so many at most.
fn page(store: &dyn Store, after: Option<QueueId>, wanted: &Wanted) -> Result<Page, StoreError> {
    let mut page = Page { entries: Vec::new(), next: after };
    for _ in 0..LOOKED_AT / PAGE {
        let found = store.list(page.next, PAGE)?;
        let is_last = found.len() < PAGE;
        for entry in &found {
            page.next = Some(entry.id);
            if wanted.has(entry) {
                page.entries.push(EntryRow::of(entry));
                if page.entries.len() == PAGE {
                    return Ok(page);
                }
            }
        }
        if is_last {
            page.next = None;
            break;
        }
    }
    Ok(page)
}

fn json(value: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn sentence(error: StoreError) -> String {
    error.to_string()
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("\"{text}\" is no address or network, as in \"192.0.2.7\" or \"2001:db8::/64\""))
}

fn parse_domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| format!("\"{text}\": {error}"))
}

fn applied(outcome: Result<outbound::Applied, StoreError>) -> Result<Applied, String> {
    match outcome {
        Ok(outbound::Applied::Now) => Ok(Applied::Now),
        Ok(outbound::Applied::AfterAttempt) => Ok(Applied::AfterAttempt),
        Err(error) => Err(error.to_string()),
    }
}

fn ascii_domain(text: Option<&str>) -> Result<Option<String>, String> {
    Ok(text.map(parse_domain).transpose()?.map(|domain| domain.to_ascii()))
}
