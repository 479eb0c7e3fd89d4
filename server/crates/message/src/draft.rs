//! A message under edit: an overlay of header fields, and a new body as a list of old ranges and new bytes.
//!
//! The message stays as it arrived until [`Draft::into_content`]; fields that nobody touched are ranges of it
//! then, byte for byte, and so is what is kept of the body. Only the header block is held in memory.
//!
//! Reads of the body, searches and the offsets of [`Draft::copy_body`] mean the body as it was when the draft
//! was made, whatever was written since: a new body takes its place only in what `into_content` gives.
//!
//! Reading waits for the message's source, which may be a file. Limits: [`HeaderBlock::MAX_OCTETS`] for the
//! edited block, 65,536 pieces and 4 GiB for a new body.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use model::{Content, Piece};

use crate::field::{HeaderError, write_field};
use crate::header_block::{Field, HeaderBlock};
use crate::splice::{self, BodyError, BodySplice};

/// Octets of the body that are searched at a time.
const SEARCH_OCTETS: usize = 64 * 1024;

/// An editable view of a message. A clone is cheap and shares nothing that is edited later, so that edits can
/// be taken back by keeping a clone from before.
///
/// ```
/// use bytes::Bytes;
/// let message = Bytes::from_static(b"Subject: hello\r\n\r\nHi Bob\r\n");
/// let mut draft = message::Draft::new(message.into())?;
/// draft.add_header("X-Seen", b"yes", Some(0))?;
/// draft.start_body();
/// draft.copy_body(0, draft.body_size())?;
/// draft.write_body(b"-- \r\nSent by Ann\r\n")?;
/// let edited = draft.into_content()?.to_bytes()?;
/// assert_eq!(edited, &b"X-Seen: yes\r\nSubject: hello\r\n\r\nHi Bob\r\n-- \r\nSent by Ann\r\n"[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Draft {
    content: Content,
    block: Arc<HeaderBlock>,
    /// The edited block; nothing while no field was touched.
    lines: Option<Arc<Vec<DraftLine>>>,
    /// Octets of the edited block.
    block_len: usize,
    body: Option<Arc<BodySplice>>,
}

#[derive(Debug, Clone)]
enum DraftLine {
    /// A line of the block, by its number.
    Old(usize),
    New {
        name: Arc<str>,
        /// As it is written, CRLF and all.
        whole: Bytes,
    },
}

impl Draft {
    /// Reads the header block, and nothing of the body.
    ///
    /// # Errors
    /// `InvalidData` when the header block is larger than [`HeaderBlock::MAX_OCTETS`]; what the source
    /// answers.
    pub fn new(content: Content) -> io::Result<Self> {
        let block = Arc::new(HeaderBlock::read(&content)?);
        let block_len = block.as_bytes().len();
        Ok(Self { content, block, lines: None, block_len, body: None })
    }

    /// Octets of the message as it was when the draft was made.
    pub fn original_size(&self) -> u64 {
        self.content.len()
    }

    /// The message as it was when the draft was made.
    pub fn original(&self) -> &Content {
        &self.content
    }

