//! The one thread that writes the log: it takes what waits, writes it with as few calls as it can, syncs once, and only then
//! tells those who wait.
//!
//! A write or sync that failed is never tried again as if nothing had happened: what the kernel kept of it is unknown. The
//! segment is left, the next one says where the old one ended durably, and update records that were not yet
//! durable are written again there. Only when no new segment can be begun either does the store close. A full disk
//! is not such a failure, nor is having no file descriptor left: the waiters hear it, and a later job tries again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use queue::StoreError;

use crate::core::Core;
use crate::disk::{is_full, is_out_of_files};
use crate::jobs::{Job, UPDATE_SYNC};
use crate::large::Named;
use crate::record::{Location, Record};
use crate::segment::Segment;
use crate::table::Place;

/// Octets that one batch writes.
const BATCH_OCTETS: u64 = 16 << 20;
/// Records in a batch.
const BATCH_RECORDS: usize = 512;
/// Octets of update records that are kept for writing again while the disk is full; beyond, they are dropped.
const CARRY_OCTETS: u64 = 32 << 20;
/// How long nothing is tried after the disk was full or no file could be opened.
const FULL_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    end: u64,
    durable: u64,
}

/// The end of the log.
#[derive(Debug)]
pub(crate) struct Log {
    core: Arc<Core>,
    active: Option<Active>,
    /// Where the segment before the next one ends.
    before: Location,
    /// Update records that were written and not synced.
    unsynced: Vec<Record>,
    /// Update records that must be written again.
    carry: Vec<Record>,
    sync_by: Option<Instant>,
    /// The disk was full, or no file could be opened: not before this time again.
    retry_at: Option<Instant>,
}

impl Log {
    /// The log goes on in a segment of its own behind `before`.
    pub(crate) fn new(core: Arc<Core>, before: Location) -> Self {
        Self {
            core,
            active: None,
            before,
            unsynced: Vec::new(),
            carry: Vec::new(),
            sync_by: None,
            retry_at: None,
        }
    }

    /// Writes until the store is closed.
    pub(crate) fn run(mut self) {
        loop {
            let taken = self.core.jobs.take(self.sync_by);
            if self.core.crashed.load(Ordering::Acquire) {
                return;
            }
            let idle = taken.jobs.is_empty();
            self.write_all(taken.jobs);
            let overdue = self.sync_by.is_some_and(|by| clock::now() >= by);
            if overdue || taken.closing {
                self.sync_updates();
            }
            if self.unsynced.is_empty() && self.carry.is_empty() {
                self.core.durable_job.store(taken.last, Ordering::Release);
            }
            if (taken.closing && idle) || self.core.jobs.closed().is_some() {
                return;
            }
            self.wait_for_index();
        }
    }

