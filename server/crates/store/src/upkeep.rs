//! The thread that does what nobody waits for: it brings changes to sled, takes room back, and looks at the free space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::reclaim::Reclaim;
use crate::settle::{Settler, compact};

/// Between two rounds, at most.
const ROUND: Duration = Duration::from_millis(200);
/// Between two looks at sizes.
const MEASURE: Duration = Duration::from_secs(1);
/// Between two attempts to make sled smaller.
const COMPACT: Duration = Duration::from_secs(10);
/// Between two warnings of the same.
const WARN: Duration = Duration::from_secs(60);
/// Octets below which sled is left as it is.
const SMALL_OCTETS: u64 = 24 << 20;
/// Octets that an entry may take in sled before it is thought worth to be written anew.
const ENTRY_OCTETS: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Upkeep {
    core: Arc<Core>,
    settler: Settler,
    reclaim: Reclaim,
    measured: Option<Instant>,
    compacted: Instant,
    settled: Instant,
    /// Said last that room could not be taken back.
    warned: Option<Instant>,
    /// Whether sled failed and must be opened again.
    down: bool,
}

impl Upkeep {
    pub(crate) fn new(core: Arc<Core>, settler: Settler) -> Self {
        let reclaim = Reclaim::default();
        let now = clock::now();
        Self {
            core,
            settler,
            reclaim,
            measured: None,
            compacted: now,
            settled: now,
            warned: None,
            down: false,
        }
    }

    /// Works until the store is closed.
    pub(crate) fn run(mut self) {
        loop {
            let closing = self.pause();
            if self.core.crashed.load(Ordering::Acquire) {
                return;
            }
            if closing {
                self.finish();
                return;
            }
            self.round();
        }
    }

    fn pause(&self) -> bool {
        let mut wake = self.core.upkeep.lock();
        if !wake.now && !wake.closing {
            self.core.upkeep_wake.wait_for(&mut wake, ROUND);
        }
        wake.now = false;
        wake.closing
    }

    fn round(&mut self) {
        self.settle();
        self.core.release_files();
        let now = clock::now();
        if let Err(error) = self.reclaim.round(&self.core, self.settler.checkpoint.at)
            && self.warned.is_none_or(|at| now.duration_since(at) >= WARN)
        {
            self.warned = Some(now);
            tracing::warn!(%error, "room in the queue could not be taken back");
        }
        if self.measured.is_none_or(|at| now.duration_since(at) >= MEASURE) {
            self.measured = Some(now);
            measure(&self.core);
        }
        if now.duration_since(self.compacted) >= COMPACT {
            self.compacted = now;
            self.compact();
        }
    }

    /// What is older than the delay goes to sled, or everything when there is much.
    fn settle(&mut self) {
        if self.down {
            self.reopen();
            return;
        }
        let now = clock::now();
        let crowded = self.core.table.lock().weight() > self.core.options.memory_recipients / 2;
        let delay = if crowded { Duration::ZERO } else { self.core.options.settle_delay };
        let Some(before) = now.checked_sub(delay) else { return };
        // One sync in so long is enough while little waits.
        let due = now.duration_since(self.settled) >= delay;
        if due && let Err(error) = self.settler.settle(before) {
            tracing::error!(%error, "the index failed; it is opened again");
            self.down = true;
            self.reopen();
        }
        if due {
            self.settled = now;
        }
    }

    fn reopen(&mut self) {
        match self.settler.reopen() {
            Ok(()) => {
                self.down = false;
                tracing::info!("the index is open again");
            }
            Err(error) => {
                let full = matches!(&error, sled::Error::Io(error) if crate::disk::is_full(error));
                if full {
                    return;
                }
                let reason = format!("the index cannot be opened again: {error}; start the server again");
                if self.core.jobs.closed().is_none() {
                    tracing::error!("{reason}");
                }
                self.core.jobs.fail(&reason);
            }
        }
    }

    fn compact(&mut self) {
        let entries = self.core.table.lock().in_sled;
        let octets = self.core.tree.read().as_ref().map_or(0, |tree| tree.octets());
        if self.down || octets < SMALL_OCTETS || octets < entries * ENTRY_OCTETS {
            return;
        }
        let started = clock::now();
        match compact(&self.core) {
            Ok(()) => {
                let took_ms = clock::now().duration_since(started).as_millis();
                tracing::info!(entries, octets_before = octets, took_ms, "the index was written anew");
            }
            Err(error) => {
                tracing::error!(%error, "the index could not be written anew");
                self.down = self.core.tree.read().is_none();
            }
        }
    }

    fn finish(&mut self) {
        self.core.release_files();
        while let Ok(true) = self.settler.settle(clock::now()) {}
        if let Err(error) = self.reclaim.round(&self.core, self.settler.checkpoint.at) {
            tracing::warn!(%error, "room in the queue could not be taken back");
        }
    }
}

/// Looks at the free space and at how much the store takes.
pub(crate) fn measure(core: &Core) {
    match core.disk.free_octets(&core.options.dir) {
        Ok(free) => core.free_octets.store(free, Ordering::Release),
        Err(error) => tracing::warn!(%error, "the free space is not known"),
    }
    let tree = core.tree.read().as_ref().map_or(0, |tree| tree.octets());
    let octets = core.segments.disk_octets() + core.large.disk_octets() + tree;
    core.disk_octets.store(octets, Ordering::Release);
}
