//! Every file name and media type that the header of a part gives, so that none is shown to the policy and another to the
//! reader.
//!
//! The server tells one name of a part. Programs differ in which they take where a header has several: `filename` or
//! `name`, the plain or the extended form (RFC 2231 section 4, RFC 6266 section 4.3), the first field or the last. They
//! differ as well in what they forgive. So this is read leniently, and all of it counts.
//!
//! Limits: the last 256 KiB of a part's header are read.
//!
//! Known gaps: names are read as UTF-8 whatever their charset says; extensions are ASCII in all but UTF-16, which the
//! server decodes.

use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;

/// The most that is read of one part's header, octets.
pub(crate) const LONGEST_HEADER: u32 = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) names: Vec<String>,
    pub(crate) types: Vec<String>,
}

/// What the header of the nth part says.
pub(crate) fn said(cx: &Context, parts: &[Part], nth: usize) -> Result<Said, Error> {
    let mut said = Said::default();
    let part = &parts[nth];
    if part.path.is_empty() {
        for value in cx.headers().raw("Content-Type") {
            said.content_type(&text(&value));
        }
        for value in cx.headers().raw("Content-Disposition") {
            said.names(&text(&value));
        }
    } else {
        let from = begin(parts, nth).max(part.offset.saturating_sub(LONGEST_HEADER));
        for field in text(&cx.body().read(from..part.offset)?).lines() {
            said.field(field);
        }
    }
    Ok(said)
}

/// Where the header of a part begins at the earliest: behind the part before it, or where its container begins. What else
/// stands there is the boundary, and what a reader does not see.
fn begin(parts: &[Part], nth: usize) -> u32 {
    let offset = parts[nth].offset;
    let before = parts[..nth].iter().map(|p| if p.range().end <= offset { p.range().end } else { p.offset });
    before.max().unwrap_or(0)
}

/// As text, with what was folded on one line.
fn text(header: &[u8]) -> String {
    let text = String::from_utf8_lossy(header).replace("\r\n", "\n");
    text.replace("\n ", " ").replace("\n\t", " ")
}

impl Said {
    /// A field on one line.
    pub(crate) fn field(&mut self, field: &str) {
        let Some((name, value)) = field.split_once(':') else { return };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" => self.content_type(value),
            "content-disposition" => self.names(value),
            _ => {}
        }
    }

    fn content_type(&mut self, value: &str) {
        let bare = without_comments(value);
        let kind = bare.split(';').next().unwrap_or_default();
        self.types.extend(kind.split_whitespace().next().map(str::to_ascii_lowercase));
        self.names(value);
    }

    fn names(&mut self, value: &str) {
        for value in [value, &without_comments(value)] {
            let mut sections: Vec<(u32, String)> = Vec::new();
            for parameter in split_outside_quotes(value, ';') {
                let Some((key, value)) = parameter.split_once('=') else { continue };
                // Behind a semicolon that is missing.
                let key = key.split_whitespace().next_back().unwrap_or_default().to_ascii_lowercase();
                let mut key = key.split('*');
                if !matches!(key.next(), Some("filename" | "name")) {
                    continue;
                }
                match (key.next().map(str::parse), key.next()) {
                    (None, _) => self.names.push(decoded_words(&unquoted(value))),
                    (Some(Ok(nth)), None) => sections.push((nth, unquoted(value))),
                    (Some(Ok(nth)), Some(_)) => sections.push((nth, extended(&unquoted(value)))),
                    (Some(Err(_)), _) => self.names.push(extended(&unquoted(value))),
                }
            }
            sections.sort_by_key(|(nth, _)| *nth);
            let joined: String = sections.into_iter().map(|(_, text)| text).collect();
            self.names.push(joined);
        }
    }
}

/// The value without RFC 5322's comments, which may stand anywhere outside quotes.
fn without_comments(value: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0u32, false, false);
    for c in value.chars() {
        let plain = !std::mem::take(&mut escaped);
        match c {
            '\\' if plain && (quoted || depth > 0) => escaped = true,
            '"' if plain && depth == 0 => quoted = !quoted,
            '(' if plain && !quoted => depth += 1,
            ')' if plain && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    out
}

fn split_outside_quotes(value: &str, at: char) -> Vec<&str> {
    let (mut all, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (place, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == at && !quoted => {
                all.push(&value[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    all.push(&value[begin..]);
    all
}

/// A parameter's value, with or without quotes; the last quote may be missing.
fn unquoted(value: &str) -> String {
    let Some(quoted) = value.trim().strip_prefix('"') else { return value.trim().to_owned() };
    let (mut out, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// RFC 2231 section 4: what follows charset and language, percent signs undone.
fn extended(value: &str) -> String {
    let text = value.splitn(3, '\'').nth(2).unwrap_or(value).as_bytes();
    octets(text, b'%')
}

/// Octets written as a sign and two digits, undone.
fn octets(text: &[u8], sign: u8) -> String {
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(octet) if text[at] == sign => {
                out.push(octet);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 2047's encoded words undone, which do not belong into parameters and are read there by many.
fn decoded_words(value: &str) -> String {
    let (mut out, mut rest, mut after_word) = (String::new(), value, false);
    while let Some((before, behind)) = rest.split_once("=?") {
        let Some((word, left)) = encoded_word(behind) else {
            out += before;
            out += "=?";
            (rest, after_word) = (behind, false);
            continue;
        };
        // White space between two of them is not shown: section 6.2.
        if !after_word || !before.trim().is_empty() {
            out += before;
        }
        out += &word;
        (rest, after_word) = (left, true);
    }
    out + rest
}

/// What the word says whose "=?" was read, and what follows it.
fn encoded_word(text: &str) -> Option<(String, &str)> {
    let (_charset, text) = text.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (content, rest) = text.split_once("?=")?;
    let word = match encoding {
        "Q" | "q" => octets(content.replace('_', " ").as_bytes(), b'='),
        "B" | "b" => base64(content),
        _ => return None,
    };
    Some((word, rest))
}

/// As far as it is base64.
fn base64(text: &str) -> String {
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for octet in text.bytes() {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
