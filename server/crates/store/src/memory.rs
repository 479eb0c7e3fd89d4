//! A store that forgets: for the tests of other rooms. It keeps the promises of [`Store`] but for the disk, and it can be
//! told to fail.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use model::{Content, QueueId, Source, Timestamp};
use parking_lot::Mutex;
use queue::{BoxFuture, Census, CensusView, Due, Entry, SpoolWriter, Store, StoreError, StoreTotals, Update};

use crate::core::finishes;

/// The most that is handed over in memory, as with the defaults of the store on disk.
const INLINE_OCTETS: usize = 256 << 10;

/// Keeps the queue in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: BTreeMap<QueueId, (Arc<Entry>, Content)>,
    census: Census,
    /// Those of `entries`, so that a hundred thousand of them are found in order.
    due: BTreeSet<Due>,
    octets: u64,
    last_id: u64,
    full: bool,
    /// Commits and updates until the disk fails; nothing: it never does.
    left: Option<u64>,
    closed: Option<String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `admit` and `commit` answer that the queue is full, or no longer.
    pub fn set_full(&self, full: bool) {
        self.state.lock().full = full;
    }

    /// After so many more commits and updates each one fails as a failed disk does, and nothing of it is kept. Nothing: they
    /// work again.
    pub fn fail_after(&self, operations: Option<u64>) {
        self.state.lock().left = operations;
    }

    /// From now on the store answers that it is closed.
    pub fn close(&self, reason: &str) {
        self.state.lock().closed = Some(reason.to_owned());
    }
}

impl Memory {
    fn work(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = &self.closed {
            return Err(StoreError::Closed(reason.clone()));
        }
        match &mut self.left {
            Some(0) => Err(StoreError::Disk(io::Error::other("the disk was told to fail"))),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn admit(&self) -> Result<(), StoreError> {
        match (&self.closed, self.full) {
            (Some(reason), _) => Err(StoreError::Closed(reason.clone())),
            (None, true) => Err(StoreError::Full("the store was told to be full".to_owned())),
            (None, false) => Ok(()),
        }
    }

    fn update(&mut self, update: &Update) -> Result<(), StoreError> {
        self.work()?;
        let (mut entry, content) = self.take(update.id).ok_or(StoreError::NotFound(update.id))?;
        if !finishes(&entry, update) {
            Arc::make_mut(&mut entry).apply(update);
            self.put(entry, content);
        }
        Ok(())
    }

    fn put(&mut self, entry: Arc<Entry>, content: Content) {
        self.take(entry.id);
        self.census.count_in(&entry);
        self.due.extend(entry.due().map(|at| Due { at, id: entry.id }));
        self.octets += content.len();
        self.entries.insert(entry.id, (entry, content));
    }

    fn take(&mut self, id: QueueId) -> Option<(Arc<Entry>, Content)> {
        let (entry, content) = self.entries.remove(&id)?;
        self.census.count_out(&entry);
        entry.due().map(|at| self.due.remove(&Due { at, id }));
        self.octets -= content.len();
        Some((entry, content))
    }
}

impl Store for MemoryStore {
    fn new_id(&self) -> QueueId {
        let mut state = self.state.lock();
        state.last_id = (state.last_id + 1).max(clock::wall().0 << 20);
        QueueId(state.last_id)
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.state.lock().admit()
    }

    fn spool(&self, _id: QueueId) -> Result<Box<dyn SpoolWriter>, StoreError> {
        self.admit()?;
        Ok(Box::new(MemoryWriter(Vec::new())))
    }

    fn inline_octets(&self) -> usize {
        INLINE_OCTETS
    }

    fn commit(&self, entry: Arc<Entry>, content: Content) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut state = self.state.lock();
        let done = state.admit().and_then(|()| state.work()).map(|()| {
            state.put(entry, content);
        });
        Box::pin(std::future::ready(done))
    }

    fn update(&self, update: Update) -> BoxFuture<'_, Result<(), StoreError>> {
        let done = self.state.lock().update(&update);
        Box::pin(std::future::ready(done))
    }

    fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        let state = self.state.lock();
        let until = Due { at: now, id: QueueId(u64::MAX) };
        if after.is_some_and(|after| after >= until) {
            return Ok(Vec::new());
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(state.due.range((from, Bound::Included(until))).take(limit).copied().collect())
    }

    fn next_due(&self) -> Result<Option<Due>, StoreError> {
        Ok(self.state.lock().due.first().copied())
    }

    fn entry(&self, id: QueueId) -> Result<Entry, StoreError> {
        let state = self.state.lock();
        state.entries.get(&id).map(|(entry, _)| Entry::clone(entry)).ok_or(StoreError::NotFound(id))
    }

    fn content(&self, id: QueueId) -> Result<Content, StoreError> {
        let state = self.state.lock();
        state.entries.get(&id).map(|(_, content)| content.clone()).ok_or(StoreError::NotFound(id))
    }

    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let state = self.state.lock();
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        Ok(state.entries.range(behind).take(limit).map(|(_, (entry, _))| Entry::clone(entry)).collect())
    }

    fn totals(&self) -> StoreTotals {
        let state = self.state.lock();
        let waiting = state.due.len() as u64;
        StoreTotals {
            waiting,
            held: state.entries.len() as u64 - waiting,
            corrupt: 0,
            disk_octets: state.octets,
            free_octets: None,
            oldest: state.census.oldest(),
        }
    }

    fn may_have_domain(&self, domain: &str) -> bool {
        self.state.lock().census.may_have_domain(domain)
    }

    fn census(&self, limit: usize) -> CensusView {
        self.state.lock().census.view(limit)
    }
}

/// Stands for a spool file.
#[derive(Debug)]
struct MemoryWriter(Vec<u8>);

impl SpoolWriter for MemoryWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(octets);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(Spooled(self.0.into())))
    }
}

/// Bytes that, as those of a spool file, are not said to be in memory.
#[derive(Debug)]
struct Spooled(Bytes);

impl Source for Spooled {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Source::read_at(&self.0, offset, buffer)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Envelope, Mailbox, ReversePath};
    use queue::{RecipientUpdate, State};

    fn put(store: &MemoryStore) -> (QueueId, Result<(), StoreError>) {
        let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
        let mailbox = Mailbox::parse("ann@example.org").unwrap();
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        let id = store.new_id();
        let entry = Arc::new(Entry::new(id, envelope, 2, Timestamp(1), None));
        let commit = store.commit(entry, Content::from(Bytes::from_static(b"hi")));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        (id, runtime.block_on(commit))
    }

    #[test]
    fn it_fails_when_it_is_told_to_and_keeps_nothing_of_what_failed() {
        let store = MemoryStore::new();
        store.fail_after(Some(1));
        let (first, done) = put(&store);
        done.unwrap();
        assert!(matches!(put(&store).1, Err(StoreError::Disk(_))));
        store.fail_after(None);
        store.set_full(true);
        assert!(matches!(put(&store).1, Err(StoreError::Full(_))));
        store.set_full(false);
        assert_eq!(store.next_due().unwrap(), Some(Due { at: Timestamp(1), id: first }));
        let change =
            RecipientUpdate { id: 0, state: State::Delivered, attempts: 1, last: None, warned: None };
        let update = Update { id: first, recipients: vec![change] };
        store.state.lock().update(&update).unwrap();
        assert_eq!(store.totals(), StoreTotals::default());
        store.close("test");
        assert!(matches!(put(&store).1, Err(StoreError::Closed(_))));
    }
}
