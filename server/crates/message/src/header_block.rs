//! The header block of a message as it arrived: where its fields stand, byte for byte.
//!
//! What comes from the internet is taken as it is: a line that is no field stays where it stands and is
//! nobody's field; a bare CR or LF is an octet of its line; octets beyond ASCII may stand in values; a
//! message that ends without an empty line is all header block; and one that has no field before its first
//! empty line has no header block at all. Nor has one that begins with white space: whatever is put on top
//! of it would take its first line for a fold, and Postfix takes it for the start of the body too.
//!
//! Standards: RFC 5322 section 2.2. Limit: [`HeaderBlock::MAX_OCTETS`].

use std::io;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use model::Content;

use crate::field::is_field_name;

/// Octets that are read at a time while the end of the block is looked for.
const READ_OCTETS: usize = 16 * 1024;

/// A header block and the places of its fields. Places are offsets from the message's first octet.
#[derive(Debug, Clone)]
pub struct HeaderBlock {
    bytes: Bytes,
    lines: Vec<Line>,
    body_start: usize,
    has_separator: bool,
}

/// A field with its folds, or a line that is none.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// With the CRLF that ends it.
    pub(crate) whole: Range<usize>,
    /// Name and value; nothing when the line is no field.
    pub(crate) field: Option<(Range<usize>, Range<usize>)>,
}

/// One field of a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    /// Raw: behind the colon and the white space after it, folds kept, without the CRLF that ends the field.
    pub value: &'a [u8],
}

impl HeaderBlock {
    /// Octets of a header block: 1 MiB. The limit on messages that are let in is a listener's own and
    /// smaller.
    pub const MAX_OCTETS: usize = 1024 * 1024;

    /// Finds the fields in the first octets of a message, which must reach to its first empty line or to its
    /// end.
    pub fn parse(message: &Bytes) -> Self {
        let none = || Self { bytes: Bytes::new(), lines: Vec::new(), body_start: 0, has_separator: false };
        if begins_with_fold(message) {
            return none();
        }
        let block = Self::parse_part(message);
        match !block.lines.is_empty() && block.lines.iter().all(|line| line.field.is_none()) {
            true => none(),
            false => block,
        }
    }

    /// The same of a part of a body: whatever stands before its empty line is its header, and nothing is put on top of it.
    pub(crate) fn parse_part(part: &Bytes) -> Self {
        let (end, body_start) = match end_of_block(part) {
            Some(end) => (end, end + 2),
            None => (part.len(), part.len()),
        };
        let lines = parse_lines(&part[..end]);
        Self { bytes: part.slice(..end), lines, body_start, has_separator: body_start > end }
    }

    /// Reads no more of a message than its header block.
    ///
    /// # Errors
    /// `InvalidData` when the block is larger than [`Self::MAX_OCTETS`]; what the source answers.
    pub fn read(content: &Content) -> io::Result<Self> {
        if let Some(message) = content.as_bytes() {
            let head = &message[..message.len().min(Self::MAX_OCTETS)];
            // Most messages: whole and in memory, so that nothing is copied.
            if head.len() == message.len() || end_of_block(head).is_some() {
                return Ok(Self::parse(&message));
            }
        }
        let mut head = Vec::new();
        loop {
            let filled = head.len();
            head.resize(filled + READ_OCTETS, 0);
            let count = content.read_at(filled as u64, &mut head[filled..])?;
            head.truncate(filled + count);
            // An empty line may have begun in what was read before.
            let found = match filled {
                0 => end_of_block(&head),
                _ => memmem::find(&head[filled.saturating_sub(3)..], b"\r\n\r\n"),
            };
            if found.is_some() || count < READ_OCTETS || begins_with_fold(&head) {
                return Ok(Self::parse(&head.into()));
            }
            if head.len() > Self::MAX_OCTETS {
                // A text without any field has no header block, however long it is.
                let parsed = Self::parse(&head.into());
                return match parsed.lines.is_empty() {
                    true => Ok(parsed),
                    false => Err(io::Error::new(io::ErrorKind::InvalidData, "the header block is too large")),
                };
            }
        }
    }

