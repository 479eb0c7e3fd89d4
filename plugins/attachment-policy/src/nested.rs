//! What the headers within an attached message say, however deep they stand.
//!
//! The server takes an attached message as one part. Here its lines are read as they come, a piece at a time, and only its
//! headers are kept: those at its beginning, behind a boundary, and of a message within it. A line that begins with two
//! hyphens counts as a boundary.

use crate::said::{LONGEST_HEADER, Said};
use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;

/// Octets that are read at once.
const PIECE: u32 = 256 * 1024;

pub(crate) fn is_message(media_type: &str) -> bool {
    matches!(media_type, "message/rfc822" | "message/global" | "message/news")
}

/// What the part says within; nothing of one that is not encoded as it should be.
pub(crate) fn said_within(cx: &Context, part: &Part) -> Result<Said, Error> {
    let (mut lines, mut at) = (Lines::default(), 0u32);
    loop {
        let piece = match cx.body().read_part(&part.path, at..at.saturating_add(PIECE)) {
            Err(Error::BadInput(_)) => return Ok(Said::default()),
            piece => piece?,
        };
        if piece.is_empty() {
            lines.end();
            return Ok(lines.said);
        }
        at = at.saturating_add(piece.len() as u32);
        lines.take(&piece);
    }
}

struct Lines {
    said: Said,
    in_header: bool,
    /// The header under way is that of a message: behind it comes another header.
    holds_message: bool,
    /// The field under way, with its folds.
    field: Vec<u8>,
    /// The line under way.
    line: Vec<u8>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            said: Said::default(),
            in_header: true,
            holds_message: false,
            field: Vec::new(),
            line: Vec::new(),
        }
    }
}

impl Lines {
    fn take(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|&octet| octet == b'\n') {
            let room = (LONGEST_HEADER as usize).saturating_sub(self.line.len());
            self.line.extend(&line[..line.len().min(room)]);
            if line.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii_end();
        if text.starts_with(b"--") {
            self.end_field();
            (self.in_header, self.holds_message) = (true, false);
        } else if text.is_empty() {
            self.end_field();
            self.in_header = std::mem::take(&mut self.holds_message);
        } else if self.in_header {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                self.end_field();
            }
            let room = (LONGEST_HEADER as usize).saturating_sub(self.field.len());
            self.field.extend(&text[..text.len().min(room)]);
        }
    }

    fn end_field(&mut self) {
        let field = std::mem::take(&mut self.field);
        let types = self.said.types.len();
        self.said.field(&String::from_utf8_lossy(&field));
        self.holds_message |= self.said.types[types..].iter().any(|kind| is_message(kind));
    }

    fn end(&mut self) {
        self.end_line();
        self.end_field();
    }
}
