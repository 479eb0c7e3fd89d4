//! What the store's threads and callers share, and the few things that all of them do with it.
//!
//! Locks are taken in this order: `tree`, `table`, then those inside of `jobs`, `segments` and `large`. No lock but `tree`
//! (for reading) is held while the disk works.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::QueueId;
use parking_lot::{Condvar, Mutex, RwLock};
use queue::{Entry, StoreError, Update};

use crate::Options;
use crate::disk::Disk;
use crate::jobs::{Job, Jobs};
use crate::large::LargeFiles;
use crate::record::{HEADER_OCTETS, Header, Kind, OwnedMeta, Record};
use crate::segment::Segments;
use crate::table::{Place, Table};
use crate::tree::Tree;

/// How long a caller waits for sled to be opened again.
const TREE_PATIENCE: u32 = 100;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segments: Segments,
    pub(crate) large: Arc<LargeFiles>,
    pub(crate) table: Mutex<Table>,
    /// Nothing while sled is being opened again after it failed.
    pub(crate) tree: RwLock<Option<Tree>>,
    pub(crate) jobs: Jobs,
    pub(crate) last_id: AtomicU64,
    /// Records that were set aside.
    pub(crate) corrupt: AtomicU64,
    /// All jobs up to this one are durable.
    pub(crate) durable_job: AtomicU64,
    pub(crate) disk_octets: AtomicU64,
    pub(crate) free_octets: AtomicU64,
    /// Spool files to release once the job of this number is durable.
    pub(crate) releases: Mutex<Vec<(u64, u64)>>,
    /// The threads stop where they are, as if the process had been killed.
    pub(crate) crashed: AtomicBool,
    pub(crate) upkeep: Mutex<Wake>,
    pub(crate) upkeep_wake: Condvar,
}

/// What the upkeep thread is woken for.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pub(crate) now: bool,
    pub(crate) closing: bool,
}

/// A record as it was read back, with its checksums right.
#[derive(Debug)]
pub(crate) struct ReadRecord {
    octets: Vec<u8>,
    header: Header,
}

impl ReadRecord {
    /// The record in these octets, if it is whole.
    fn parse(octets: Vec<u8>, place: Place) -> Result<Self, Vec<u8>> {
        let header = Header::decode(&octets).filter(|header| header.at == place.at);
        let Some(header) = header.filter(|header| octets.len() as u64 >= header.total()) else {
            return Err(octets);
        };
        let read = Self { octets, header };
        let whole = crc32fast::hash(read.meta_octets()) == header.meta_crc
            && crc32fast::hash(&read.octets[read.content_range()]) == header.content_crc;
        if whole { Ok(read) } else { Err(read.octets) }
    }

    fn meta_octets(&self) -> &[u8] {
        &self.octets[HEADER_OCTETS..HEADER_OCTETS + self.header.meta_len as usize]
    }

    pub(crate) fn content_range(&self) -> std::ops::Range<usize> {
        let from = HEADER_OCTETS + self.header.meta_len as usize;
        from..from + self.header.content_len as usize
    }

    pub(crate) fn into_content(self) -> bytes::Bytes {
        let range = self.content_range();
        bytes::Bytes::from(self.octets).slice(range)
    }

    pub(crate) fn meta(&self) -> serde_json::Result<OwnedMeta> {
        serde_json::from_slice(self.meta_octets())
    }
}

impl Core {
    pub(crate) fn corrupt_dir(&self) -> PathBuf {
        self.options.dir.join("corrupt")
    }

    pub(crate) fn wake_upkeep(&self) {
        self.upkeep.lock().now = true;
        self.upkeep_wake.notify_all();
    }

