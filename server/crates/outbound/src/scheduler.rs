//! Finds what is due in the store, at the time it is due.
//!
//! Fresh entries come by hand ([`queue::Courier::take`]) and are never looked for here. A look begins where the last one ended; now
//! and then, and when something did not fit into memory, it begins at the start again and passes over what is being worked on.
//! The store is asked on a thread that may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{QueueId, Timestamp};
use queue::{Due, Entry, StoreError};
use tokio::sync::Notify;

use crate::engine::Inner;
use crate::set_back;

/// Entries that are read at once.
const PAGE: usize = 500;
/// How long the store is left alone after it failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);
/// The longest sleep: the wall clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What wakes the scheduler.
#[derive(Debug)]
pub(crate) struct Schedule {
    notify: Notify,
    /// When the next look is due, in milliseconds as in [`Timestamp`].
    next: AtomicU64,
    /// Up to when the last look has seen everything.
    seen: AtomicU64,
    /// Something due is in the store that the next look must not pass over.
    has_backlog: AtomicBool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            notify: Notify::new(),
            next: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            has_backlog: AtomicBool::new(true),
        }
    }
}

impl Schedule {
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// An entry was put off until `due`.
    pub(crate) fn note_due(&self, due: Timestamp) {
        if due.0 <= self.seen.load(Ordering::Acquire) {
            self.has_backlog.store(true, Ordering::Release);
        }
        if self.next.fetch_min(due.0, Ordering::AcqRel) > due.0 {
            self.wake();
        }
    }

    /// Something due did not fit into memory; looked for when there is room.
    pub(crate) fn note_backlog(&self) {
        self.has_backlog.store(true, Ordering::Release);
    }

    /// A pass is over. `has_room` when more entries fit into memory.
    pub(crate) fn note_room(&self, has_room: bool) {
        if has_room && self.has_backlog.load(Ordering::Relaxed) {
            self.wake();
        }
    }
}

/// How a look at the store ended.
enum Look {
    /// Everything due up to then was seen.
    Complete(Timestamp),
    /// Memory is full: a pass that ends wakes the scheduler.
    Full,
    Failed(StoreError),
}

/// Runs until the engine stops. Cancel safe: what was claimed is what was begun.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut last_sweep: Option<Instant> = None;
    let mut seen: Option<Timestamp> = None;
    while !inner.is_stopping() {
        let sweep = inner.options().limits.sweep;
        let is_sweep = last_sweep.is_none_or(|last| clock::now().saturating_duration_since(last) >= sweep);
        let from_start = inner.schedule.has_backlog.swap(false, Ordering::AcqRel) || is_sweep;
        if is_sweep {
            last_sweep = Some(clock::now());
            inner.prune();
            set_back::catch_up(&inner).await;
        }
        inner.schedule.next.store(u64::MAX, Ordering::Release);
        let behind = seen.filter(|_| !from_start).map(|at| Due { at, id: QueueId(u64::MAX) });
        let sleep = match look(&inner, behind).await {
            Look::Complete(at) => {
                seen = Some(at);
                inner.schedule.seen.store(at.0, Ordering::Release);
                until_next(&inner, at, sweep).await
            }
            Look::Full => {
                inner.schedule.note_backlog();
                inner.schedule.note_room(inner.has_room());
                sweep
            }
            Look::Failed(error) => {
                tracing::error!(%error, "the queue cannot be searched");
                inner.schedule.note_backlog();
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = inner.schedule.notify.notified() => {}
            () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
        }
    }
}

/// Begins a pass over everything that is due and not being worked on.
async fn look(inner: &Arc<Inner>, mut behind: Option<Due>) -> Look {
    let now = clock::wall();
    loop {
        let limits = &inner.options().limits;
        if inner.is_stopping() || inner.active.passes() >= limits.active_entries {
            return Look::Full;
        }
        let (reader, after) = (Arc::clone(inner), behind);
        let page = match tokio::task::spawn_blocking(move || read_page(&reader, now, after)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Look::Failed(error),
            Err(_) => return Look::Failed(StoreError::Closed("a thread ended early".to_owned())),
        };
        for entry in page.entries {
            inner.activate(Arc::new(entry), None, false);
        }
        if page.last.is_none() {
            return Look::Complete(now);
        }
        behind = page.last;
    }
}

struct Page {
    /// Claimed, to be activated.
    entries: Vec<Entry>,
    /// Where the next page begins; nothing when this was the last.
    last: Option<Due>,
}

fn read_page(inner: &Inner, now: Timestamp, after: Option<Due>) -> Result<Page, StoreError> {
    let due = inner.store.due(now, after, PAGE)?;
    let last = due.last().copied().filter(|_| due.len() >= PAGE);
    let mut entries = Vec::new();
    for id in due.iter().map(|due| due.id).filter(|id| inner.active.claim(*id)) {
        match inner.store.entry(id) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                // One that has just been finished is nothing to speak of; a damaged one the store has set aside.
                if !matches!(error, StoreError::NotFound(_)) {
                    tracing::error!(queue_id = %id, %error, "the entry cannot be read");
                }
                drop(inner.active.release(id));
            }
        }
    }
    Ok(Page { entries, last })
}

/// How long to sleep after a look that saw everything up to `seen`.
async fn until_next(inner: &Arc<Inner>, seen: Timestamp, sweep: Duration) -> Duration {
    let store = Arc::clone(&inner.store);
    let behind = Due { at: seen, id: QueueId(u64::MAX) };
    let ask = move || store.due(Timestamp(u64::MAX), Some(behind), 1);
    let next = match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(due)) => due.first().map(|due| due.at),
        _ => return PAUSE_AFTER_ERROR,
    };
    let next = next.map_or(u64::MAX, |at| at.0);
    // An outcome may have been noted meanwhile that comes earlier.
    let next = inner.schedule.next.fetch_min(next, Ordering::AcqRel).min(next);
    Timestamp(next).since(clock::wall()).min(sweep)
}
