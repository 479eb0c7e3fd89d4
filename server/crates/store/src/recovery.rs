//! What happens at start: the index is taken as sled has it, and what the log says since the last checkpoint is put on top. If sled
//! is missing, damaged or older than its checkpoint, it is set aside and the whole log is read.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::QueueId;
use queue::{StoreError, Update};

use crate::OpenError;
use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::core::{Core, finishes};
use crate::record::{Header, Kind, Location, OwnedMeta};
use crate::segment::{Hole, Segment};
use crate::settle::{Settler, remove_dir, tree_dir};
use crate::table::Place;
use crate::tree::Tree;

/// Brings the index up to date. Says where the log ends.
pub(crate) fn recover(
    core: &Arc<Core>,
    file: CheckpointFile,
    reading: &Reading,
) -> Result<(Settler, Location), OpenError> {
    let started = clock::now();
    let dir = &core.options.dir;
    let disk_error = |source| OpenError::Disk { path: dir.clone(), source };
    core.segments.load(&core.corrupt_dir()).map_err(disk_error)?;
    let known = file.read().map_err(disk_error)?;
    core.last_id.fetch_max(known.map_or(0, |checkpoint| checkpoint.last_id), Ordering::AcqRel);
    let (tree, checkpoint) = open_tree(core, known)?;
    *core.tree.write() = Some(tree);
    let fresh = Some(checkpoint) != known;
    let mut settler = Settler::new(Arc::clone(core), file, checkpoint, fresh);
    let from_sled = core.table.lock().live();
    let mut replay = Replay { core, settler: &mut settler, records: 0, reading };
    let end = replay.run().map_err(disk_error)?;
    let records = replay.records;
    core.last_id.fetch_max(core.large.newest().map_err(disk_error)?, Ordering::AcqRel);
    if fresh {
        settler
            .settle(clock::now())
            .map_err(|error| OpenError::Index { path: tree_dir(dir), reason: error.to_string() })?;
    }
    let orphans = core.large.remove_orphans().map_err(disk_error)?;
    let kept = core.disk.list(&core.corrupt_dir()).map_err(disk_error)?;
    let kept = kept.iter().filter(|name| !name.ends_with(".content")).count();
    core.corrupt.store(kept as u64, Ordering::Release);
    let (waiting, held) = {
        let table = core.table.lock();
        (table.waiting, table.held)
    };
    let took_ms = clock::now().duration_since(started).as_millis();
    tracing::info!(waiting, held, from_sled, records, orphans, took_ms, "the queue is open");
    Ok((settler, end))
}

/// Opens sled if it can be relied upon, or a new one that the log is read into.
fn open_tree(core: &Core, known: Option<Checkpoint>) -> Result<(Tree, Checkpoint), OpenError> {
    let dir = tree_dir(&core.options.dir);
    for left in ["new", "old"] {
        let path = dir.with_extension(left);
        remove_dir(&path).map_err(|source| OpenError::Disk { path, source })?;
    }
    let reason = match (dir.exists(), known) {
        (true, Some(checkpoint)) => match open_known(core, &dir, checkpoint) {
            Ok(tree) => return Ok((tree, checkpoint)),
            Err(reason) => reason,
        },
        (true, None) => "it has no checkpoint".to_owned(),
        (false, Some(_)) => "it is missing".to_owned(),
        (false, None) => String::new(),
    };
    core.table.lock().forget_counts();
    core.large.forget();
    if !reason.is_empty() {
        tracing::warn!(%reason, "the index is built anew from the log");
        set_aside(core, &dir).map_err(|source| OpenError::Disk { path: dir.clone(), source })?;
    }
    let index = |error: sled::Error| OpenError::Index { path: dir.clone(), reason: error.to_string() };
    let tree = Tree::open(&dir).map_err(index)?;
    let mark = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8);
    let (serial, number) = known.map_or((0, 1), |checkpoint| (checkpoint.serial, checkpoint.number + 1));
    tree.set_mark(mark, number).map_err(index)?;
    Ok((tree, Checkpoint { serial, number, mark, at: Location::default(), last_id: 0 }))
}