    /// Asks sled; waits for it while it is being opened again.
    pub(crate) fn with_tree<T>(&self, ask: impl Fn(&Tree) -> sled::Result<T>) -> Result<T, StoreError> {
        for _ in 0..TREE_PATIENCE {
            if let Some(tree) = &*self.tree.read() {
                return ask(tree).map_err(|error| StoreError::Disk(io::Error::other(error)));
            }
            if let Some(reason) = self.jobs.closed() {
                return Err(StoreError::Closed(reason));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(StoreError::Disk(io::Error::other("the index is being opened again")))
    }

    /// Where an entry's record is.
    pub(crate) fn place(&self, id: QueueId) -> Result<Place, StoreError> {
        if let Some(slot) = self.table.lock().slot(id) {
            return slot.entry.as_ref().map(|_| slot.place).ok_or(StoreError::NotFound(id));
        }
        let head = self.with_tree(|tree| tree.head(id))?;
        head.map(|head| head.place).ok_or(StoreError::NotFound(id))
    }

    /// An entry as it stands.
    pub(crate) fn entry(&self, id: QueueId) -> Result<Arc<Entry>, StoreError> {
        if let Some(slot) = self.table.lock().slot(id) {
            return slot.entry.clone().ok_or(StoreError::NotFound(id));
        }
        let found = self.with_tree(|tree| tree.entry(id))?;
        found.map(|(entry, _)| Arc::new(entry)).ok_or(StoreError::NotFound(id))
    }

    /// Brings an entry from sled into the table. One that is nowhere is not an error.
    pub(crate) fn load(&self, id: QueueId) -> Result<(), StoreError> {
        loop {
            let seen = {
                let table = self.table.lock();
                if table.slot(id).is_some() {
                    return Ok(());
                }
                table.evictions
            };
            let found = self.with_tree(|tree| tree.entry(id))?;
            let mut table = self.table.lock();
            if table.slot(id).is_some() {
                return Ok(());
            }
            // It may have come, changed and gone to sled since we looked.
            if table.evictions == seen {
                if let Some((entry, head)) = found {
                    table.load(Arc::new(entry), head.place);
                }
                return Ok(());
            }
        }
    }

    /// Puts new states in and in line for the log, in one step. Nothing when the entry is not in the table.
    pub(crate) fn update_loaded(&self, update: &Update) -> Option<Result<(), StoreError>> {
        let mut table = self.table.lock();
        let slot = table.slot(update.id)?;
        let Some(entry) = &slot.entry else { return Some(Err(StoreError::NotFound(update.id))) };
        let now = clock::now();
        if finishes(entry, update) {
            let pushed = self.jobs.push(Job::Update { record: Record::gone(update.id) });
            return Some(pushed.map(|job| {
                let place = table.remove(update.id, now, job);
                if let Some(file) = place.and_then(|place| place.large) {
                    self.releases.lock().push((job, file));
                }
            }));
        }
        let record = serde_json::to_vec(update)
            .ok()
            .and_then(|meta| Record::new(Kind::Update, update.id.0, meta, Vec::new()));
        let Some(record) = record else {
            return Some(Err(StoreError::Disk(io::ErrorKind::InvalidInput.into())));
        };
        Some(self.jobs.push(Job::Update { record }).map(|job| table.update(update, now, job)))
    }

    /// Reads an entry's record back. One that is damaged is set aside.
    pub(crate) fn read_record(&self, id: QueueId) -> Result<ReadRecord, StoreError> {
        let mut place = self.place(id)?;
        loop {
            let mut octets = vec![0; place.octets as usize];
            if let Some(segment) = self.segments.get(place.at.seq) {
                let count = segment.file.read_at(place.at.offset, &mut octets)?;
                octets.truncate(count);
            } else {
                octets.clear();
            }
            let octets = match ReadRecord::parse(octets, place) {
                Ok(read) => return Ok(read),
                Err(octets) => octets,
            };
            // It may have been copied forward while we read.
            let again = self.place(id)?;
            if again == place {
                self.set_aside_entry(id, place, &octets);
                return Err(StoreError::Corrupt(id));
            }
            place = again;
        }
    }

    /// Takes a damaged entry out of the queue and keeps what is left of it.
    pub(crate) fn set_aside_entry(&self, id: QueueId, place: Place, octets: &[u8]) {
        self.set_aside(&format!("{id}.record"), octets);
        if let Some(file) = place.large {
            let kept = self.large.set_aside(file, &self.corrupt_dir().join(format!("{id}.content")));
            if let Err(error) = kept {
                tracing::error!(queue_id = %id, %error, "the spool file of a damaged entry is not there");
            }
        }
        if self.load(id).is_ok() {
            let mut table = self.table.lock();
            let job = self.jobs.push(Job::Update { record: Record::gone(id) });
            table.remove(id, clock::now(), job.unwrap_or(0));
        }
        tracing::error!(queue_id = %id, "an entry is damaged and was set aside");
    }

    /// Keeps damaged octets in a file; what was kept before is not reported again.
    pub(crate) fn set_aside(&self, name: &str, octets: &[u8]) {
        let path = self.corrupt_dir().join(name);
        let kept = self.disk.create(&path).and_then(|file| {
            file.write_all_at(0, &mut [IoSlice::new(octets)])?;
            file.sync()
        });
        match kept {
            Ok(()) => {
                self.corrupt.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                self.corrupt.fetch_add(1, Ordering::AcqRel);
                tracing::error!(name, %error, "damaged octets could not be set aside");
            }
        }
    }

    /// Releases the spool files whose entries are durably gone.
    pub(crate) fn release_files(&self) {
        let durable = self.durable_job.load(Ordering::Acquire);
        let ready: Vec<u64> = {
            let mut releases = self.releases.lock();
            let (ready, rest) = releases.iter().partition(|(job, _)| *job <= durable);
            *releases = rest;
            let ready: Vec<(u64, u64)> = ready;
            ready.into_iter().map(|(_, file)| file).collect()
        };
        for file in ready {
            self.large.released(file);
        }
    }
}

/// Whether every recipient is final once the update is in.
pub(crate) fn finishes(entry: &Entry, update: &Update) -> bool {
    if let ([queued], [change]) = (entry.recipients.as_slice(), update.recipients.as_slice()) {
        return queued.recipient.id == change.id && change.state.is_final();
    }
    let changes: std::collections::HashMap<u32, bool> =
        update.recipients.iter().map(|change| (change.id, change.state.is_final())).collect();
    let is_final = |queued: &queue::QueuedRecipient| {
        changes.get(&queued.recipient.id).copied().unwrap_or_else(|| queued.state.is_final())
    };
    entry.recipients.iter().all(is_final)
}
