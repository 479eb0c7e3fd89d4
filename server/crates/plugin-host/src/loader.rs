//! Loads plugins from files and swaps the set that new sessions begin with.
//!
//! A file that cannot be a plugin is refused with its reason and the generation before it keeps running; at a start, the content that
//! ran last does. A file that is gone is unloaded. What is required and does not run is answered for by its failure policy.
//!
//! Reading, compiling and init happen outside of the lock, on threads that may block: a plugin that takes long to load holds up no other,
//! and no reload. What was loaded counts only if its file and its options are still the ones that it was loaded with.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::cache::Cache;
use crate::component::{self, Compiled, hash};
use crate::failure::LoadError;
use crate::folder::{self, Fingerprint, Octets, check_name};
use crate::history::RolledBack;
use crate::host::Shared;
use crate::pin;
use crate::plugin::{Absent, Plugin, PluginSet};
use crate::status::Stats;
use crate::trial::try_out;
use crate::{Limits, Options, Pin, PluginOptions, Signer};

/// Files that are loaded at once: while one compiles, others that are in the cache get through.
pub(crate) const LOADS_AT_ONCE: usize = 4;
/// After how long a file that could not be read, or whose init failed, gets another try; the pause doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How one file fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    pub name: String,
    /// None when a plugin is required that has no file.
    pub file: Option<PathBuf>,
    /// The generation that runs from now on, or why the file was refused.
    pub outcome: Result<u64, LoadError>,
}

pub(crate) struct Loader {
    shared: Arc<Shared>,
    runtime: Handle,
    threads: rayon::ThreadPool,
    state: Mutex<State>,
}

struct State {
    options: Arc<Options>,
    cache: Option<Arc<Cache>>,
    loaded: BTreeMap<String, Arc<Plugin>>,
    /// The files as they were when they were last loaded or refused, or began to be.
    seen: HashMap<String, Seen>,
    stats: HashMap<String, Arc<Stats>>,
    /// The last look at the directory failed.
    is_unreadable: bool,
}

struct Seen {
    fingerprint: Fingerprint,
    /// It is being loaded; who does that will notice what changes meanwhile.
    is_under_way: bool,
    /// When it gets another try, and the pause before.
    retry: Option<(Instant, Duration)>,
}

/// Why a content is loaded.
#[derive(Clone, Copy)]
struct Wish {
    /// The file as it was seen; a content that the file is not concerned with has none.
    fingerprint: Option<Fingerprint>,
    /// The same content as the running one makes a new generation too.
    anew: bool,
}