    /// The fields with all edits, from the top.
    pub fn headers(&self) -> impl Iterator<Item = Field<'_>> {
        let untouched = self.lines.is_none().then(|| self.block.fields());
        let edited = self.lines.iter().flat_map(|lines| lines.iter()).filter_map(|line| self.field_of(line));
        untouched.into_iter().flatten().chain(edited)
    }

    /// The values of the fields of this name, from the top; the case of the name does not matter.
    pub fn header_all(&self, name: &str) -> Vec<&[u8]> {
        self.headers()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
            .collect()
    }

    /// Puts a field before the `at`th (0: on top); nothing or a number past the end: below the last.
    ///
    /// # Errors
    /// A name or value that cannot be written, see [`write_field`]; a block that grows too large.
    pub fn add_header(&mut self, name: &str, value: &[u8], at: Option<usize>) -> Result<(), HeaderError> {
        let (new, block_len) = self.new_line(name, value, 0)?;
        let place = match at {
            None => self.line_count(),
            Some(0) => 0,
            Some(nth) => self.places_of(|_| true).nth(nth).unwrap_or_else(|| self.line_count()),
        };
        self.lines_mut().insert(place, new);
        self.block_len = block_len;
        Ok(())
    }

    /// Replaces the `nth` field of this name, counted from the top from 0, in its place.
    ///
    /// # Errors
    /// [`HeaderError::NoSuchField`]; a name or value that cannot be written; a block that grows too large.
    pub fn set_header(&mut self, name: &str, nth: usize, value: &[u8]) -> Result<(), HeaderError> {
        let place = self
            .places_of(|field| field.eq_ignore_ascii_case(name))
            .nth(nth)
            .ok_or(HeaderError::NoSuchField)?;
        let (new, block_len) = self.new_line(name, value, self.line_len(place))?;
        self.lines_mut()[place] = new;
        self.block_len = block_len;
        Ok(())
    }

    /// Removes the `nth` field of this name, or all of them; says how many went.
    pub fn remove_header(&mut self, name: &str, nth: Option<usize>) -> usize {
        let mut places: Vec<usize> = self.places_of(|field| field.eq_ignore_ascii_case(name)).collect();
        if let Some(nth) = nth {
            places = places.get(nth).copied().into_iter().collect();
        }
        if !places.is_empty() {
            self.block_len -= places.iter().map(|place| self.line_len(*place)).sum::<usize>();
            let (mut place, mut gone) = (0, places.iter().peekable());
            self.lines_mut().retain(|_| {
                let keep = gone.next_if(|next| **next == place).is_none();
                place += 1;
                keep
            });
        }
        places.len()
    }

    /// Octets of the body as it was when the draft was made.
    pub fn body_size(&self) -> u64 {
        self.content.len() - self.block.body_start()
    }

    /// Where the body begins in [`Self::original`].
    pub fn body_start(&self) -> u64 {
        self.block.body_start()
    }

    /// The header block as it was when the draft was made.
    pub fn block(&self) -> &HeaderBlock {
        &self.block
    }

    /// Reads from the old body; a range that goes past its end is cut there. The caller bounds `len`.
    ///
    /// # Errors
    /// What the source answers.
    pub fn read_body(&self, offset: u64, len: u64) -> io::Result<Bytes> {
        splice::read(&self.content, self.block.body_start().saturating_add(offset), len)
    }

    /// Where `needle` begins in the old body, at `start` or behind it. An empty needle is found at once.
    ///
    /// # Errors
    /// What the source answers.
    pub fn find_body(&self, needle: &[u8], start: u64) -> io::Result<Option<u64>> {
        let size = self.body_size();
        let finder = memmem::Finder::new(needle);
        // A match may begin in one read and end in the next, so that these overlap.
        let step = SEARCH_OCTETS.max(needle.len()) as u64;
        let overlap = needle.len().saturating_sub(1) as u64;
        let mut at = start;
        while at.checked_add(needle.len() as u64).is_some_and(|end| end <= size) {
            let window = self.read_body(at, step + overlap)?;
            if let Some(found) = finder.find(&window) {
                return Ok(Some(at + found as u64));
            }
            at += step;
        }
        Ok(None)
    }

    /// Begins a new, empty body; again, when it was called before.
    pub fn start_body(&mut self) {
        self.body = Some(Arc::default());
    }

    /// Appends a range of the old body to the new one.
    ///
    /// # Errors
    /// [`BodyError`]; the new body is as before then.
    pub fn copy_body(&mut self, offset: u64, len: u64) -> Result<(), BodyError> {
        let body = self.body.as_mut().ok_or(BodyError::NotStarted)?;
        let size = self.content.len() - self.block.body_start();
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(BodyError::Range);
        }
        Arc::make_mut(body).copy(self.block.body_start() + offset, len)
    }

    /// Appends bytes to the new body.
    ///
    /// # Errors
    /// [`BodyError::NotStarted`] and [`BodyError::TooLarge`]; the new body is as before then.
    pub fn write_body(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let body = self.body.as_mut().ok_or(BodyError::NotStarted)?;
        Arc::make_mut(body).write(bytes)
    }

    /// Whether a field was touched or a new body begun.
    pub fn is_edited(&self) -> bool {
        self.lines.is_some() || self.body.is_some()
    }

    /// The message with all edits; the very same content when there are none.
    ///
    /// # Errors
    /// None that a content which was read before gives: what [`Content::spliced`] refuses.
    pub fn into_content(self) -> io::Result<Content> {
        if !self.is_edited() {
            return Ok(self.content);
        }
        let mut pieces = Vec::new();
        self.header_pieces(&mut pieces);
        let body_start = self.block.body_start();
        let body_size = self.body.as_ref().map_or(self.body_size(), |body| body.len());
        if self.block.has_separator() {
            splice::slice(&self.content, body_start - 2, 2, &mut pieces);
        } else if body_size > 0 {
            // The message had no body, or no header block: now it has both.
            splice::push(Piece::New(Bytes::from_static(b"\r\n")), &mut pieces);
        }
        match self.body {
            None => splice::slice(&self.content, body_start, body_size, &mut pieces),
            Some(body) => Arc::unwrap_or_clone(body).into_pieces(&self.content, &mut pieces),
        }
        Content::spliced(self.content.source().clone(), pieces)
    }

    fn header_pieces(&self, pieces: &mut Vec<Piece>) {
        let mut ends_in_crlf = true;
        for line in self.current_lines().iter() {
            if !ends_in_crlf {
                splice::push(Piece::New(Bytes::from_static(b"\r\n")), pieces);
            }
            match line {
                DraftLine::Old(nth) => {
                    let whole = self.block.lines()[*nth].whole.clone();
                    ends_in_crlf = self.block.as_bytes()[whole.clone()].ends_with(b"\r\n");
                    splice::slice(&self.content, whole.start as u64, whole.len() as u64, pieces);
                }
                DraftLine::New { whole, .. } => {
                    ends_in_crlf = true;
                    splice::push(Piece::New(whole.clone()), pieces);
                }
            }
        }
        // Only the last line of a message that has no empty line may lack its end.
        if !ends_in_crlf && self.body.as_ref().is_some_and(|body| body.len() > 0) {
            splice::push(Piece::New(Bytes::from_static(b"\r\n")), pieces);
        }
    }

    /// A line for a field, and the size of the block with it in place of `freed` octets.
    fn new_line(&self, name: &str, value: &[u8], freed: usize) -> Result<(DraftLine, usize), HeaderError> {
        let mut whole = Vec::with_capacity(name.len() + value.len() + 4);
        write_field(name, value, &mut whole)?;
        let block_len = self.block_len - freed + whole.len();
        if block_len > HeaderBlock::MAX_OCTETS {
            return Err(HeaderError::BlockTooLarge);
        }
        Ok((DraftLine::New { name: name.into(), whole: whole.into() }, block_len))
    }

    /// The places of the fields whose names pass, from the top.
    fn places_of<'a>(&'a self, pass: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = usize> + 'a {
        let lines = self.current_lines();
        (0..lines.len()).filter(move |place| match &lines[*place] {
            DraftLine::New { name, .. } => pass(name),
            DraftLine::Old(nth) => {
                self.block.field_of(&self.block.lines()[*nth]).is_some_and(|field| pass(field.name))
            }
        })
    }

    fn field_of<'a>(&'a self, line: &'a DraftLine) -> Option<Field<'a>> {
        match line {
            DraftLine::Old(nth) => self.block.field_of(&self.block.lines()[*nth]),
            DraftLine::New { name, whole } => {
                Some(Field { name, value: &whole[name.len() + ": ".len()..whole.len() - "\r\n".len()] })
            }
        }
    }

    fn line_len(&self, place: usize) -> usize {
        match self.lines.as_ref().map(|lines| &lines[place]) {
            None => self.block.lines()[place].whole.len(),
            Some(DraftLine::Old(nth)) => self.block.lines()[*nth].whole.len(),
            Some(DraftLine::New { whole, .. }) => whole.len(),
        }
    }

    fn line_count(&self) -> usize {
        self.lines.as_ref().map_or(self.block.lines().len(), |lines| lines.len())
    }

    fn current_lines(&self) -> Arc<Vec<DraftLine>> {
        match &self.lines {
            Some(lines) => lines.clone(),
            None => Arc::new((0..self.block.lines().len()).map(DraftLine::Old).collect()),
        }
    }

    fn lines_mut(&mut self) -> &mut Vec<DraftLine> {
        let current = self.current_lines();
        Arc::make_mut(self.lines.insert(current))
    }
}

#[cfg(test)]
mod tests;
