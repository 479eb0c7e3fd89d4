//! What may be asked.

use model::QueueId;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the server is: answered with a `ServerStatus`.
    Status,
    /// Plugins, those that are disabled, refused files, milters: a `plugin_host::Status` with a list of `PluginDisabled`.
    PluginList,
    /// Reads plugins' files again, all or one. Answered with a list of `PluginLoaded`.
    PluginReload {
        #[serde(default)]
        name: Option<String>,
    },
    /// Back to what ran before under a generation or with a hash, else to the one before. Answered with a `PluginLoaded`.
    PluginRollback {
        name: String,
        #[serde(default)]
        to: Option<String>,
    },
    /// Leaves a plugin alone, also after a restart. Answered with a `PluginDisabled`.
    PluginDisable { name: String },
    /// Takes that back. Answered with a `PluginLoaded`.
    PluginEnable { name: String },
    /// A `Page` of the queue, from behind `after` on.
    QueueList {
        #[serde(default)]
        after: Option<QueueId>,
        /// Entries of the page, at most; 500 however many are asked for.
        #[serde(default)]
        limit: Option<usize>,
        /// Only entries with a recipient that is meant.
        #[serde(default)]
        filter: Filter,
    },
    /// `Counts` of recipients, at most so many rows by domain and as many by reason; 1,000 however many are asked for.
    QueueCounts {
        #[serde(default)]
        limit: Option<usize>,
    },
    /// An `EntryView`.
    QueueShow { id: QueueId },
    /// A `ContentPiece` of the message, from an offset on.
    QueueContent {
        id: QueueId,
        #[serde(default)]
        offset: u64,
    },
    /// For one entry. Answered with an `Applied`.
    QueueOrder { id: QueueId, order: Order },
    /// For all recipients that the filter means. Answered with a `Touched`.
    QueueOrderAll {
        order: Order,
        #[serde(default)]
        filter: Filter,
    },
    /// Lets an address or a network relay for a while. Answered with its `RelayGrant`.
    RelayAllow { network: String, seconds: u64 },
    /// Answered with a list of `RelayGrant`.
    RelayList,
    /// Answered with the network.
    RelayRevoke { network: String },
    /// Lines of sessions that concern somebody, as they are said: `TraceLine` after `TraceLine` until the connection is closed. Nothing else can be
    /// asked over it then.
    Trace { subject: String },
    /// Begins anew as the same process, when it could. Answered with the old `ServerStatus`, before it happens.
    Restart,
    /// A `Reloaded`; a configuration with faults is an error that lists them.
    Reload,
}

/// What is to happen to entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// What waits is due now.
    Retry,
    /// What waits is held.
    Hold,
    /// What is held is due now.
    Release,
    /// What waits or is held is taken out, without a report.
    Remove,
}
