//! Content on its way out in counted chunks (RFC 3030 section 2).

use std::io::Write as _;

use super::transparency::DotStuffing;

/// Makes a chunk of each piece of content, one piece behind, so that the last is known to be it.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Sees to line ends; nothing where lines mean nothing.
    line_ends: Option<DotStuffing>,
    /// The chunk that is to go next.
    held: Vec<u8>,
    /// All goes in one chunk of this size: the peer would have to be waited for between two.
    whole: Option<u64>,
}

impl Chunks {
    /// `whole` is the size of a content that goes in one chunk.
    pub(super) fn new(is_binary: bool, whole: Option<u64>) -> Self {
        Self { line_ends: (!is_binary).then(DotStuffing::line_ends_only), held: Vec::new(), whole }
    }

    /// Says how much comes, where it is one chunk.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        if let Some(size) = self.whole {
            let _ = write!(out, "BDAT {size} LAST\r\n");
        }
    }

    /// Appends what can go; true when that is a chunk which will be answered.
    pub(super) fn write(&mut self, content: &[u8], out: &mut Vec<u8>) -> bool {
        if let Some(left) = &mut self.whole {
            // More than was said would be read as commands.
            let count = content.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= count as u64;
            out.extend_from_slice(&content[..count]);
            return false;
        }
        let is_chunk = !self.held.is_empty();
        if is_chunk {
            let _ = write!(out, "BDAT {}\r\n", self.held.len());
            out.append(&mut self.held);
        }
        match &mut self.line_ends {
            Some(line_ends) => line_ends.write(content, &mut self.held),
            None => self.held.extend_from_slice(content),
        }
        is_chunk
    }

    /// Appends the last chunk. False when what was handed over is less than was said: the content cannot be ended then.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> bool {
        if let Some(left) = self.whole {
            return left == 0;
        }
        if let Some(line_ends) = &mut self.line_ends {
            line_ends.flush(&mut self.held);
        }
        let _ = write!(out, "BDAT {} LAST\r\n", self.held.len());
        out.append(&mut self.held);
        true
    }
}
