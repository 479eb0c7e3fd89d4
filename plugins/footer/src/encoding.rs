//! Content transfer encodings, RFC 2045 section 6: a text decoded, and octets put into it without touching the rest.

use std::ops::Range;

/// The longest encoded line, RFC 2045 sections 6.7 and 6.8.
const LINE: usize = 76;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug)]
pub(crate) struct Content {
    encoded: Vec<u8>,
    pub(crate) decoded: Vec<u8>,
    map: Map,
}

/// From a place in the decoded text to one in the encoded text.
#[derive(Debug)]
enum Map {
    Identity,
    /// Where each decoded octet begins, and where the last ends.
    QuotedPrintable(Vec<u32>),
    /// Where each group of three decoded octets begins, and where the last ends.
    Base64(Vec<u32>),
}

impl Content {
    /// Nothing when it is not encoded as it should be.
    pub(crate) fn decode(encoding: &str, encoded: Vec<u8>) -> Option<Content> {
        let (decoded, map) = match encoding {
            "7bit" | "8bit" | "binary" => (encoded.clone(), Map::Identity),
            "quoted-printable" => {
                let (decoded, starts) = decode_quoted_printable(&encoded);
                (decoded, Map::QuotedPrintable(starts))
            }
            "base64" => {
                let (decoded, starts) = decode_base64(&encoded)?;
                (decoded, Map::Base64(starts))
            }
            _ => return None,
        };
        Some(Content { encoded, decoded, map })
    }

    /// Which range of the encoded text to replace with what, so that these octets stand at this place when it is decoded.
    pub(crate) fn inserted(&self, at: usize, bytes: &[u8]) -> (Range<usize>, Vec<u8>) {
        let starts_line = |place: usize| place == 0 || self.encoded[..place].ends_with(b"\n");
        match &self.map {
            Map::Identity => (at..at, bytes.to_vec()),
            Map::QuotedPrintable(starts) => {
                let place = starts[at] as usize;
                let mut data = if starts_line(place) { Vec::new() } else { b"=\r\n".to_vec() };
                data.extend(quoted_printable(bytes));
                // What follows begins a line of its own, which must not become longer than it was.
                if place < self.encoded.len() && !bytes.ends_with(b"\r\n") {
                    data.extend(b"=\r\n");
                }
                (place..place, data)
            }
            Map::Base64(starts) => {
                let group = at / 3;
                let place = starts[group] as usize;
                let tail = [&self.decoded[group * 3..at], bytes, &self.decoded[at..]].concat();
                let mut data = if starts_line(place) { Vec::new() } else { b"\r\n".to_vec() };
                data.extend(base64(&tail));
                if self.encoded.ends_with(b"\n") {
                    data.extend(b"\r\n");
                }
                (place..self.encoded.len(), data)
            }
        }
    }
}

fn decode_quoted_printable(encoded: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let (mut decoded, mut starts) =
        (Vec::with_capacity(encoded.len()), Vec::with_capacity(encoded.len() + 1));
    let mut at = 0;
    let mut end = encoded.len();
    while at < encoded.len() {
        let rest = &encoded[at..];
        let (octet, len) = match rest {
            [b'=', b'\r', b'\n', ..] => (None, 3),
            [b'=', b'\n', ..] => (None, 2),
            // A soft break that nothing follows: what is put behind it must stand before it.
            [b'='] => {
                end = at;
                (None, 1)
            }
            [b'=', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (Some(high << 4 | low), 3),
                _ => (Some(b'='), 1),
            },
            [octet, ..] => (Some(*octet), 1),
            [] => break,
        };
        if let Some(octet) = octet {
            decoded.push(octet);
            starts.push(at as u32);
        }
        at += len;
    }
    starts.push(end as u32);
    (decoded, starts)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|n| n as u8)
}

/// Text as quoted-printable: CRLF stays a line end, everything else comes out as it went in.
pub(crate) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut column = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(b"\r\n") {
            out.extend(b"\r\n");
            column = 0;
            at += 2;
            continue;
        }
        let octet = text[at];
        let ends_line = at + 1 == text.len() || text[at + 1..].starts_with(b"\r\n");
        let literal = matches!(octet, 33..=60 | 62..=126) || matches!(octet, b' ' | b'\t') && !ends_line;
        let len = if literal { 1 } else { 3 };
        // One column is kept for the soft break's own "=".
        if column + len > LINE - 1 {
            out.extend(b"=\r\n");
            column = 0;
        }
        if literal {
            out.push(octet);
        } else {
            out.extend(format!("={octet:02X}").as_bytes());
        }
        column += len;
        at += 1;
    }
    out
}

