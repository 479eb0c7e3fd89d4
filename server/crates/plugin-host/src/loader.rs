//! Loads plugins from files and swaps the set that new sessions begin with.
//!
//! One file is loaded at a time, on a thread that may block. A file that cannot be a plugin is refused with
//! its reason and the generation before it keeps running; a file that is gone is unloaded.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hooks::Breaker;
use tokio::runtime::Handle;

use crate::cache::Cache;
use crate::call::Budgeted;
use crate::component::{self, Compiled};
use crate::failure::{Failure, LoadError};
use crate::host::Shared;
use crate::idle::Idle;
use crate::instance::Live;
use crate::plugin::{Plugin, PluginSet};
use crate::state::Notes;
use crate::status::Stats;
use crate::ticker::CpuMeter;
use crate::{Options, PluginOptions};

/// Octets of a plugin's name.
const MAX_NAME_OCTETS: usize = 64;

/// How one file fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    pub name: String,
    /// None when `order` names a plugin that has no file.
    pub file: Option<PathBuf>,
    /// The generation that runs from now on, or why the file was refused.
    pub outcome: Result<u64, LoadError>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

pub(crate) struct Loader {
    shared: Arc<Shared>,
    options: Options,
    runtime: Handle,
    cache: Option<Cache>,
    loaded: BTreeMap<String, Arc<Plugin>>,
    /// The files as they were when they were last loaded or refused.
    seen: HashMap<String, Fingerprint>,
    generations: HashMap<String, u64>,
    stats: HashMap<String, Arc<Stats>>,
    /// The last look at the directory failed.
    is_unreadable: bool,
}

