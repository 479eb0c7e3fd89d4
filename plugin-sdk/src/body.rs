//! The body of the message. It stays with the server: a plugin reads pieces of it, and changes it by naming what to
//! keep and what to put between.
//!
//! All offsets are octets from the first of the body, as the body was when the hook began.

use crate::{Error, host};
use std::ops::Range;

/// The server gives at most so many octets in one answer.
const READ: u32 = 256 * 1024;

/// A MIME part, or a container of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `""` for the message itself, then `"1"`, `"2"`, and within these `"1.1"`.
    pub path: String,
    /// In lower case, such as `text/plain`.
    pub media_type: String,
    /// In lower case.
    pub charset: Option<String>,
    /// Decoded (RFC 2231 and 2047).
    pub filename: Option<String>,
    /// `inline`, `attachment` or another word, in lower case.
    pub disposition: Option<String>,
    /// The content transfer encoding in lower case, `7bit` when none is named.
    pub encoding: String,
    /// Where the content begins, still encoded.
    pub offset: u32,
    /// How long it is, still encoded.
    pub len: u32,
}

impl Part {
    /// Where the encoded content stands in the body.
    #[must_use]
    pub fn range(&self) -> Range<u32> {
        self.offset..self.offset.saturating_add(self.len)
    }

    /// Whether it contains parts.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.media_type.starts_with("multipart/")
    }

    /// Whether that part stands in this one, at any depth.
    #[must_use]
    pub fn contains(&self, other: &Part) -> bool {
        self.path.is_empty() && !other.path.is_empty()
            || other.path.strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// The body of the running hook's message; empty before the message hook.
#[derive(Debug)]
pub struct Body(());

impl Body {
    pub(crate) fn of_the_running_hook() -> Body {
        Body(())
    }

    /// Its length in octets.
    #[must_use]
    pub fn size(&self) -> u32 {
        host::body_size()
    }

    /// A piece of it; shorter when the body ends before.
    ///
    /// # Errors
    /// [`Error::Quota`] when the plugin reads too much.
    pub fn read(&self, range: Range<u32>) -> Result<Vec<u8>, Error> {
        gather(range, host::read_body)
    }

    /// Where these octets, at most 4 KiB, stand first, at or after `start`. The server searches.
    #[must_use]
    pub fn find(&self, needle: &[u8], start: u32) -> Option<u32> {
        host::find_body(needle, start)
    }

    /// The SHA-256 digest of the whole body.
    ///
    /// # Errors
    /// [`Error::Quota`].
    pub fn sha256(&self) -> Result<Vec<u8>, Error> {
        host::digest_body("sha256")
    }

    /// Every part in the order of the message, containers among them. A message within the message is one part.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        host::parts()
    }

    /// A piece of a part's content with its transfer encoding undone; offsets are those of the decoded content.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such part; [`Error::BadInput`] when it is not encoded as it says.
    pub fn read_part(&self, path: &str, range: Range<u32>) -> Result<Vec<u8>, Error> {
        gather(range, |offset, len| host::read_part(path, offset, len))
    }

    /// Changes to make in one go.
    pub fn edit(&self) -> Edit {
        Edit { size: self.size(), changes: Vec::new() }
    }

    /// Begins a new body, for writing it from its first octet to its last.
    ///
    /// # Errors
    /// [`Error::Unavailable`] outside the message hook.
    pub fn start(&self) -> Result<NewBody, Error> {
        host::start_body()?;
        Ok(NewBody(()))
    }
}

fn gather(range: Range<u32>, read: impl Fn(u32, u32) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let piece = read(at, READ.min(range.end - at))?;
        if piece.is_empty() {
            break;
        }
        at = at.saturating_add(piece.len() as u32);
        all.extend(piece);
    }
    Ok(all)
}

/// A body being written in order. It takes the place of the old one when the hook returns.
#[derive(Debug)]
pub struct NewBody(());

impl NewBody {
    /// Goes on with a range of the old body, which is not moved through the plugin.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the old body has no such range.
    pub fn copy(&self, range: Range<u32>) -> Result<(), Error> {
        if range.is_empty() { Ok(()) } else { host::copy_body(range.start, range.end - range.start) }
    }

    /// Goes on with these octets. Lines end in CRLF.
    ///
    /// # Errors
    /// [`Error::Quota`].
    pub fn write(&self, data: &[u8]) -> Result<(), Error> {
        if data.is_empty() { Ok(()) } else { host::write_body(data) }
    }
}

/// Changes at places of the old body, in any order.
///
/// ```no_run
/// # use waxwing_plugin::prelude::*;
/// # fn f(cx: &Context) -> Result<(), Error> {
/// cx.body().edit().insert(0, "Scanned.\r\n\r\n").append("-- \r\nBye\r\n").commit()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing changes before commit"]
pub struct Edit {
    size: u32,
    changes: Vec<(Range<u32>, Vec<u8>)>,
}

impl Edit {
    /// Puts octets before the one at this offset. What is inserted at one place stands in the order of the calls.
    pub fn insert(self, at: u32, data: impl Into<Vec<u8>>) -> Edit {
        self.replace(at..at, data)
    }

    /// Puts octets in the place of a range.
    pub fn replace(mut self, range: Range<u32>, data: impl Into<Vec<u8>>) -> Edit {
        self.changes.push((range, data.into()));
        self
    }

    /// Puts octets at the end.
    pub fn append(self, data: impl Into<Vec<u8>>) -> Edit {
        let end = self.size;
        self.insert(end, data)
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// [`Error::BadInput`] when two ranges overlap or one lies outside the body, and then nothing has changed; else
    /// those of [`NewBody`].
    pub fn commit(mut self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        self.changes.sort_by_key(|(range, _)| (range.start, range.end));
        let mut at = 0;
        for (range, _) in &self.changes {
            if range.start < at || range.end < range.start || range.end > self.size {
                return Err(Error::BadInput("body changes overlap or lie outside the body".to_owned()));
            }
            at = range.end;
        }
        let new = Body(()).start()?;
        let mut at = 0;
        for (range, data) in &self.changes {
            new.copy(at..range.start)?;
            new.write(data)?;
            at = range.end;
        }
        new.copy(at..self.size)
    }
}
