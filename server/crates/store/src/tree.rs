//! The part of the index that is in sled: entries that have waited for more than a few seconds, and their schedule.
//!
//! One tree, keys by their first octet; numbers in keys are big-endian, so that they sort.
//!
//! | key | value |
//! |---|---|
//! | `d` due (8) id (8) | nothing |
//! | `e` id (8) | place, due, number of recipients (fixed, see [`Head`]), then the entry in JSON with its first 8 recipients |
//! | `r` id (8) n (4) | recipients 8n to 8n+7 in JSON |
//! | `m` | the store's mark (8) and the number (8) of the newest checkpoint that was begun |
//!
//! An entry with many recipients is thus many small values, each under sled's 64 KiB, and an update writes only those that
//! changed. What was said of attempts before the last is left out where it would make a value too large. What sled 0.34.7 needs care for: `flush` does not sync (we do), a batch is kept to 64 entries, a left-over
//! `snap.*.generating` stops it from opening, after a full disk it must be opened anew, and its file never shrinks.

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use model::{QueueId, ReversePath, Timestamp};
use queue::{Due, Entry, QueuedRecipient};
use serde::Serialize;

use crate::record::{Location, u32_at, u64_at};
use crate::table::{Change, Changed, Place};

/// Entries in one batch: with many more, sled's memory grows without end.
pub(crate) const BATCH: usize = 64;
/// Recipients in one value.
const GROUP: usize = 8;
/// Octets of page cache.
const CACHE_OCTETS: u64 = 64 << 20;
/// Octets of a value: histories are left out of what would be larger, since sled keeps larger ones elsewhere, unsynced.
const VALUE_OCTETS: usize = 60 << 10;
const NEVER: u64 = u64::MAX;

/// An open sled database that is synced as it should be.
#[derive(Debug)]
pub(crate) struct Tree {
    db: sled::Db,
    file: File,
}

/// The fixed part of an entry's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) place: Place,
    pub(crate) due: Option<Timestamp>,
    pub(crate) recipients: u32,
}

impl Head {
    const OCTETS: usize = 40;

    fn encode(&self) -> [u8; Self::OCTETS] {
        let mut out = [0; Self::OCTETS];
        out[..8].copy_from_slice(&self.place.at.seq.to_le_bytes());
        out[8..16].copy_from_slice(&self.place.at.offset.to_le_bytes());
        out[16..20].copy_from_slice(&self.place.octets.to_le_bytes());
        out[20..24].copy_from_slice(&self.recipients.to_le_bytes());
        out[24..32].copy_from_slice(&self.place.large.unwrap_or(NEVER).to_le_bytes());
        out[32..40].copy_from_slice(&self.due.map_or(NEVER, |due| due.0).to_le_bytes());
        out
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let at = Location { seq: u64_at(octets, 0)?, offset: u64_at(octets, 8)? };
        let large = Some(u64_at(octets, 24)?).filter(|file| *file != NEVER);
        let due = Some(u64_at(octets, 32)?).filter(|due| *due != NEVER).map(Timestamp);
        let place = Place { at, octets: u32_at(octets, 16)?, large };
        Some(Self { place, due, recipients: u32_at(octets, 20)? })
    }
}

/// An entry with its first recipients only; reads back as an [`Entry`].
#[derive(Serialize)]
struct EntryHead<'a> {
    id: QueueId,
    arrived: Timestamp,
    sender: &'a ReversePath,
    sender_params: &'a [model::Param],
    recipients: &'a [QueuedRecipient],
    size: u64,
}

fn entry_key(id: QueueId) -> [u8; 9] {
    let mut key = [b'e'; 9];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

fn due_key(due: Due) -> [u8; 17] {
    let mut key = [b'd'; 17];
    key[1..9].copy_from_slice(&due.at.0.to_be_bytes());
    key[9..].copy_from_slice(&due.id.0.to_be_bytes());
    key
}

fn group_key(id: QueueId, group: usize) -> [u8; 13] {
    let mut key = [b'r'; 13];
    key[1..9].copy_from_slice(&id.0.to_be_bytes());
    key[9..].copy_from_slice(&u32::try_from(group).unwrap_or(u32::MAX).to_be_bytes());
    key
}

fn be_at(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

const MARK_KEY: &[u8] = b"m";

pub(crate) fn broken(message: impl Into<String>) -> sled::Error {
    sled::Error::Io(io::Error::new(io::ErrorKind::InvalidData, message.into()))
}

/// Opens a sled database, with what 0.34.7 needs to be helped with. Damage may also show as a panic inside of sled, which
/// is an error here.
pub(crate) fn open_sled(dir: &Path) -> sled::Result<(sled::Db, File)> {
    for name in snapshots(dir) {
        if name.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(name)?;
        }
    }
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_OCTETS)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput);
    let open = || {
        catch_unwind(AssertUnwindSafe(|| config.open()))
            .unwrap_or_else(|_| Err(broken("sled panicked in open")))
    };
    let db = match open() {
        Err(sled::Error::Corruption { .. }) => {
            // The snapshot only saves time; without it sled reads its whole log.
            for name in snapshots(dir) {
                fs::remove_file(name)?;
            }
            open()?
        }
        other => other?,
    };
    let file = File::open(dir.join("db"))?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok((db, file))
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|item| item.path());
    names
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")))
        .collect()
}

