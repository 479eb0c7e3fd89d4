//! Mail of the plugin's own. Needs the grant `submit`.
//!
//! ```
//! # use waxwing_plugin::prelude::*;
//! # fn told(cx: &Context) -> Result<String, Error> {
//! submission::Letter::new("Waxwing <postmaster@example.org>", "A virus was found")
//!     .to(&Mailbox::new("admin@example.org"))
//!     .text(&format!("It came in as {}.\n", cx.transaction_id()))
//!     .submit()
//! # }
//! ```
//!
//! It goes to the queue as mail of the server's own, with Date, Message-ID and Received, and is signed where what leaves is signed. It is
//! on the disk when the call returns, and goes out whatever the running hook says of its own message. No plugin's session hooks are
//! asked about it. Hooks of its delivery are, and cannot submit anything in their turn.
//!
//! A letter has the null reverse-path, so that nobody hears when it cannot be delivered, and is marked `Auto-Submitted: auto-generated`,
//! so that no vacation message answers it; [`Letter::sender`] and [`Letter::mark`] change that.

use crate::{Error, Mailbox, host};
use std::borrow::Cow;
use std::fmt::Write;

/// Octets of a line, its CRLF aside (RFC 5322 section 2.1.1).
const MAX_LINE: usize = 998;
/// Where header fields are folded.
const FOLD_AT: usize = 76;
/// Octets of text in one encoded word: the word has at most 75 characters (RFC 2047 section 2).
const ENCODED_WORD: usize = 39;

/// What the field of this name says (RFC 3834 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoSubmitted {
    /// Nobody wrote it.
    Generated,
    /// Nobody wrote it, and it answers a message.
    Replied,
}

/// A message as it is handed to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whom a failure is reported to; `None` is the null reverse-path.
    pub sender: Option<Mailbox>,
    /// Who gets it.
    pub recipients: Vec<Mailbox>,
    /// Header and body: lines of at most 998 octets that end in CRLF, and a From field.
    pub content: Vec<u8>,
    /// What is written into Auto-Submitted, in the place of what the content has.
    pub auto_submitted: Option<AutoSubmitted>,
}

impl Message {
    /// Queues it: the queue's name of it.
    ///
    /// # Errors
    /// [`Error::Denied`] without the grant, and in a hook about a message that a plugin submitted; [`Error::Quota`] when there are too many in
    /// this hook or hour, or it is too large or has too many recipients; [`Error::BadInput`] says what is wrong with it, and names a recipient
    /// that one of the server's own domains does not have; [`Error::Unavailable`] when the queue is full, and in `init`.
    pub fn submit(&self) -> Result<String, Error> {
        host::submit(self)
    }

    /// What the server checks of the content.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::BadInput(why.to_owned()));
        let lines = self.content.split_inclusive(|&octet| octet == b'\n');
        if lines.clone().any(|line| !line.ends_with(b"\r\n") || line.len() > MAX_LINE + 2) {
            return bad("the content has a line that does not end in CRLF, or one of more than 998 octets");
        }
        let mut header = lines.take_while(|line| *line != b"\r\n");
        if !header.any(|line| line.len() > 5 && line[..5].eq_ignore_ascii_case(b"from:")) {
            return bad("the message has no From field");
        }
        if self.recipients.is_empty() {
            return bad("the message has no recipient");
        }
        Ok(())
    }
}

/// A text for people, with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a letter is sent by `submit`"]
pub struct Letter {
    fields: Vec<(String, String)>,
    text: String,
    sender: Option<Mailbox>,
    recipients: Vec<Mailbox>,
    auto_submitted: Option<AutoSubmitted>,
}

impl Letter {
    /// From this author, as in `Waxwing <postmaster@example.org>`; see also [`named`].
    pub fn new(from: &str, subject: &str) -> Letter {
        let letter = Letter {
            fields: Vec::new(),
            text: String::new(),
            sender: None,
            recipients: Vec::new(),
            auto_submitted: Some(AutoSubmitted::Generated),
        };
        letter.header("From", from).header("Subject", subject)
    }

    /// One more recipient, whom the field To names.
    pub fn to(mut self, recipient: &Mailbox) -> Letter {
        self.recipients.push(recipient.clone());
        let address = written(recipient);
        match self.fields.iter_mut().find(|(name, _)| name == "To") {
            Some((_, value)) => *value += &format!(", {address}"),
            None => self.fields.push(("To".to_owned(), address)),
        }
        self
    }

