//! The host: what `inbound` asks, what the admin interfaces look at, what a reload changes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use hooks::{Hooks, SessionHooks};
use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::history::History;
use crate::hourly::Hourly;
use crate::loader::Loader;
use crate::metrics::Registry;
use crate::places::Places;
use crate::plugin::PluginSet;
use crate::session::PluginSession;
use crate::state::State;
use crate::ticker::Ticker;
use crate::{
    DisabledPlugin, Inspection, LoadError, LoadReport, Missing, Options, PluginOptions, Refusal, Series,
    Services, Status, Watch,
};
use crate::{component, engine, limits::Limits, status};

/// Octets of memory that an instance could be given by a later change of its options.
const MEMORY_CEILING_OCTETS: u64 = 1 << 30;

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error("no thread for the plugins' clock: {0}")]
    Thread(#[from] std::io::Error),
    #[error("plugins need a running tokio runtime")]
    NoRuntime,
}

/// What sessions, instances and the loader share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) services: Services,
    pub(crate) metrics: Registry,
    pub(crate) submissions: Hourly,
    /// A place for each instance that may be alive.
    pub(crate) places: Arc<Places>,
    /// Instances alive now, those between two uses included.
    pub(crate) alive: AtomicU64,
    /// The most memory that the engine's slots can hold, in octets.
    pub(crate) memory_ceiling: u64,
    pub(crate) room: engine::Room,
    /// Where the guests' monotonic clock begins.
    pub(crate) started: Instant,
    pub(crate) set: ArcSwap<PluginSet>,
    pub(crate) refused: Mutex<BTreeMap<String, String>>,
    pub(crate) history: History,
}

impl Shared {
    pub(crate) fn new(options: &Options, services: Services) -> Result<Self, OpenError> {
        let limits = &options.limits;
        let fail = |error: wasmtime::Error| OpenError::Engine(format!("{error:#}"));
        let memory_ceiling = limits.memory_octets.max(MEMORY_CEILING_OCTETS);
        let engine::Started { engine, room } = engine::start(limits, memory_ceiling).map_err(fail)?;
        Ok(Self {
            linker: engine::linker(&engine).map_err(fail)?,
            ticker: Arc::new(Ticker::start(&engine)?),
            engine,
            services,
            metrics: Registry::default(),
            submissions: Hourly::default(),
            places: Places::new(limits.instances.max(1)),
            alive: AtomicU64::new(0),
            memory_ceiling,
            room,
            started: clock::now(),
            set: ArcSwap::default(),
            refused: Mutex::default(),
            history: History::new(&options.history_dir, options.kept_generations),
        })
    }
}

impl Shared {
    pub(crate) fn alive(&self) -> u64 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Drops an instance that only waits for its next use. Says whether there was one.
    pub(crate) fn evict_idle(&self) -> bool {
        self.set.load().plugins.iter().any(|plugin| plugin.idle.evict())
    }
}

/// Runs the plugins of a directory, or a single one. A clone is the same host.
#[derive(Clone)]
pub struct PluginHost {
    pub(crate) shared: Arc<Shared>,
    loader: Arc<Loader>,
}

