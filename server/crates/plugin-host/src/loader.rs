//! Loads plugins from files and swaps the set that new sessions begin with.
//!
//! A file that cannot be a plugin is refused with its reason and the generation before it keeps running; at a start, the content that
//! ran last does. A file that is gone is unloaded. What is required and does not run is answered for by its failure policy.
//!
//! Reading, compiling and init happen outside of the lock, on threads that may block: a plugin that takes long to load holds up no other,
//! and no reload. What was loaded counts only if its file and its options are still the ones that it was loaded with.

mod install;
mod orders;
mod publish;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use install::Wish;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::cache::Cache;
use crate::disabled::Disabled;
use crate::failure::LoadError;
use crate::folder::{self, Fingerprint, check_name};
use crate::host::Shared;
use crate::pin::Demands;
use crate::plugin::Plugin;
use crate::status::Stats;
use crate::{Limits, Options};

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
    disabled: Disabled,
    /// The last look at the directory failed.
    is_unreadable: bool,
}

impl State {
    /// Whether a plugin may run: neither the configuration nor an operator disables it.
    fn enables(&self, name: &str) -> bool {
        self.options.enables(name) && self.disabled.since(name).is_none()
    }

    /// The plugins that are missed while they do not run.
    fn required(&self) -> impl Iterator<Item = &str> {
        self.options.required().into_iter().filter(|name| self.disabled.since(name).is_none())
    }
}

struct Seen {
    fingerprint: Fingerprint,
    /// It is being loaded; who does that will notice what changes meanwhile.
    is_under_way: bool,
    /// When it gets another try, and the pause before.
    retry: Option<(Instant, Duration)>,
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
            disabled: Disabled::open(&options.history_dir),
            options: Arc::new(options),
            loaded: BTreeMap::new(),
            seen: HashMap::new(),
            stats: HashMap::new(),
            is_unreadable: false,
        };
        let loader = Self { shared, runtime, threads, state: Mutex::new(state) };
        loader.remind();
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
        self.remind();
        let mut reports = Vec::new();
        for plugin in running {
            let options = self.options();
            let wanted = options.of(&plugin.name);
            if !self.enables(&plugin.name) {
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

    fn enables(&self, name: &str) -> bool {
        self.state.lock().enables(name)
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

    /// Loads one file of the directory; nothing for a plugin that is disabled.
    pub(crate) fn load(&self, name: &str, fingerprint: Fingerprint, anew: bool) -> Option<LoadReport> {
        let (options, is_enabled);
        {
            let mut state = self.state.lock();
            (options, is_enabled) = (state.options.clone(), state.enables(name));
            let before = state.seen.remove(name).filter(|seen| seen.fingerprint == fingerprint);
            let retry =
                before.and_then(|seen| seen.retry).map(|(_, pause)| (clock::now() + LONGEST_PAUSE, pause));
            state.seen.insert(name.to_owned(), Seen { fingerprint, is_under_way: is_enabled, retry });
        }
        if !is_enabled {
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
