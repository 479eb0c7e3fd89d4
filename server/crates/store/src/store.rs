//! The store on this machine's disk.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use model::{Content, Histogram, HistogramView, QueueId, Timestamp};
use parking_lot::Mutex;
use queue::{BoxFuture, CensusView, Due, Entry, SpoolWriter, Store, StoreError, StoreTotals, Update};
use tokio::sync::oneshot;

use crate::checkpoint::CheckpointFile;
use crate::core::Core;
use crate::disk::{Disk, RealDisk};
use crate::jobs::Job;
use crate::large::LargeFiles;
use crate::recovery::Reading;
use crate::segment::Segments;
use crate::upkeep::{Upkeep, measure};
use crate::writer::Log;
use crate::{KvStore, OpenError, Options};
use crate::{accept, read, recovery};

/// Bits of an id that count within a millisecond.
const ID_BITS: u32 = 20;

/// Keeps the queue in a directory: see the [crate](crate) for how.
///
/// Closed when dropped; [`DiskStore::close`] does it at a time of one's choice.
#[derive(Debug)]
pub struct DiskStore {
    core: Arc<Core>,
    threads: Mutex<Option<(JoinHandle<()>, JoinHandle<()>)>>,
    key_value: Arc<KvStore>,
    commits: Histogram,
    /// Locked while the store is open.
    lock: Mutex<Option<File>>,
}

impl DiskStore {
    /// Opens the store, or makes it, and brings it up to date after a crash. Waits for the disk.
    ///
    /// # Errors
    /// `Locked` when another server has this directory; the others say what failed where.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_on(options, Arc::new(RealDisk))
    }

    /// The same, for somebody who wants to know how far the reading of the log is: building the index anew takes a while for a long queue.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_watched(options: Options, reading: &Reading) -> Result<Self, OpenError> {
        Self::open_with(options, Arc::new(RealDisk), reading)
    }

    pub(crate) fn open_on(options: Options, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::open_with(options, disk, &Reading::default())
    }

    fn open_with(options: Options, disk: Arc<dyn Disk>, reading: &Reading) -> Result<Self, OpenError> {
        options.check()?;
        let dir = options.dir.clone();
        let failed = |source| OpenError::Disk { path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let lock = lock(&dir)?;
        let (spool, large, corrupt) = (dir.join("spool"), dir.join("spool/large"), dir.join("corrupt"));
        for made in [&spool, &large, &corrupt] {
            disk.create_dir(made).map_err(failed)?;
        }
        for changed in [&dir, &spool] {
            disk.sync_dir(changed).map_err(failed)?;
        }
        let key_value = Arc::new(KvStore::open(&dir.join("kv"), options.key_value)?);
        let core = Arc::new(Core {
            segments: Segments::new(Arc::clone(&disk), spool),
            large: Arc::new(LargeFiles::new(Arc::clone(&disk), large)),
            options,
            disk,
            table: Mutex::default(),
            tree: Default::default(),
            jobs: Default::default(),
            last_id: Default::default(),
            corrupt: Default::default(),
            durable_job: Default::default(),
            disk_octets: Default::default(),
            free_octets: Default::default(),
            releases: Mutex::default(),
            crashed: Default::default(),
            upkeep: Mutex::default(),
            upkeep_wake: Default::default(),
        });
        let checkpoint = CheckpointFile::open(&*core.disk, &dir).map_err(failed)?;
        let (settler, end) = recovery::recover(&core, checkpoint, reading)?;
        measure(&core);
        let log = Log::new(Arc::clone(&core), end);
        let upkeep = Upkeep::new(Arc::clone(&core), settler);
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let writer = named("store-writer").spawn(move || log.run()).map_err(failed)?;
        let upkeep = match named("store-upkeep").spawn(move || upkeep.run()) {
            Ok(upkeep) => upkeep,
            Err(error) => {
                core.jobs.close();
                let _ = writer.join();
                return Err(failed(error));
            }
        };
        let threads = Mutex::new(Some((writer, upkeep)));
        let commits = Histogram::new(Histogram::SHORT_S);
        Ok(Self { core, threads, key_value, commits, lock: Mutex::new(Some(lock)) })
    }

    /// The plugins' key-value space.
    pub fn key_value(&self) -> Arc<KvStore> {
        Arc::clone(&self.key_value)
    }

    /// Writes what waits, brings everything to the disk and ends the threads. Commits after this are refused.
    pub fn close(&self) {
        self.core.jobs.close();
        let threads = self.threads.lock().take();
        let Some((writer, upkeep)) = threads else { return };
        let writer_died = writer.join().is_err();
        {
            self.core.upkeep.lock().closing = true;
            self.core.upkeep_wake.notify_all();
        }
        if upkeep.join().is_err() || writer_died {
            tracing::error!("a thread of the queue panicked; the next start reads the log");
        }
        self.core.jobs.fail("the server is stopping");
        self.core.tree.write().take();
        self.key_value.close();
        self.lock.lock().take();
    }

    /// Stops at once, as a killed process would, but lets go of the directory.
    #[cfg(test)]
    pub(crate) fn crash(self) {
        self.core.crashed.store(true, Ordering::Release);
        self.core.jobs.close();
        self.core.wake_upkeep();
        let threads = self.threads.lock().take();
        if let Some((writer, upkeep)) = threads {
            let _ = writer.join();
            let _ = upkeep.join();
        }
        self.core.tree.write().take();
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes the directory, or says that somebody else has it.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| OpenError::Disk { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Disk { path, source }),
    }
}

