//! What callers read: the schedule, entries and content, from the table and from sled as if they were one.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use model::{Content, Piece, QueueId, Timestamp};
use queue::{Due, Entry, StoreError};

use crate::core::Core;
use crate::record::LargePiece;

/// Keys that one look into sled's schedule takes, at least.
const LOOK: usize = 64;

/// Entries that are due, earliest first.
pub(crate) fn due(
    core: &Core,
    now: Timestamp,
    after: Option<Due>,
    limit: usize,
) -> Result<Vec<Due>, StoreError> {
    let mut found: BTreeSet<Due> = core.table.lock().due_range(after, now, limit).into_iter().collect();
    let (mut from, mut taken) = (after, 0);
    while taken < limit {
        let look = (limit - taken).max(LOOK);
        let keys = core.with_tree(|tree| tree.due(from, now, look))?;
        from = keys.last().copied().or(from);
        let ended = keys.len() < look;
        for due in keys {
            // What is in the table counts, not what sled still has of it.
            if core.table.lock().slot(due.id).is_some() {
                continue;
            }
            if core.with_tree(|tree| tree.head(due.id))?.is_some_and(|head| head.due == Some(due.at)) {
                found.insert(due);
                taken += 1;
            } else if core.table.lock().slot(due.id).is_none() {
                core.table.lock().stale.push(due);
            }
        }
        if ended {
            break;
        }
    }
    Ok(found.into_iter().take(limit).collect())
}

/// Entries in the order of their ids.
pub(crate) fn list(core: &Core, after: Option<QueueId>, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let mut found = std::collections::BTreeMap::new();
    {
        let table = core.table.lock();
        let here = table.after(after).filter_map(|(id, slot)| Some((*id, slot.entry.clone()?)));
        found.extend(here.take(limit));
    }
    let (mut from, mut taken) = (after, 0);
    while taken < limit {
        let look = limit - taken;
        let entries = core.with_tree(|tree| tree.list(from, look))?;
        from = entries.last().map(|(entry, _)| entry.id).or(from);
        let ended = entries.len() < look;
        for (entry, _) in entries {
            let id = entry.id;
            if found.contains_key(&id) {
                continue;
            }
            // It may have come into the table since that was looked at; then what stands there counts.
            let newest = match core.table.lock().slot(id) {
                None => Some(Arc::new(entry)),
                Some(slot) => slot.entry.clone(),
            };
            if let Some(entry) = newest {
                found.insert(id, entry);
                taken += 1;
            }
        }
        if ended {
            break;
        }
    }
    Ok(found.into_values().take(limit).map(Arc::unwrap_or_clone).collect())
}

/// An entry's content. What stood in the log is in memory and agrees with its checksum.
pub(crate) fn content(core: &Core, id: QueueId) -> Result<Content, StoreError> {
    let place = core.place(id)?;
    let read = core.read_record(id)?;
    let Some(file) = place.large else {
        return Ok(Content::from(read.into_content()));
    };
    let meta = read.meta().map_err(|error| StoreError::Disk(error.into()))?;
    let fresh = read.into_content();
    let spliced = || {
        let large = meta.large.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        let source = core.large.source(file, large)?;
        Content::spliced(source, pieces(&large.pieces, &fresh)?)
    };
    spliced().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            // An entry that went away meanwhile took its file along.
            if core.place(id).is_err() {
                return StoreError::NotFound(id);
            }
            core.set_aside_entry(id, place, &[]);
            StoreError::Corrupt(id)
        }
        _ => StoreError::Disk(error),
    })
}

fn pieces(large: &[LargePiece], fresh: &Bytes) -> io::Result<Vec<Piece>> {
    let mut at = 0;
    let mut piece = |piece: &LargePiece| match *piece {
        LargePiece::Stored(offset, len) => Ok(Piece::Stored { offset, len }),
        LargePiece::New(len) => {
            let from = at;
            at += usize::try_from(len).unwrap_or(usize::MAX / 2);
            if at > fresh.len() {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            Ok(Piece::New(fresh.slice(from..at)))
        }
    };
    large.iter().map(&mut piece).collect()
}