    /// Lets the index catch up when it holds much; for a moment only, since it may wait for us.
    fn wait_for_index(&self) {
        let until = clock::now() + Duration::from_millis(100);
        while self.core.table.lock().weight() > self.core.options.memory_recipients && clock::now() < until {
            self.core.wake_upkeep();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn write_all(&mut self, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            if let Err(error) = self.ensure_active() {
                self.refuse(jobs.collect(), &error);
                return;
            }
            let Some(active) = &self.active else { return };
            let (mut batch, mut octets) = (Vec::new(), 0);
            let room = self.core.options.segment_octets.saturating_sub(active.end);
            while let Some(job) = jobs.next_if(|job| {
                let more = octets + job.record().total();
                more <= room && (more <= BATCH_OCTETS || octets == 0)
            }) {
                octets += job.record().total();
                batch.push(job);
                if batch.len() == BATCH_RECORDS {
                    break;
                }
            }
            if batch.is_empty() {
                self.seal();
            } else {
                self.write_batch(batch);
            }
        }
    }

    /// Begins a segment when there is none, with what must be written again.
    fn ensure_active(&mut self) -> io::Result<()> {
        if self.retry_at.is_some_and(|at| clock::now() < at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.retry_at = None;
        if self.active.is_some() && self.carry.is_empty() {
            return Ok(());
        }
        if let Some(active) = self.active.take() {
            // Only after a full disk: what must be written again goes to a segment of its own.
            self.before = Location { seq: active.segment.seq, offset: active.durable };
        }
        let seq = self.core.segments.newest_seq().unwrap_or(0).max(self.before.seq) + 1;
        let (segment, _) = self.core.segments.begin(seq, self.before, &self.carry)?;
        self.carry.clear();
        let end = segment.used.load(Ordering::Acquire);
        self.core.table.lock().applied = Location { seq, offset: end };
        self.active = Some(Active { segment, end, durable: end });
        Ok(())
    }

    /// Ends the segment: the next one begins behind it.
    fn seal(&mut self) {
        self.sync_updates();
        if let Some(active) = self.active.take() {
            self.before = Location { seq: active.segment.seq, offset: active.end };
        }
    }

    fn write_batch(&mut self, batch: Vec<Job>) {
        let Some(active) = &mut self.active else { return };
        let records: Vec<&Record> = batch.iter().map(Job::record).collect();
        let durable_wanted = batch.iter().any(|job| !matches!(job, Job::Update { .. }));
        let written = active.segment.append(&records, active.end, active.durable);
        let done = written.and_then(|places| {
            if durable_wanted {
                active.segment.file.sync()?;
            }
            Ok(places)
        });
        match done {
            Ok(places) => {
                active.end = active.segment.used.load(Ordering::Acquire);
                if durable_wanted {
                    active.durable = active.end;
                    self.unsynced.clear();
                    self.sync_by = None;
                    let applied = Location { seq: active.segment.seq, offset: active.end };
                    complete(&self.core, batch, &places, applied);
                } else {
                    self.sync_by.get_or_insert_with(|| clock::now() + UPDATE_SYNC);
                    self.unsynced.extend(batch.into_iter().filter_map(into_update));
                }
            }
            Err(error) => self.failed(batch, error),
        }
    }

    /// Makes the update records durable that were written.
    fn sync_updates(&mut self) {
        self.sync_by = None;
        if !self.carry.is_empty()
            && let Err(error) = self.ensure_active()
        {
            self.trouble(&error);
            self.sync_by = Some(clock::now() + UPDATE_SYNC);
            return;
        }
        let Some(active) = self.active.as_mut().filter(|active| active.durable < active.end) else { return };
        match active.segment.file.sync() {
            Ok(()) => {
                active.durable = active.end;
                self.unsynced.clear();
                let applied = Location { seq: active.segment.seq, offset: active.end };
                self.core.table.lock().applied = applied;
            }
            Err(error) => self.failed(Vec::new(), error),
        }
    }

    /// A write or sync failed: what is behind the durable end of the segment is unknown.
    fn failed(&mut self, batch: Vec<Job>, error: io::Error) {
        tracing::error!(%error, waiting = batch.len(), "writing the queue failed; what was not durable is refused");
        self.carry.append(&mut self.unsynced);
        if let Some(active) = self.active.take() {
            self.before = Location { seq: active.segment.seq, offset: active.durable };
            active.segment.used.store(active.durable, Ordering::Release);
            if let Err(error) = active.segment.file.set_len(active.durable) {
                tracing::warn!(%error, segment = active.segment.seq, "a segment keeps its unsure end");
            }
        }
        let (updates, others): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|job| matches!(job, Job::Update { .. }));
        self.carry.extend(updates.into_iter().filter_map(into_update));
        self.limit_carry();
        // The new segment says where the old one ended, so that nothing behind comes back to life.
        if let Err(error) = self.ensure_active() {
            self.trouble(&error);
        }
        if is_full(&error) {
            self.retry_at = Some(clock::now() + FULL_PAUSE);
        }
        answer(others, &error);
    }

    /// No segment could be begun for these.
    fn refuse(&mut self, jobs: Vec<Job>, error: &io::Error) {
        self.trouble(error);
        let (updates, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| matches!(job, Job::Update { .. }));
        self.carry.extend(updates.into_iter().filter_map(into_update));
        self.limit_carry();
        if !self.carry.is_empty() {
            self.sync_by.get_or_insert_with(|| clock::now() + UPDATE_SYNC);
        }
        answer(others, error);
    }

    fn trouble(&mut self, error: &io::Error) {
        if is_full(error) || is_out_of_files(error) {
            if self.retry_at.is_none() {
                tracing::error!(%error, "no room for another segment of the queue");
                self.retry_at = Some(clock::now() + FULL_PAUSE);
            }
        } else {
            let reason =
                format!("no segment can be begun: {error}; start the server again when the disk is sound");
            tracing::error!("{reason}");
            self.core.jobs.fail(&reason);
        }
    }

    fn limit_carry(&mut self) {
        let octets: u64 = self.carry.iter().map(Record::total).sum();
        if octets > CARRY_OCTETS {
            tracing::error!(
                lost = self.carry.len(),
                "states cannot be recorded; their attempts may be made again"
            );
            self.carry.clear();
        }
    }
}

fn into_update(job: Job) -> Option<Record> {
    match job {
        Job::Update { record } => Some(record),
        _ => None,
    }
}

/// Puts what is durable into the index, then tells those who wait.
fn complete(core: &Core, batch: Vec<Job>, places: &[Location], applied: Location) {
    let now = clock::now();
    let mut waiters = Vec::with_capacity(batch.len());
    let mut table = core.table.lock();
    for (job, at) in batch.into_iter().zip(places) {
        let octets = u32::try_from(job.record().total()).unwrap_or(u32::MAX);
        match job {
            Job::Commit { entry, large, done, .. } => {
                let large = large.map(Named::keep);
                table.insert(entry, Place { at: *at, octets, large }, *at, now);
                waiters.push(done);
            }
            Job::Copy { id, from, pending, .. } => {
                table.moved(id, from, Place { at: *at, octets, large: None }, now);
                drop(pending);
            }
            Job::Update { .. } => {}
        }
    }
    table.applied = applied;
    drop(table);
    for done in waiters {
        // A session that hung up does not take its message back.
        let _ = done.send(Ok(()));
    }
}

fn answer(jobs: Vec<Job>, error: &io::Error) {
    for job in jobs {
        if let Job::Commit { done, .. } = job {
            let answer = if is_full(error) {
                StoreError::Full("no space left on the disk".to_owned())
            } else {
                StoreError::Disk(io::Error::new(error.kind(), error.to_string()))
            };
            let _ = done.send(Err(answer));
        }
    }
}