fn decode_base64(encoded: &[u8]) -> Option<(Vec<u8>, Vec<u32>)> {
    let (mut decoded, mut starts) =
        (Vec::with_capacity(encoded.len() / 4 * 3), Vec::with_capacity(encoded.len() / 4 + 1));
    let (mut group, mut filled, mut padding) = (0u32, 0, 0);
    let mut end = 0;
    for (at, &octet) in encoded.iter().enumerate() {
        if octet.is_ascii_whitespace() {
            continue;
        }
        let value = match octet {
            b'=' if filled >= 2 => {
                padding += 1;
                0
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        if filled == 0 {
            starts.push(at as u32);
        }
        group = group << 6 | u32::from(value);
        filled += 1;
        if filled == 4 {
            decoded.extend(&group.to_be_bytes()[1..4 - padding]);
            (group, filled) = (0, 0);
            end = at + 1;
        }
    }
    if filled != 0 {
        return None;
    }
    // Past a whole last group, so that a text whose length is a multiple of three ends there.
    starts.push(end as u32);
    Some((decoded, starts))
}

fn base64(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 3 * 4 + data.len() / 28 + 8);
    let mut column = 0;
    for group in data.chunks(3) {
        if column == LINE {
            out.extend(b"\r\n");
            column = 0;
        }
        let word =
            group.iter().fold(0u32, |word, &octet| word << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        for n in 0..4 {
            let value = (word >> (18 - 6 * n) & 63) as usize;
            out.push(if n <= group.len() { ALPHABET[value] } else { b'=' });
        }
        column += 4;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(encoding: &str, encoded: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
        let content = Content::decode(encoding, encoded.to_vec()).unwrap();
        let (range, data) = content.inserted(at, bytes);
        [&encoded[..range.start], &data, &encoded[range.end..]].concat()
    }

    /// Whatever is put wherever into whatever, decoding gives it there, and no line is too long.
    #[test]
    fn what_is_inserted_stands_there_when_decoded() {
        let texts: [&[u8]; 5] =
            [b"", b"a", b"Hello =\r\nWorld, caf\xc3\xa9 \r\n", b"line\r\nline", &[b'x'; 200]];
        for text in texts {
            for insert in [&b"\r\n\r\n-- \r\nB\xc3\xbccher = gut\r\n"[..], b"<p>x</p>", &[b'y'; 100]] {
                let whole: Vec<(&str, Vec<u8>)> =
                    vec![("quoted-printable", quoted_printable(text)), ("base64", base64(text))];
                for (encoding, encoded) in whole {
                    for at in 0..=text.len() {
                        let changed = with(encoding, &encoded, at, insert);
                        let decoded = Content::decode(encoding, changed.clone()).unwrap().decoded;
                        assert_eq!(
                            decoded,
                            [&text[..at], insert, &text[at..]].concat(),
                            "{encoding} at {at}"
                        );
                        let longest = changed.split(|&b| b == b'\n').map(|l| l.trim_ascii_end().len()).max();
                        assert!(longest.unwrap() <= LINE, "{}", String::from_utf8_lossy(&changed));
                    }
                }
            }
        }
    }

    #[test]
    fn unfinished_quoted_printable_is_gone_on_with() {
        assert_eq!(with("quoted-printable", b"foo=", 3, b"\r\nbar"), b"foo=\r\n\r\nbar=\r\n=".to_vec());
        assert_eq!(with("quoted-printable", b"foo=\r\n", 3, b"\r\nbar"), b"foo=\r\n\r\nbar".to_vec());
    }

    #[test]
    fn base64_that_is_none_is_left_alone() {
        for wrong in [&b"YWJ"[..], b"YW=j", b"=AAA", b"YWJj!", b"YQ==YQ=="] {
            assert!(
                Content::decode("base64", wrong.to_vec()).is_none(),
                "{}",
                String::from_utf8_lossy(wrong)
            );
        }
    }
}
