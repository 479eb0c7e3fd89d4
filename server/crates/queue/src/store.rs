//! What keeps entries and their content: the promise, not the disk.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use model::{Content, HistogramView, QueueId, Source, Timestamp};

use crate::{CensusView, Entry, Update};

/// A boxed future, so that a store can be used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is less free space than the reserve, or the queue is at its limit. Later may be better.
    #[error("the queue is full: {0}")]
    Full(String),
    /// The disk failed. Nothing that this call was to do has been acknowledged.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// No entry has this id.
    #[error("no entry {0} in the queue")]
    NotFound(QueueId),
    /// The entry's record does not agree with its checksum; it was set aside.
    #[error("entry {0} is damaged and was set aside")]
    Corrupt(QueueId),
    /// The store was closed, or its writer stopped after a failed sync: what is on disk is unknown until the next start.
    #[error("the queue is closed: {0}")]
    Closed(String),
}

/// An entry whose next attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    pub at: Timestamp,
    pub id: QueueId,
}

/// How much the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreTotals {
    /// Entries that wait for an attempt.
    pub waiting: u64,
    /// Entries with a held recipient and none that waits.
    pub held: u64,
    /// Records that were set aside because they are damaged.
    pub corrupt: u64,
    /// Octets on disk: segments, spool files and the index.
    pub disk_octets: u64,
    /// Octets that are free there; nothing when that is not known.
    pub free_octets: Option<u64>,
    /// When the oldest recipient arrived that is not done; may be up to a quarter of an hour early.
    pub oldest: Option<Timestamp>,
}

/// Takes the octets of a message that is too large for memory, as they arrive. Calls may wait for the disk.
///
/// Dropped before [`SpoolWriter::finish`], it leaves nothing behind.
pub trait SpoolWriter: Send {
    /// Appends octets.
    fn write(&mut self, octets: &[u8]) -> io::Result<()>;

    /// Makes what was written durable and readable. A source that is dropped without having been committed
    /// leaves nothing behind either.
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn Source>>;
}

/// Keeps entries: what it acknowledged is there after a crash of the process or of the machine.
///
/// `commit` and `update` may be called from an async task. The others may wait for the disk: call them where that is allowed.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// An id that no entry has had, higher than those before it, also across restarts.
    fn new_id(&self) -> QueueId;

    /// Whether there is room for another message. Cheap: asked at every MAIL.
    fn admit(&self) -> Result<(), StoreError>;

    /// Begins a spool file, for content over [`Store::inline_octets`].
    fn spool(&self, id: QueueId) -> Result<Box<dyn SpoolWriter>, StoreError>;

    /// Content up to this many octets is handed to `commit` in memory; larger content goes through `spool`.
    fn inline_octets(&self) -> usize;

    /// Takes an entry on. When this is answered with `Ok`, the entry and its content are on the disk (fdatasync), and the
    /// answer to end-of-data may be 250. Many callers share a sync.
    ///
    /// Dropping the future does not take the entry back.
    fn commit(&self, entry: Arc<Entry>, content: Content) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Records new states. Returns when the order of this update is fixed, not when it is durable: an update
    /// lost with the machine's power costs another attempt, never a message. An entry that is finished by it is gone.
    fn update(&self, update: Update) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Entries that are due at `now`, earliest first, from behind `after` on; at most `limit`.
    fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// When the next entry becomes due, whether or not that has passed.
    fn next_due(&self) -> Result<Option<Due>, StoreError>;

    /// An entry as it stands.
    fn entry(&self, id: QueueId) -> Result<Entry, StoreError>;

    /// An entry's content.
    fn content(&self, id: QueueId) -> Result<Content, StoreError>;

    /// Entries in the order of their ids, from behind `after` on; at most `limit`.
    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// How much there is. Cheap, however much that is.
    fn totals(&self) -> StoreTotals;

    /// What waits and what is held by domain and by reason, at most `limit` rows of each. Cheap likewise.
    fn census(&self, limit: usize) -> CensusView;

    /// Whether any recipient may be of this domain, given as A-labels in lower case. Cheap likewise; a no is certain.
    fn may_have_domain(&self, _domain: &str) -> bool {
        true
    }

    /// How long commits took, those that failed too. A store without a disk has nothing to tell.
    fn commit_latency(&self) -> HistogramView {
        HistogramView::default()
    }
}

/// Whoever makes the attempts. A fresh entry is handed over right after its commit, with its bytes still in memory.
pub trait Courier: Send + Sync + fmt::Debug + 'static {
    /// Takes an entry that was committed. Never waits; what does not fit into memory is found again through the store.
    fn take(&self, entry: Arc<Entry>, content: Content);
}
