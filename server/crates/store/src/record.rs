//! What one record of the log looks like, octet by octet. Integers are little-endian.
//!
//! | at | octets | field |
//! |---|---|---|
//! | 0 | 4 | `WxR1` |
//! | 4 | 4 | CRC-32 of the header from octet 8 on |
//! | 8 | 8 | number of the segment: a stale record of a recycled file has another one |
//! | 16 | 8 | offset of the record in its segment |
//! | 24 | 8 | offset up to which the segment was known to be durable when this was written |
//! | 32 | 8 | id of the entry; in an `Open` record the number of the segment before |
//! | 40 | 1 | kind |
//! | 41 | 3 | zero |
//! | 44 | 4 | the segment's random mark, so that a record that somebody mails is never taken for one of ours |
//! | 48 | 8 | length and CRC-32 of the meta part |
//! | 56 | 8 | length and CRC-32 of the content part |
//! | 64 | | meta, content, zeros up to a multiple of 8 |

use bytes::Bytes;
use model::{Piece, QueueId};
use queue::Entry;
use serde::{Deserialize, Serialize};

/// Octets of a header.
pub(crate) const HEADER_OCTETS: usize = 64;
/// Records begin at multiples of this many octets.
pub(crate) const ALIGN: usize = 8;
/// The first octets of a record.
pub(crate) const MAGIC: [u8; 4] = *b"WxR1";

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record of a segment. Its meta part is the offset (8 octets) at which the segment before ends.
    Open = 1,
    /// An entry with its content: new, or copied forward with its state at that moment.
    Message = 2,
    /// New states of some recipients.
    Update = 3,
    /// The entry is gone.
    Gone = 4,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        [Self::Open, Self::Message, Self::Update, Self::Gone].into_iter().find(|kind| *kind as u8 == octet)
    }
}

/// A place in the log; later records have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Location {
    /// Number of the segment.
    pub(crate) seq: u64,
    /// Octets from the segment's beginning.
    pub(crate) offset: u64,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) at: Location,
    pub(crate) durable: u64,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) mark: u32,
    pub(crate) meta_len: u32,
    pub(crate) meta_crc: u32,
    pub(crate) content_len: u32,
    pub(crate) content_crc: u32,
}

impl Header {
    /// The header as it stands in the log.
    pub(crate) fn encode(&self) -> [u8; HEADER_OCTETS] {
        let mut out = [0; HEADER_OCTETS];
        out[..4].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.at.seq.to_le_bytes());
        out[16..24].copy_from_slice(&self.at.offset.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        out[32..40].copy_from_slice(&self.id.to_le_bytes());
        out[40] = self.kind as u8;
        out[44..48].copy_from_slice(&self.mark.to_le_bytes());
        out[48..52].copy_from_slice(&self.meta_len.to_le_bytes());
        out[52..56].copy_from_slice(&self.meta_crc.to_le_bytes());
        out[56..60].copy_from_slice(&self.content_len.to_le_bytes());
        out[60..64].copy_from_slice(&self.content_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header, if these octets are one and its checksum holds.
    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; HEADER_OCTETS] = octets.get(..HEADER_OCTETS)?.try_into().ok()?;
        if octets[..4] != MAGIC || u32_at(octets, 4)? != crc32fast::hash(&octets[8..]) {
            return None;
        }
        Some(Self {
            at: Location { seq: u64_at(octets, 8)?, offset: u64_at(octets, 16)? },
            durable: u64_at(octets, 24)?,
            id: u64_at(octets, 32)?,
            kind: Kind::from_octet(octets[40])?,
            mark: u32_at(octets, 44)?,
            meta_len: u32_at(octets, 48)?,
            meta_crc: u32_at(octets, 52)?,
            content_len: u32_at(octets, 56)?,
            content_crc: u32_at(octets, 60)?,
        })
    }

    /// Octets of the whole record, with its padding.
    pub(crate) fn total(&self) -> u64 {
        padded(HEADER_OCTETS as u64 + u64::from(self.meta_len) + u64::from(self.content_len))
    }
}

