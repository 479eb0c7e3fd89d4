//! SMTP replies and enhanced status codes (RFC 5321 section 4.2, RFC 3463).

use std::fmt;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// `class.subject.detail`, RFC 3463 section 2. Class is 2, 4 or 5; the others at most three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedStatus {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

impl EnhancedStatus {
    /// Reads `5.7.1`; nothing when the text is no status.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let class = parts.next()?.parse().ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        let mut number =
            || parts.next().filter(|digits| (1..=3).contains(&digits.len()))?.parse::<u16>().ok();
        let (subject, detail) = (number()?, number()?);
        Some(Self { class, subject, detail })
    }

    /// Octets of it when it is written.
    fn octets(self) -> usize {
        let digits = |number: u16| number.checked_ilog10().map_or(1, |exponent| exponent as usize + 1);
        digits(self.class.into()) + digits(self.subject) + digits(self.detail) + 2
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What one side says to a command: a code, an enhanced status, and a text of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    pub status: Option<EnhancedStatus>,
    /// Lines are separated by `\n`; the last has no end.
    pub text: String,
}

impl Reply {
    /// Octets of text in one line of a reply: 512 (RFC 5321 section 4.5.3.1.5) less code, separator and CRLF.
    pub const MAX_LINE_OCTETS: usize = 506;

    /// A reply with an enhanced status, written as three numbers.
    pub fn new(code: u16, status: (u8, u16, u16), text: impl Into<String>) -> Self {
        let (class, subject, detail) = status;
        Self { code, status: Some(EnhancedStatus { class, subject, detail }), text: text.into() }
    }

    /// A reply that has no enhanced status: a greeting, HELP, the answer to EHLO, 354.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, status: None, text: text.into() }
    }

    /// Reads what [`fmt::Display`] wrote; nothing when the text does not begin with a code.
    pub fn from_line(text: &str) -> Option<Self> {
        let (code, rest) = text.split_once(' ')?;
        let code = code.parse().ok().filter(|code| (200..600).contains(code))?;
        let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (status, text) = match EnhancedStatus::parse(first) {
            Some(status) => (Some(status), after),
            None => (None, rest),
        };
        Some(Self { code, status, text: text.to_owned() })
    }

    /// 2xx or 3xx.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4xx: the same command may succeed later.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5xx: the same command will not succeed.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the reply as it goes over the wire. `enhanced` says whether the status is written (RFC 2034).
    /// Control characters and line ends in the text cannot break the line; over-long lines are folded.
    pub fn write(&self, enhanced: bool, out: &mut Vec<u8>) {
        let status = self.status.filter(|_| enhanced);
        let width = Self::MAX_LINE_OCTETS - status.map_or(0, |status| status.octets() + 1);
        out.reserve(self.text.len() + 16);
        let lines = self.text.split('\n').map(|line| line.trim_end_matches('\r'));
        let mut lines = lines.flat_map(|line| folded(line, width)).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_none() { ' ' } else { '-' };
            // Memory takes whatever is written.
            let _ = write!(out, "{}{separator}", self.code);
            if let Some(status) = status {
                let _ = write!(out, "{status} ");
            }
            out.extend(line.bytes().map(|byte| if byte < b' ' || byte == 0x7f { b' ' } else { byte }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A line cut at `width` octets, never inside a character; an empty one is a line as well.
fn folded(line: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        if line.len() <= width {
            return Some(line);
        }
        let (first, later) = line.split_at(line.floor_char_boundary(width));
        rest = Some(later);
        Some(first)
    })
}

/// In one line, as logs and reports show it.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        write!(f, " {}", self.text.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_as_it_was_shown() {
        for reply in [
            Reply::new(550, (5, 1, 1), "no such user"),
            Reply::plain(450, "5 apples. 1.2"),
            Reply::new(451, (4, 3, 0), ""),
        ] {
            assert_eq!(Reply::from_line(&reply.to_string()), Some(reply));
        }
        for text in ["", "550", "x y", "99 no", "600 no", "5.7.1 no"] {
            assert_eq!(Reply::from_line(text), None, "{text}");
        }
    }

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(true, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_carries_code_and_status() {
        let reply = Reply::new(550, (5, 7, 1), "no\nreally");
        assert_eq!(wire(&reply), "550-5.7.1 no\r\n550 5.7.1 really\r\n");
    }

    #[test]
    fn a_text_cannot_smuggle_a_line_of_its_own() {
        assert_eq!(wire(&Reply::new(250, (2, 0, 0), "a\r\r221 b")), "250 2.0.0 a  221 b\r\n");
    }

    #[test]
    fn long_texts_are_folded_within_512_octets() {
        let wire = wire(&Reply::new(550, (5, 7, 1), "é".repeat(600)));
        assert!(wire.split_inclusive("\r\n").all(|line| line.len() <= 512));
        assert_eq!(wire.matches('é').count(), 600);
    }

    #[test]
    fn statuses_are_read_back() {
        for (class, subject, detail) in [(2, 0, 0), (5, 7, 26), (4, 999, 100), (5, 10, 9)] {
            let status = EnhancedStatus { class, subject, detail };
            assert_eq!(status.octets(), status.to_string().len());
        }
        assert_eq!(EnhancedStatus::parse("5.7.26").unwrap().to_string(), "5.7.26");
        for bad in ["", "5", "5.7", "3.1.1", "5.1234.1", "5.a.1", "5.1.1.1"] {
            assert_eq!(EnhancedStatus::parse(bad), None, "{bad}");
        }
    }
}