    /// One more header field. Characters beyond ASCII are encoded (RFC 2047), and line ends become spaces.
    pub fn header(mut self, name: &str, value: &str) -> Letter {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The text. Lines may end in LF.
    pub fn text(mut self, text: &str) -> Letter {
        self.text = text.to_owned();
        self
    }

    /// Whom a failure is reported to; nobody when it is not called.
    pub fn sender(mut self, sender: &Mailbox) -> Letter {
        self.sender = Some(sender.clone());
        self
    }

    /// What Auto-Submitted says; `None`: it is not there.
    pub fn mark(mut self, mark: Option<AutoSubmitted>) -> Letter {
        self.auto_submitted = mark;
        self
    }

    /// The message as it is handed over.
    #[must_use]
    pub fn message(&self) -> Message {
        let mut content = String::new();
        for (name, value) in &self.fields {
            write_field(&mut content, name, value);
        }
        let text = with_crlf(&self.text);
        let has_long_lines = text.split("\r\n").any(|line| line.len() > MAX_LINE);
        let (encoding, text) = match (has_long_lines, text.is_ascii()) {
            (true, _) => ("base64", Cow::Owned(in_lines(&base64(text.as_bytes())))),
            (false, true) => ("7bit", Cow::Borrowed(text.as_str())),
            (false, false) => ("8bit", Cow::Borrowed(text.as_str())),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            content,
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}"
        );
        Message {
            sender: self.sender.clone(),
            recipients: self.recipients.clone(),
            content: content.into_bytes(),
            auto_submitted: self.auto_submitted,
        }
    }

    /// Queues it: the queue's name of it.
    ///
    /// # Errors
    /// As [`Message::submit`].
    pub fn submit(&self) -> Result<String, Error> {
        self.message().submit()
    }
}

/// A mailbox with the name of its owner, as it stands in From and To.
#[must_use]
pub fn named(name: &str, mailbox: &Mailbox) -> String {
    let name = name.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    let address = written(mailbox);
    match name {
        "" => address,
        name if !name.is_ascii() => format!("{} <{address}>", encoded_words(name).join(" ")),
        name if name.chars().all(is_plain) => format!("{name} <{address}>"),
        name => format!("{} <{address}>", quoted(name)),
    }
}

/// The address as RFC 5322 section 3.4.1 has it: a local part that is no dot-atom is quoted.
fn written(mailbox: &Mailbox) -> String {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    let is_dot_atom = mailbox.local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    match is_dot_atom {
        true => mailbox.to_string(),
        false => Mailbox { local: quoted(&mailbox.local), domain: mailbox.domain.clone() }.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars().filter(|c| !c.is_control()) {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

/// One field, folded at spaces.
fn write_field(out: &mut String, name: &str, value: &str) {
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let value = encoded(value.trim());
    out.push_str(name);
    out.push(':');
    let mut column = name.len() + 1;
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        if column + 1 + word.len() > FOLD_AT && column > name.len() + 1 {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push_str("\r\n");
}

/// A text for a header field, its words with characters beyond ASCII encoded, and those between them (RFC 2047 section 5).
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split(' ').collect();
    let first = words.iter().position(|word| !word.is_ascii()).unwrap_or(0);
    let last = words.iter().rposition(|word| !word.is_ascii()).unwrap_or(0);
    let mut out: Vec<String> = words[..first].iter().map(|&word| word.to_owned()).collect();
    out.extend(encoded_words(&words[first..=last].join(" ")));
    out.extend(words[last + 1..].iter().map(|&word| word.to_owned()));
    out.join(" ")
}

/// All of a text in encoded words.
fn encoded_words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD));
        words.push(format!("=?utf-8?B?{}?=", base64(piece.as_bytes())));
        rest = more;
    }
    words
}

fn with_crlf(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "").replace('\n', "\r\n");
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

/// RFC 4648 section 4.
fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits = group
            .iter()
            .enumerate()
            .fold(0u32, |bits, (at, &octet)| bits | u32::from(octet) << (16 - 8 * at));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn in_lines(letters: &str) -> String {
    let mut out = String::with_capacity(letters.len() + letters.len() / 38 + 2);
    let mut rest = letters;
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(76));
        out.push_str(line);
        out.push_str("\r\n");
        rest = more;
    }
    out
}

#[cfg(test)]
mod tests;
