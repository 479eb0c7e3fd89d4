//! Cuts command lines out of what arrives. Only CRLF ends a line; a bare LF or CR never does.

use bytes::{Buf, BytesMut};

/// What stands at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole line, without its CRLF.
    Whole(BytesMut),
    /// A line that held a bare LF or a bare CR; it is gone.
    BareNewline,
    /// A line over this limit; what came of it is gone, and the rest will be.
    TooLong(usize),
}

/// Whether the line under way has been reported as faulty, so that what is left of it is thrown away.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    TooLong,
    /// `more` says that octets came since the newline that was reported last.
    BareNewline {
        more: bool,
    },
}

/// Finds lines in a growing buffer, wherever it was cut.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// Octets of the buffer that were searched already.
    searched: usize,
    fault: Fault,
}

impl LineReader {
    /// Takes the next line, or nothing when it has not ended yet. `limit` says, by how a line begins, how many octets it may have;
    /// it counts the CRLF.
    pub(crate) fn next(&mut self, input: &mut BytesMut, limit: impl Fn(&[u8]) -> usize) -> Option<Line> {
        loop {
            let limit = limit(input);
            let end = memchr::memchr2(b'\n', b'\r', &input[self.searched..]).map(|at| at + self.searched);
            let found = match end {
                Some(at) if input[at] == b'\r' && at + 1 == input.len() => {
                    self.searched = at;
                    return self.unended(input, at, limit);
                }
                None => {
                    self.searched = input.len();
                    return self.unended(input, input.len(), limit);
                }
                Some(at) if input[at] == b'\r' && input[at + 1] == b'\n' => self.crlf(input, at, limit),
                Some(at) => self.bare_newline(input, at, limit),
            };
            if found.is_some() {
                return found;
            }
        }
    }

    /// A CRLF stands at `at`: the line ends there, or the rest of a faulty one does.
    fn crlf(&mut self, input: &mut BytesMut, at: usize, limit: usize) -> Option<Line> {
        self.searched = 0;
        let line = input.split_to(at);
        input.advance(2);
        match std::mem::take(&mut self.fault) {
            Fault::None if at + 2 > limit => Some(Line::TooLong(limit)),
            Fault::None => Some(Line::Whole(line)),
            Fault::TooLong | Fault::BareNewline { .. } => None,
        }
    }

    /// A CR or LF stands alone at `at`. What follows it belongs to the same, faulty, line.
    fn bare_newline(&mut self, input: &mut BytesMut, at: usize, limit: usize) -> Option<Line> {
        self.searched = 0;
        input.advance(at + 1);
        let (fault, found) = match self.fault {
            Fault::None if at + 2 > limit => (Fault::TooLong, Some(Line::TooLong(limit))),
            Fault::TooLong => (Fault::TooLong, None),
            Fault::BareNewline { more: false } if at == 0 => (Fault::BareNewline { more: false }, None),
            Fault::None | Fault::BareNewline { .. } => {
                (Fault::BareNewline { more: false }, Some(Line::BareNewline))
            }
        };
        self.fault = fault;
        found
    }

    /// No end in sight after `len` octets: a line over the limit is reported once and thrown away as it comes.
    fn unended(&mut self, input: &mut BytesMut, len: usize, limit: usize) -> Option<Line> {
        let found = match self.fault {
            Fault::None if len + 2 <= limit => return None,
            Fault::None => {
                self.fault = Fault::TooLong;
                Some(Line::TooLong(limit))
            }
            Fault::TooLong => None,
            Fault::BareNewline { more } => {
                self.fault = Fault::BareNewline { more: more || len > 0 };
                None
            }
        };
        input.advance(len);
        self.searched = 0;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every line of `wire` when it arrives in the given cuts.
    fn lines(wire: &[u8], cuts: &[usize]) -> Vec<Line> {
        let limit = |begun: &[u8]| if begun.starts_with(b"a") { 24 } else { 16 };
        let (mut reader, mut input, mut found) = (LineReader::default(), BytesMut::new(), Vec::new());
        let mut rest = wire;
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            input.extend_from_slice(now);
            while let Some(line) = reader.next(&mut input, limit) {
                found.push(line);
            }
        }
        found
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().into())
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(lines(b"NOOP\r\nQUIT\r\n", &[]), [whole("NOOP"), whole("QUIT")]);
        assert_eq!(lines(b"NOOP\nMAIL\r\nQUIT\r\n", &[]), [Line::BareNewline, whole("QUIT")]);
        assert_eq!(lines(b"NOOP\rMAIL\r\nQUIT\r\n", &[]), [Line::BareNewline, whole("QUIT")]);
        assert_eq!(lines(b"NOOP\r\r\nQUIT\r\n", &[]), [Line::BareNewline, whole("QUIT")]);
    }

    #[test]
    fn every_line_that_is_typed_with_bare_line_feeds_is_answered() {
        assert_eq!(lines(b"ehlo me\nquit\n", &[]), [Line::BareNewline, Line::BareNewline]);
    }

    #[test]
    fn an_over_long_line_is_reported_once_and_discarded() {
        let mut wire = vec![b'x'; 100];
        wire.extend_from_slice(b"\r\nQUIT\r\n");
        assert_eq!(lines(&wire, &[]), [Line::TooLong(16), whole("QUIT")]);
        assert_eq!(lines(&wire, &[20, 20, 20, 41]), [Line::TooLong(16), whole("QUIT")]);
        assert_eq!(lines(b"12345678901234\r\n", &[15]), [whole("12345678901234")]);
        assert_eq!(lines(b"123456789012345\r\n", &[15]), [Line::TooLong(16)]);
    }

    #[test]
    fn a_line_behind_an_over_long_one_has_its_own_limit() {
        let wire = [&[b'x'; 100][..], b"\r\n", &[b'a'; 20], b"\r\n"].concat();
        for cuts in [&[][..], &[50], &[101, 5]] {
            assert_eq!(lines(&wire, cuts), [Line::TooLong(16), whole(&"a".repeat(20))]);
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(
            wire in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), Just(b'b'), Just(b'c')], 0..90),
            cuts in proptest::collection::vec(0usize..7, 0..20),
        ) {
            let all_at_once = lines(&wire, &[]);
            prop_assert_eq!(lines(&wire, &cuts), all_at_once);
        }
    }
}
