//! Who listens, and the lines on their way there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::subject::Subject;

/// Who said a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever gives the mail: a client of ours, or we to a next hop.
    Client,
    /// Whoever takes it.
    Server,
    /// Neither: what became of the connection.
    Note,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    /// What sessions are told apart by.
    pub session: Arc<str>,
    /// Who is at the other end.
    pub peer: Arc<str>,
    pub who: Who,
    pub text: String,
}

/// Somebody who listens.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) subject: Subject,
    lines: mpsc::Sender<Arc<Line>>,
    lost: AtomicU64,
}

impl Watcher {
    /// A line that there is no room for is counted, and nobody waits.
    pub(crate) fn hear(&self, line: &Arc<Line>) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Arc::clone(line)) {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Where sessions and listeners find each other.
#[derive(Debug, Default)]
pub struct Hub {
    /// How many listen. Sessions look at this and at nothing else while it is zero.
    watched: AtomicUsize,
    /// Rises with every change of the list.
    version: AtomicU64,
    /// Numbers for sessions that have no name of their own.
    numbers: AtomicU64,
    watchers: Mutex<Vec<Arc<Watcher>>>,
}

/// There are as many listeners as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} are listening already", Hub::WATCHES)]
pub struct TooMany;

impl Hub {
    /// Listeners at once.
    pub const WATCHES: usize = 8;

    /// Whether anybody listens.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Relaxed) > 0
    }

    /// Listens from now on, until what comes back is dropped.
    ///
    /// # Errors
    /// [`Self::WATCHES`] do so already.
    pub fn watch(self: &Arc<Self>, subject: Subject) -> Result<Watch, TooMany> {
        let mut watchers = self.watchers.lock();
        if watchers.len() >= Self::WATCHES {
            return Err(TooMany);
        }
        let (sender, lines) = mpsc::channel(Watch::LINES);
        let watcher = Arc::new(Watcher { subject, lines: sender, lost: AtomicU64::new(0) });
        watchers.push(Arc::clone(&watcher));
        self.changed(watchers.len());
        Ok(Watch { hub: Arc::clone(self), watcher, lines })
    }

    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    pub(crate) fn watchers(&self) -> Vec<Arc<Watcher>> {
        self.watchers.lock().clone()
    }

    fn changed(&self, count: usize) {
        self.version.fetch_add(1, Relaxed);
        self.watched.store(count, Relaxed);
    }
}

/// A listener's end.
#[derive(Debug)]
pub struct Watch {
    hub: Arc<Hub>,
    watcher: Arc<Watcher>,
    lines: mpsc::Receiver<Arc<Line>>,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Line(Arc<Line>),
    /// So many lines came while there was no room.
    Lost(u64),
}

impl Watch {
    /// Lines that wait to be read, at most.
    pub const LINES: usize = 1_024;

    /// The next line. Of lines that were lost it is told before the next one that was not.
    pub async fn next(&mut self) -> Heard {
        let lost = self.watcher.lost.swap(0, Relaxed);
        if lost > 0 {
            return Heard::Lost(lost);
        }
        match self.lines.recv().await {
            Some(line) => Heard::Line(line),
            // The watcher holds the other end, and lives as long as this.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = self.hub.watchers.lock();
        watchers.retain(|other| !Arc::ptr_eq(other, &self.watcher));
        self.hub.changed(watchers.len());
    }
}
