//! Reports that go to another domain: a text for a person, and parts for programs.
//!
//! Every line has at most 998 octets of ASCII and ends in CRLF; what is beyond ASCII in a text is shown as `?`.
//!
//! Standards: RFC 6522 (multipart/report), RFC 2046 section 5.1, RFC 2045 section 6.8 (base64), RFC 3834 (automatic responses).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{QueueId, Timestamp};

use crate::date::{format_date, message_id};

/// Octets of base64 in a line.
const BASE64_LINE: usize = 76;
/// Octets of a line of text.
const TEXT_LINE: usize = 998;

/// One message.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// Its own id; makes its Message-ID.
    pub id: QueueId,
    pub date: Timestamp,
    /// Our own name, in ASCII.
    pub hostname: &'a str,
    /// Mailboxes, without angle brackets.
    pub from: &'a str,
    pub to: &'a str,
    /// In pieces: the field is folded between them.
    pub subject: &'a [&'a str],
    /// Fields of its own kind.
    pub fields: &'a [(&'a str, &'a str)],
    /// `multipart/mixed`, or `multipart/report` with its type.
    pub content_type: &'a str,
    /// For a person.
    pub text: &'a str,
    pub parts: &'a [LetterPart<'a>],
}

/// One part for programs.
#[derive(Debug, Clone)]
pub enum LetterPart<'a> {
    /// Text as it is, with CRLF between its lines.
    Text { content_type: &'a str, text: &'a str },
    /// A file, in base64.
    File { content_type: &'a str, name: &'a str, octets: &'a [u8] },
}

impl Letter<'_> {
    /// The whole message.
    pub fn render(&self) -> String {
        let boundary = format!("=_{}_letter", self.id);
        let mut message = format!(
            "Date: {}\r\nFrom: <{}>\r\nTo: <{}>\r\nMessage-ID: {}\r\nSubject: {}\r\n",
            format_date(self.date),
            ascii(self.from),
            ascii(self.to),
            message_id(self.id, self.hostname),
            self.subject.iter().map(|piece| ascii(piece)).collect::<Vec<_>>().join("\r\n\t"),
        );
        for (name, value) in self.fields {
            message += &format!("{name}: {}\r\n", ascii(value));
        }
        message += &format!(
            "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: {};\r\n\tboundary=\"{boundary}\"\r\n\r\n",
            self.content_type
        );
        let text = LetterPart::Text { content_type: "text/plain; charset=us-ascii", text: self.text };
        for part in std::iter::once(&text).chain(self.parts) {
            message += &format!("--{boundary}\r\n");
            part.write(&mut message);
        }
        message + &format!("--{boundary}--\r\n")
    }
}

impl LetterPart<'_> {
    fn write(&self, message: &mut String) {
        match self {
            Self::Text { content_type, text } => {
                *message += &format!("Content-Type: {content_type}\r\n\r\n");
                for line in text.lines() {
                    *message += &ascii(line);
                    *message += "\r\n";
                }
                *message += "\r\n";
            }
            Self::File { content_type, name, octets } => {
                *message += &format!(
                    "Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\
                     Content-Disposition: attachment;\r\n\tfilename=\"{}\"\r\n\r\n",
                    ascii(name).replace(['"', '\\'], "?")
                );
                let encoded = STANDARD.encode(octets);
                for from in (0..encoded.len()).step_by(BASE64_LINE) {
                    *message += &encoded[from..(from + BASE64_LINE).min(encoded.len())];
                    *message += "\r\n";
                }
            }
        }
    }
}

/// One line of visible ASCII; nothing in it can end a line or a field.
fn ascii(line: &str) -> String {
    let shown = |c: char| if c == '\t' || (' '..='~').contains(&c) { c } else { '?' };
    line.trim_end_matches('\r').chars().take(TEXT_LINE).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};

    use super::*;

    #[test]
    fn a_letter_reads_back_with_its_parts_and_nothing_breaks_out_of_its_place() {
        let letter = Letter {
            id: QueueId(7),
            date: Timestamp(0),
            hostname: "me.example",
            from: "postmaster@me.example",
            to: "x@you.example\r\nBcc: y@you.example",
            subject: &["Report Domain: you.example", "Submitter: me.example"],
            fields: &[("X-Kind", "a\r\nb")],
            content_type: "multipart/report; report-type=\"tlsrpt\"",
            text: "for a person\nof G\u{fc}tersloh",
            parts: &[
                LetterPart::Text { content_type: "message/feedback-report", text: "Version: 1\r\n" },
                LetterPart::File { content_type: "application/gzip", name: "a\"b.gz", octets: &[0x5a; 100] },
            ],
        };
        let text = letter.render();
        assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 78), "{text}");
        let message = MessageParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(message.subject(), Some("Report Domain: you.example Submitter: me.example"));
        assert!(message.header("Bcc").is_none() && message.header("b").is_none());
        assert_eq!(message.parts.len(), 4);
        assert!(message.body_text(0).unwrap().contains("for a person\r\nof G?tersloh"));
        assert_eq!(message.parts[3].contents(), [0x5a; 100]);
        assert_eq!(message.parts[3].attachment_name(), Some("a?b.gz"));
    }
}