impl Tree {
    pub(crate) fn open(dir: &Path) -> sled::Result<Self> {
        let (db, file) = open_sled(dir)?;
        Ok(Self { db, file })
    }

    /// The store's mark and the number of the newest checkpoint.
    pub(crate) fn mark(&self) -> sled::Result<Option<(u64, u64)>> {
        let value = self.db.get(MARK_KEY)?;
        Ok(value.and_then(|value| Some((u64_at(&value, 0)?, u64_at(&value, 8)?))))
    }

    pub(crate) fn set_mark(&self, mark: u64, number: u64) -> sled::Result<()> {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&mark.to_le_bytes());
        value[8..].copy_from_slice(&number.to_le_bytes());
        self.db.insert(MARK_KEY, &value)?;
        Ok(())
    }

    /// Makes everything so far durable.
    pub(crate) fn sync(&self) -> sled::Result<()> {
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }

    /// Writes changes and takes keys of the schedule away that are stale. Not yet durable.
    pub(crate) fn apply(&self, changes: &[Change], stale: &[Due]) -> sled::Result<()> {
        let mut batch = sled::Batch::default();
        for due in stale {
            if self.head(due.id)?.is_none_or(|head| head.due != Some(due.at)) {
                batch.remove(&due_key(*due));
            }
        }
        for change in changes {
            put(&mut batch, change)?;
        }
        self.db.apply_batch(batch)
    }

    pub(crate) fn head(&self, id: QueueId) -> sled::Result<Option<Head>> {
        let value = self.db.get(entry_key(id))?;
        value
            .map(|value| Head::decode(&value).ok_or_else(|| broken("an entry's value is too short")))
            .transpose()
    }

    /// An entry and its place.
    pub(crate) fn entry(&self, id: QueueId) -> sled::Result<Option<(Entry, Head)>> {
        match self.db.get(entry_key(id))? {
            Some(value) => self.read(id, &value).map(Some),
            None => Ok(None),
        }
    }

    fn read(&self, id: QueueId, value: &[u8]) -> sled::Result<(Entry, Head)> {
        let head = Head::decode(value).ok_or_else(|| broken("an entry's value is too short"))?;
        let json = |error: serde_json::Error| broken(format!("entry {id}: {error}"));
        let mut entry: Entry = serde_json::from_slice(&value[Head::OCTETS..]).map_err(json)?;
        for group in 1..(head.recipients as usize).div_ceil(GROUP) {
            let value = self.db.get(group_key(id, group))?;
            let value = value.ok_or_else(|| broken(format!("entry {id} lacks recipients")))?;
            let more: Vec<QueuedRecipient> = serde_json::from_slice(&value).map_err(json)?;
            entry.recipients.extend(more);
        }
        Ok((entry, head))
    }

    /// Calls `visit` for each entry's id and head, until it says no.
    pub(crate) fn scan(&self, mut visit: impl FnMut(QueueId, Head) -> bool) -> sled::Result<()> {
        for item in self.db.scan_prefix(b"e") {
            let (key, value) = item?;
            let id = be_at(&key, 1).ok_or_else(|| broken("a key is too short"))?;
            let head = Head::decode(&value).ok_or_else(|| broken("an entry's value is too short"))?;
            if !visit(QueueId(id), head) {
                break;
            }
        }
        Ok(())
    }

    /// Calls `visit` for each entry, whole.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Entry, Head)) -> sled::Result<()> {
        for item in self.db.scan_prefix(b"e") {
            let (key, value) = item?;
            let id = be_at(&key, 1).ok_or_else(|| broken("a key is too short"))?;
            let (entry, head) = self.read(QueueId(id), &value)?;
            visit(&entry, head);
        }
        Ok(())
    }

    /// Entries from behind `after` on.
    pub(crate) fn list(&self, after: Option<QueueId>, limit: usize) -> sled::Result<Vec<(Entry, Head)>> {
        let from = after.map_or(Bound::Included(b"e".to_vec()), |id| Bound::Excluded(entry_key(id).to_vec()));
        let range = self.db.range::<Vec<u8>, _>((from, Bound::Excluded(b"f".to_vec())));
        let read = |item: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = item?;
            self.read(QueueId(be_at(&key, 1).unwrap_or(0)), &value)
        };
        range.take(limit).map(read).collect()
    }

    /// Keys of the schedule from behind `after` up to `now`.
    pub(crate) fn due(&self, after: Option<Due>, now: Timestamp, limit: usize) -> sled::Result<Vec<Due>> {
        if after.is_some_and(|after| after.at > now) {
            return Ok(Vec::new());
        }
        let from = after.map_or(Bound::Included(b"d".to_vec()), |due| Bound::Excluded(due_key(due).to_vec()));
        let to = due_key(Due { at: now, id: QueueId(u64::MAX) }).to_vec();
        let range = self.db.range::<Vec<u8>, _>((from, Bound::Included(to)));
        let read = |item: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, _) = item?;
            let (at, id) = be_at(&key, 1).zip(be_at(&key, 9)).ok_or_else(|| broken("a key is too short"))?;
            Ok(Due { at: Timestamp(at), id: QueueId(id) })
        };
        range.take(limit).map(read).collect()
    }

    pub(crate) fn octets(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// Copies everything into a new database in `dir`, durably.
    pub(crate) fn copy_to(&self, dir: &Path) -> sled::Result<()> {
        let copy = Self::open(dir)?;
        let mut batch = sled::Batch::default();
        for (count, item) in self.db.iter().enumerate() {
            let (key, value) = item?;
            batch.insert(key, value);
            if count % BATCH == BATCH - 1 {
                copy.db.apply_batch(std::mem::take(&mut batch))?;
            }
        }
        copy.db.apply_batch(batch)?;
        copy.sync()
    }
}