/// The number of octets rounded up to where the next record may begin.
pub(crate) fn padded(octets: u64) -> u64 {
    octets.next_multiple_of(ALIGN as u64)
}

/// Eight octets as a number, when there are as many.
pub(crate) fn u64_at(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

/// Four octets as a number, when there are as many.
pub(crate) fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

/// A record that has no place yet.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) meta: Vec<u8>,
    pub(crate) content: Vec<Bytes>,
    pub(crate) content_len: u32,
    meta_crc: u32,
    content_crc: u32,
}

impl Record {
    /// A record; nothing when a part has 4 GiB or more.
    pub(crate) fn new(kind: Kind, id: u64, meta: Vec<u8>, content: Vec<Bytes>) -> Option<Self> {
        u32::try_from(meta.len()).ok()?;
        let content_len = u32::try_from(content.iter().map(Bytes::len).sum::<usize>()).ok()?;
        let mut crc = crc32fast::Hasher::new();
        for piece in &content {
            crc.update(piece);
        }
        let meta_crc = crc32fast::hash(&meta);
        Some(Self { kind, id, meta, content, content_len, meta_crc, content_crc: crc.finalize() })
    }

    /// The record that says that an entry is gone.
    pub(crate) fn gone(id: QueueId) -> Self {
        let (meta, content) = (Vec::new(), Vec::new());
        Self { kind: Kind::Gone, id: id.0, meta, content, content_len: 0, meta_crc: 0, content_crc: 0 }
    }

    /// Octets in the log.
    pub(crate) fn total(&self) -> u64 {
        padded((HEADER_OCTETS + self.meta.len()) as u64 + u64::from(self.content_len))
    }

    /// The header for this place.
    pub(crate) fn header(&self, at: Location, durable: u64, mark: u32) -> Header {
        Header {
            at,
            durable,
            id: self.id,
            kind: self.kind,
            mark,
            meta_len: u32::try_from(self.meta.len()).unwrap_or(u32::MAX),
            meta_crc: self.meta_crc,
            content_len: self.content_len,
            content_crc: self.content_crc,
        }
    }
}

/// The content of a message that is partly in a spool file: in order, ranges of the file and octets of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LargeContent {
    /// The spool file's number.
    pub(crate) file: u64,
    /// Octets of the spool file.
    pub(crate) octets: u64,
    /// CRC-32 of the spool file; older versions did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crc: Option<u32>,
    pub(crate) pieces: Vec<LargePiece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LargePiece {
    /// A range of the spool file.
    #[serde(rename = "s")]
    Stored(u64, u64),
    /// As many of the octets in the record.
    #[serde(rename = "n")]
    New(u64),
}

impl From<&Piece> for LargePiece {
    fn from(piece: &Piece) -> Self {
        match piece {
            Piece::Stored { offset, len } => Self::Stored(*offset, *len),
            Piece::New(bytes) => Self::New(bytes.len() as u64),
        }
    }
}

/// The meta part of a `Message` record, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct MessageMeta<'a> {
    pub(crate) entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) large: Option<&'a LargeContent>,
}

/// The same, read.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnedMeta {
    pub(crate) entry: Entry,
    pub(crate) large: Option<LargeContent>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        let record =
            Record::new(Kind::Message, 77, b"meta".to_vec(), vec![Bytes::from_static(b"body")]).unwrap();
        record.header(Location { seq: 3, offset: 640 }, 512, 0xabcd)
    }

    #[test]
    fn a_header_reads_back() {
        assert_eq!(Header::decode(&header().encode()), Some(header()));
        assert_eq!(header().total(), 72);
    }

    proptest! {
        #[test]
        fn no_flipped_bit_of_a_header_goes_unseen(bit in 0usize..HEADER_OCTETS * 8) {
            let mut octets = header().encode();
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&octets), None);
        }
    }
}
