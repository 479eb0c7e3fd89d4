//! Watches the plugins' directory and loads what changes in it, once it is quiet.
//!
//! A file is loaded when it was renamed into place, or when its size and time have not changed for a moment.
//! The kernel's events only say when to look: they can be lost, so that the directory is looked at from time
//! to time anyway.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::folder::Fingerprint;
use crate::loader::{LOADS_AT_ONCE, Loader};
use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// How long a file must not change before it is read.
const QUIET: Duration = Duration::from_millis(200);
/// How often a file that is not quiet yet is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often the directory is looked at without any event.
const RESCAN: Duration = Duration::from_secs(5);

enum Signal {
    /// Something changed; these files are complete, for they were renamed into place.
    Changed(Vec<String>),
    /// A file was loaded, or refused.
    Loaded(String),
    Stop,
}

/// The watcher; dropping it stops it, after the file that is being loaded.
#[derive(Debug)]
pub struct Watch {
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(loader: &Arc<Loader>) -> std::io::Result<Self> {
        let (signals, received) = channel();
        let (loader, sender) = (Arc::downgrade(loader), signals.clone());
        let work = move || Watching::new(loader, sender).run(&received);
        let thread = std::thread::Builder::new().name("plugin-watch".into()).spawn(work)?;
        Ok(Self { signals, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread has ended already when nobody receives; then there is nothing to stop.
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watcher of the plugins' directory had panicked");
        }
    }
}

struct Watching {
    loader: Weak<Loader>,
    signals: Sender<Signal>,
    /// The directory that is watched, as it was then.
    watched: Option<(PathBuf, u64, RecommendedWatcher)>,
    /// Files that have changed, and since when they are as they are.
    pending: HashMap<String, (Fingerprint, Instant)>,
    /// Files that are being loaded.
    loading: HashMap<String, JoinHandle<()>>,
}

impl Watching {
    fn new(loader: Weak<Loader>, signals: Sender<Signal>) -> Self {
        Self { loader, signals, watched: None, pending: HashMap::new(), loading: HashMap::new() }
    }

    fn run(mut self, received: &Receiver<Signal>) {
        let mut complete = HashSet::new();
        while let Some(loader) = self.loader.upgrade() {
            self.look(&loader, &complete);
            drop(loader);
            complete.clear();
            let pause = if self.pending.is_empty() { RESCAN } else { LOOK };
            let mut next = match received.recv_timeout(pause) {
                Ok(signal) => Some(signal),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => None,
            };
            // Events come in bursts; one look answers them all.
            while let Some(signal) = next {
                match signal {
                    Signal::Stop => return self.finish(),
                    Signal::Changed(names) => complete.extend(names),
                    Signal::Loaded(name) => self.end(&name),
                }
                next = received.try_recv().ok();
            }
        }
        self.finish();
    }

    /// What is being loaded needs the runtime, which ends soon.
    fn finish(mut self) {
        let names: Vec<String> = self.loading.keys().cloned().collect();
        for name in names {
            self.end(&name);
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(thread) = self.loading.remove(name)
            && thread.join().is_err()
        {
            tracing::error!(plugin = name, "the loading of a plugin panicked");
        }
    }

    /// Compares the directory with what is loaded.
    fn look(&mut self, loader: &Arc<Loader>, complete: &HashSet<String>) {
        self.watch(&loader.options().dir);
        // The loader has said why.
        let Ok(found) = loader.scan() else { return };
        loader.forget_missing(&found);
        self.pending.retain(|name, _| found.contains_key(name));
        let now = clock::now();
        for (name, fingerprint) in found {
            if loader.knows(&name, fingerprint) {
                self.pending.remove(&name);
                continue;
            }
            let (before, since) = *self.pending.entry(name.clone()).or_insert((fingerprint, now));
            if before != fingerprint {
                self.pending.insert(name.clone(), (fingerprint, now));
            }
            let is_quiet = before == fingerprint && now.saturating_duration_since(since) >= QUIET;
            if is_quiet || complete.contains(&name) {
                self.load(loader, name, fingerprint);
            }
        }
    }

    /// Loads a file on a thread of its own, so that one that takes long holds up no other. A file that cannot be loaded yet stays
    /// pending.
    fn load(&mut self, loader: &Arc<Loader>, name: String, fingerprint: Fingerprint) {
        if self.loading.len() >= LOADS_AT_ONCE || self.loading.contains_key(&name) {
            return;
        }
        let (loader, signals, of) = (loader.clone(), self.signals.clone(), name.clone());
        let work = move || {
            loader.load(&of, fingerprint, false);
            drop(loader);
            // Nobody receives any more when the watching has just ended.
            let _ = signals.send(Signal::Loaded(of));
        };
        match std::thread::Builder::new().name("plugin-loader".into()).spawn(work) {
            Ok(thread) => {
                self.pending.remove(&name);
                self.loading.insert(name, thread);
            }
            Err(error) => {
                tracing::warn!(plugin = name, %error, "no thread to load a plugin; it is tried again")
            }
        }
    }

    /// Watches the directory, and again when another one has taken its place.
    fn watch(&mut self, dir: &Path) {
        use std::os::unix::fs::MetadataExt;
        let Ok(inode) = std::fs::metadata(dir).map(|metadata| metadata.ino()) else { return };
        if self.watched.as_ref().is_some_and(|(path, old, _)| path == dir && *old == inode) {
            return;
        }
        let signals = self.signals.clone();
        let begin = || {
            let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
                // Reading is no change, and the host's own reading would never end.
                if event.as_ref().is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                    return;
                }
                // Nobody receives any more when the watching has just ended.
                let _ = signals.send(Signal::Changed(event.map(renamed).unwrap_or_default()));
            })?;
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
            Ok::<_, notify::Error>(watcher)
        };
        match begin() {
            Ok(watcher) => self.watched = Some((dir.to_owned(), inode, watcher)),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "the plugins' directory is only looked at every few seconds");
            }
        }
    }
}

/// The plugins whose files were renamed into place.
fn renamed(event: Event) -> Vec<String> {
    let is_rename =
        matches!(event.kind, EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)));
    let target = event.paths.last().filter(|_| is_rename);
    let name = target.and_then(|path| path.file_name()?.to_str()?.strip_suffix(".wasm"));
    name.map(str::to_owned).into_iter().collect()
}
