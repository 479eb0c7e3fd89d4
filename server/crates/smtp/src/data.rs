//! The content that follows DATA: undoes dot-stuffing and finds the end (RFC 5321 section 4.5.2).
//!
//! The end is CRLF "." CRLF and nothing else. A bare LF or CR never ends a line, so that nobody can smuggle a second
//! message to a laxer server behind us; whether it is refused or made a CRLF is [`BareNewline`].

use bytes::{Buf, BytesMut};

/// What becomes of a CR or LF that stands alone in content. RFC 5321 section 2.3.8 forbids sending one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareNewline {
    /// The message is refused with 554 5.6.0.
    #[default]
    Reject,
    /// It becomes a CRLF, as content only: it still ends neither the message nor a stuffed line.
    Convert,
}

/// Where the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a line, behind a CRLF.
    LineStart,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind CRLF "." CR.
    DotCr,
    /// Inside a line.
    Inside,
    /// Behind a CR inside a line.
    Cr,
}

/// Decodes content, wherever it was cut.
#[derive(Debug)]
pub(crate) struct Decoder {
    place: Place,
    policy: BareNewline,
    /// Octets of the line under way.
    line: usize,
    line_limit: usize,
    pub(crate) bare_newline_seen: bool,
    pub(crate) line_too_long: bool,
}

impl Decoder {
    pub(crate) fn new(policy: BareNewline, line_limit: usize) -> Self {
        Self {
            place: Place::LineStart,
            policy,
            line: 0,
            line_limit,
            bare_newline_seen: false,
            line_too_long: false,
        }
    }

    /// Moves content from `input` to `out`; true when the end was found, which is then gone from `input`.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> bool {
        let mut at = 0;
        // Nearly all of it is content: room for it once, not again at each doubling.
        out.reserve(input.len());
        while at < input.len() {
            if self.place == Place::Inside {
                at = self.copy_run(input, at, out);
                continue;
            }
            let byte = input[at];
            at += 1;
            if self.step(byte, out) {
                input.advance(at);
                return true;
            }
        }
        input.clear();
        false
    }

    /// Inside a line everything up to the next CR or LF is content.
    fn copy_run(&mut self, input: &[u8], from: usize, out: &mut Vec<u8>) -> usize {
        let run = &input[from..];
        let end = memchr::memchr2(b'\r', b'\n', run);
        let len = end.unwrap_or(run.len());
        out.extend_from_slice(&run[..len]);
        self.line += len;
        self.line_too_long |= self.line + 2 > self.line_limit;
        match end.map(|end| run[end]) {
            None => from + len,
            Some(b'\r') => {
                self.place = Place::Cr;
                from + len + 1
            }
            Some(_) => {
                self.bare_newline(b'\n', out);
                from + len + 1
            }
        }
    }

    /// One octet anywhere but inside a line; true at the end of the content.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match (self.place, byte) {
            (Place::LineStart, b'.') => self.place = Place::Dot,
            (Place::LineStart | Place::Dot, b'\r') => {
                self.place = if self.place == Place::Dot { Place::DotCr } else { Place::Cr };
            }
            (Place::LineStart | Place::Dot, b'\n') => self.bare_newline(b'\n', out),
            (Place::LineStart | Place::Dot, _) => self.push(byte, out),
            //= RFC 5321 section 4.5.2: a line that is one period ends the mail.
            (Place::DotCr, b'\n') => return true,
            (Place::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                self.place = Place::LineStart;
                self.line = 0;
            }
            (Place::DotCr | Place::Cr, _) => {
                // The CR stood alone. A dot before it was stuffing; what follows is looked at as the inside of a line.
                self.bare_newline(b'\r', out);
                match byte {
                    b'\r' => self.place = Place::Cr,
                    _ => self.push(byte, out),
                }
            }
            (Place::Inside, _) => self.push(byte, out),
        }
        false
    }

    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        self.line += 1;
        self.place = Place::Inside;
    }

    fn bare_newline(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.bare_newline_seen = true;
        self.place = Place::Inside;
        match self.policy {
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

    /// The decoded content, what is left of the input, and whether the end was found.
    fn decode(wire: &[u8], cuts: &[usize], policy: BareNewline) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut decoder, mut input, mut out) = (Decoder::new(policy, 1_000), BytesMut::new(), Vec::new());
        let (mut rest, mut ended) = (wire, false);
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            input.extend_from_slice(now);
            ended = ended || decoder.decode(&mut input, &mut out);
        }
        (out, input.to_vec(), ended)
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        let (content, rest, ended) =
            decode(b"a\r\n..b\r\n.c\r\n...\r\n.\r\nNOOP\r\n", &[], BareNewline::Reject);
        assert_eq!(content, b"a\r\n.b\r\nc\r\n..\r\n");
        assert_eq!((rest.as_slice(), ended), (&b"NOOP\r\n"[..], true));
        assert_eq!(decode(b".\r\n", &[], BareNewline::Reject).0, b"");
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_is_an_end() {
        for fake in
            ["a\n.\nb", "a\n.\r\nb", "a\r\n.\nb", "a\r.\rb", "a\r\n.\rb", "a\r.\r\nb", "a\r\r\n\n.\r\nb"]
        {
            for policy in [BareNewline::Reject, BareNewline::Convert] {
                assert!(!decode(fake.as_bytes(), &[], policy).2, "{fake:?}");
            }
        }
    }

    #[test]
    fn converted_content_has_no_bare_newline() {
        let (content, _, ended) = decode(b"a\nb\rc\r\r\n.\r\n", &[], BareNewline::Convert);
        assert_eq!(content, b"a\r\nb\r\nc\r\n\r\n");
        assert!(ended);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_content(
            wire in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..80),
            cuts in proptest::collection::vec(0usize..5, 0..40),
            convert in any::<bool>(),
        ) {
            let policy = if convert { BareNewline::Convert } else { BareNewline::Reject };
            prop_assert_eq!(decode(&wire, &cuts, policy), decode(&wire, &[], policy));
        }

        #[test]
        fn what_a_client_stuffs_comes_back(lines in proptest::collection::vec("[.a\\r]{0,5}", 0..20)) {
            let content: String = lines.iter().map(|line| line.replace('\r', "") + "\r\n").collect();
            let mut wire: String = content.split_inclusive("\r\n").map(|line| {
                if line.starts_with('.') { format!(".{line}") } else { line.to_owned() }
            }).collect();
            wire.push_str(".\r\n");
            let (decoded, rest, ended) = decode(wire.as_bytes(), &[], BareNewline::Reject);
            prop_assert_eq!(decoded, content.into_bytes());
            prop_assert!(ended && rest.is_empty());
        }
    }
}