impl Loader {
    pub(crate) fn new(shared: Arc<Shared>, options: Options, runtime: Handle) -> Self {
        let cache = open_cache(&options.cache_dir);
        Self {
            shared,
            options,
            runtime,
            cache,
            loaded: BTreeMap::new(),
            seen: HashMap::new(),
            generations: HashMap::new(),
            stats: HashMap::new(),
            is_unreadable: false,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The directory's files. When it cannot be read nothing is known of them: what runs goes on, for a filter that is gone
    /// because file descriptors were short would let everything through.
    pub(crate) fn scan(&mut self) -> Result<BTreeMap<String, Fingerprint>, LoadReport> {
        let dir = &self.options.dir;
        let outcome = scan(dir);
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, outcome.is_err());
        outcome.map_err(|error| {
            if !was_unreadable {
                tracing::error!(dir = %dir.display(), %error, "the plugins' directory cannot be read; the plugins stay as they are");
            }
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let outcome = Err(LoadError::Read(error.to_string()));
            LoadReport { name, file: Some(dir.clone()), outcome }
        })
    }

    /// Loads every file that is not as it was seen last, and unloads what has no file any more.
    pub(crate) fn load_all(&mut self) -> Vec<LoadReport> {
        let found = match self.scan() {
            Ok(found) => found,
            Err(report) => return vec![report],
        };
        self.forget_missing(&found);
        let mut reports: Vec<LoadReport> = Vec::new();
        for (name, fingerprint) in &found {
            if !self.knows(name, *fingerprint) {
                reports.extend(self.load(name, *fingerprint));
            }
        }
        for name in &self.options.order {
            if !found.contains_key(name) && self.options_of(name).enabled {
                tracing::warn!(plugin = %name, dir = %self.options.dir.display(), "the order names a plugin that has no file");
                let missing =
                    LoadError::Read(format!("there is no {name}.wasm in {}", self.options.dir.display()));
                reports.push(LoadReport { name: name.clone(), file: None, outcome: Err(missing) });
            }
        }
        reports
    }

    /// Takes over other options, for every plugin that they change.
    pub(crate) fn replace_options(&mut self, options: Options) -> Vec<LoadReport> {
        if options.cache_dir != self.options.cache_dir {
            self.cache = open_cache(&options.cache_dir);
        }
        if options.dir != self.options.dir {
            self.seen.clear();
        }
        self.options = options;
        // What was refused or disabled before gets another try.
        self.seen.retain(|name, _| self.loaded.contains_key(name));
        let mut reports = Vec::new();
        let running: Vec<Arc<Plugin>> = self.loaded.values().cloned().collect();
        for plugin in running {
            let wanted = self.options_of(&plugin.name);
            if !wanted.enabled {
                self.unload(&plugin.name);
            } else if wanted != plugin.options || self.options.limits.with(&wanted.limits) != plugin.limits {
                let outcome = self.install(&plugin.name, plugin.compiled.clone());
                let name = plugin.name.to_string();
                self.note(&name, &outcome);
                let file = Some(self.path(&name));
                reports.push(LoadReport { name, file, outcome });
            }
        }
        self.publish();
        reports.extend(self.load_all());
        reports
    }

    /// Loads a file of any place as the plugin `name`.
    pub(crate) fn load_file(&mut self, name: &str, file: &Path) -> Result<(), LoadError> {
        let compiled = self.compile(file)?;
        self.install(name, compiled)?;
        self.publish();
        Ok(())
    }

    /// Whether the file was loaded or refused as it is.
    pub(crate) fn knows(&self, name: &str, fingerprint: Fingerprint) -> bool {
        self.seen.get(name) == Some(&fingerprint)
    }

    /// Unloads the plugins whose files are gone.
    pub(crate) fn forget_missing(&mut self, found: &BTreeMap<String, Fingerprint>) {
        let known = self.seen.keys().chain(self.loaded.keys());
        let gone: Vec<String> = known.filter(|name| !found.contains_key(*name)).cloned().collect();
        for name in gone {
            self.seen.remove(&name);
            self.unload(&name);
        }
        self.shared.refused.lock().retain(|name, _| found.contains_key(name));
    }

    /// Loads one file of the directory; nothing for a plugin that the configuration disables.
    pub(crate) fn load(&mut self, name: &str, fingerprint: Fingerprint) -> Option<LoadReport> {
        self.seen.insert(name.to_owned(), fingerprint);
        if !self.options_of(name).enabled {
            return None;
        }
        let path = self.path(name);
        let outcome = check_name(name).and_then(|()| self.compile(&path)).and_then(|compiled| {
            let running = self.loaded.get(name);
            match running.filter(|plugin| plugin.compiled.inspection.hash == compiled.inspection.hash) {
                Some(same) => Ok(same.generation),
                None => self.install(name, compiled),
            }
        });
        self.publish();
        self.note(name, &outcome);
        Some(LoadReport { name: name.to_owned(), file: Some(path), outcome })
    }

    fn note(&self, name: &str, outcome: &Result<u64, LoadError>) {
        match outcome {
            Ok(generation) => {
                self.shared.refused.lock().remove(name);
                let Some(plugin) = self.loaded.get(name) else { return };
                let inspection = &plugin.compiled.inspection;
                let (hooks, hash) = (inspection.hooks.join(" "), &inspection.hash[..16]);
                tracing::info!(plugin = name, generation, hash, hooks, "plugin loaded");
            }
            Err(error) => {
                self.shared.refused.lock().insert(name.to_owned(), error.to_string());
                let keeps = self.loaded.get(name).map_or(0, |plugin| plugin.generation);
                tracing::error!(plugin = name, running_generation = keeps, reason = %error, "plugin refused");
            }
        }
    }

    fn compile(&self, file: &Path) -> Result<Arc<Compiled>, LoadError> {
        let bytes = component::read(file, self.options.limits.component_octets)?;
        component::compile(&self.shared.engine, &self.shared.linker, self.cache.as_ref(), &bytes)
    }

    /// Configures a component, tries an instance of it, runs its init, and makes it the plugin of this name.
    fn install(&mut self, name: &str, compiled: Arc<Compiled>) -> Result<u64, LoadError> {
        let options = self.options_of(name);
        let limits = self.options.limits.with(&options.limits);
        let ceiling = self.shared.memory_ceiling;
        if limits.memory_octets > ceiling {
            return Err(LoadError::MemoryCeiling { limit: limits.memory_octets, ceiling });
        }
        let generation = self.generations.get(name).copied().unwrap_or(0) + 1;
        let plugin = Arc::new(Plugin {
            name: name.into(),
            generation,
            compiled,
            options,
            limits,
            breaker: Breaker::default(),
            idle: Idle::default(),
            stats: self.stats.entry(name.to_owned()).or_default().clone(),
        });
        self.runtime.block_on(try_out(&self.shared, &plugin))?;
        self.generations.insert(name.to_owned(), generation);
        if let Some(old) = self.loaded.insert(name.to_owned(), plugin) {
            old.idle.retire();
        }
        Ok(generation)
    }

    fn unload(&mut self, name: &str) {
        if let Some(plugin) = self.loaded.remove(name) {
            plugin.idle.retire();
            tracing::info!(plugin = name, generation = plugin.generation, "plugin unloaded");
            self.publish();
        }
    }

    fn publish(&self) {
        let plugins = self.loaded.values().cloned().collect();
        self.shared.set.store(Arc::new(PluginSet::new(plugins, &self.options.order)));
    }

    fn options_of(&self, name: &str) -> PluginOptions {
        self.options.plugins.get(name).cloned().unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.dir.join(format!("{name}.wasm"))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for plugin in self.loaded.values() {
            plugin.idle.retire();
        }
    }
}

/// The plugins' files: names without `.wasm`. What begins with a dot is somebody's unfinished work; a directory that is not
/// there has none.
fn scan(dir: &Path) -> io::Result<BTreeMap<String, Fingerprint>> {
    let mut found = BTreeMap::new();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(".wasm")) else { continue };
        if name.is_empty() || name.starts_with('.') {
            continue;
        }
        if let Some(fingerprint) = Fingerprint::of(&entry.path()) {
            found.insert(name.to_owned(), fingerprint);
        }
    }
    Ok(found)
}