    /// The fields, from the top.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.lines.iter().filter_map(|line| self.field_of(line))
    }

    /// The fields, from the top, with all that stands behind their colons: the white space there belongs to the values.
    pub fn raw_fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines.iter().filter_map(|line| {
            let field = self.field_of(line)?;
            let (name, value) = line.field.clone()?;
            let colon = memchr::memchr(b':', &self.bytes[name.end..value.end])?;
            Some(Field { value: &self.bytes[name.end + colon + 1..value.end], ..field })
        })
    }

    /// The values of the fields of this name, from the top; the case of the name does not matter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Where the body begins: behind the empty line.
    pub fn body_start(&self) -> u64 {
        self.body_start as u64
    }

    /// The octets of the block, without the empty line behind it.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether an empty line stands between the block and the body.
    pub fn has_separator(&self) -> bool {
        self.has_separator
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn field_of<'a>(&'a self, line: &Line) -> Option<Field<'a>> {
        let (name, value) = line.field.clone()?;
        let name = std::str::from_utf8(&self.bytes[name]).ok()?;
        Some(Field { name, value: &self.bytes[value] })
    }
}

fn begins_with_fold(message: &[u8]) -> bool {
    matches!(message.first(), Some(b' ' | b'\t'))
}

/// Where the CRLF of the first empty line stands.
fn end_of_block(message: &[u8]) -> Option<usize> {
    if message.starts_with(b"\r\n") {
        return Some(0);
    }
    memmem::find(message, b"\r\n\r\n").map(|at| at + 2)
}

/// Fields of a header block, mostly.
const LIKELY_LINES: usize = 16;

fn parse_lines(block: &[u8]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::with_capacity(LIKELY_LINES);
    let mut begin = 0;
    while begin < block.len() {
        let end = line_end(block, begin);
        match lines.last_mut() {
            Some(last) if matches!(block[begin], b' ' | b'\t') => {
                last.whole.end = end;
                if let Some((_, value)) = &mut last.field {
                    value.end = without_line_end(block, value.start..end).end;
                }
            }
            _ => lines.push(Line { whole: begin..end, field: parse_field(block, begin..end) }),
        }
        begin = end;
    }
    lines
}

/// Where the line that begins here ends, with its CRLF. A search for one octet needs no preparation, as one for two would.
fn line_end(block: &[u8], begin: usize) -> usize {
    memchr::memchr_iter(b'\n', &block[begin..])
        .map(|at| begin + at)
        .find(|at| *at > begin && block[at - 1] == b'\r')
        .map_or(block.len(), |at| at + 1)
}