impl PluginHost {
    /// Starts a host without plugins; [`Self::load_all`] loads them. Needs a tokio runtime with a timer,
    /// which the plugins' init runs on.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(options: Options, services: Services) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let shared = Arc::new(Shared::new(&options, services)?);
        let loader = Loader::new(shared.clone(), options, runtime);
        let loader = Arc::new(loader.map_err(|error| OpenError::Engine(error.to_string()))?);
        Ok(Self { shared, loader })
    }

    /// A host with one plugin from one file, for `plugin test`; no directory, no watcher, and no cache of
    /// what was compiled.
    ///
    /// # Errors
    /// [`OpenError`]; the inner result says why the file is no plugin.
    pub async fn of_file(
        file: &Path,
        name: &str,
        options: PluginOptions,
        limits: Limits,
        services: Services,
    ) -> Result<Result<Self, LoadError>, OpenError> {
        let plugins = [(name.to_owned(), options)].into();
        let host = Self::open(Options { plugins, limits, ..Options::default() }, services)?;
        let (loader, file, name) = (host.loader.clone(), file.to_owned(), name.to_owned());
        let loading = tokio::task::spawn_blocking(move || loader.load_file(&name, &file));
        Ok(loading.await.unwrap_or_else(|error| Err(LoadError::InitFailed(error.to_string()))).map(|()| host))
    }

    /// Looks at every file of the directory and loads what is new or changed, without waiting for quiet. Says
    /// how each file fared, and which plugins of `order` have no file.
    ///
    /// Dropping the future does not stop the loading.
    pub async fn load_all(&self) -> Vec<LoadReport> {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || loader.load_all()).await.unwrap_or_default()
    }

    /// Takes over other options: order, grants, settings and limits for the sessions that begin from now on,
    /// then what [`Self::load_all`] does. A plugin whose init refuses its new settings keeps its old ones.
    ///
    /// The number of instances and the size of tables stay as the host was opened with.
    pub async fn replace_options(&self, options: Options) -> Vec<LoadReport> {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || loader.replace_options(options)).await.unwrap_or_default()
    }

    /// Reads files again, all of them or one plugin's, and makes a new generation of each even if nothing has changed: its init is asked
    /// again, its circuit breaker is closed, and reused instances end.
    pub async fn reload(&self, name: Option<String>) -> Vec<LoadReport> {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || loader.reload(name.as_deref())).await.unwrap_or_default()
    }

    /// Runs what ran before in place of a plugin's file, until the content of that file changes: the content of a generation or with
    /// a hash (eight digits suffice), or the one before. Says the new generation.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub async fn roll_back(&self, name: String, to: Option<String>) -> Result<u64, String> {
        let loader = self.loader.clone();
        let rolling = tokio::task::spawn_blocking(move || loader.roll_back(&name, to.as_deref()));
        rolling.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Leaves a plugin alone for the sessions and deliveries that begin from now on, also after a restart, until [`Self::enable`]. It is
    /// not missed, even if it is required: somebody has said so.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub async fn disable(&self, name: String) -> Result<DisabledPlugin, String> {
        let loader = self.loader.clone();
        let disabling = tokio::task::spawn_blocking(move || loader.disable(&name));
        disabling.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Takes [`Self::disable`] back, and says how its file fared; nothing happens to one that runs.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub async fn enable(&self, name: String) -> Result<LoadReport, String> {
        let loader = self.loader.clone();
        let enabling = tokio::task::spawn_blocking(move || loader.enable(&name));
        enabling.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Watches the directory until the returned value is dropped.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn watch(&self) -> std::io::Result<Watch> {
        Watch::start(&self.loader)
    }

    /// What is loaded and how it fares.
    pub fn status(&self) -> Status {
        let set = self.shared.set.load();
        let plugins =
            set.plugins.iter().map(|plugin| status::of(plugin, self.shared.history.of(&plugin.name)));
        let missing = set.absent.iter().map(|absent| Missing {
            name: absent.name.to_string(),
            reason: absent.reason.clone(),
            on_failure: absent.on_failure,
        });
        // Before the lock on what was refused, which the loader takes while it holds its own.
        let disabled = self.loader.disabled();
        let refused = self.shared.refused.lock();
        let refusal =
            |(name, reason): (&String, &String)| Refusal { name: name.clone(), reason: reason.clone() };
        Status {
            plugins: plugins.collect(),
            missing: missing.collect(),
            disabled,
            refused: refused.iter().map(refusal).collect(),
            instances: self.shared.alive(),
            instances_limit: u64::from(self.shared.places.limit()),
            pooled: self.shared.room == engine::Room::Pool,
        }
    }

    /// What the plugins have counted and observed.
    pub fn metrics(&self) -> Vec<Series> {
        self.shared.metrics.snapshot()
    }

    /// Reads a component's hooks and imports without compiling it. Says of any component what it is, also of
    /// one that would not be loaded.
    ///
    /// # Errors
    /// [`LoadError`] when the file is no component.
    pub fn inspect(file: &Path) -> Result<Inspection, LoadError> {
        component::inspect_file(file, &Limits::default())
    }
}

impl Hooks for PluginHost {
    fn begin(&self) -> Box<dyn SessionHooks> {
        Box::new(PluginSession::new(self.shared.clone(), self.shared.set.load_full()))
    }
}

impl fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.set.load();
        f.debug_list().entries(names.plugins.iter().map(|plugin| &plugin.name)).finish()
    }
}
