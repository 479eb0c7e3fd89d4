//! How the server is, on one screen.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;
use queue::{CensusRow, CensusView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Reloaded, by_two, rfc3339, rfc3339_millis};
use crate::calls::Services;

/// Destinations that a status tells of.
const DESTINATIONS: usize = 100;
/// Reasons that are looked through for states: all that are counted apart.
const REASONS: usize = queue::Census::REASONS;
/// Plugins that a status tells the faults of.
const FAULTS: usize = 100;

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ServerStatus {
    pub version: String,
    pub pid: u32,
    pub hostname: String,
    /// When it began, to the millisecond.
    #[serde(default)]
    pub started: String,
    pub uptime_s: u64,
    pub listeners: Vec<Listening>,
    pub sessions: SessionStatus,
    pub queue: QueueStatus,
    pub delivery: DeliveryStatus,
    pub plugins: PluginCounts,
    /// The last time that the configuration was read again.
    #[serde(default)]
    pub last_reload: Option<LastReload>,
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// What came of reading the configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LastReload {
    pub at: String,
    /// Why it counts for nothing; what was there before goes on.
    pub error: Option<String>,
    pub refused: Vec<String>,
    pub needs_restart: Vec<String>,
}

impl LastReload {
    /// As it went.
    pub fn of(at: Timestamp, done: &Result<Reloaded, String>) -> Self {
        let (error, Reloaded { refused, needs_restart, .. }) = match done {
            Ok(reloaded) => (None, reloaded.clone()),
            Err(error) => (Some(error.clone()), Reloaded::default()),
        };
        Self { at: rfc3339(at), error, refused, needs_restart }
    }
}

/// A certificate that clients are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateStatus {
    pub names: Vec<String>,
    pub expires: String,
    /// Negative when that is over.
    pub left_s: i64,
}

/// An address that accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listening {
    pub name: String,
    pub address: String,
}

impl CertificateStatus {
    /// One with these names that counts until then.
    pub fn of(names: Vec<String>, expires: Timestamp, now: Timestamp) -> Self {
        let left_ms = i128::from(expires.0) - i128::from(now.0);
        Self { names, expires: rfc3339(expires), left_s: i64::try_from(left_ms / 1_000).unwrap_or(i64::MAX) }
    }
}

/// Sessions and what they brought, since the start but for `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SessionStatus {
    pub open: u64,
    pub total: u64,
    pub turned_away: u64,
    pub messages_accepted: u64,
    pub octets_accepted: u64,
    pub messages_refused: u64,
    pub messages_discarded: u64,
    pub messages_held: u64,
    pub recipients_refused: u64,
    pub authenticated: u64,
    pub authentications_failed: u64,
    pub handshakes: u64,
    pub handshakes_failed: u64,
    pub protocol_errors: u64,
    /// Connections that were turned away, by reason.
    pub turned_away_for: BTreeMap<String, u64>,
    /// What the checks of senders came to: by method, then by result.
    pub senders: BTreeMap<String, BTreeMap<String, u64>>,
    /// What plugins decided: by stage, then by verdict.
    pub verdicts: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What the queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct QueueStatus {
    pub waiting: u64,
    pub held: u64,
    pub corrupt: u64,
    /// Recipients by state: `fresh`, of whom no attempt was made yet, `deferred` and `held`.
    #[serde(default)]
    pub states: Vec<QueueState>,
    /// When the oldest recipient arrived; may be up to a quarter of an hour early.
    pub oldest: Option<String>,
    pub disk_octets: u64,
    pub free_octets: Option<u64>,
}

/// The recipients of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct QueueState {
    pub state: String,
    pub recipients: u64,
    /// As in [`QueueStatus::oldest`].
    pub oldest: Option<String>,
    pub oldest_s: Option<u64>,
}

/// Deliveries since the start, in recipients, but for `active`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DeliveryStatus {
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub expired: u64,
    pub reports: u64,
    pub connections: u64,
    pub connections_failed: u64,
    pub transactions: u64,
    /// Of these, those over a connection that had one before.
    pub transactions_reused: u64,
    /// By kind of next hop, then by outcome.
    pub outcomes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Entries with an attempt under way or about to be.
    pub active: usize,
    pub memory_octets: u64,
    /// At most a hundred, those with the most work first.
    pub destinations: Vec<DestinationStatus>,
}

