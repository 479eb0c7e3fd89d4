//! A content's octets where they lie.

use bytes::Bytes;
use model::{Content, Piece};

/// The content's pieces, shared and not copied, when all of it is in memory.
pub(crate) fn in_memory(content: &Content) -> Option<impl Iterator<Item = Bytes>> {
    let source = content.source().as_bytes()?;
    Some(content.pieces().iter().map(move |piece| match piece {
        Piece::New(bytes) => bytes.clone(),
        // A content's ranges lie within its source, which is in memory and so no longer than a usize.
        Piece::Stored { offset, len } => source.slice(*offset as usize..(*offset + *len) as usize),
    }))
}