impl Store for DiskStore {
    fn new_id(&self) -> QueueId {
        let floor = clock::wall().0 << ID_BITS;
        let next = |last: u64| (last + 1).max(floor);
        let last =
            self.core.last_id.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        QueueId(next(last.unwrap_or(0)))
    }

    fn admit(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.core.jobs.closed() {
            return Err(StoreError::Closed(reason));
        }
        let (free, reserve) =
            (self.core.free_octets.load(Ordering::Acquire), self.core.options.min_free_octets);
        if free < reserve {
            return Err(StoreError::Full(format!("{free} octets free, {reserve} are kept in reserve")));
        }
        let entries = self.core.table.lock().live();
        if entries >= self.core.options.max_entries {
            return Err(StoreError::Full(format!("{entries} entries wait, which is the limit")));
        }
        Ok(())
    }

    fn spool(&self, _id: QueueId) -> Result<Box<dyn SpoolWriter>, StoreError> {
        self.admit()?;
        let reserve = self.core.options.min_free_octets / 2;
        Ok(Box::new(self.core.large.create(self.new_id().0, reserve)?))
    }

    fn inline_octets(&self) -> usize {
        self.core.options.inline_octets
    }

    fn commit(&self, entry: Arc<Entry>, content: Content) -> BoxFuture<'_, Result<(), StoreError>> {
        let (done, answer) = oneshot::channel();
        let began = clock::now();
        self.core.last_id.fetch_max(entry.id.0, Ordering::AcqRel);
        let pushed = accept::prepare(&self.core, &entry, &content, || self.new_id())
            .and_then(|(record, large)| self.core.jobs.push(Job::Commit { record, entry, large, done }));
        drop(content);
        Box::pin(async move {
            pushed?;
            let stopped = || StoreError::Closed("the writer stopped".to_owned());
            let answered = answer.await.unwrap_or_else(|_| Err(stopped()));
            self.commits.observe(clock::now().saturating_duration_since(began));
            answered
        })
    }

    fn update(&self, mut update: Update) -> BoxFuture<'_, Result<(), StoreError>> {
        accept::cut_texts(&mut update);
        if let Some(done) = self.core.update_loaded(&update) {
            return Box::pin(std::future::ready(done));
        }
        // The entry is in sled only: reading it may wait for the disk.
        let core = Arc::clone(&self.core);
        let work = move || loop {
            core.load(update.id)?;
            if let Some(done) = core.update_loaded(&update) {
                return done;
            }
            if core.place(update.id).is_err() {
                return Err(StoreError::NotFound(update.id));
            }
        };
        Box::pin(async move {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => {
                    let joined = runtime.spawn_blocking(work).await;
                    joined.unwrap_or_else(|error| Err(StoreError::Disk(io::Error::other(error))))
                }
                Err(_) => work(),
            }
        })
    }

    fn due(&self, now: Timestamp, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        read::due(&self.core, now, after, limit)
    }

    fn next_due(&self) -> Result<Option<Due>, StoreError> {
        Ok(read::due(&self.core, Timestamp(u64::MAX), None, 1)?.first().copied())
    }

    fn entry(&self, id: QueueId) -> Result<Entry, StoreError> {
        self.core.entry(id).map(Arc::unwrap_or_clone)
    }

    fn content(&self, id: QueueId) -> Result<Content, StoreError> {
        read::content(&self.core, id)
    }

    fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        read::list(&self.core, after, limit)
    }

    fn totals(&self) -> StoreTotals {
        let (waiting, held, oldest) = {
            let table = self.core.table.lock();
            (table.waiting, table.held, table.census.oldest())
        };
        StoreTotals {
            waiting,
            held,
            oldest,
            free_octets: Some(self.core.free_octets.load(Ordering::Acquire)),
            corrupt: self.core.corrupt.load(Ordering::Acquire),
            disk_octets: self.core.disk_octets.load(Ordering::Acquire),
        }
    }

    fn may_have_domain(&self, domain: &str) -> bool {
        self.core.table.lock().census.may_have_domain(domain)
    }

    fn commit_latency(&self) -> HistogramView {
        self.commits.view()
    }

    fn census(&self, limit: usize) -> CensusView {
        self.core.table.lock().census.view(limit)
    }
}
