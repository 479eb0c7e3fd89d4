//! A message as the MIME parser shall see it.
//!
//! The view begins with the message's own MIME fields and nothing else of its header block, so that the
//! parser and the rest of this crate agree on where the body begins. In the fields that name a type,
//! `rfc822`, `global` and `digest` are masked by other letters in their place: a message within the message
//! is a leaf then, whatever stands in it, and its end is found by the boundary around it. Places stay the
//! same, and the letters come back before a field is read.
//!
//! Limits: a parser that looks for a boundary which does not come reads to the end, and does so for every
//! multipart. The multiparts are bounded so that this is never more than [`MAX_SEARCHED_OCTETS`]; beyond,
//! they are leaves. Behind [`MAX_DELIMITER_LINES`] lines that may be boundaries the view ends.

use crate::header_block::HeaderBlock;

/// Octets that may be searched for boundaries in all: 512 MiB, a second or two.
const MAX_SEARCHED_OCTETS: usize = 512 * 1024 * 1024;
/// Multiparts, however small the message.
const MAX_MULTIPARTS: usize = 1000;
/// Lines that have `--` in them; each part needs one.
const MAX_DELIMITER_LINES: usize = 100_000;

/// Words that make the parser look into a part, and the letter that takes the place of their first.
const MASKED: [&[u8]; 3] = [b"rfc822", b"global", b"digest"];
const MULTIPART: &[u8] = b"multipart";
const MASK: u8 = b'x';

pub(super) struct View {
    bytes: Vec<u8>,
    body_start: usize,
    masked: Vec<(usize, u8)>,
    complete: bool,
}

/// The fields of a header block that say what the body is, ready to stand before it.
pub(super) fn mime_fields(block: &HeaderBlock) -> Vec<u8> {
    let mut head = Vec::new();
    let is_mime = |name: &str| name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case("content-"));
    for field in block.fields().filter(|field| is_mime(field.name)) {
        head.extend_from_slice(field.name.as_bytes());
        head.extend_from_slice(b": ");
        // A bare line end is an octet of its field: here it must not end it.
        let unfolded =
            field.value.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte });
        head.extend(unfolded);
        head.extend_from_slice(b"\r\n");
    }
    head
}

impl View {
    /// `head` comes from [`mime_fields`].
    pub(super) fn new(head: &[u8], body: &[u8]) -> Self {
        let bytes = [head, b"\r\n", body].concat();
        let body_start = head.len() + 2;
        let mut view = Self { bytes, body_start, masked: Vec::new(), complete: true };
        view.mask();
        view
    }

    pub(super) fn masked(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether no limit was met.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Gives the masked letters back.
    pub(super) fn unmask(&mut self) {
        for (at, byte) in self.masked.drain(..) {
            self.bytes[at] = byte;
        }
    }

    pub(super) fn slice(&self, begin: usize, end: usize) -> &[u8] {
        &self.bytes[begin..end]
    }

    /// A range of the view as one of the body.
    pub(super) fn in_body(&self, begin: usize, end: usize) -> (u64, u64) {
        let place = |at: usize| at.saturating_sub(self.body_start) as u64;
        (place(begin), place(end))
    }

    fn mask(&mut self) {
        let mut multiparts = (MAX_SEARCHED_OCTETS / self.bytes.len().max(1)).min(MAX_MULTIPARTS);
        let (mut delimiters, mut at) = (0, 0);
        while at < self.bytes.len() {
            let line_end = next_line(&self.bytes, at);
            if memchr::memmem::find(&self.bytes[at..line_end], b"--").is_some() {
                delimiters += 1;
                if delimiters > MAX_DELIMITER_LINES {
                    self.complete = false;
                    self.bytes.truncate(at);
                    return;
                }
            }
            if let Some(value) = content_type_value(&self.bytes[at..line_end]) {
                self.mask_type(at + value, &mut multiparts);
            }
            at = line_end;
        }
    }

    /// Masks the words in a type: from behind the colon to the semicolon or to the end of the field.
    fn mask_type(&mut self, begin: usize, multiparts: &mut usize) {
        let end = end_of_type(&self.bytes, begin);
        for at in begin..end {
            let rest = &self.bytes[at..end];
            let word =
                |word: &[u8]| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
            let is_multipart = word(MULTIPART);
            if is_multipart && *multiparts > 0 {
                *multiparts -= 1;
            } else if is_multipart || MASKED.iter().any(|masked| word(masked)) {
                self.complete &= !is_multipart;
                self.masked.push((at, self.bytes[at]));
                self.bytes[at] = MASK;
            }
        }
    }
}

fn next_line(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end + 1)
}

/// Where the value begins, when the line is a Content-Type field. The parser passes over white space before a
/// name and in it.
fn content_type_value(line: &[u8]) -> Option<usize> {
    let mut name = b"content-type:".iter();
    for (at, byte) in line.iter().enumerate() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        if name.next() != Some(&byte.to_ascii_lowercase()) {
            return None;
        }
        if *byte == b':' {
            return Some(at + 1);
        }
    }
    None
}

fn end_of_type(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin;
    loop {
        let line_end = next_line(bytes, at);
        if let Some(semicolon) = memchr::memchr(b';', &bytes[at..line_end]) {
            return at + semicolon;
        }
        match bytes.get(line_end) {
            Some(b' ' | b'\t') => at = line_end,
            _ => return line_end,
        }
    }
}