impl Loader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        options: Options,
        runtime: Handle,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(options.compile_threads.max(1) as usize)
            .thread_name(|nth| format!("plugin-compile-{nth}"))
            .start_handler(|_| give_way())
            .build()?;
        let state = State {
            cache: open_cache(&options.cache_dir),
            options: Arc::new(options),
            loaded: BTreeMap::new(),
            seen: HashMap::new(),
            stats: HashMap::new(),
            is_unreadable: false,
        };
        let loader = Self { shared, runtime, threads, state: Mutex::new(state) };
        loader.publish();
        Ok(loader)
    }

    pub(crate) fn options(&self) -> Arc<Options> {
        self.state.lock().options.clone()
    }

    /// The directory's files. When it cannot be read nothing is known of them: what runs goes on, for a filter that is gone
    /// because file descriptors were short would let everything through.
    pub(crate) fn scan(&self) -> Result<BTreeMap<String, Fingerprint>, LoadReport> {
        let dir = self.options().dir.clone();
        let outcome = folder::scan(&dir);
        let was_unreadable = std::mem::replace(&mut self.state.lock().is_unreadable, outcome.is_err());
        outcome.map_err(|error| {
            if !was_unreadable {
                tracing::error!(dir = %dir.display(), %error, "the plugins' directory cannot be read; the plugins stay as they are");
            }
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let outcome = Err(LoadError::Read(error.to_string()));
            LoadReport { name, file: Some(dir), outcome }
        })
    }

    /// Loads every file that is not as it was seen last, and unloads what has no file any more.
    pub(crate) fn load_all(&self) -> Vec<LoadReport> {
        let found = match self.scan() {
            Ok(found) => found,
            Err(report) => return vec![report],
        };
        self.forget_missing(&found);
        let changed: Vec<_> =
            found.into_iter().filter(|(name, fingerprint)| !self.knows(name, *fingerprint)).collect();
        let mut reports = self.load_many(changed, false);
        self.publish();
        reports.extend(self.missing());
        reports
    }

    /// Loads some files, a few at a time; the reports are in the order of the files.
    fn load_many(&self, files: Vec<(String, Fingerprint)>, anew: bool) -> Vec<LoadReport> {
        let (next, reports) = (Mutex::new(files.into_iter().enumerate()), Mutex::new(BTreeMap::new()));
        let work = || {
            loop {
                let Some((nth, (name, fingerprint))) = next.lock().next() else { return };
                if let Some(report) = self.load(&name, fingerprint, anew) {
                    reports.lock().insert(nth, report);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..LOADS_AT_ONCE.min(next.lock().len().max(1)) {
                // Without another thread this one does it all.
                let _ = std::thread::Builder::new().name("plugin-loader".into()).spawn_scoped(scope, work);
            }
            work();
        });
        reports.into_inner().into_values().collect()
    }

    /// Takes over other options, for every plugin that they change.
    pub(crate) fn replace_options(&self, options: Options) -> Vec<LoadReport> {
        let running: Vec<Arc<Plugin>> = {
            let mut state = self.state.lock();
            if options.cache_dir != state.options.cache_dir {
                state.cache = open_cache(&options.cache_dir);
            }
            if options.dir != state.options.dir {
                state.seen.clear();
            }
            state.options = Arc::new(options);
            // What was refused or disabled before gets another try, and so does what must be signed by others now.
            let refused = self.shared.refused.lock();
            let State { seen, loaded, options, .. } = &mut *state;
            seen.retain(|name, seen| {
                let is_as_demanded =
                    loaded.get(name).is_some_and(|plugin| plugin.demands == Demands::of(options, name));
                seen.is_under_way || (is_as_demanded && !refused.contains_key(name))
            });
            loaded.values().cloned().collect()
        };
        let mut reports = Vec::new();
        for plugin in running {
            let options = self.options();
            let wanted = options.of(&plugin.name);
            if !wanted.enabled {
                self.unload(&plugin.name);
            } else if wanted != plugin.options || options.limits.with(&wanted.limits) != plugin.limits {
                let outcome = match plugin.demands == Demands::of(&options, &plugin.name) {
                    true => self.install(
                        &plugin.name,
                        plugin.compiled.clone(),
                        plugin.demands.clone(),
                        None,
                        None,
                    ),
                    // The file is read again below, and shows whether it fulfils them.
                    false => continue,
                };
                let name = plugin.name.to_string();
                self.note(&name, &outcome);
                reports.push(LoadReport { file: Some(file_of(&options.dir, &name)), name, outcome });
            }
        }
        self.publish();
        reports.extend(self.load_all());
        reports
    }

    /// Reads files again, all of them or a plugin's, and makes a new generation of each even if nothing has changed.
    pub(crate) fn reload(&self, name: Option<&str>) -> Vec<LoadReport> {
        let mut found = match self.scan() {
            Ok(found) => found,
            Err(report) => return vec![report],
        };
        self.forget_missing(&found);
        if let Some(name) = name {
            found.retain(|other, _| other == name);
            if found.is_empty() {
                let missing = LoadError::Missing { name: name.to_owned(), dir: self.options().dir.clone() };
                return vec![LoadReport { name: name.to_owned(), file: None, outcome: Err(missing) }];
            }
        }
        let mut reports = self.load_many(found.into_iter().collect(), true);
        if name.is_none() {
            reports.extend(self.missing());
        }
        reports
    }

    /// Runs a content that ran before in place of the file, for as long as the file stays what it is; also after a restart.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub(crate) fn roll_back(&self, name: &str, wanted: Option<&str>) -> Result<u64, String> {
        let (options, history) = (self.options(), &self.shared.history);
        let (index, limit) = (history.of(name), options.limits.component_octets);
        let running =
            self.state.lock().loaded.get(name).map(|plugin| plugin.compiled.inspection.hash.clone());
        let file = folder::read(&options.dir, name, limit).map_err(|error| format!("{name}: {error}"))?;
        let file = hash(&file.wasm);
        let kept = index.find(wanted, running.as_deref().or(Some(&file))).ok_or_else(|| {
            let kept = index.kept.iter().map(|kept| format!("{} ({:.16})", kept.last_generation, kept.hash));
            let kept = kept.collect::<Vec<_>>().join(", ");
            format!(
                "{name}: nothing like that is kept; what is: {}",
                if kept.is_empty() { "nothing" } else { &kept }
            )
        })?;
        let to = kept.hash.clone();
        let fail = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let octets = history.read(name, &to, limit).map_err(|error| fail(&error))?;
        let demands = Demands::of(&options, name);
        let compiled = self.compile(&octets, &demands).map_err(|error| fail(&error))?;
        let rolled_back = (to != file).then_some(RolledBack { file, to });
        let generation = self.install(name, compiled, demands, None, None).map_err(|error| fail(&error))?;
        self.shared.history.set_rolled_back(name, rolled_back).map_err(|error| fail(&error))?;
        self.publish();
        self.note(name, &Ok(generation));
        Ok(generation)
    }

    /// Loads a file of any place as the plugin `name`.
    pub(crate) fn load_file(&self, name: &str, file: &Path) -> Result<(), LoadError> {
        let wasm = folder::read_file(file, self.options().limits.component_octets)?;
        let demands = Demands::default();
        let compiled = self.compile(&Octets { wasm, signature: None }, &demands)?;
        self.install(name, compiled, demands, None, None)?;
        self.publish();
        Ok(())
    }

    /// Whether the file was loaded or refused as it is, and is not due for another try.
    pub(crate) fn knows(&self, name: &str, fingerprint: Fingerprint) -> bool {
        let state = self.state.lock();
        state.seen.get(name).is_some_and(|seen| {
            seen.fingerprint == fingerprint && seen.retry.is_none_or(|(due, _)| clock::now() < due)
        })
    }

    /// Unloads the plugins whose files are gone.
    pub(crate) fn forget_missing(&self, found: &BTreeMap<String, Fingerprint>) {
        let gone: Vec<String> = {
            let mut state = self.state.lock();
            state.seen.retain(|name, _| found.contains_key(name));
            state.loaded.keys().filter(|name| !found.contains_key(*name)).cloned().collect()
        };
        for name in gone {
            self.unload(&name);
        }
        self.shared.refused.lock().retain(|name, _| found.contains_key(name));
    }

    /// Loads one file of the directory; nothing for a plugin that the configuration disables.
    pub(crate) fn load(&self, name: &str, fingerprint: Fingerprint, anew: bool) -> Option<LoadReport> {
        let options = self.options();
        {
            let mut state = self.state.lock();
            let before = state.seen.remove(name).filter(|seen| seen.fingerprint == fingerprint);
            let retry =
                before.and_then(|seen| seen.retry).map(|(_, pause)| (clock::now() + LONGEST_PAUSE, pause));
            state
                .seen
                .insert(name.to_owned(), Seen { fingerprint, is_under_way: options.of(name).enabled, retry });
        }
        if !options.of(name).enabled {
            return None;
        }
        let wish = Wish { fingerprint: Some(fingerprint), anew };
        let outcome = check_name(name).and_then(|()| self.load_content(name, &options, wish));
        self.settle(name, fingerprint, outcome.as_ref().err());
        if outcome == Err(LoadError::Superseded) {
            return None;
        }
        self.note(name, &outcome);
        self.publish();
        Some(LoadReport { name: name.to_owned(), file: Some(file_of(&options.dir, name)), outcome })
    }

    /// Says whether, and when, the file gets another try.
    fn settle(&self, name: &str, fingerprint: Fingerprint, error: Option<&LoadError>) {
        let mut state = self.state.lock();
        let Some(seen) = state.seen.get_mut(name).filter(|seen| seen.fingerprint == fingerprint) else {
            return;
        };
        seen.is_under_way = false;
        seen.retry = error.filter(|error| error.may_pass()).map(|_| {
            let pause = seen.retry.map_or(FIRST_PAUSE, |(_, pause)| (pause * 2).min(LONGEST_PAUSE));
            (clock::now() + pause, pause)
        });
    }

    fn load_content(&self, name: &str, options: &Options, wish: Wish) -> Result<u64, LoadError> {
        let limit = options.limits.component_octets;
        let demands = Demands::of(options, name);
        let file = folder::read(&options.dir, name, limit)?;
        let history = &self.shared.history;
        let index = history.of(name);
        let rolled_back = index.rolled_back.filter(|rolled_back| rolled_back.file == hash(&file.wasm));
        let octets = match &rolled_back {
            Some(rolled_back) => history.read(name, &rolled_back.to, limit)?,
            None => file,
        };
        let installed = self.compile(&octets, &demands).and_then(|compiled| {
            let running = self.state.lock().loaded.get(name).cloned();
            match running
                .filter(|plugin| !wish.anew && plugin.compiled.inspection.hash == compiled.inspection.hash)
            {
                Some(same) if same.demands == demands && same.options == options.of(name) => {
                    Ok(same.generation)
                }
                _ => self.install(name, compiled, demands.clone(), wish.fingerprint, Some(&octets)),
            }
        });
        match &installed {
            Ok(_) if rolled_back.is_none() => {
                if let Err(error) = history.set_rolled_back(name, None) {
                    tracing::warn!(plugin = name, %error, "what was rolled back cannot be forgotten");
                }
            }
            Err(error) if *error != LoadError::Superseded => {
                self.run_the_last(name, options, &demands, &hash(&octets.wasm))
            }
            _ => {}
        }
        installed
    }

    /// Where nothing runs in place of a file that was refused, what ran last does.
    fn run_the_last(&self, name: &str, options: &Options, demands: &Demands, refused: &str) {
        if self.state.lock().loaded.contains_key(name) {
            return;
        }
        let index = self.shared.history.of(name);
        let Some(last) = index.kept.last().filter(|last| last.hash != refused) else { return };
        let octets = self.shared.history.read(name, &last.hash, options.limits.component_octets);
        let ran = octets
            .and_then(|octets| self.compile(&octets, demands))
            .and_then(|compiled| self.install(name, compiled, demands.clone(), None, None));
        match ran {
            Ok(generation) => {
                let hash = format!("{:.16}", last.hash);
                tracing::warn!(
                    plugin = name,
                    generation,
                    hash,
                    "the file was refused; what ran last runs on"
                );
            }
            Err(error) => tracing::warn!(plugin = name, reason = %error, "what ran last cannot run either"),
        }
    }

    /// Says how a file fared; a refusal that was said before is not said again.
    fn note(&self, name: &str, outcome: &Result<u64, LoadError>) {
        let running = self.state.lock().loaded.get(name).cloned();
        match outcome {
            Ok(generation) => {
                self.shared.refused.lock().remove(name);
                let Some(plugin) = running else { return };
                let inspection = &plugin.compiled.inspection;
                let (hooks, hash) = (inspection.hooks.join(" "), &inspection.hash[..16]);
                tracing::info!(plugin = name, generation, hash, hooks, "plugin loaded");
            }
            Err(error) => {
                let reason = error.to_string();
                let before = self.shared.refused.lock().insert(name.to_owned(), reason.clone());
                if before.as_ref() == Some(&reason) {
                    return tracing::debug!(plugin = name, reason, "plugin refused again");
                }
                let keeps = running.map_or(0, |plugin| plugin.generation);
                tracing::error!(plugin = name, running_generation = keeps, reason, "plugin refused");
            }
        }
    }

    /// Checks and compiles a content, in the threads that are there for it.
    fn compile(&self, octets: &Octets, demands: &Demands) -> Result<Arc<Compiled>, LoadError> {
        let hash = hash(&octets.wasm);
        pin::check(octets, &hash, demands.pin.as_ref(), &demands.signers)?;
        let cache = self.state.lock().cache.clone();
        component::compile(
            &self.shared.engine,
            &self.shared.linker,
            cache.as_deref(),
            &octets.wasm,
            &self.threads,
        )
    }

    /// Configures a component, tries an instance of it, runs its init, and makes it the plugin of this name.
    fn install(
        &self,
        name: &str,
        compiled: Arc<Compiled>,
        demands: Demands,
        fingerprint: Option<Fingerprint>,
        octets: Option<&Octets>,
    ) -> Result<u64, LoadError> {
        let ceiling = self.shared.memory_ceiling;
        loop {
            let (options, limits) = self.options_and_limits(name);
            if limits.memory_octets > ceiling {
                return Err(LoadError::MemoryCeiling { limit: limits.memory_octets, ceiling });
            }
            let generation = self.shared.history.of(name).generation + 1;
            let stats = self.state.lock().stats.entry(name.to_owned()).or_default().clone();
            let plugin =
                Plugin::new(name, generation, compiled.clone(), demands.clone(), (options, limits), stats);
            let plugin = Arc::new(plugin);
            self.runtime.block_on(try_out(&self.shared, &plugin))?;
            let mut state = self.state.lock();
            let is_superseded = fingerprint
                .is_some_and(|ours| state.seen.get(name).is_none_or(|seen| seen.fingerprint != ours));
            if is_superseded || !state.options.of(name).enabled {
                return Err(LoadError::Superseded);
            }
            if fingerprint.is_some() && demands != Demands::of(&state.options, name) {
                state.seen.remove(name);
                return Err(LoadError::Superseded);
            }
            // Its settings changed meanwhile, or another generation came: once more, with what counts now.
            let is_next = self.shared.history.of(name).generation + 1 == generation;
            if !is_next
                || (&plugin.options, &plugin.limits)
                    != (&state.options.of(name), &limits_of(&state.options, name))
            {
                continue;
            }
            let inspection = &compiled.inspection;
            self.shared.history.ran(name, generation, &inspection.hash, &inspection.hooks, octets);
            if let Some(old) = state.loaded.insert(name.to_owned(), plugin) {
                old.idle.retire();
            }
            return Ok(generation);
        }
    }

    fn options_and_limits(&self, name: &str) -> (PluginOptions, Limits) {
        let options = self.options();
        (options.of(name), limits_of(&options, name))
    }

    fn unload(&self, name: &str) {
        let removed = self.state.lock().loaded.remove(name);
        if let Some(plugin) = removed {
            plugin.idle.retire();
            tracing::info!(plugin = name, generation = plugin.generation, "plugin unloaded");
            self.publish();
        }
    }

    /// Swaps the set that sessions begin with.
    fn publish(&self) {
        let state = self.state.lock();
        let plugins = state.loaded.values().cloned().collect();
        let refused = self.shared.refused.lock();
        let absent =
            state.options.required().into_iter().filter(|name| !state.loaded.contains_key(*name)).map(
                |name| {
                    let reason = refused
                        .get(name)
                        .cloned()
                        .unwrap_or_else(|| self.no_file(&state.options, name).to_string());
                    let hooks =
                        self.shared.history.of(name).kept.pop().map(|kept| kept.hooks).unwrap_or_default();
                    Absent::new(name, state.options.of(name).on_failure, &hooks, reason)
                },
            );
        self.shared.set.store(Arc::new(PluginSet::new(plugins, absent.collect(), &state.options.order)));
    }

    /// What is required and has no file.
    fn missing(&self) -> Vec<LoadReport> {
        let state = self.state.lock();
        let refused = self.shared.refused.lock();
        let required = state.options.required().into_iter();
        let missing =
            required.filter(|name| !state.loaded.contains_key(*name) && !refused.contains_key(*name));
        let report = |name: &str| {
            let error = self.no_file(&state.options, name);
            tracing::error!(plugin = name, reason = %error, "a plugin is required and not there; its failure policy answers for it");
            LoadReport { name: name.to_owned(), file: None, outcome: Err(error) }
        };
        missing.map(report).collect()
    }

    fn no_file(&self, options: &Options, name: &str) -> LoadError {
        LoadError::Missing { name: name.to_owned(), dir: options.dir.clone() }
    }
}

/// What a file had to fulfil beside being a plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Demands {
    pin: Option<Pin>,
    signers: Vec<Signer>,
}

impl Demands {
    fn of(options: &Options, name: &str) -> Self {
        let PluginOptions { pin, signers, .. } = options.of(name);
        let signers = if signers.is_empty() { options.signers.clone() } else { signers };
        Self { pin, signers }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for plugin in self.state.lock().loaded.values() {
            plugin.idle.retire();
        }
    }
}

fn limits_of(options: &Options, name: &str) -> Limits {
    options.limits.with(&options.of(name).limits)
}

fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.wasm"))
}

fn open_cache(dir: &Path) -> Option<Arc<Cache>> {
    if dir.as_os_str().is_empty() {
        return None;
    }
    let warn = |error: &std::io::Error| {
        tracing::warn!(dir = %dir.display(), %error, "compiled plugins are not kept: the directory cannot be used");
    };
    Cache::open(dir).inspect_err(warn).ok().map(Arc::new)
}

/// Compiling comes after mail: the calling thread gets less of the processors than others.
fn give_way() {
    // Without it compiling takes what it can get.
    let _ = rustix::process::setpriority_process(None, 10);
}
