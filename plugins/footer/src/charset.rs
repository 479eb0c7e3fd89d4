//! The footer in the charset of a part.

/// The footer's octets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// As the part's charset has them.
    InCharset(Vec<u8>),
    /// The part's charset cannot say it, and the part can become UTF-8.
    OnlyInUtf8,
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
            return Some(Written::OnlyInUtf8);
        }
        western if Western::named(western).is_some() => {
            let western = Western::named(western)?;
            let octet = |c| western.octet(c);
            if text.chars().any(|c| octet(c).is_none() && nearest(c) == UNKNOWN) {
                return Some(Written::OnlyInUtf8);
            }
            each(text, octet)
        }
        other if CONTAIN_ASCII.iter().any(|known| other.starts_with(known)) => each(text, |_| None),
        _ => return None,
    };
    Some(Written::InCharset(octets))
}

/// A text of a charset that can become UTF-8.
pub(crate) fn to_utf8(charset: &str, text: &[u8]) -> Option<String> {
    match Western::named(charset) {
        Some(western) => Some(text.iter().map(|&octet| western.character(octet)).collect()),
        // What calls itself ASCII and is not may be UTF-8, or anything.
        None => String::from_utf8(text.to_vec()).ok(),
    }
}

/// Charsets that are Latin-1 but for some of their characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Western {
    Latin1,
    Latin9,
    Windows,
}

impl Western {
    fn named(charset: &str) -> Option<Western> {
        match charset {
            "iso-8859-1" | "latin1" => Some(Western::Latin1),
            "iso-8859-15" | "latin9" => Some(Western::Latin9),
            "windows-1252" | "cp1252" => Some(Western::Windows),
            _ => None,
        }
    }

    /// The characters that stand in the place of Latin-1's.
    fn own(self) -> &'static [(char, u8)] {
        match self {
            Western::Latin1 => &[],
            Western::Latin9 => LATIN_9,
            Western::Windows => WINDOWS_1252,
        }
    }

    fn octet(self, c: char) -> Option<u8> {
        let own = self.own();
        match own.iter().find(|(known, _)| *known == c) {
            Some(&(_, octet)) => Some(octet),
            None => {
                u8::try_from(u32::from(c)).ok().filter(|octet| own.iter().all(|(_, taken)| taken != octet))
            }
        }
    }

    fn character(self, octet: u8) -> char {
        let own = self.own().iter().find(|(_, taken)| *taken == octet);
        own.map_or(char::from(octet), |&(c, _)| c)
    }
}

const LATIN_9: &[(char, u8)] =
    &[('€', 0xa4), ('Š', 0xa6), ('š', 0xa8), ('Ž', 0xb4), ('ž', 0xb8), ('Œ', 0xbc), ('œ', 0xbd), ('Ÿ', 0xbe)];

const WINDOWS_1252: &[(char, u8)] = &[
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8a),
    ('‹', 0x8b),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9a),
    ('›', 0x9b),
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

/// What stands for a character that cannot be written.
const UNKNOWN: &str = "?";

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
        _ => UNKNOWN,
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
