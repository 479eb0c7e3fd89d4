//! What is answered. Times are written as RFC 3339 has them, in UTC.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use model::{QueueId, Timestamp};
use queue::{Diagnostic, Entry, QueuedRecipient, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Recipients that a row of a listing names; it says how many there are.
const ROW_RECIPIENTS: usize = 10;
/// The end of the year 9999.
const LAST_MS: u64 = 253_402_300_799_000;

/// A page of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    pub entries: Vec<EntryRow>,
    /// Where the next page begins; nothing after the last. A page may be empty and not the last.
    #[schema(value_type = Option<String>)]
    pub next: Option<QueueId>,
}

/// An entry in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EntryRow {
    #[schema(value_type = String)]
    pub id: QueueId,
    pub arrived: String,
    /// Octets.
    pub size: u64,
    /// Empty for the null sender.
    pub sender: String,
    /// `waiting`, or `held` when no recipient waits.
    pub state: String,
    /// The next attempt.
    pub due: Option<String>,
    /// The most attempts that a recipient had.
    pub attempts: u32,
    /// The last that was said of a recipient that is not done, or why it is held.
    pub reason: Option<String>,
    /// Those that are not done, at most ten.
    pub recipients: Vec<String>,
    /// Those that are not done.
    pub recipients_left: usize,
}

/// An entry with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EntryView {
    #[schema(value_type = String)]
    pub id: QueueId,
    pub arrived: String,
    /// Octets.
    pub size: u64,
    /// Empty for the null sender.
    pub sender: String,
    /// An attempt is under way, or about to be.
    #[serde(default)]
    pub active: bool,
    pub recipients: Vec<RecipientView>,
}

/// A recipient of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RecipientView {
    pub address: String,
    /// As the client gave it, when that is another address.
    pub original: Option<String>,
    pub state: String,
    /// Why it is held.
    pub held_because: Option<String>,
    pub due: Option<String>,
    pub attempts: u32,
    pub last_attempt: Option<String>,
    pub last_host: Option<String>,
    pub last_reply: Option<String>,
    /// The attempts that are remembered, the newest last; that is the one of `last-attempt`.
    #[serde(default)]
    pub history: Vec<AttemptView>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    pub at: String,
    /// Nothing when it was this host that said it.
    pub host: Option<String>,
    pub reply: String,
}

impl AttemptView {
    fn of(said: &Diagnostic) -> Self {
        Self { at: rfc3339(said.at), host: said.host.clone(), reply: said.reply.clone() }
    }
}

/// Recipients that are not done, by domain and by reason; the most first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    pub entries_waiting: u64,
    pub entries_held: u64,
    pub recipients_waiting: u64,
    pub recipients_held: u64,
    /// When the oldest arrived; may be up to a quarter of an hour early.
    pub oldest: Option<String>,
    pub domains: Vec<CountsRow>,
    /// Recipients of domains that are not listed.
    pub domains_left: u64,
    pub reasons: Vec<CountsRow>,
    /// Recipients of reasons that are not listed.
    pub reasons_left: u64,
}

/// The recipients of one domain, or of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountsRow {
    pub name: String,
    pub waiting: u64,
    pub held: u64,
    pub oldest: Option<String>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentPiece {
    /// In Base64.
    pub octets: String,
    /// Where the next piece begins; nothing after the last.
    pub next: Option<u64>,
}

/// How many entries an order was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Touched {
    pub entries: u64,
}

impl EntryRow {
    pub(crate) fn of(entry: &Entry) -> Self {
        let left: Vec<&QueuedRecipient> =
            entry.recipients.iter().filter(|queued| !queued.state.is_final()).collect();
        let due = entry.due();
        Self {
            id: entry.id,
            arrived: rfc3339(entry.arrived),
            size: entry.size,
            sender: sender(entry),
            state: if due.is_some() { "waiting" } else { "held" }.to_owned(),
            due: due.map(rfc3339),
            attempts: left.iter().map(|queued| queued.attempts).max().unwrap_or(0),
            reason: left.iter().find_map(|queued| queued.reason()).map(str::to_owned),
            recipients: left.iter().take(ROW_RECIPIENTS).map(|queued| address(queued)).collect(),
            recipients_left: left.len(),
        }
    }
}

impl EntryView {
    pub(crate) fn of(entry: &Entry, active: bool) -> Self {
        Self {
            id: entry.id,
            arrived: rfc3339(entry.arrived),
            size: entry.size,
            sender: sender(entry),
            active,
            recipients: entry.recipients.iter().map(RecipientView::of).collect(),
        }
    }
}

