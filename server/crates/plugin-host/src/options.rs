//! What the server's configuration says of plugins, and what the server lends them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use hooks::{FilterAddress, Networks, OnFailure};
use model::Timestamp;
use serde::{Serialize, Serializer};

use crate::{HttpHost, LimitOverrides, Limits, Pin, Signer};

/// All that a host needs to know.
#[derive(Debug, Clone)]
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
    /// Whose signature every plugin must have; nobody's: none is asked for.
    pub signers: Vec<Signer>,
    /// Threads that compile plugins.
    pub compile_threads: u32,
    /// Where what ran before is kept; made with mode 0700. Nobody but the server may write there.
    pub history_dir: PathBuf,
    /// Contents that are kept of each plugin, the running one included.
    pub kept_generations: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            cache_dir: PathBuf::new(),
            order: Vec::new(),
            plugins: HashMap::new(),
            limits: Limits::default(),
            signers: Vec::new(),
            compile_threads: 2,
            history_dir: PathBuf::new(),
            kept_generations: 4,
        }
    }
}

impl Options {
    /// What is said of a plugin, or the defaults.
    pub(crate) fn of(&self, name: &str) -> PluginOptions {
        self.plugins.get(name).cloned().unwrap_or_default()
    }

    /// Whether the configuration lets a plugin run.
    pub(crate) fn enables(&self, name: &str) -> bool {
        self.plugins.get(name).is_none_or(|options| options.enabled)
    }

    /// The plugins without which mail is not taken as if nothing were amiss.
    pub(crate) fn required(&self) -> BTreeSet<&str> {
        let named = self.plugins.iter().filter(|(_, options)| options.required && options.enabled);
        let ordered = self.order.iter().filter(|name| !self.plugins.contains_key(*name));
        named.map(|(name, _)| name.as_str()).chain(ordered.map(String::as_str)).collect()
    }
}

/// What the configuration says of one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginOptions {
    /// False: the file is left alone, and so it is while an operator says so (`PluginHost::disable`).
    pub enabled: bool,
    /// While it is not loaded its failure policy answers for it. So does it for a plugin that `order` names and nobody else.
    pub required: bool,
    /// The one file that may run under this name.
    pub pin: Option<Pin>,
    /// Whose signature its file must have, instead of those of [`Options::signers`].
    pub signers: Vec<Signer>,
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
            required: true,
            pin: None,
            signers: Vec::new(),
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
#[serde(rename_all = "kebab-case")]
pub struct Grants {
    pub kv: bool,
    pub dns: bool,
    /// Hosts that may be asked over HTTP.
    pub http: Vec<HttpHost>,
    /// Networks of this site that those hosts may be in. An address in `http` stands for itself and needs none.
    #[serde(serialize_with = "networks")]
    pub http_private: Networks,
    /// The clamd that looks at messages for it.
    pub clamd: Option<FilterAddress>,
    /// It may submit mail of its own.
    pub submit: bool,
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
    pub scanner: Option<Arc<dyn hooks::Scanner>>,
    pub submitter: Option<Arc<dyn hooks::Submitter>>,
    pub wall_clock: WallClock,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            kv: None,
            dns: None,
            http: None,
            scanner: None,
            submitter: None,
            wall_clock: Arc::new(clock::wall),
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("kv", &self.kv)
            .field("dns", &self.dns)
            .field("http", &self.http)
            .field("scanner", &self.scanner)
            .field("submitter", &self.submitter)
            .finish_non_exhaustive()
    }
}
