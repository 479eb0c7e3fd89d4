//! From an entry and its content to a record: what stands in the log, what in a spool file, and what is refused.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use model::{Content, Param, Piece, QueueId, Source};
use queue::{Entry, SpoolWriter, State, StoreError, Update};

use crate::core::Core;
use crate::large::{LargeSource, Named};
use crate::record::{Kind, LargeContent, LargePiece, MessageMeta, Record};

/// Octets of a reply or a reason that are kept; longer ones are cut.
const TEXT_OCTETS: usize = 1024;
/// Octets of the parameters of one recipient, or of MAIL: the index keeps its values under 64 KiB.
const PARAM_OCTETS: usize = 4096;

/// Makes the record of a new entry; the guard holds the spool file that it names.
pub(crate) fn prepare(
    core: &Core,
    entry: &Arc<Entry>,
    content: &Content,
    new_id: impl FnOnce() -> QueueId,
) -> Result<(Record, Option<Named>), StoreError> {
    check(entry)?;
    let (pieces, large, named) = match lay_out(core, content, new_id)? {
        Layout::InRecord(pieces) => (pieces, None, None),
        Layout::InFile(pieces, large, named) => (pieces, Some(large), Some(named)),
    };
    let meta = serde_json::to_vec(&MessageMeta { entry, large: large.as_ref() })
        .map_err(|error| StoreError::Disk(error.into()))?;
    let record = Record::new(Kind::Message, entry.id.0, meta, pieces);
    let fits = |record: &Record| record.total() <= core.options.segment_octets - 1024;
    let record = record.filter(fits).ok_or_else(|| invalid("the entry is larger than a segment"))?;
    Ok((record, named))
}

/// Keeps texts that a peer chose within bounds.
pub(crate) fn cut_texts(update: &mut Update) {
    for change in &mut update.recipients {
        if let Some(last) = &mut change.last {
            cut(&mut last.reply);
            last.host.iter_mut().for_each(cut);
        }
        if let State::Held { reason } = &mut change.state {
            cut(reason);
        }
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_OCTETS));
}

fn check(entry: &Entry) -> Result<(), StoreError> {
    let octets = |params: &[Param]| -> usize {
        params.iter().map(|param| param.keyword.len() + param.value.as_ref().map_or(0, String::len) + 2).sum()
    };
    if entry.is_finished() {
        return Err(invalid("the entry has no recipient that is left to do"));
    }
    if octets(&entry.sender_params) > PARAM_OCTETS {
        return Err(invalid("the parameters of MAIL have more than 4,096 octets"));
    }
    for queued in &entry.recipients {
        if octets(&queued.recipient.params) > PARAM_OCTETS {
            return Err(invalid("the parameters of a recipient have more than 4,096 octets"));
        }
        if matches!(&queued.state, State::Held { reason } if reason.len() > TEXT_OCTETS) {
            return Err(invalid("the reason for holding an entry has more than 1,024 octets"));
        }
    }
    Ok(())
}

fn invalid(why: &'static str) -> StoreError {
    StoreError::Disk(io::Error::new(io::ErrorKind::InvalidInput, why))
}

enum Layout {
    InRecord(Vec<Bytes>),
    InFile(Vec<Bytes>, LargeContent, Named),
}

fn lay_out(core: &Core, content: &Content, new_id: impl FnOnce() -> QueueId) -> Result<Layout, StoreError> {
    let source = content.source();
    let inline = core.options.inline_octets as u64;
    // A header block that was put before content of the full size in memory does not send it to a file.
    if let Some(all) = source.as_bytes()
        && content.len() <= 2 * inline
    {
        let part = |piece: &Piece| match piece {
            Piece::Stored { offset, len } => all.slice(*offset as usize..(*offset + *len) as usize),
            Piece::New(bytes) => bytes.clone(),
        };
        return Ok(Layout::InRecord(content.pieces().iter().map(part).collect()));
    }
    let large = source.as_any().downcast_ref::<LargeSource>();
    if let Some((file, crc)) = large.and_then(|large| Some((large.file_in(&core.large)?, large.crc()))) {
        let new = |piece: &Piece| match piece {
            Piece::Stored { .. } => None,
            Piece::New(bytes) => Some(bytes.clone()),
        };
        let pieces = content.pieces().iter().map(LargePiece::from).collect();
        let large = LargeContent { file, octets: source.len(), crc, pieces };
        let fresh = content.pieces().iter().filter_map(new).collect();
        return Ok(Layout::InFile(fresh, large, Named::new(&core.large, file)));
    }
    if content.len() <= inline {
        return Ok(Layout::InRecord(vec![content.to_bytes()?]));
    }
    let file = new_id().0;
    let source = copy_to_file(core, file, content)?;
    let octets = source.len();
    let (crc, pieces) = (source.crc(), vec![LargePiece::Stored(0, octets)]);
    let large = LargeContent { file, octets, crc, pieces };
    Ok(Layout::InFile(Vec::new(), large, Named::new(&core.large, file)))
}

/// Content from elsewhere that is too large for a record. Waits for the disk.
fn copy_to_file(core: &Core, file: u64, content: &Content) -> Result<Arc<LargeSource>, StoreError> {
    let mut writer = core.large.create(file, core.options.min_free_octets / 2)?;
    let mut buffer = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let count = content.read_at(offset, &mut buffer)?;
        if count == 0 {
            return Ok(writer.complete()?);
        }
        writer.write(&buffer[..count])?;
        offset += count as u64;
    }
}