impl RecipientView {
    fn of(queued: &QueuedRecipient) -> Self {
        let recipient = &queued.recipient;
        let (held_because, due) = match &queued.state {
            State::Held { reason } => (Some(reason.clone()), None),
            State::Waiting { due } => (None, Some(rfc3339(*due))),
            _ => (None, None),
        };
        let differs = recipient.original != recipient.address;
        Self {
            address: address(queued),
            original: differs.then(|| recipient.original.to_string()),
            state: queued.state.name().to_owned(),
            held_because,
            due,
            attempts: queued.attempts,
            last_attempt: queued.last.as_ref().map(|last| rfc3339(last.at)),
            last_host: queued.last.as_ref().and_then(|last| last.host.clone()),
            last_reply: queued.last.as_ref().map(|last| last.reply.clone()),
            history: queued.history.iter().chain(&queued.last).map(AttemptView::of).collect(),
        }
    }
}

fn sender(entry: &Entry) -> String {
    entry.sender.mailbox().map(ToString::to_string).unwrap_or_default()
}

fn address(queued: &QueuedRecipient) -> String {
    queued.recipient.address.to_string()
}

/// A time of the year 9999 or later is written as the last moment before.
pub fn rfc3339(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(system_time(at)).to_string()
}

/// The same with milliseconds.
pub(crate) fn rfc3339_millis(at: Timestamp) -> String {
    humantime::format_rfc3339_millis(system_time(at)).to_string()
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.min(LAST_MS))
}

/// When an order is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Applied {
    Now,
    /// An attempt is under way: when it is over.
    AfterAttempt,
}

/// Who may relay for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RelayGrant {
    /// An address, or a network with the length of its prefix.
    pub network: String,
    pub until: String,
    pub left_s: u64,
}

impl RelayGrant {
    pub(crate) fn of(network: IpNet, until: Timestamp, now: Timestamp) -> Self {
        Self { network: written(network), until: rfc3339(until), left_s: until.since(now).as_secs() }
    }
}

/// A network of one address is written as that address.
pub(crate) fn written(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// Plugins that were refused, with the reason; what ran before runs on.
    pub refused: Vec<String>,
    /// What was changed and counts after a restart only.
    pub needs_restart: Vec<String>,
    /// Where the server listens now and did not before: the listener's name and the address.
    #[serde(default)]
    pub opened: Vec<String>,
    /// And where it does not any more; sessions that came there finish.
    #[serde(default)]
    pub closed: Vec<String>,
}

/// Counts by two names; those that are zero are left out.
pub(crate) fn by_two(
    counts: &[(&'static str, &'static str, u64)],
) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (first, second, count) in counts.iter().filter(|(.., count)| *count > 0) {
        all.entry((*first).to_owned()).or_default().insert((*second).to_owned(), *count);
    }
    all
}

/// How a plugin's file fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PluginLoaded {
    pub name: String,
    /// What runs from now on, when it was taken.
    pub generation: Option<u64>,
    /// Why it was not.
    pub refused: Option<String>,
}

impl From<plugin_host::LoadReport> for PluginLoaded {
    fn from(report: plugin_host::LoadReport) -> Self {
        let (generation, refused) = match report.outcome {
            Ok(generation) => (Some(generation), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { name: report.name, generation, refused }
    }
}

/// A plugin that nobody asks and that nobody misses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginDisabled {
    pub name: String,
    pub by: DisabledBy,
    /// When an operator disabled it.
    pub since: Option<String>,
    /// Mail would not pass without it, had not an operator said so.
    pub required: bool,
}

/// Who disabled a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisabledBy {
    Operator,
    Configuration,
}

impl From<plugin_host::DisabledPlugin> for PluginDisabled {
    fn from(plugin: plugin_host::DisabledPlugin) -> Self {
        let by = if plugin.since.is_some() { DisabledBy::Operator } else { DisabledBy::Configuration };
        Self { name: plugin.name, by, since: plugin.since.map(rfc3339), required: plugin.required }
    }
}

/// Whoever is asked at the stages of a session.
#[derive(Debug, Serialize)]
pub(crate) struct Filters {
    #[serde(flatten)]
    pub(crate) plugins: plugin_host::Status,
    pub(crate) disabled: Vec<PluginDisabled>,
    pub(crate) milters: Vec<milter::MilterStatus>,
}
