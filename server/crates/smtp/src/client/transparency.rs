//! Content on its way out: dots are doubled, every line ends in CRLF, and a line with a dot alone comes last (RFC 5321
//! section 4.5.2).

/// Where in a line the content stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Middle,
    /// A CR came that has not been written: what follows says whether it stood alone.
    Cr,
}

/// Writes content that comes in pieces, cut anywhere.
///
/// A CR or LF that stands alone is written as CRLF: RFC 5321 section 2.3.8 forbids to send one, and a peer might take it for the
/// end of a line that we did not mean.
#[derive(Debug)]
pub struct DotStuffing {
    at: At,
    /// Whether dots are doubled.
    stuffs: bool,
}

impl Default for DotStuffing {
    fn default() -> Self {
        Self { at: At::LineStart, stuffs: true }
    }
}

impl DotStuffing {
    /// For BDAT, where a dot is a dot: the line ends alone are seen to.
    pub fn line_ends_only() -> Self {
        Self { at: At::LineStart, stuffs: false }
    }

    /// Appends a piece of content to `out`.
    pub fn write(&mut self, content: &[u8], out: &mut Vec<u8>) {
        out.reserve(content.len() + content.len() / 32 + 8);
        let mut rest = content;
        if self.at == At::Cr && !rest.is_empty() {
            out.extend_from_slice(b"\r\n");
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.at = At::LineStart;
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            self.write_part(line.strip_suffix(b"\r").unwrap_or(line), out);
            out.extend_from_slice(b"\r\n");
            self.at = At::LineStart;
            rest = &rest[end + 1..];
        }
        match rest {
            [] => {}
            [part @ .., b'\r'] => {
                self.write_part(part, out);
                self.at = At::Cr;
            }
            part => self.write_part(part, out),
        }
    }

    /// Appends what was held back: a CR at the very end stood alone.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.at, At::LineStart) == At::Cr {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the end of the content. A last line without an end is given one.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.at == At::LineStart { b".\r\n" } else { b"\r\n.\r\n" });
    }

    /// Writes a part of a line that has no LF, and no CR that belongs to one.
    fn write_part(&mut self, part: &[u8], out: &mut Vec<u8>) {
        let mut rest = part;
        while let Some(lone) = memchr::memchr(b'\r', rest) {
            self.write_plain(&rest[..lone], out);
            out.extend_from_slice(b"\r\n");
            self.at = At::LineStart;
            rest = &rest[lone + 1..];
        }
        self.write_plain(rest, out);
    }

    fn write_plain(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Some(first) = text.first() else { return };
        if self.stuffs && self.at == At::LineStart && *first == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(text);
        self.at = At::Middle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffing = DotStuffing::default();
        for piece in pieces {
            stuffing.write(piece, &mut out);
        }
        stuffing.finish(&mut out);
        out
    }

    /// What a receiver makes of it, written as plainly as can be; also checks that the end comes once and last.
    fn unstuffed(wire: &[u8]) -> Vec<u8> {
        let text = wire.strip_suffix(b".\r\n").unwrap();
        let mut content = Vec::new();
        let lines: Vec<&[u8]> = text.split_inclusive(|octet| *octet == b'\n').collect();
        for line in lines {
            assert!(line.ends_with(b"\r\n") && line != b".\r\n");
            assert!(!line[..line.len() - 2].contains(&b'\r'));
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        content
    }

    #[test]
    fn dots_at_line_starts_are_doubled_also_across_pieces() {
        assert_eq!(
            stuffed(&[b".a\r\n", b".", b".\r", b"\n", b".\r\nb.c"]),
            b"..a\r\n...\r\n..\r\nb.c\r\n.\r\n"
        );
        assert_eq!(stuffed(&[]), b".\r\n");
        assert_eq!(stuffed(&[b"a\r\n"]), b"a\r\n.\r\n");
    }

    #[test]
    fn lone_line_ends_become_whole_ones() {
        assert_eq!(stuffed(&[b"a\n.\nb\r.\rc\r\r\n"]), b"a\r\n..\r\nb\r\n..\r\nc\r\n\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\r"]), b"a\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn content_comes_back_whole_however_it_was_cut(lines in prop::collection::vec("[.a\u{e4}]{0,4}", 0..20), cut in 1usize..9) {
            let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let pieces: Vec<&[u8]> = content.chunks(cut).collect();
            prop_assert_eq!(unstuffed(&stuffed(&pieces)), content);
        }

        #[test]
        fn any_octets_end_once_and_cuts_do_not_matter(octets in "[.a\r\n]{0,40}", cut in 1usize..9) {
            let pieces: Vec<&[u8]> = octets.as_bytes().chunks(cut).collect();
            let wire = stuffed(&pieces);
            prop_assert_eq!(&wire, &stuffed(&[octets.as_bytes()]));
            unstuffed(&wire);
        }
    }
}
