//! A message of 8-bit or binary content, encoded so that hosts of 7 bits take it (RFC 6152 section 3, RFC 2045 section 6).
//!
//! The leaves that need it are encoded, in quoted-printable where they are text with whole lines and in base64 where not, and their fields say
//! so; the structure, and what needs nothing, stays as it is. What comes out decodes to the same octets: each leaf is decoded again
//! before it is believed. What cannot be encoded without breaking it is refused: signed parts, messages within the message, header fields beyond ASCII.
//!
//! Limits: those of [`crate::Structure`]; a leaf is in memory twice while it is encoded.
//! Known gaps: a message within a message is not taken apart; DKIM signatures do not survive.

use std::io;

use bytes::Bytes;
use mail_builder::encoders::{Base64Encoder, QuotedPrintableEncoder};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use model::Content;

use crate::draft::Draft;
use crate::field::MAX_LINE_OCTETS;
use crate::header_block::HeaderBlock;
use crate::mime::Part;
use crate::splice::BodyError;

const ENCODING: &str = "Content-Transfer-Encoding";

/// Why a message was not encoded.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    #[error("{0}")]
    Impossible(&'static str),
    #[error(transparent)]
    Source(#[from] io::Error),
}

impl From<BodyError> for ConversionError {
    fn from(_: BodyError) -> Self {
        Self::Impossible("it would be too large")
    }
}

/// The message in 7 bits: ASCII, in lines of at most 998 octets that end in CRLF.
///
/// # Errors
/// [`ConversionError::Impossible`] says what stands in the way.
pub fn to_seven_bit(content: Content) -> Result<Content, ConversionError> {
    let mut draft = Draft::new(content)?;
    if !is_seven_bit(draft.block().as_bytes()) {
        return Err(ConversionError::Impossible("a header field has octets beyond ASCII"));
    }
    let structure = draft.parts()?;
    if !structure.complete {
        return Err(ConversionError::Impossible("it has too many parts"));
    }
    draft.start_body();
    let mut copied = 0;
    for part in &structure.parts {
        let is_root = part.path.is_empty();
        let Some(change) = change(&draft, part)? else { continue };
        if structure.parts.iter().any(|outer| is_sealed(outer) && holds(outer, part)) {
            return Err(ConversionError::Impossible("a part that is signed would have to be encoded"));
        }
        match is_root {
            true => relabel_message(&mut draft, change.encoding)?,
            false => {
                keep(&mut draft, &mut copied, part.header)?;
                let header = draft.read_body(part.header, part.offset - part.header)?;
                draft.write_body(&relabelled(&header, change.encoding))?;
                copied = part.offset;
            }
        }
        if let Some(encoded) = change.encoded {
            keep(&mut draft, &mut copied, part.offset)?;
            draft.write_body(&encoded)?;
            copied = part.offset + part.len;
        }
    }
    let end = draft.body_size();
    keep(&mut draft, &mut copied, end)?;
    let converted = draft.into_content()?;
    // What stands between the parts, and in their headers.
    match is_seven_bit(&converted.to_bytes()?) {
        true => Ok(converted),
        false => Err(ConversionError::Impossible("there are octets beyond ASCII outside of its parts")),
    }
}

/// Copies what stands before `end`.
fn keep(draft: &mut Draft, copied: &mut u64, end: u64) -> Result<(), ConversionError> {
    let len = end.checked_sub(*copied).ok_or(ConversionError::Impossible("its parts overlap"))?;
    draft.copy_body(*copied, len)?;
    *copied = end;
    Ok(())
}

/// Whether what stands in a part must stay octet for octet (RFC 1847).
fn is_sealed(part: &Part) -> bool {
    matches!(part.media_type.as_str(), "multipart/signed" | "multipart/encrypted")
}

fn holds(outer: &Part, part: &Part) -> bool {
    outer.path.is_empty()
        || part.path == outer.path
        || part.path.strip_prefix(&outer.path).is_some_and(|rest| rest.starts_with('.'))
}

/// What becomes of a part.
struct Change {
    encoding: &'static str,
    /// The new content of a leaf; nothing when it is the old one.
    encoded: Option<Vec<u8>>,
}

/// Nothing when the part can stay.
fn change(draft: &Draft, part: &Part) -> Result<Option<Change>, ConversionError> {
    let is_plain = matches!(part.encoding.as_str(), "7bit" | "8bit" | "binary");
    let label = (is_plain && part.encoding != "7bit").then_some(Change { encoding: "7bit", encoded: None });
    if part.media_type.starts_with("multipart/") {
        return Ok(label);
    }
    let octets = draft.read_body(part.offset, part.len)?;
    if is_seven_bit(&octets) {
        return Ok(label);
    }
    if part.media_type.starts_with("message/") {
        //= RFC 2046 section 5.2.1: no encoding but 7bit, 8bit and binary for a message.
        return Err(ConversionError::Impossible("a message within it has octets beyond ASCII"));
    }
    if !is_plain {
        return Err(ConversionError::Impossible("a part is not what its encoding allows"));
    }
    let (encoding, encoded) = encode(&octets, part.media_type.starts_with("text/"))?;
    Ok(Some(Change { encoding, encoded: Some(encoded) }))
}

fn encode(octets: &Bytes, is_text: bool) -> Result<(&'static str, Vec<u8>), ConversionError> {
    if is_text && has_whole_lines(octets) {
        let encoded = QuotedPrintableEncoder::new().preserve_line_breaks().encode(octets)?;
        // Where most octets have to be escaped, base64 is shorter.
        let is_short = encoded.len() <= octets.len() + octets.len() / 2;
        if is_short
            && is_seven_bit(&encoded)
            && quoted_printable_decode(&encoded).is_some_and(|decoded| decoded == octets[..])
        {
            return Ok(("quoted-printable", encoded));
        }
    }
    let encoded = Base64Encoder::new().wrap_lines().encode(octets)?;
    match base64_decode(&encoded).is_some_and(|decoded| decoded == octets[..]) {
        true => Ok(("base64", encoded)),
        false => Err(ConversionError::Impossible("a part does not decode to what it was")),
    }
}

/// Whether every CR and LF belongs to a CRLF.
fn has_whole_lines(octets: &[u8]) -> bool {
    for at in memchr::memchr2_iter(b'\r', b'\n', octets) {
        let is_whole = match octets[at] {
            b'\r' => octets.get(at + 1) == Some(&b'\n'),
            _ => at > 0 && octets[at - 1] == b'\r',
        };
        if !is_whole {
            return false;
        }
    }
    true
}

fn is_seven_bit(octets: &[u8]) -> bool {
    let mut from = 0;
    let has_fine_lines = memchr::memmem::find_iter(octets, b"\r\n").all(|end| {
        let len = end - from;
        from = end + 2;
        len <= MAX_LINE_OCTETS
    }) && octets.len() - from <= MAX_LINE_OCTETS;
    has_fine_lines && octets.is_ascii() && !octets.contains(&0) && has_whole_lines(octets)
}

/// The message's own fields.
fn relabel_message(draft: &mut Draft, encoding: &'static str) -> Result<(), ConversionError> {
    let unwritable = |_| ConversionError::Impossible("its header block would be too large");
    draft.remove_header(ENCODING, None);
    if draft.header_all("MIME-Version").is_empty() {
        draft.add_header("MIME-Version", b"1.0", None).map_err(unwritable)?;
    }
    if draft.header_all("Content-Type").is_empty() && encoding != "7bit" {
        //= RFC 1428 section 3: what nobody said a character set of.
        draft.add_header("Content-Type", b"text/plain; charset=unknown-8bit", None).map_err(unwritable)?;
    }
    draft.add_header(ENCODING, encoding.as_bytes(), None).map_err(unwritable)
}

/// A part's header with its encoding replaced, and with the empty line behind it.
fn relabelled(header: &Bytes, encoding: &str) -> Vec<u8> {
    let block = HeaderBlock::parse_part(header);
    let mut out = Vec::with_capacity(header.len() + 48);
    for line in block.lines() {
        let is_encoding = block.field_of(line).is_some_and(|field| field.name.eq_ignore_ascii_case(ENCODING));
        if !is_encoding {
            out.extend_from_slice(&block.as_bytes()[line.whole.clone()]);
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("{ENCODING}: {encoding}\r\n\r\n").as_bytes());
    out
}

#[cfg(test)]
mod tests;
