//! Takes room back. The log is cleaned from its old end: a segment with nothing alive goes (its file may be written again),
//! and when more than half of the log is dead, what is alive in the oldest segment is copied to the new end.
//!
//! Always the oldest first: records about an entry stand behind the entry's own, so what goes is never missed by what stays. A
//! segment goes only when sled's checkpoint and all records that declared its entries gone are durable.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::QueueId;
use queue::StoreError;

use crate::core::Core;
use crate::jobs::{Job, Pending};
use crate::record::{Kind, Location, MessageMeta, Record};
use crate::segment::Segment;

/// Octets that are copied in one round.
const ROUND_OCTETS: u64 = 8 << 20;
/// Segments that go in one round.
const ROUND_SEGMENTS: usize = 16;
/// Rounds without a retired segment after which spare files go, one a round.
const IDLE_ROUNDS: u32 = 25;

#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    /// The oldest segment and the number of the last job when it was first seen without anything alive.
    dead: Option<(u64, u64)>,
    /// Messages of the oldest segment that may be alive.
    candidates: VecDeque<(QueueId, Location)>,
    of: u64,
    pending: Arc<AtomicUsize>,
    idle: u32,
}

impl Reclaim {
    /// One round: bounded work. `checkpoint` is up to where sled knows the log.
    pub(crate) fn round(&mut self, core: &Core, checkpoint: Location) -> io::Result<()> {
        self.idle = self.idle.saturating_add(1);
        for _ in 0..ROUND_SEGMENTS {
            let Some(oldest) = core.segments.oldest() else { return Ok(()) };
            if Some(oldest.seq) == core.segments.newest_seq() {
                break;
            }
            if core.table.lock().alive(oldest.seq).entries > 0 {
                self.dead = None;
                if self.wants_copies(core, &oldest) {
                    self.copy_some(core, &oldest)?;
                }
                break;
            }
            if !self.may_go(core, oldest.seq, checkpoint) {
                break;
            }
            let seq = oldest.seq;
            drop(oldest);
            core.segments.retire(seq, true)?;
            (self.dead, self.idle) = (None, 0);
        }
        if self.idle > IDLE_ROUNDS {
            core.segments.drop_spare()?;
        }
        Ok(())
    }

    fn may_go(&mut self, core: &Core, seq: u64, checkpoint: Location) -> bool {
        let (_, job) = match self.dead {
            Some(dead) if dead.0 == seq => dead,
            _ => *self.dead.insert((seq, core.jobs.last())),
        };
        let copies_done = self.pending.load(Ordering::Acquire) == 0;
        copies_done && checkpoint.seq > seq && core.durable_job.load(Ordering::Acquire) >= job
    }

    /// Whether the closed segments hold more dead octets than living ones.
    fn wants_copies(&self, core: &Core, oldest: &Arc<Segment>) -> bool {
        let newest = core.segments.newest_seq();
        let used: u64 = core
            .segments
            .all()
            .iter()
            .filter(|segment| Some(segment.seq) != newest)
            .map(|segment| segment.used.load(Ordering::Acquire))
            .sum();
        let alive = core.table.lock().alive_octets();
        let started = self.of == oldest.seq && !self.candidates.is_empty();
        self.pending.load(Ordering::Acquire) == 0
            && (started || used > 2 * alive + core.options.segment_octets)
    }

    fn copy_some(&mut self, core: &Core, oldest: &Arc<Segment>) -> io::Result<()> {
        if self.of != oldest.seq || self.candidates.is_empty() {
            self.of = oldest.seq;
            self.candidates.clear();
            let candidates = &mut self.candidates;
            let walk = oldest.walk(0, Some(oldest.used.load(Ordering::Acquire)), |header, _| {
                if header.kind == Kind::Message {
                    candidates.push_back((QueueId(header.id), header.at));
                }
                Ok(())
            })?;
            if self.candidates.is_empty() || !walk.holes.is_empty() {
                self.set_aside_rest(core, oldest)?;
            }
        }
        let mut octets = 0;
        while octets < ROUND_OCTETS
            && let Some((id, at)) = self.candidates.pop_front()
        {
            octets += copy(core, &self.pending, id, at)?;
        }
        Ok(())
    }

    /// Entries count as alive here and none of them can be read: they are damaged.
    fn set_aside_rest(&self, core: &Core, oldest: &Segment) -> io::Result<()> {
        let mut lost = Vec::new();
        let here = |seq: u64| seq == oldest.seq;
        {
            let table = core.table.lock();
            let slots = table.after(None).filter(|(_, slot)| slot.entry.is_some() && here(slot.place.at.seq));
            lost.extend(slots.map(|(id, slot)| (*id, slot.place)));
        }
        let in_sled = core.with_tree(|tree| {
            let mut found = Vec::new();
            tree.scan(|id, head| {
                if here(head.place.at.seq) {
                    found.push((id, head.place));
                }
                true
            })?;
            Ok(found)
        });
        lost.extend(in_sled.map_err(io::Error::other)?);
        for (id, _) in lost {
            match core.read_record(id) {
                Ok(_) | Err(StoreError::NotFound(_) | StoreError::Corrupt(_)) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(())
    }
}

/// Copies an entry's record to the end of the log if it is alive at this place; says how many octets that costs.
fn copy(core: &Core, pending: &Arc<AtomicUsize>, id: QueueId, at: Location) -> io::Result<u64> {
    let is_here = match core.place(id) {
        Ok(place) => place.at == at,
        Err(StoreError::NotFound(_)) => false,
        Err(error) => return Err(io::Error::other(error)),
    };
    if !is_here {
        return Ok(0);
    }
    let read = match core.read_record(id) {
        Ok(read) => read,
        Err(StoreError::NotFound(_) | StoreError::Corrupt(_)) => return Ok(0),
        Err(error) => return Err(io::Error::other(error)),
    };
    let large = read.meta().map_err(io::Error::other)?.large;
    let content = read.into_content();
    core.load(id).map_err(io::Error::other)?;
    // State and place in line are taken in one step: records behind the copy are newer than it.
    let mut table = core.table.lock();
    let Some(slot) = table.slot(id).filter(|slot| slot.place.at == at) else { return Ok(0) };
    let Some(entry) = &slot.entry else { return Ok(0) };
    let meta = serde_json::to_vec(&MessageMeta { entry, large: large.as_ref() })?;
    let Some(record) = Record::new(Kind::Message, id.0, meta, vec![content]) else { return Ok(0) };
    let octets = record.total();
    let job = Job::Copy { record, id, from: at, pending: Pending::new(pending) };
    core.jobs.push(job).map_err(io::Error::other)?;
    let applied = table.applied;
    table.mark_dirty(id, applied, clock::now(), 0);
    Ok(octets)
}