/// A destination with work, a connection, or a failure that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DestinationStatus {
    pub name: String,
    pub queued: usize,
    pub connections: usize,
    pub last_error: Option<String>,
    pub backoff_s: Option<u64>,
}

/// How many plugins there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PluginCounts {
    pub loaded: usize,
    pub refused: usize,
    /// Required, and not there.
    pub missing: usize,
    #[serde(default)]
    pub disabled: usize,
    pub instances: u64,
    pub instances_limit: u64,
    /// Those that have failed, are left alone or were refused.
    #[serde(default)]
    pub faults: Vec<PluginFaults>,
}

/// A plugin that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PluginFaults {
    pub name: String,
    pub failures: u64,
    /// `closed`, `open`, `half-open`, `refused` or `missing`.
    pub breaker: String,
    pub last_error: Option<String>,
}

impl Services {
    pub(crate) fn status(&self) -> ServerStatus {
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
            started: rfc3339_millis(self.started),
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
                authenticated: sessions.authenticated,
                authentications_failed: sessions.auth_failures,
                handshakes: sessions.handshakes,
                handshakes_failed: sessions.handshakes_failed,
                protocol_errors: sessions.protocol_errors,
                turned_away_for: sessions
                    .turned_away_for
                    .iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(reason, count)| ((*reason).to_owned(), *count))
                    .collect(),
                senders: by_two(&sessions.senders),
                verdicts: by_two(&sessions.verdicts),
            },
            queue: QueueStatus {
                waiting: totals.waiting,
                held: totals.held,
                corrupt: totals.corrupt,
                states: states(&self.store.census(REASONS)),
                oldest: totals.oldest.map(rfc3339),
                disk_octets: totals.disk_octets,
                free_octets: totals.free_octets,
            },
            delivery: self.delivery(),
            plugins: PluginCounts {
                loaded: plugins.plugins.len(),
                refused: plugins.refused.len(),
                missing: plugins.missing.len(),
                disabled: plugins.disabled.len(),
                instances: plugins.instances,
                instances_limit: plugins.instances_limit,
                faults: faults(&plugins),
            },
            last_reload: (self.outlook.last_reload)(),
            certificates: (self.outlook.certificates)(),
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
            connections: stats.connections,
            connections_failed: stats.connections_failed,
            transactions: stats.transactions,
            transactions_reused: stats.transactions_reused,
            outcomes: by_two(&stats.outcomes),
            active: stats.active,
            memory_octets: stats.memory_octets,
            destinations: destinations.into_iter().map(view).collect(),
        }
    }
}

/// Recipients by what was said of them last.
fn states(census: &CensusView) -> Vec<QueueState> {
    let now = clock::wall();
    let sum = |state: &str, count: fn(&CensusRow) -> u64, is_meant: fn(&CensusRow) -> bool| {
        let rows = || census.reasons.iter().filter(|row| is_meant(row) && count(row) > 0);
        let oldest: Option<Timestamp> = rows().filter_map(|row| row.oldest).min();
        QueueState {
            state: state.to_owned(),
            recipients: rows().map(count).sum(),
            oldest: oldest.map(rfc3339),
            oldest_s: oldest.map(|oldest| now.since(oldest).as_secs()),
        }
    };
    vec![
        sum("fresh", |row| row.waiting, |row| row.name == queue::NO_ATTEMPT),
        sum("deferred", |row| row.waiting, |row| row.name != queue::NO_ATTEMPT),
        sum("held", |row| row.held, |_| true),
    ]
}

fn faults(status: &plugin_host::Status) -> Vec<PluginFaults> {
    let failed = status.plugins.iter().filter(|plugin| plugin.failures > 0 || plugin.breaker != "closed");
    let failed = failed.map(|plugin| PluginFaults {
        name: plugin.name.clone(),
        failures: plugin.failures,
        breaker: plugin.breaker.to_owned(),
        last_error: plugin.last_error.clone(),
    });
    let without = |name: &str, breaker: &str, reason: &str| PluginFaults {
        name: name.to_owned(),
        failures: 0,
        breaker: breaker.to_owned(),
        last_error: Some(reason.to_owned()),
    };
    let refused = status.refused.iter().map(|refused| without(&refused.name, "refused", &refused.reason));
    let missing = status.missing.iter().map(|missing| without(&missing.name, "missing", &missing.reason));
    failed.chain(refused).chain(missing).take(FAULTS).collect()
}
