//! The MIME parts of a message: what they say they are, and where in the body they stand.
//!
//! mail-parser finds them; no MIME is parsed here. It is given a view of the message in which it finds
//! nothing to decode and no message within the message (see [`view`]), so that a part costs its header and a
//! leaf is where it stands.
//!
//! Standards: RFC 2045 (5.2 and 6.1 defaults), RFC 2046 (5.1 multipart, 5.1.5 digest), RFC 2047 and RFC 2231
//! (file names), RFC 2183 (dispositions).
//! Limits: [`MAX_PARTS`], [`MAX_MIME_OCTETS`], and those of the view. What lies beyond is not listed, and
//! [`Structure::complete`] says so.

mod view;

use std::io;

use bytes::Bytes;
use mail_parser::{ContentType, HeaderName, HeaderValue, Message, MessageParser, MessagePart, PartType};

use crate::draft::Draft;
use view::View;

/// Parts that are listed: 1,000.
pub const MAX_PARTS: usize = 1000;
/// Octets of a body that are searched for parts, and of a part that is decoded: 64 MiB.
pub const MAX_MIME_OCTETS: u64 = 64 * 1024 * 1024;

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Empty for the message itself, `1`, `2` for what stands in it, `1.1` for what stands in these.
    pub path: String,
    /// In lower case; `text/plain` where the header says nothing that can be read.
    pub media_type: String,
    /// In lower case; `us-ascii` for text that does not say.
    pub charset: Option<String>,
    /// Decoded.
    pub filename: Option<String>,
    /// `inline`, `attachment` or another word, in lower case.
    pub disposition: Option<String>,
    /// In lower case; `7bit` where the header says nothing.
    pub encoding: String,
    /// Where the part's own header begins, counted from the body's first octet; for the message itself it is nowhere in the body.
    pub(crate) header: u64,
    /// Where the content begins, still encoded, counted from the body's first octet.
    pub offset: u64,
    /// Octets of the content, still encoded, without the line end that belongs to the next boundary.
    pub len: u64,
}

/// The parts of a message in their order, containers among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// The message itself stands first.
    pub parts: Vec<Part>,
    /// Whether every part is listed; false when a limit was met.
    pub complete: bool,
}

/// Why a part was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The content is not what its encoding allows.
    #[error("the part is not valid {0}")]
    Undecodable(String),
    /// More than [`MAX_MIME_OCTETS`].
    #[error("the part is too large to be decoded")]
    TooLarge,
    #[error(transparent)]
    Source(#[from] io::Error),
}

impl Draft {
    /// The parts of the message as it was when the draft was made; a `message/rfc822` part is a leaf. Reads
    /// the body once when the message is a multipart, else nothing of it.
    ///
    /// # Errors
    /// What the source answers.
    pub fn parts(&self) -> io::Result<Structure> {
        let head = view::mime_fields(self.block());
        let root = describe(&head, "", false, (0, self.body_size()));
        if !root.media_type.starts_with("multipart/") {
            return Ok(Structure { parts: vec![root], complete: true });
        }
        let body = self.read_body(0, self.body_size().min(MAX_MIME_OCTETS))?;
        let mut structure = parse(View::new(&head, &body), root);
        structure.complete &= self.body_size() <= MAX_MIME_OCTETS;
        Ok(structure)
    }

    /// The decoded content of a part. Every call reads and decodes all of it: callers that read in pieces
    /// keep it.
    ///
    /// # Errors
    /// [`PartError`].
    pub fn read_part(&self, part: &Part) -> Result<Bytes, PartError> {
        if part.len > MAX_MIME_OCTETS {
            return Err(PartError::TooLarge);
        }
        let raw = self.read_body(part.offset, part.len)?;
        let decoded = match part.encoding.as_str() {
            "base64" => mail_parser::decoders::base64::base64_decode(&raw),
            "quoted-printable" => mail_parser::decoders::quoted_printable::quoted_printable_decode(&raw),
            _ => return Ok(raw),
        };
        decoded.map(Bytes::from).ok_or_else(|| PartError::Undecodable(part.encoding.clone()))
    }
}

fn parse(mut view: View, root: Part) -> Structure {
    let places = {
        let parser = MessageParser::new()
            .header_content_type(HeaderName::ContentType)
            .ignore_header(HeaderName::ContentTransferEncoding)
            .default_header_ignore();
        let Some(message) = parser.parse(view.masked()) else {
            return Structure { parts: vec![root], complete: view.is_complete() };
        };
        let places = Places::of(&message, view.masked().len());
        dismantle(message);
        places
    };
    view.unmask();
    let mut parts = vec![root];
    for place in places.found.iter().skip(1) {
        // Digests are told by the parent's own type, which the parser did not see.
        let in_digest = parts[place.parent].media_type == "multipart/digest";
        let nth = place.nth.to_string();
        let path = match parts[place.parent].path.as_str() {
            "" => nth,
            parent => format!("{parent}.{nth}"),
        };
        let content = view.in_body(place.content.0, place.content.1);
        let mut part = describe(view.slice(place.header.0, place.header.1), &path, in_digest, content);
        part.header = view.in_body(place.header.0, place.header.1).0;
        parts.push(part);
    }
    Structure { parts, complete: places.complete && view.is_complete() }
}

