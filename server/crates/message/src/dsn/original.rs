//! What is returned of the message: all of it, its header block, or nothing when not even that may be sent.

use std::io;

use bytes::Bytes;
use mail_builder::encoders::QuotedPrintableEncoder;
use model::{Content, Piece};

use crate::field::MAX_LINE_OCTETS;
use crate::header_block::HeaderBlock;
use crate::splice;

use super::{MAX_RETURNED_OCTETS, Ret};

/// The last part of a report.
pub(super) enum Returned {
    /// The first octets of the message, as they are.
    AsItIs {
        octets: Bytes,
        kind: &'static str,
        is_eight_bit: bool,
    },
    /// The header block, encoded.
    Encoded {
        octets: Bytes,
    },
    Nothing,
}

impl Returned {
    pub(super) fn of(original: &Content, ret: Ret, utf8: bool) -> io::Result<Self> {
        if ret == Ret::Full && original.len() <= MAX_RETURNED_OCTETS {
            let octets = splice::read(original, 0, original.len())?;
            // What breaks the rules of lines came in by leave of the listener; other hosts need not take it.
            if has_fine_lines(&octets) {
                let kind = if utf8 { "message/global" } else { "message/rfc822" };
                return Ok(Self::as_it_is(octets, kind));
            }
        }
        let block = match HeaderBlock::read(original) {
            Ok(block) => block,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Self::Nothing),
            Err(error) => return Err(error),
        };
        let octets = block.as_bytes().clone();
        let is_fine = has_fine_lines(&octets);
        //= RFC 6522 section 4: header fields that are not legal 7-bit lines may be quoted-printable.
        match (is_fine, octets.is_ascii(), utf8) {
            _ if octets.is_empty() => Ok(Self::Nothing),
            (true, true, _) => Ok(Self::as_it_is(octets, "text/rfc822-headers")),
            (true, false, true) => Ok(Self::as_it_is(octets, "message/global-headers")),
            _ => {
                let encoded = quoted_printable(&octets)?;
                Ok(Self::Encoded { octets: encoded.into() })
            }
        }
    }

    fn as_it_is(octets: Bytes, kind: &'static str) -> Self {
        let is_eight_bit = !octets.is_ascii();
        Self::AsItIs { octets, kind, is_eight_bit }
    }

    /// The fields above the part, with the empty line's CRLF to follow; nothing when there is no part.
    pub(super) fn fields(&self) -> Option<String> {
        let (kind, encoding) = match self {
            Self::AsItIs { kind, is_eight_bit, .. } => (*kind, if *is_eight_bit { "8bit" } else { "7bit" }),
            Self::Encoded { .. } => ("text/rfc822-headers", "quoted-printable"),
            Self::Nothing => return None,
        };
        Some(format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n"))
    }

    /// What a person is told that it is.
    pub(super) fn told(&self) -> &'static str {
        match self {
            Self::AsItIs { kind: "message/rfc822" | "message/global", .. } => "message",
            Self::AsItIs { .. } | Self::Encoded { .. } => "header",
            Self::Nothing => "",
        }
    }

    pub(super) fn is_eight_bit(&self) -> bool {
        matches!(self, Self::AsItIs { is_eight_bit: true, .. })
    }

    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::AsItIs { octets, .. } | Self::Encoded { octets } => octets,
            Self::Nothing => &[],
        }
    }

    pub(super) fn pieces(&self, original: &Content, out: &mut Vec<Piece>) {
        match self {
            Self::AsItIs { octets, .. } => splice::slice(original, 0, octets.len() as u64, out),
            Self::Encoded { octets } => splice::push(Piece::New(octets.clone()), out),
            Self::Nothing => {}
        }
    }
}

/// Line by line, so that a bare CR or LF is encoded and a CRLF stays. A NUL is no text in any encoding: it
/// becomes a space.
pub(super) fn quoted_printable(block: &[u8]) -> io::Result<String> {
    let mut out = Vec::with_capacity(block.len() * 2);
    let text: Vec<u8> = block.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n");
        let encoder = QuotedPrintableEncoder::new();
        encoder.encode_to_writer(&rest[..end.unwrap_or(rest.len())], &mut out)?;
        out.extend_from_slice(b"\r\n");
        rest = end.map_or(&[], |end| &rest[end + 2..]);
    }
    // It is ASCII whatever the octets were.
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// RFC 2045 section 2.8: lines of 998 octets at most that end in CRLF, no other CR or LF, no NUL. The last
/// line may lack its end.
fn has_fine_lines(octets: &[u8]) -> bool {
    octets.split_inclusive(|byte| *byte == b'\n').all(|line| {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        line.len() <= MAX_LINE_OCTETS && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_may_not_be_sent_are_seen() {
        for fine in ["", "a", "a\r\nb", "a\r\n\r\n"] {
            assert!(has_fine_lines(fine.as_bytes()), "{fine:?}");
        }
        assert!(has_fine_lines("x".repeat(MAX_LINE_OCTETS).as_bytes()));
        for bad in
            ["a\nb\r\n", "\n", "a\r", "a\rb\r\n", "a\0\r\n", "a\r\r\n", &"x".repeat(MAX_LINE_OCTETS + 1)]
        {
            assert!(!has_fine_lines(bad.as_bytes()), "{bad:?}");
        }
    }
}
