//! A queue in memory that tests can watch and break.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use model::{Content, QueueId, Timestamp};
use parking_lot::Mutex;
use queue::{
    BoxFuture, Census, CensusView, Due, Entry, SpoolWriter, State, Store, StoreError, StoreTotals, Update,
};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    kept: Mutex<Kept>,
    changed: Notify,
    /// How often content was asked for.
    pub(crate) reads: AtomicUsize,
    pub(crate) is_full: AtomicBool,
    /// States are not recorded any more.
    pub(crate) is_closed: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    next: u64,
    pub(crate) entries: BTreeMap<QueueId, (Entry, Content)>,
    /// Entries whose recipients are all final.
    pub(crate) finished: BTreeMap<QueueId, Entry>,
    /// Commits and updates in their order.
    pub(crate) journal: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum Step {
    Committed(QueueId),
    Updated(Update),
}

impl Kept {
    /// An entry, finished or not.
    pub(crate) fn entry(&self, id: QueueId) -> &Entry {
        self.finished.get(&id).unwrap_or_else(|| &self.entries[&id].0)
    }

    pub(crate) fn states(&self, id: QueueId) -> Vec<&'static str> {
        self.entry(id).recipients.iter().map(|queued| queued.state.name()).collect()
    }

    pub(crate) fn last_reply(&self, id: QueueId) -> String {
        let last = self.entry(id).recipients.iter().find_map(|queued| queued.last.as_ref());
        last.map(|last| last.reply.clone()).unwrap_or_default()
    }
}

impl Shelf {
    /// Waits for the queue to become like this.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let watch = async {
            loop {
                let changed = self.changed.notified();
                if is_so(&self.kept.lock()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), watch).await.is_err() {
            panic!(
                "never: {what}\n{:#?}",
                self.kept.lock().entries.values().map(|kept| &kept.0).collect::<Vec<_>>()
            );
        }
    }

    pub(crate) fn look<T>(&self, at: impl Fn(&Kept) -> T) -> T {
        at(&self.kept.lock())
    }

    /// Puts an entry there without telling anybody.
    pub(crate) fn put(&self, entry: &Entry, content: &Content) {
        let mut kept = self.kept.lock();
        kept.journal.push(Step::Committed(entry.id));
        kept.entries.insert(entry.id, (entry.clone(), content.clone()));
        drop(kept);
        self.changed.notify_waiters();
    }
}

fn missing(id: QueueId) -> StoreError {
    StoreError::NotFound(id)
}

impl Store for Shelf {
    fn new_id(&self) -> QueueId {
        let mut kept = self.kept.lock();
        kept.next += 1;
        QueueId(kept.next)
    }

    fn admit(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn spool(&self, _: QueueId) -> Result<Box<dyn SpoolWriter>, StoreError> {
        Err(StoreError::Disk(io::Error::other("there is no disk")))
    }

    fn inline_octets(&self) -> usize {
        usize::MAX
    }

    fn commit(&self, entry: Arc<Entry>, content: Content) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.is_full.load(Ordering::Relaxed) {
                return Err(StoreError::Full("the test says so".to_owned()));
            }
            self.put(&entry, &content);
            Ok(())
        })
    }

    fn update(&self, update: Update) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.is_closed.load(Ordering::Relaxed) {
                return Err(StoreError::Closed("the test says so".to_owned()));
            }
            let mut kept = self.kept.lock();
            let (entry, _) = kept.entries.get_mut(&update.id).ok_or(missing(update.id))?;
            entry.apply(&update);
            if entry.is_finished() {
                let (entry, _) = kept.entries.remove(&update.id).unwrap();
                kept.finished.insert(update.id, entry);
            }
            kept.journal.push(Step::Updated(update));
            drop(kept);
            self.changed.notify_waiters();
            Ok(())
        })
    }

    fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let kept = self.kept.lock();
        let due =
            kept.entries.values().filter_map(|(entry, _)| entry.due().map(|at| Due { at, id: entry.id }));
        let mut due: Vec<_> =
            due.filter(|due| due.at <= now && after.is_none_or(|after| *due > after)).collect();
        due.sort();
        due.truncate(limit);
        Ok(due)
    }

    fn next_due(&self) -> Result<Option<Due>, StoreError> {
        Ok(self.due(Timestamp(u64::MAX), None, 1)?.first().copied())
    }

    fn entry(&self, id: QueueId) -> Result<Entry, StoreError> {
        self.kept.lock().entries.get(&id).map(|(entry, _)| entry.clone()).ok_or(missing(id))
    }

    fn content(&self, id: QueueId) -> Result<Content, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.kept.lock().entries.get(&id).map(|(_, content)| content.clone()).ok_or(missing(id))
    }

    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let kept = self.kept.lock();
        let behind = kept.entries.values().filter(|(entry, _)| after.is_none_or(|after| entry.id > after));
        Ok(behind.take(limit).map(|(entry, _)| entry.clone()).collect())
    }

    fn totals(&self) -> StoreTotals {
        let kept = self.kept.lock();
        let is_waiting = |entry: &Entry| {
            entry.recipients.iter().any(|queued| matches!(queued.state, State::Waiting { .. }))
        };
        let waiting = kept.entries.values().filter(|(entry, _)| is_waiting(entry)).count() as u64;
        StoreTotals { waiting, held: kept.entries.len() as u64 - waiting, ..StoreTotals::default() }
    }

    fn census(&self, limit: usize) -> CensusView {
        let mut census = Census::default();
        self.kept.lock().entries.values().for_each(|(entry, _)| census.count_in(entry));
        census.view(limit)
    }
}
