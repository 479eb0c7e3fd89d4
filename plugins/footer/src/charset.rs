//! The footer in the charset of a part.

/// The footer's octets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// As the part's charset has them.
    InCharset(Vec<u8>),
    /// The part is ASCII and the footer is not: the part has to become UTF-8, which ASCII is.
    OnlyInUtf8(Vec<u8>),
}

/// Charsets in which ASCII characters are their octets, at least at the end of a text.
const CONTAIN_ASCII: &[&str] =
    &["iso-8859-", "windows-125", "koi8-", "gb", "big5", "euc-", "shift_jis", "iso-2022-", "cp125"];

/// Nothing for charsets that are not known to contain ASCII.
pub(crate) fn write(text: &str, charset: &str) -> Option<Written> {
    let octets = match charset {
        "utf-8" | "utf8" => text.as_bytes().to_vec(),
        "us-ascii" | "ascii" | "ansi_x3.4-1968" if text.is_ascii() => text.as_bytes().to_vec(),
        "us-ascii" | "ascii" | "ansi_x3.4-1968" => {
            return Some(Written::OnlyInUtf8(text.as_bytes().to_vec()));
        }
        "iso-8859-1" | "latin1" => each(text, |c| u8::try_from(u32::from(c)).ok()),
        "windows-1252" | "cp1252" => each(text, |c| match u32::from(c) {
            latin @ (0..=0x7f | 0xa0..=0xff) => Some(latin as u8),
            _ => WINDOWS_1252.iter().find(|(known, _)| *known == c).map(|&(_, octet)| octet),
        }),
        "iso-8859-15" => each(text, |c| match c {
            '€' => Some(0xa4),
            '¤' | '¦' | '¨' | '´' | '¸' | '¼' | '½' | '¾' => None,
            c => u8::try_from(u32::from(c)).ok(),
        }),
        other if CONTAIN_ASCII.iter().any(|known| other.starts_with(known)) => each(text, |_| None),
        _ => return None,
    };
    Some(Written::InCharset(octets))
}

const WINDOWS_1252: &[(char, u8)] = &[
    ('€', 0x80),
    ('‚', 0x82),
    ('„', 0x84),
    ('…', 0x85),
    ('Š', 0x8a),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('™', 0x99),
    ('š', 0x9a),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

fn each(text: &str, octet: impl Fn(char) -> Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match (c.is_ascii(), octet(c)) {
            (true, _) => out.push(c as u8),
            (false, Some(octet)) => out.push(octet),
            (false, None) => out.extend(nearest(c).as_bytes()),
        }
    }
    out
}

/// What people write who have only ASCII.
fn nearest(c: char) -> &'static str {
    match c {
        '‘' | '’' | '‚' => "'",
        '“' | '”' | '„' => "\"",
        '–' | '—' | '−' => "-",
        '…' => "...",
        '•' => "*",
        '€' => "EUR",
        '\u{a0}' => " ",
        'ä' => "ae",
        'ö' => "oe",
        'ü' => "ue",
        'Ä' => "Ae",
        'Ö' => "Oe",
        'Ü' => "Ue",
        'ß' => "ss",
        _ => "?",
    }
}

/// HTML that is ASCII, whatever it says.
pub(crate) fn as_entities(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    for c in html.chars() {
        if c.is_ascii() { out.push(c) } else { out += &format!("&#{};", u32::from(c)) }
    }
    out
}
