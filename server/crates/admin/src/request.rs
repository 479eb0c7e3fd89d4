//! What may be asked.

use model::QueueId;
use serde::{Deserialize, Serialize};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the server is: answered with a `ServerStatus`.
    Status,
    /// Plugins, refused files: a `plugin_host::Status`.
    PluginList,
    /// A `Page` of the queue, from behind `after` on.
    QueueList {
        #[serde(default)]
        after: Option<QueueId>,
        #[serde(default)]
        state: Option<StateFilter>,
        /// Only entries with a recipient of this domain that is not done.
        #[serde(default)]
        domain: Option<String>,
    },
    /// An `EntryView`.
    QueueShow {
        id: QueueId,
    },
    /// Answered with an `Applied`, as the three below.
    QueueRetry {
        id: QueueId,
    },
    QueueHold {
        id: QueueId,
    },
    QueueRelease {
        id: QueueId,
    },
    QueueRemove {
        id: QueueId,
    },
    /// Answered with the number of entries.
    QueueRetryAll,
    /// Answered with the number of entries.
    QueueRetryDomain {
        domain: String,
    },
    /// Lets an address or a network relay for a while. Answered with its `RelayGrant`.
    RelayAllow {
        network: String,
        seconds: u64,
    },
    /// Answered with a list of `RelayGrant`.
    RelayList,
    /// Answered with the network.
    RelayRevoke {
        network: String,
    },
    /// A `Reloaded`; a configuration with faults is an error that lists them.
    Reload,
}

/// Which entries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateFilter {
    /// With a recipient that waits for an attempt.
    Waiting,
    /// With a recipient that is held.
    Held,
}