fn put(batch: &mut sled::Batch, change: &Change) -> sled::Result<()> {
    let id = change.dirty.id;
    let old_due = change.before.and_then(|stored| stored.due);
    let groups_before = change.before.map_or(0, |stored| (stored.recipients as usize).div_ceil(GROUP));
    let Some(entry) = &change.entry else {
        old_due.iter().for_each(|at| batch.remove(&due_key(Due { at: *at, id })));
        batch.remove(&entry_key(id));
        (1..groups_before).for_each(|group| batch.remove(&group_key(id, group)));
        return Ok(());
    };
    let due = entry.due();
    if old_due != due {
        old_due.iter().for_each(|at| batch.remove(&due_key(Due { at: *at, id })));
    }
    due.iter().for_each(|at| batch.insert(&due_key(Due { at: *at, id }), &[]));
    let json = |error: serde_json::Error| broken(error.to_string());
    let first = &entry.recipients[..entry.recipients.len().min(GROUP)];
    let head = Head {
        place: change.place,
        due,
        recipients: u32::try_from(entry.recipients.len()).unwrap_or(u32::MAX),
    };
    let body = EntryHead {
        id,
        arrived: entry.arrived,
        sender: &entry.sender,
        sender_params: &entry.sender_params,
        recipients: first,
        size: entry.size,
    };
    let mut value = head.encode().to_vec();
    serde_json::to_writer(&mut value, &body).map_err(json)?;
    if value.len() > VALUE_OCTETS {
        value.truncate(Head::OCTETS);
        let recipients = &without_history(first);
        serde_json::to_writer(&mut value, &EntryHead { recipients, ..body }).map_err(json)?;
    }
    batch.insert(&entry_key(id), value);
    for (group, recipients) in entry.recipients.chunks(GROUP).enumerate().skip(1) {
        let touched = match &change.changed {
            Changed::All => true,
            Changed::Some(positions) => positions.range(group * GROUP..(group + 1) * GROUP).next().is_some(),
        };
        if touched {
            let mut value = serde_json::to_vec(recipients).map_err(json)?;
            if value.len() > VALUE_OCTETS {
                value = serde_json::to_vec(&without_history(recipients)).map_err(json)?;
            }
            batch.insert(&group_key(id, group), value);
        }
    }
    Ok(())
}

fn without_history(recipients: &[QueuedRecipient]) -> Vec<QueuedRecipient> {
    recipients.iter().map(|queued| QueuedRecipient { history: Vec::new(), ..queued.clone() }).collect()
}