impl Fingerprint {
    /// Nothing when there is no file. A symbolic link counts as what it points to.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        match std::fs::metadata(path) {
            Ok(metadata) => {
                let (len, modified, inode) = (metadata.len(), metadata.modified().ok(), metadata.ino());
                metadata.is_file().then_some(Self { len, modified, inode })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // There is something; why it cannot be read is said when it is loaded.
            Err(_) => Some(Self { len: 0, modified: None, inode: 0 }),
        }
    }
}

fn check_name(name: &str) -> Result<(), LoadError> {
    let fits = name.len() <= MAX_NAME_OCTETS
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits { Ok(()) } else { Err(LoadError::Name) }
}

fn open_cache(dir: &Path) -> Option<Cache> {
    if dir.as_os_str().is_empty() {
        return None;
    }
    let warn = |error: &io::Error| {
        tracing::warn!(dir = %dir.display(), %error, "compiled plugins are not kept: the directory cannot be used");
    };
    Cache::open(dir).inspect_err(warn).ok()
}

/// Makes an instance, compares the types of its hooks, and runs its init.
async fn try_out(shared: &Arc<Shared>, plugin: &Arc<Plugin>) -> Result<(), LoadError> {
    let (cpu, wall) = (plugin.limits.cpu_for_init, plugin.limits.wall_for_init);
    let meter = Arc::new(CpuMeter::new(shared.ticker.clone()));
    meter.begin(cpu);
    let waiting = Default::default();
    let mut tenancy = shared.places.tenancy(1);
    let trying = async {
        tenancy.take().await;
        let mut live = Live::make(plugin, shared, &Notes::default(), &meter, &waiting).await?;
        if let Err(error) = live.check_types() {
            return Ok(Err(LoadError::Export(format!("{error:#}"))));
        }
        live.store.data_mut().hook = "init";
        let outcome = live.init().await;
        let state = live.store.data_mut();
        state.end_hook();
        let memory = state.memory.refused.then_some(plugin.limits.memory_octets);
        Ok(match outcome {
            Ok(outcome) => outcome.map_err(LoadError::Init),
            Err(error) => Err(LoadError::InitFailed(Failure::from_guest(&error, cpu, memory).to_string())),
        })
    };
    match Budgeted::new(trying, &meter, shared.ticker.awake(), clock::now(), wall).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            let failure: wasmtime::Error = error;
            Err(LoadError::InitFailed(Failure::from_guest(&failure, cpu, None).to_string()))
        }
        Err(_) => Err(LoadError::InitFailed(Failure::Wall(wall).to_string())),
    }
}
