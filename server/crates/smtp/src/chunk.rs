//! The content that BDAT brings, a counted chunk at a time (RFC 3030).
//!
//! Nothing in a chunk is an end or a command, and no dot is stuffed. Text keeps the rule of DATA all the same: a CR or LF that
//! stands alone is refused or made a CRLF, because the message may leave by DATA and must not hide an end that a laxer server sees.
//! BODY=BINARYMIME lifts the rule: such a message leaves by BDAT, or encoded.

use bytes::{Buf, BytesMut};

use crate::data::BareNewline;

/// Decodes chunks, wherever they were cut; one for all chunks of a message.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Octets of the chunk under way that have not come.
    left: u64,
    /// Nothing: lines mean nothing (BODY=BINARYMIME).
    policy: Option<BareNewline>,
    /// A CR came that has not been written: what follows says whether it stood alone.
    cr: bool,
    /// Octets of the line under way.
    line: usize,
    line_limit: usize,
    pub(crate) bare_newline_seen: bool,
    pub(crate) line_too_long: bool,
}

impl Decoder {
    /// For text with a policy, for binary content without.
    pub(crate) fn new(policy: Option<BareNewline>, line_limit: usize) -> Self {
        Self {
            left: 0,
            policy,
            cr: false,
            line: 0,
            line_limit,
            bare_newline_seen: false,
            line_too_long: false,
        }
    }

    /// A chunk of this many octets follows.
    pub(crate) fn begin(&mut self, octets: u64) {
        self.left = octets;
    }

    /// Moves content of the chunk from `input` to `out`; true when the chunk is whole.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> bool {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        match self.policy {
            None => out.extend_from_slice(&input[..count]),
            Some(policy) => self.text(&input[..count], policy, out),
        }
        input.advance(count);
        self.left -= count as u64;
        self.left == 0
    }

    /// The last chunk is whole: a CR at the very end stood alone.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(policy) = self.policy
            && std::mem::take(&mut self.cr)
        {
            self.bare_newline(b'\r', policy, out);
        }
    }

    fn text(&mut self, mut rest: &[u8], policy: BareNewline, out: &mut Vec<u8>) {
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.cr) {
                if first == b'\n' {
                    out.extend_from_slice(b"\r\n");
                    self.line = 0;
                    rest = &rest[1..];
                    continue;
                }
                self.bare_newline(b'\r', policy, out);
            }
            let end = memchr::memchr2(b'\r', b'\n', rest);
            let run = &rest[..end.unwrap_or(rest.len())];
            out.extend_from_slice(run);
            self.line += run.len();
            self.line_too_long |= self.line + 2 > self.line_limit;
            let Some(end) = end else { return };
            match rest[end] {
                b'\r' => self.cr = true,
                _ => self.bare_newline(b'\n', policy, out),
            }
            rest = &rest[end + 1..];
        }
    }

    fn bare_newline(&mut self, byte: u8, policy: BareNewline, out: &mut Vec<u8>) {
        self.bare_newline_seen = true;
        match policy {
            BareNewline::Reject => out.push(byte),
            BareNewline::Convert => {
                out.extend_from_slice(b"\r\n");
                self.line = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes of content in chunks of these sizes, and whether a bare newline was seen.
    fn decode(content: &[u8], chunks: &[usize], policy: Option<BareNewline>) -> (Vec<u8>, bool) {
        let (mut decoder, mut out, mut rest) = (Decoder::new(policy, 1_000), Vec::new(), content);
        for size in chunks.iter().copied().chain([usize::MAX]) {
            let (chunk, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            decoder.begin(chunk.len() as u64);
            let mut whole = chunk.is_empty();
            for octet in chunk {
                whole = decoder.decode(&mut BytesMut::from(&[*octet][..]), &mut out);
            }
            assert!(whole);
        }
        decoder.finish(&mut out);
        (out, decoder.bare_newline_seen)
    }

    #[test]
    fn a_chunk_ends_where_it_said_and_leaves_what_follows() {
        let mut decoder = Decoder::new(Some(BareNewline::Reject), 1_000);
        let (mut input, mut out) = (BytesMut::from(&b"a\r\n.\r\nNOOP\r\n"[..]), Vec::new());
        decoder.begin(6);
        assert!(decoder.decode(&mut input, &mut out));
        assert_eq!((out.as_slice(), &input[..]), (&b"a\r\n.\r\n"[..], &b"NOOP\r\n"[..]));
    }

    #[test]
    fn a_newline_that_stands_alone_is_seen_in_text_and_means_nothing_in_binary() {
        for bare in ["a\nb", "a\rb", "\n.\n", "a\r\r\n", "a\r"] {
            assert!(decode(bare.as_bytes(), &[], Some(BareNewline::Reject)).1, "{bare:?}");
            assert_eq!(decode(bare.as_bytes(), &[], None), (bare.as_bytes().to_vec(), false));
        }
        assert_eq!(decode(b"a\nb\rc\r\r\n", &[], Some(BareNewline::Convert)).0, b"a\r\nb\r\nc\r\n\r\n");
    }

    proptest! {
        #[test]
        fn chunks_and_cuts_do_not_matter(content in "[a\r\n.]{0,40}", chunks in prop::collection::vec(0usize..5, 0..20), convert: bool) {
            let policy = Some(if convert { BareNewline::Convert } else { BareNewline::Reject });
            prop_assert_eq!(decode(content.as_bytes(), &chunks, policy), decode(content.as_bytes(), &[], policy));
        }
    }
}
