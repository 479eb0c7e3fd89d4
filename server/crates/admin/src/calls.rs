//! Carries out what was asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use inbound::GrantError;
use ipnet::IpNet;
use milter::Milters;
use model::Timestamp;
use plugin_host::PluginHost;
use queue::{BoxFuture, Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use crate::answer::{
    Applied, EntryView, Filters, PluginDisabled, PluginLoaded, RelayGrant, Reloaded, Touched, written,
};
use crate::listing;
use crate::request::{Order, Request};
use crate::status::{CertificateStatus, LastReload};

/// Why an entry is held that the postmaster holds.
const HELD_BY_POSTMASTER: &str = "held by the postmaster";

/// Reads the configuration again; the error lists its faults.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync>;
/// Lets the server begin anew, or says why it cannot.
pub type Restart = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What is known elsewhere of how the server is.
#[derive(Clone)]
pub struct Outlook {
    pub last_reload: Arc<dyn Fn() -> Option<LastReload> + Send + Sync>,
    pub certificates: Arc<dyn Fn() -> Vec<CertificateStatus> + Send + Sync>,
}

/// The other rooms, as this one sees them.
#[derive(Clone)]
pub struct Services {
    pub version: &'static str,
    pub hostname: String,
    pub started: Timestamp,
    pub store: Arc<dyn Store>,
    pub engine: outbound::Engine,
    pub plugins: PluginHost,
    pub milters: Milters,
    pub inbound: Arc<inbound::Server>,
    pub reload: Reload,
    pub restart: Restart,
    pub outlook: Outlook,
    /// Where sessions are listened to.
    pub transcripts: Arc<transcript::Hub>,
}

impl fmt::Debug for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlook").finish_non_exhaustive()
    }
}

/// Why nothing was done; a sentence for the postmaster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What is asked cannot be.
    #[error("{0}")]
    Unacceptable(String),
    /// It is about something that is not there.
    #[error("{0}")]
    Unknown(String),
    /// The server could not, and may later.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for Refusal {
    fn from(sentence: String) -> Self {
        Self::Unacceptable(sentence)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::Unknown(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<GrantError> for Refusal {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Unknown(_) => Self::Unknown(error.to_string()),
            GrantError::Io { .. } => Self::Failed(error.to_string()),
            _ => Self::Unacceptable(error.to_string()),
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl Services {
    /// The answer to a request, as the control socket and the API over HTTP give it.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn answer(&self, request: Request) -> Result<Value, Refusal> {
        let engine = &self.engine;
        match request {
            Request::Status => json(self.status()),
            Request::PluginList => {
                let mut plugins = self.plugins.status();
                let disabled = std::mem::take(&mut plugins.disabled);
                let disabled = disabled.into_iter().map(PluginDisabled::from).collect();
                json(Filters { plugins, disabled, milters: self.milters.status() })
            }
            Request::PluginReload { name } => {
                let reports = self.plugins.reload(name).await;
                json(reports.into_iter().map(PluginLoaded::from).collect::<Vec<_>>())
            }
            Request::PluginRollback { name, to } => {
                let generation = self.plugins.roll_back(name.clone(), to).await?;
                json(PluginLoaded { name, generation: Some(generation), refused: None })
            }
            Request::PluginDisable { name } => json(PluginDisabled::from(self.plugins.disable(name).await?)),
            Request::PluginEnable { name } => json(PluginLoaded::from(self.plugins.enable(name).await?)),
            Request::QueueList { after, limit, filter } => {
                let wanted = filter.selection(clock::wall())?;
                json(self.read(move |store| listing::page(store, after, limit, &wanted)).await?)
            }
            Request::QueueCounts { limit } => {
                json(self.read(move |store| Ok(listing::counts(store, limit))).await?)
            }
            Request::QueueShow { id } => {
                let entry = self.read(move |store| store.entry(id)).await?;
                json(EntryView::of(&entry, engine.is_active(id)))
            }
            Request::QueueContent { id, offset } => {
                json(self.read(move |store| listing::content(store, id, offset)).await?)
            }
            Request::QueueOrder { id, order } => json(applied(engine.order(id, order.into()).await)?),
            Request::QueueOrderAll { order, filter } => {
                let selection = filter.selection(clock::wall())?;
                let entries = engine.order_all(order.into(), selection).await?;
                json(Touched { entries })
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
            Request::Restart => {
                let before = self.status();
                (self.restart)().await?;
                json(before)
            }
            // The connection does not come back from it: `trace` has it.
            Request::Trace { .. } => Err("a trace takes a connection of its own".to_owned().into()),
        }
    }

    /// Asks the store on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || read(&*store)).await;
        Ok(done.map_err(|_| Refusal::Failed("reading the queue ended early".to_owned()))??)
    }

    /// Changes who may relay, on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        change: impl FnOnce(&inbound::Server) -> Result<T, GrantError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let inbound = Arc::clone(&self.inbound);
        let done = tokio::task::spawn_blocking(move || change(&inbound)).await;
        Ok(done.map_err(|_| Refusal::Failed("the change ended early".to_owned()))??)
    }
}

impl From<Order> for outbound::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Retry => Self::Retry,
            Order::Hold => Self::Hold { reason: HELD_BY_POSTMASTER.to_owned() },
            Order::Release => Self::Release,
            Order::Remove => Self::Remove,
        }
    }
}

fn json(value: impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|error| Refusal::Failed(error.to_string()))
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("\"{text}\" is no address or network, as in \"192.0.2.7\" or \"2001:db8::/64\""))
}

fn applied(outcome: Result<outbound::Applied, StoreError>) -> Result<Applied, Refusal> {
    match outcome? {
        outbound::Applied::Now => Ok(Applied::Now),
        outbound::Applied::AfterAttempt => Ok(Applied::AfterAttempt),
    }
}
