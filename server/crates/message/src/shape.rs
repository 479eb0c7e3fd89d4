//! Whether a message has a shape that its readers can bear: not too many header fields, not nested too deep.
//!
//! Filters and mail programs walk header fields and parts, some of them by recursion. A message that was made to break them is
//! better refused than handed on. Counting fields reads the header block alone; parts are looked for only where the message says
//! that it has some, or is a message in a message.
//!
//! Standards: RFC 3463 (5.3.4 too large for the system, 5.6.0 other content trouble).
//! Limits: [`ShapeLimits`]; [`MAX_SEARCHED_OCTETS`] of nested messages are searched, what lies beyond passes.
//! Known gaps: in a large message only so many multiparts are opened as [`Draft::parts`] says.

use std::io;

use model::{Content, Reply};

use crate::draft::Draft;
use crate::mime::MAX_MIME_OCTETS;

/// Octets that are searched in messages within the message: 256 MiB.
const MAX_SEARCHED_OCTETS: u64 = 4 * MAX_MIME_OCTETS;

/// How much of a shape a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeLimits {
    /// Fields of the header block; over it 552 5.3.4.
    pub header_fields: usize,
    /// Parts within parts, and messages within messages; over it 554 5.6.0. A message without parts has the depth 0.
    pub mime_depth: usize,
}

impl Default for ShapeLimits {
    fn default() -> Self {
        Self { header_fields: 1_000, mime_depth: 50 }
    }
}

/// Why a message is refused for its shape.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    #[error("the message has more than {0} header fields")]
    HeaderFields(usize),
    #[error("the parts of the message are nested more than {0} deep")]
    MimeDepth(usize),
    #[error(transparent)]
    Source(#[from] io::Error),
}

impl ShapeError {
    /// What the client hears.
    pub fn reply(&self) -> Reply {
        match self {
            Self::HeaderFields(_) => Reply::new(552, (5, 3, 4), self.to_string()),
            Self::MimeDepth(_) => Reply::new(554, (5, 6, 0), self.to_string()),
            Self::Source(_) => Reply::new(451, (4, 3, 0), "the message could not be read, try again later"),
        }
    }
}

/// Holds a message against the limits.
///
/// # Errors
/// The first limit that it is over; what the source answers.
pub fn check_shape(content: &Content, limits: &ShapeLimits) -> Result<(), ShapeError> {
    let draft = Draft::new(content.clone())?;
    if draft.headers().count() > limits.header_fields {
        return Err(ShapeError::HeaderFields(limits.header_fields));
    }
    let mut searched = 0;
    // Messages that are still to be looked into, with the depth that they stand at.
    let mut open = vec![(draft, 0)];
    while let Some((draft, depth)) = open.pop() {
        for part in draft.parts()?.parts {
            let below = if part.path.is_empty() { 0 } else { part.path.split('.').count() };
            let is_message = matches!(part.media_type.as_str(), "message/rfc822" | "message/global");
            let depth = depth + below + usize::from(is_message);
            if depth > limits.mime_depth {
                return Err(ShapeError::MimeDepth(limits.mime_depth));
            }
            searched += part.len * u64::from(is_message);
            if is_message && part.len <= MAX_MIME_OCTETS && searched <= MAX_SEARCHED_OCTETS {
                let inner = draft.read_body(part.offset, part.len)?;
                // A header block that is too large to be read is no message that a reader would open.
                open.extend(Draft::new(inner.into()).ok().map(|inner| (inner, depth)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn check(message: &str, limits: ShapeLimits) -> Result<(), ShapeError> {
        check_shape(&Bytes::copy_from_slice(message.replace('\n', "\r\n").as_bytes()).into(), &limits)
    }

    fn limits(header_fields: usize, mime_depth: usize) -> ShapeLimits {
        ShapeLimits { header_fields, mime_depth }
    }

    /// Multiparts within each other, around a text.
    fn multiparts(depth: usize) -> String {
        (0..depth).rev().fold("Content-Type: text/plain\n\nx\n".to_owned(), |inner, at| {
            format!("Content-Type: multipart/mixed; boundary=b{at}b\n\n--b{at}b\n{inner}\n--b{at}b--\n")
        })
    }

    /// Messages within each other.
    fn messages(depth: usize) -> String {
        "Content-Type: message/rfc822\n\n".repeat(depth) + "Subject: innermost\n\nx\n"
    }

    #[test]
    fn header_fields_are_counted_and_their_folds_are_not() {
        let message = "A: 1\nB: 2\n folded\n\tagain\nC: 3\n\nD: 4\nE: 5\n";
        check(message, limits(3, 50)).unwrap();
        let error = check(message, limits(2, 50)).unwrap_err();
        assert!(matches!(error, ShapeError::HeaderFields(2)), "{error}");
        assert_eq!(error.reply().status.unwrap().to_string(), "5.3.4");
    }

    #[test]
    fn parts_and_messages_within_each_other_count_as_depth() {
        let both = multiparts(3).replace("Content-Type: text/plain\n\nx\n", &messages(4));
        for (message, depth) in [
            ("A: 1\n\nx\n".to_owned(), 0),
            (multiparts(1), 1),
            (multiparts(12), 12),
            (messages(7), 7),
            (both, 7),
        ] {
            check(&message, limits(100, depth)).unwrap();
            if let Some(less) = depth.checked_sub(1) {
                let error = check(&message, limits(100, less)).unwrap_err();
                assert!(matches!(error, ShapeError::MimeDepth(_)), "{depth}: {error}");
                assert_eq!(error.reply().status.unwrap().to_string(), "5.6.0");
            }
        }
    }

    #[test]
    fn many_parts_side_by_side_are_not_deep() {
        let parts = "--b\nContent-Type: text/plain\n\nx\n".repeat(500);
        let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n");
        check(&message, limits(10, 1)).unwrap();
    }

    #[test]
    fn a_message_that_is_nothing_but_nesting_is_refused_without_going_down_all_the_way() {
        for message in [multiparts(5_000), messages(20_000)] {
            assert!(matches!(check(&message, ShapeLimits::default()), Err(ShapeError::MimeDepth(50))));
        }
    }
}
