//! A message's content as pieces: ranges of bytes that are stored already, and new bytes between them.
//!
//! A footer on a message of 50 MB is one new piece behind one old range; nothing is copied until the bytes are written.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes that do not change and can be read at any place, in memory or on a disk.
pub trait Source: Send + Sync + fmt::Debug {
    /// Octets in all.
    fn len(&self) -> u64;

    /// Fills `buffer` from `offset` on; fewer octets come back only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// All of it, when it is in memory.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For a store that knows its own files again.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl Source for Bytes {
    fn len(&self) -> u64 {
        self.as_ref().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let all = self.as_ref();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let count = buffer.len().min(all.len() - from);
        buffer[..count].copy_from_slice(&all[from..from + count]);
        Ok(count)
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(self)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A part of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A range of the source.
    Stored { offset: u64, len: u64 },
    /// Bytes that the source does not have.
    New(Bytes),
}

impl Piece {
    /// Octets.
    pub fn len(&self) -> u64 {
        match self {
            Self::Stored { len, .. } => *len,
            Self::New(bytes) => bytes.len() as u64,
        }
    }

    /// Whether the piece has no octet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message's octets: header block, empty line, body; lines end in CRLF.
#[derive(Debug, Clone)]
pub struct Content {
    source: Arc<dyn Source>,
    pieces: Vec<Piece>,
    len: u64,
}

impl Content {
    /// All of a source.
    pub fn whole(source: Arc<dyn Source>) -> Self {
        let len = source.len();
        Self { source, pieces: vec![Piece::Stored { offset: 0, len }], len }
    }

    /// Ranges of a source and new bytes.
    ///
    /// # Errors
    /// `InvalidInput` when a range reaches beyond the source.
    pub fn spliced(source: Arc<dyn Source>, pieces: Vec<Piece>) -> io::Result<Self> {
        let end = source.len();
        let inside = |piece: &Piece| match piece {
            Piece::Stored { offset, len } => offset.checked_add(*len).is_some_and(|to| to <= end),
            Piece::New(_) => true,
        };
        if !pieces.iter().all(inside) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a piece reaches beyond its source"));
        }
        let len = pieces.iter().map(Piece::len).sum();
        Ok(Self { source, pieces, len })
    }

    /// Octets in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the stored pieces are ranges of.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Fills `buffer` from `offset` on; fewer octets come back only at the end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut skip, mut filled) = (offset, 0);
        for piece in &self.pieces {
            if filled == buffer.len() {
                break;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let want = usize::try_from(piece.len() - skip).unwrap_or(usize::MAX).min(buffer.len() - filled);
            let room = &mut buffer[filled..filled + want];
            match piece {
                Piece::Stored { offset, .. } => {
                    if self.source.read_at(offset + skip, room)? != want {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Piece::New(bytes) => {
                    let from = usize::try_from(skip).unwrap_or(usize::MAX);
                    room.copy_from_slice(&bytes[from..from + want]);
                }
            }
            filled += want;
            skip = 0;
        }
        Ok(filled)
    }

    /// All octets without copying any, when the content is one piece in memory.
    pub fn as_bytes(&self) -> Option<Bytes> {
        match (self.pieces.as_slice(), self.source.as_bytes()) {
            ([Piece::New(bytes)], _) => Some(bytes.clone()),
            ([Piece::Stored { offset, len }], Some(bytes)) => {
                let (from, len) = (*offset as usize, *len as usize);
                Some(bytes.slice(from..from + len))
            }
            _ => None,
        }
    }

    /// All octets in one buffer; shared, not copied, when the content is one piece in memory.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        if let Some(bytes) = self.as_bytes() {
            return Ok(bytes);
        }
        let mut all = vec![0; usize::try_from(self.len).map_err(|_| io::ErrorKind::OutOfMemory)?];
        let filled = self.read_at(0, &mut all)?;
        all.truncate(filled);
        Ok(all.into())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::whole(Arc::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced() -> Content {
        let source = Arc::new(Bytes::from_static(b"0123456789"));
        let pieces = vec![
            Piece::New(Bytes::from_static(b"ab")),
            Piece::Stored { offset: 2, len: 3 },
            Piece::New(Bytes::new()),
            Piece::Stored { offset: 9, len: 1 },
        ];
        Content::spliced(source, pieces).unwrap()
    }

    #[test]
    fn pieces_read_as_one() {
        assert_eq!(spliced().to_bytes().unwrap(), &b"ab2349"[..]);
        for from in 0..7 {
            let mut buffer = [0; 2];
            let count = spliced().read_at(from, &mut buffer).unwrap();
            assert_eq!(&buffer[..count], &b"ab2349"[from as usize..(from as usize + 2).min(6)]);
        }
    }

    #[test]
    fn a_range_beyond_the_source_is_refused() {
        let source = Arc::new(Bytes::from_static(b"0123"));
        for (offset, len) in [(0, 5), (4, 1), (u64::MAX, 2)] {
            assert!(Content::spliced(source.clone(), vec![Piece::Stored { offset, len }]).is_err());
        }
    }
}