/// Where the parts stand in the view, in the order of the message.
struct Places {
    found: Vec<Place>,
    complete: bool,
}

struct Place {
    /// The number of the container in the list; its own for the message itself.
    parent: usize,
    /// Which of the container's parts this is, from 1.
    nth: usize,
    header: (usize, usize),
    content: (usize, usize),
}

impl Places {
    fn of(message: &Message<'_>, end: usize) -> Self {
        let mut places = Self { found: Vec::new(), complete: true };
        // What is still to be listed, the next one last: the parser's number, the container, the place in it.
        let mut open: Vec<(u32, usize, usize)> = vec![(0, 0, 1)];
        while let Some((id, parent, nth)) = open.pop() {
            let Some(part) = message.parts.get(id as usize) else { continue };
            if places.found.len() >= MAX_PARTS {
                places.complete = false;
                break;
            }
            let this = places.found.len();
            places.found.push(Place::new(part, parent, nth, end));
            if let PartType::Multipart(children) = &part.body {
                // A child stands behind its container in the parser's list, or the list would have no end.
                let numbered = children.iter().filter(|child| **child > id).zip(1..);
                let mut children: Vec<_> = numbered.map(|(child, nth)| (*child, this, nth)).collect();
                children.reverse();
                open.append(&mut children);
            }
        }
        places
    }
}

impl Place {
    fn new(part: &MessagePart<'_>, parent: usize, nth: usize, end: usize) -> Self {
        let begin = (part.offset_body as usize).min(end);
        let content = (begin, (part.offset_end as usize).clamp(begin, end));
        Self { parent, nth, header: ((part.offset_header as usize).min(begin), begin), content }
    }
}

/// Drops a message without recursion, however deep messages stand in it.
fn dismantle(message: Message<'_>) {
    let mut open = vec![message];
    while let Some(mut message) = open.pop() {
        for part in message.parts.drain(..) {
            if let PartType::Message(inner) = part.body {
                open.push(inner);
            }
        }
    }
}

/// A part from its header block.
fn describe(head: &[u8], path: &str, in_digest: bool, (begin, end): (u64, u64)) -> Part {
    // The line end makes sure that the last field is one.
    let mut head = head.to_vec();
    head.extend_from_slice(b"\r\n\r\n");
    let parser = MessageParser::new().with_mime_headers().default_header_ignore();
    let parsed = parser.parse_headers(&head);
    let headers =
        parsed.as_ref().and_then(|message| message.parts.first()).map_or(&[][..], |part| &part.headers);
    let value = |name: HeaderName<'_>| headers.iter().rev().find(|header| header.name == name);
    let content_type = value(HeaderName::ContentType).and_then(|header| header.value.as_content_type());
    let disposition = value(HeaderName::ContentDisposition).and_then(|header| header.value.as_content_type());
    let media_type = content_type.and_then(media_type).unwrap_or_else(|| {
        let default = if in_digest { "message/rfc822" } else { "text/plain" };
        default.to_owned()
    });
    let attribute = |of: Option<&ContentType<'_>>, name: &str| {
        of?.attribute(name).map(str::to_owned).filter(|value| !value.is_empty())
    };
    let charset = attribute(content_type, "charset").map(|charset| charset.to_ascii_lowercase());
    let encoding = value(HeaderName::ContentTransferEncoding).and_then(|header| match &header.value {
        HeaderValue::Text(text) => first_word(text),
        _ => None,
    });
    Part {
        path: path.to_owned(),
        charset: charset.or_else(|| media_type.starts_with("text/").then(|| "us-ascii".to_owned())),
        media_type,
        filename: attribute(disposition, "filename").or_else(|| attribute(content_type, "name")),
        disposition: disposition.map(|value| value.ctype().to_ascii_lowercase()),
        encoding: encoding.unwrap_or_else(|| "7bit".to_owned()),
        header: begin,
        offset: begin,
        len: end - begin,
    }
}

fn media_type(content_type: &ContentType<'_>) -> Option<String> {
    let subtype = content_type.subtype()?;
    Some(format!("{}/{}", content_type.ctype(), subtype).to_ascii_lowercase())
}

/// An encoding's name, without a comment behind it.
fn first_word(text: &str) -> Option<String> {
    let word =
        text.split(|c: char| c.is_ascii_whitespace() || "(;".contains(c)).find(|word| !word.is_empty())?;
    Some(word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