fn parse_field(block: &[u8], line: Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let colon = line.start + memchr::memchr(b':', &block[line.clone()])?;
    // RFC 5322 section 4.5: white space before the colon is obsolete, and still seen.
    let blanks = block[line.start..colon].iter().rev().take_while(|byte| is_blank(**byte)).count();
    let name = line.start..colon - blanks;
    if !is_field_name(&block[name.clone()]) {
        return None;
    }
    let value = without_line_end(block, colon + 1..line.end);
    let skip = block[value.clone()].iter().take_while(|byte| is_blank(**byte)).count();
    Some((name, value.start + skip..value.end))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn without_line_end(block: &[u8], range: Range<usize>) -> Range<usize> {
    match block[range.clone()].ends_with(b"\r\n") {
        true => range.start..range.end - 2,
        false => range,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> HeaderBlock {
        HeaderBlock::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn fields(block: &HeaderBlock) -> Vec<(&str, &str)> {
        block.fields().map(|f| (f.name, std::str::from_utf8(f.value).unwrap())).collect()
    }

    #[test]
    fn fields_keep_their_folds_and_their_order() {
        let block = parse("Subject:  a\r\n b\r\nX:\r\n\tc\r\nempty:\r\n\r\nbody: no\r\n");
        assert_eq!(fields(&block), [("Subject", "a\r\n b"), ("X", "\r\n\tc"), ("empty", "")]);
        assert_eq!(block.body_start(), 35);
        assert_eq!(block.all("SUBJECT").collect::<Vec<_>>(), [b"a\r\n b"]);
    }

    #[test]
    fn lines_that_are_no_fields_are_passed_over() {
        let block =
            parse("From ann Mon\r\nA: 1\r\nno colon\r\n more\r\nsp ace: x\r\nB : 2\r\n: nameless\r\n\r\n");
        assert_eq!(fields(&block), [("A", "1"), ("B", "2")]);
    }

    #[test]
    fn a_bare_line_feed_is_an_octet_of_its_line() {
        let block = parse("A: 1\nB: 2\n\n\r\nC: 3\r\n\r\nbody");
        assert_eq!(fields(&block), [("A", "1\nB: 2\n\n"), ("C", "3")]);
    }

    #[test]
    fn a_message_may_end_in_its_header_block() {
        let block = parse("A: 1\r\nB: 2");
        assert_eq!(fields(&block), [("A", "1"), ("B", "2")]);
        assert_eq!((block.body_start(), block.has_separator()), (10, false));
    }

    #[test]
    fn a_message_may_have_no_header_block() {
        for (text, body_start) in
            [("", 0), ("\r\nbody", 2), ("just text\r\n\r\nmore", 0), ("just text\r\n", 0)]
        {
            let block = parse(text);
            assert_eq!((fields(&block).len(), block.body_start()), (0, body_start), "{text:?}");
        }
    }

    #[test]
    fn a_message_that_begins_with_a_fold_is_all_body() {
        for text in [" led by white space: x\r\nA: 1\r\n\r\nbody", "\tx\r\nA: 1", " \r\n\r\n", "\t"] {
            let block = parse(text);
            let found =
                (fields(&block).len(), block.as_bytes().len(), block.body_start(), block.has_separator());
            assert_eq!(found, (0, 0, 0, false), "{text:?}");
        }
        let long = format!(" x\r\n{}", "A: 1\r\n".repeat(HeaderBlock::MAX_OCTETS / 6 + 100));
        assert_eq!(HeaderBlock::read(&Bytes::from(long).into()).unwrap().body_start(), 0);
    }

    #[test]
    fn octets_beyond_ascii_stand_in_values_only() {
        let message = Bytes::from_static(b"Subject: gr\xfcn\r\n\xfcber: x\r\n\r\n");
        let block = HeaderBlock::parse(&message);
        assert_eq!(block.fields().map(|f| f.value).collect::<Vec<_>>(), [b"gr\xfcn"]);
    }

    #[test]
    fn an_empty_line_is_found_across_reads() {
        for length in READ_OCTETS - 8..READ_OCTETS + 3 {
            let text = format!("A: {}\r\n\r\nbody {}", "x".repeat(length - 3), "y".repeat(READ_OCTETS));
            let block = HeaderBlock::read(&Bytes::from(text).into()).unwrap();
            assert_eq!(block.body_start(), length as u64 + 4);
        }
    }

    #[test]
    fn a_block_beyond_its_limit_is_an_error() {
        let line = format!("A: {}\r\n", "x".repeat(900));
        let count = HeaderBlock::MAX_OCTETS / line.len() + 100;
        let error = HeaderBlock::read(&Bytes::from(line.repeat(count)).into()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let text = format!("{}\r\n", "x".repeat(900)).repeat(count);
        assert_eq!(HeaderBlock::read(&Bytes::from(text).into()).unwrap().body_start(), 0);
    }

    proptest! {
        #[test]
        fn the_lines_of_a_block_cover_it(text in "([A-Za-z: \t\u{fc}]{0,6}(\r\n|\n|\r){0,2}){0,12}") {
            let message = Bytes::from(text.into_bytes());
            let block = HeaderBlock::parse(&message);
            let mut at = 0;
            for line in block.lines() {
                prop_assert_eq!(line.whole.start, at);
                at = line.whole.end;
            }
            prop_assert_eq!(at, block.as_bytes().len());
            let read = HeaderBlock::read(&message.into()).unwrap();
            prop_assert_eq!(read.body_start(), block.body_start());
        }
    }
}
