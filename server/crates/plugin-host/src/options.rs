//! What the server's configuration says of plugins, and what the server lends them.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use hooks::{Networks, OnFailure};
use model::Timestamp;
use serde::{Serialize, Serializer};

use crate::{HttpHost, LimitOverrides, Limits};

/// All that a host needs to know.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the `NAME.wasm` files lie. It need not exist yet.
    pub dir: PathBuf,
    /// Where compiled plugins are kept; made with mode 0700. Nobody but the server may write there.
    pub cache_dir: PathBuf,
    /// The plugins that are asked first, in this order; the others follow by name.
    pub order: Vec<String>,
    /// What is said of single plugins, by name. A plugin that is not named has the defaults and no grant.
    pub plugins: HashMap<String, PluginOptions>,
    pub limits: Limits,
}

/// What the configuration says of one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginOptions {
    /// False: the file is left alone.
    pub enabled: bool,
    pub on_failure: OnFailure,
    pub isolation: Isolation,
    pub grants: Grants,
    /// What the plugin's `config` interface answers from: an object, or null.
    pub settings: serde_json::Value,
    pub limits: LimitOverrides,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            on_failure: OnFailure::default(),
            isolation: Isolation::default(),
            grants: Grants::default(),
            settings: serde_json::Value::Null,
            limits: LimitOverrides::default(),
        }
    }
}

/// The services that a plugin may use beyond its own session; a call of another one answers `denied`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    pub kv: bool,
    pub dns: bool,
    /// Hosts that may be asked over HTTP.
    pub http: Vec<HttpHost>,
    /// Networks of this site that those hosts may be in. An address in `http` stands for itself and needs none.
    #[serde(serialize_with = "networks")]
    pub http_private: Networks,
}

fn networks<S: Serializer>(networks: &Networks, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(&networks.0)
}

/// How long an instance lives, and so what a guest's variables may carry from one mail to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind")]
pub enum Isolation {
    /// An instance for each session: nothing of a session is seen by another.
    #[default]
    Session,
    /// An instance for each transaction, from MAIL to the end of data: nothing of a message is seen by another. Each hook outside of
    /// a transaction has an instance of its own.
    Transaction,
    /// An instance serves many sessions, one after the other. What a guest keeps of one session, by intent or by mistake, the next one
    /// sees; for guests whose instances are dear and whose code is trusted.
    Reuse {
        /// Sessions that one instance serves.
        max_uses: NonZeroU32,
        /// Instances that wait for their next session.
        max_idle: u32,
    },
}

impl Isolation {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Reuse { .. } => "reuse",
        }
    }
}

/// A wall clock; tests and `plugin test` bring their own.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the server lends its plugins. A service that is missing is denied to all of them.
#[derive(Clone)]
pub struct Services {
    pub kv: Option<Arc<dyn hooks::KeyValue>>,
    pub dns: Option<Arc<dyn dns::Resolver>>,
    pub http: Option<Arc<dyn hooks::HttpClient>>,
    pub wall_clock: WallClock,
}

impl Default for Services {
    fn default() -> Self {
        Self { kv: None, dns: None, http: None, wall_clock: Arc::new(clock::wall) }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("kv", &self.kv)
            .field("dns", &self.dns)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}