/// Opens sled and counts what it has; or says why it is of no use.
fn open_known(core: &Core, dir: &Path, checkpoint: Checkpoint) -> Result<Tree, String> {
    let count = || {
        let tree = Tree::open(dir)?;
        let mark = tree.mark()?;
        let mut entries = Vec::new();
        if mark.is_some_and(|(mark, number)| mark == checkpoint.mark && number >= checkpoint.number) {
            let mut table = core.table.lock();
            tree.each(|entry, head| {
                if core.segments.get(head.place.at.seq).is_none() {
                    entries.push((entry.id, head));
                }
                table.count_in(head.due, head.place);
                table.census.count_in(entry);
                table.in_sled += 1;
                head.place.large.iter().for_each(|file| core.large.named(*file));
                core.last_id.fetch_max(entry.id.0, Ordering::AcqRel);
            })?;
            Ok::<_, sled::Error>(Some((tree, entries)))
        } else {
            Ok(None)
        }
    };
    // Sled 0.34 answers some damage with a panic.
    let counted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(count));
    match counted {
        Ok(Ok(Some((tree, lost)))) => {
            if lost.is_empty() {
                return Ok(tree);
            }
            Err(format!("{} of its entries are not in the log", lost.len()))
        }
        Ok(Ok(None)) => Err("it is older than its checkpoint".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

/// Keeps a sled directory that is of no use, one at most.
fn set_aside(core: &Core, dir: &Path) -> io::Result<()> {
    if dir.exists() {
        let kept = core.options.dir.join("corrupt-index");
        remove_dir(&kept)?;
        std::fs::rename(dir, kept)?;
    }
    Ok(())
}

struct Replay<'a> {
    core: &'a Arc<Core>,
    settler: &'a mut Settler,
    records: u64,
    reading: &'a Reading,
}

/// How far the reading of the log is, for somebody who waits for it.
#[derive(Debug, Default)]
pub struct Reading {
    read: AtomicU64,
    all: AtomicU64,
}

impl Reading {
    /// Octets that were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Octets that are to be read; 0 as long as that is not known.
    pub fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Replay<'_> {
    fn run(&mut self) -> io::Result<Location> {
        let segments = self.core.segments.all();
        let mut ends = HashMap::new();
        for segment in &segments {
            if let Some(before) = segment.before()? {
                ends.insert(before.seq, before.offset);
            }
        }
        let start = self.settler.checkpoint.at;
        let mut end = start;
        let unread = segments.iter().filter(|segment| segment.seq >= start.seq);
        let unread: u64 = unread.map(|segment| segment.file.len()).sum::<io::Result<u64>>()?;
        self.reading.all.store(unread.saturating_sub(start.offset), Ordering::Relaxed);
        for segment in &segments {
            let known = ends.get(&segment.seq).copied();
            let here = Location { seq: segment.seq, offset: known.unwrap_or(0) };
            if segment.seq < start.seq {
                segment.used.store(known.map_or_else(|| segment.file.len(), Ok)?, Ordering::Release);
                end = end.max(here);
                continue;
            }
            let from = if segment.seq == start.seq { start.offset } else { 0 };
            let offset = self.segment(segment, from, known)?;
            end = end.max(Location { seq: segment.seq, offset });
        }
        self.core.table.lock().applied = end;
        Ok(end)
    }

    fn segment(&mut self, segment: &Segment, from: u64, known: Option<u64>) -> io::Result<u64> {
        let walk = segment.walk(from, known, |header, meta| self.record(header, meta))?;
        for hole in &walk.holes {
            self.hole(segment, hole)?;
        }
        let inner: Vec<&Hole> = walk.torn.iter().filter(|hole| hole.to <= walk.end).collect();
        for hole in &inner {
            tracing::warn!(
                segment = segment.seq,
                from = hole.from,
                to = hole.to,
                "a torn record is left out"
            );
            segment.fill(hole)?;
        }
        segment.used.store(walk.end, Ordering::Release);
        if known.is_none() {
            segment.file.set_len(walk.end)?;
            segment.file.sync()?;
        }
        Ok(walk.end)
    }

    fn record(&mut self, header: &Header, meta: &[u8]) -> io::Result<()> {
        self.records += 1;
        self.reading.read.fetch_add(header.total(), Ordering::Relaxed);
        if self.records.is_multiple_of(500_000) {
            tracing::info!(records = self.records, segment = header.at.seq, "the log is being read");
        }
        if header.kind != Kind::Open {
            self.core.last_id.fetch_max(header.id, Ordering::AcqRel);
        }
        self.core.table.lock().applied = header.at;
        match header.kind {
            Kind::Open => {}
            Kind::Message => self.message(header, meta)?,
            Kind::Update => self.update(header, meta)?,
            Kind::Gone => self.gone(QueueId(header.id))?,
        }
        let crowded = self.core.table.lock().weight() > self.core.options.memory_recipients / 2;
        if crowded {
            self.settler.settle(clock::now())?;
        }
        Ok(())
    }

    fn message(&self, header: &Header, meta: &[u8]) -> io::Result<()> {
        let Ok(OwnedMeta { entry, large }) = serde_json::from_slice(meta) else {
            // The checksum holds and the text is not ours: another version wrote it.
            self.core.set_aside(&format!("{}.meta", QueueId(header.id)), meta);
            tracing::error!(queue_id = %QueueId(header.id), "an entry cannot be read and was set aside");
            return Ok(());
        };
        self.load(entry.id)?;
        let large = large.map(|large| large.file);
        large.iter().for_each(|file| self.core.large.named(*file));
        let mut table = self.core.table.lock();
        let before =
            table.slot(entry.id).filter(|slot| slot.entry.is_some()).and_then(|slot| slot.place.large);
        let octets = u32::try_from(header.total()).unwrap_or(u32::MAX);
        let place = Place { at: header.at, octets, large };
        table.insert(Arc::new(entry), place, header.at, clock::now());
        drop(table);
        before.iter().for_each(|file| self.core.large.released(*file));
        Ok(())
    }

    fn update(&self, header: &Header, meta: &[u8]) -> io::Result<()> {
        let Ok(update) = serde_json::from_slice::<Update>(meta) else {
            tracing::error!(queue_id = %QueueId(header.id), "new states of an entry cannot be read");
            return Ok(());
        };
        self.load(update.id)?;
        let mut table = self.core.table.lock();
        let entry = table.slot(update.id).and_then(|slot| slot.entry.clone());
        let Some(entry) = entry else { return Ok(()) };
        if finishes(&entry, &update) {
            drop(table);
            return self.gone(update.id);
        }
        table.update(&update, clock::now(), 0);
        Ok(())
    }

    fn gone(&self, id: QueueId) -> io::Result<()> {
        self.load(id)?;
        let place = self.core.table.lock().remove(id, clock::now(), 0);
        place.and_then(|place| place.large).iter().for_each(|file| self.core.large.released(*file));
        Ok(())
    }

    fn load(&self, id: QueueId) -> io::Result<()> {
        // While sled is built anew it mostly has nothing; it answers from memory then.
        self.core.load(id).map_err(|error| match error {
            StoreError::Disk(error) => error,
            other => io::Error::other(other),
        })
    }

    /// Octets that were durable and are damaged.
    fn hole(&self, segment: &Segment, hole: &Hole) -> io::Result<()> {
        let octets = hole.to.saturating_sub(hole.from);
        let mut kept = vec![0; usize::try_from(octets).unwrap_or(0)];
        let count = segment.file.read_at(hole.from, &mut kept)?;
        kept.truncate(count);
        let id = hole.header.filter(|header| header.kind == Kind::Message).map(|header| QueueId(header.id));
        tracing::error!(
            segment = segment.seq, from = hole.from, to = hole.to, queue_id = ?id,
            "the log is damaged here; the octets were set aside"
        );
        match id {
            Some(id) => {
                self.core.set_aside(&format!("{id}.record"), &kept);
                let here = Location { seq: segment.seq, offset: hole.from };
                self.load(id)?;
                let mut table = self.core.table.lock();
                if table.slot(id).is_some_and(|slot| slot.place.at == here) {
                    table.remove(id, clock::now(), 0);
                }
            }
            None => self.core.set_aside(&format!("{:08}-{}.octets", segment.seq, hole.from), &kept),
        }
        Ok(())
    }
}
