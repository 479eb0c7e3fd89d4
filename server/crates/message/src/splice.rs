//! Ranges of a content as pieces of its source, and a new body that is put together from ranges and new
//! bytes.

use std::io;

use bytes::Bytes;
use model::{Content, Piece};

/// Why a new body was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Something was written or copied before a new body was begun.
    #[error("no new body was begun")]
    NotStarted,
    /// The range does not lie in the old body.
    #[error("the range does not lie in the body")]
    Range,
    /// More pieces or octets than a body may have.
    #[error("the new body would be too large")]
    TooLarge,
}

/// A new body in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodySplice {
    parts: Vec<Part>,
    len: u64,
}

#[derive(Debug, Clone)]
enum Part {
    /// A range of the old content.
    Old {
        offset: u64,
        len: u64,
    },
    New(Vec<u8>),
}

impl BodySplice {
    /// Pieces of one body. Neighbours are joined, so that only a body of shreds meets it.
    pub(crate) const MAX_PARTS: usize = 65_536;
    /// Octets of one body: offsets are told to plugins in 32 bits.
    pub(crate) const MAX_OCTETS: u64 = u32::MAX as u64;

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn copy(&mut self, offset: u64, len: u64) -> Result<(), BodyError> {
        self.grow(len)?;
        match self.parts.last_mut() {
            _ if len == 0 => {}
            Some(Part::Old { offset: begin, len: before }) if *begin + *before == offset => *before += len,
            _ => self.parts.push(Part::Old { offset, len }),
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.grow(bytes.len() as u64)?;
        match self.parts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Part::New(before)) => before.extend_from_slice(bytes),
            _ => self.parts.push(Part::New(bytes.to_vec())),
        }
        Ok(())
    }

    fn grow(&mut self, by: u64) -> Result<(), BodyError> {
        let len = self.len.saturating_add(by);
        if len > Self::MAX_OCTETS || self.parts.len() >= Self::MAX_PARTS {
            return Err(BodyError::TooLarge);
        }
        self.len = len;
        Ok(())
    }

    pub(crate) fn into_pieces(self, content: &Content, out: &mut Vec<Piece>) {
        for part in self.parts {
            match part {
                Part::Old { offset, len } => slice(content, offset, len, out),
                Part::New(bytes) => push(Piece::New(bytes.into()), out),
            }
        }
    }
}

/// Appends the pieces of a range of a content. What lies beyond its end is left out.
pub(crate) fn slice(content: &Content, offset: u64, len: u64, out: &mut Vec<Piece>) {
    let (mut skip, mut left) = (offset, len);
    for piece in content.pieces() {
        if left == 0 {
            return;
        }
        if skip >= piece.len() {
            skip -= piece.len();
            continue;
        }
        let take = (piece.len() - skip).min(left);
        let cut = match piece {
            Piece::Stored { offset, .. } => Piece::Stored { offset: offset + skip, len: take },
            Piece::New(bytes) => {
                let from = usize::try_from(skip).unwrap_or(usize::MAX);
                Piece::New(bytes.slice(from..from + usize::try_from(take).unwrap_or(0)))
            }
        };
        push(cut, out);
        skip = 0;
        left -= take;
    }
}

/// Appends a piece; ranges that follow one another become one.
pub(crate) fn push(piece: Piece, out: &mut Vec<Piece>) {
    match (out.last_mut(), &piece) {
        _ if piece.is_empty() => {}
        (Some(Piece::Stored { offset, len }), Piece::Stored { offset: next, len: more })
            if *offset + *len == *next =>
        {
            *len += more;
        }
        _ => out.push(piece),
    }
}

/// Reads a range; what lies beyond the content's end is left out.
pub(crate) fn read(content: &Content, offset: u64, len: u64) -> io::Result<Bytes> {
    let len = len.min(content.len().saturating_sub(offset));
    let mut buffer = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?];
    let count = content.read_at(offset, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer.into())
}
