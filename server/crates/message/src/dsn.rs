//! Delivery status notifications: what became of a message, told to its sender.
//!
//! A report has three parts: a text for a person, the same for programs, and the message or its header block,
//! which stays where it is stored. Who is told, and of what, is decided elsewhere.
//!
//! Every line has 998 octets at most and ends in CRLF. A report is 7-bit throughout, unless an address in it
//! is beyond ASCII (it is a `global` report then, and needs SMTPUTF8) or the message that is returned has
//! 8-bit lines; [`Report`] says so.
//!
//! Standards: RFC 3464 (delivery status), RFC 6522 (multipart/report), RFC 6533 (beyond ASCII), RFC 3461 (6
//! contents), RFC 3834 (automatic responses), RFC 5321 section 6.1.
//! Limits: [`MAX_RETURNED_OCTETS`], [`MAX_DIAGNOSTIC_OCTETS`].
//! Known gaps: none.

mod original;
mod status;
mod template;
mod text;

pub use template::{MAX_TEMPLATE_OCTETS, Template, TemplateError};

use std::io;

use bytes::Bytes;
use mail_builder::headers::Header;
use model::{Content, EnhancedStatus, Mailbox, Piece, QueueId, Timestamp};

use crate::date::{format_date, message_id};
use crate::header_block::HeaderBlock;
use crate::splice;
use original::Returned;

/// Octets of a message that is returned whole: 1 MiB. Of a larger one the header block is returned.
pub const MAX_RETURNED_OCTETS: u64 = 1024 * 1024;
/// Octets that are told of one diagnostic: 1,000.
pub const MAX_DIAGNOSTIC_OCTETS: usize = 1000;

/// What became of a message for a recipient, RFC 3464 section 2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It will not be delivered.
    Failed,
    /// It was not delivered so far, and is tried again.
    Delayed,
    Delivered,
    /// Given to a host that does not report success.
    Relayed,
    /// Given to several addresses that an alias stands for.
    Expanded,
}

impl Action {
    /// Every one.
    pub(crate) const ALL: [Self; 5] =
        [Self::Failed, Self::Delayed, Self::Delivered, Self::Relayed, Self::Expanded];

    /// As it is written in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// How much of the message is returned, RFC 3461 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// All of it, up to [`MAX_RETURNED_OCTETS`].
    Full,
    /// Its header block.
    Headers,
}

/// One recipient in a report.
#[derive(Debug, Clone)]
pub struct DsnRecipient {
    /// The address that delivery was tried for.
    pub address: Mailbox,
    /// The value of ORCPT, as it came (`rfc822;ann+40example.org`).
    pub original: Option<String>,
    pub action: Action,
    pub status: EnhancedStatus,
    /// The host that said the diagnostic; nothing when it was this one.
    pub remote_mta: Option<String>,
    /// A reply in one line (`550 5.1.1 no such user`), or this host's own reason.
    pub diagnostic: Option<String>,
    pub last_attempt: Option<Timestamp>,
    /// For [`Action::Delayed`].
    pub will_retry_until: Option<Timestamp>,
}

/// What a report tells.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// The report's own id; makes its Message-ID.
    pub id: QueueId,
    pub date: Timestamp,
    /// This host's name, in ASCII.
    pub reporting_mta: String,
    /// The sender of the message, who gets the report; the postmaster when the message is a report itself.
    pub sender: Mailbox,
    /// The message is a report that could not be delivered, or another message without a sender.
    pub is_double_bounce: bool,
    /// The message came with SMTPUTF8: its sender can be sent a header beyond ASCII.
    pub is_smtputf8: bool,
    /// Of the message.
    pub queue_id: QueueId,
    /// When the message came in.
    pub arrival: Timestamp,
    /// The value of ENVID, as it came.
    pub envelope_id: Option<String>,
    /// At least one.
    pub recipients: Vec<DsnRecipient>,
    pub original: Content,
    pub ret: Ret,
    /// What people are told, and in which words.
    pub template: Template,
}

/// A report that is ready to be sent, from the null reverse-path.
#[derive(Debug, Clone)]
pub struct Report {
    pub content: Content,
    /// The next hop must have 8BITMIME: MAIL has `BODY=8BITMIME`.
    pub is_eight_bit: bool,
    /// The next hop must have SMTPUTF8: MAIL has `SMTPUTF8`.
    pub is_utf8: bool,
}

impl Dsn {
    /// Writes the report. Reads what is returned of the message, at most [`MAX_RETURNED_OCTETS`]; it is not
    /// copied.
    ///
    /// # Errors
    /// What the message's source answers.
    pub fn render(&self) -> io::Result<Report> {
        let is_utf8 = self.is_utf8()?;
        let returned = Returned::of(&self.original, self.ret, is_utf8)?;
        let (subject, text) = text::write(self, &returned, is_utf8);
        let (text, text_encoding) = match text.is_ascii() {
            true => (text, "7bit"),
            false if is_utf8 => (text, "8bit"),
            false => (original::quoted_printable(text.as_bytes())?, "quoted-printable"),
        };
        let status = status::write(self, is_utf8);
        let boundary = self.boundary(&[text.as_bytes(), status.as_bytes(), returned.octets()]);
        let encoding = if is_utf8 { "8bit" } else { "7bit" };

        let mut head = self.header(&subject, &boundary, is_utf8, is_utf8 || returned.is_eight_bit());
        head += &format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: {text_encoding}\r\n\r\n{text}\r\n"
        );
        let kind = if is_utf8 { "global-delivery-status" } else { "delivery-status" };
        head += &format!(
            "--{boundary}\r\nContent-Type: message/{kind}\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{status}\r\n"
        );
        let mut pieces = Vec::new();
        if let Some(fields) = returned.fields() {
            head += &format!("--{boundary}\r\n{fields}\r\n");
            splice::push(Piece::New(Bytes::from(head)), &mut pieces);
            returned.pieces(&self.original, &mut pieces);
            splice::push(Piece::New(Bytes::from(format!("\r\n--{boundary}--\r\n"))), &mut pieces);
        } else {
            splice::push(Piece::New(Bytes::from(head + &format!("--{boundary}--\r\n"))), &mut pieces);
        }
        Ok(Report {
            content: Content::spliced(self.original.source().clone(), pieces)?,
            is_eight_bit: is_utf8 || returned.is_eight_bit(),
            is_utf8,
        })
    }

    /// Whether an address is beyond ASCII, or the header of a message that came with SMTPUTF8.
    fn is_utf8(&self) -> io::Result<bool> {
        let addresses = self.recipients.iter().map(|recipient| &recipient.address).chain([&self.sender]);
        if addresses.into_iter().any(|address| !address.is_ascii()) {
            return Ok(true);
        }
        if !self.is_smtputf8 {
            return Ok(false);
        }
        //= RFC 6533 section 4: a message with a header in UTF-8 is returned as message/global, in a report that may have it.
        match HeaderBlock::read(&self.original) {
            Ok(block) => Ok(!block.as_bytes().is_ascii()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The worst news, which the report is named for.
    fn gist(&self) -> Action {
        let has = |action| self.recipients.iter().any(|recipient| recipient.action == action);
        let worst = [Action::Failed, Action::Delayed, Action::Expanded, Action::Relayed];
        worst.into_iter().find(|action| has(*action)).unwrap_or(Action::Delivered)
    }

    fn header(&self, subject: &str, boundary: &str, is_utf8: bool, is_eight_bit: bool) -> String {
        let subject = subject_field(subject);
        let (host, sender) = (&self.reporting_mta, &self.sender);
        format!(
            "Date: {}\r\nFrom: Mail Delivery System <MAILER-DAEMON@{host}>\r\nTo: <{sender}>\r\n\
             {subject}Message-ID: {}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type={};\r\n\tboundary=\"{boundary}\"\r\n\
             Content-Transfer-Encoding: {}\r\n",
            format_date(self.date),
            message_id(self.id, host),
            if is_utf8 { "global-delivery-status" } else { "delivery-status" },
            if is_eight_bit { "8bit" } else { "7bit" },
        )
    }

    /// A line that stands in none of the parts.
    fn boundary(&self, parts: &[&[u8]]) -> String {
        let mut boundary = format!("=_report_{}", self.id);
        while parts.iter().any(|part| memchr::memmem::find(part, boundary.as_bytes()).is_some()) {
            boundary.push('_');
        }
        boundary
    }
}

/// The field, with encoded words where the text is beyond ASCII (RFC 2047).
fn subject_field(text: &str) -> String {
    let mut field = b"Subject: ".to_vec();
    let column = field.len();
    mail_builder::headers::text::Text::new(text).write_header(&mut field, column);
    // It is ASCII whatever the text was.
    String::from_utf8_lossy(&field).into_owned()
}

/// One line of text without control characters, at most `limit` octets; in ASCII unless `utf8`.
fn tame(text: &str, limit: usize, utf8: bool) -> String {
    let mut tamed = String::new();
    for c in text.chars() {
        let c = match c {
            c if c.is_control() => ' ',
            c if !utf8 && !c.is_ascii() => '?',
            c => c,
        };
        if tamed.len() + c.len_utf8() > limit {
            break;
        }
        tamed.push(c);
    }
    tamed.trim().to_owned()
}

/// Words in lines of about `width` octets, each line but the first after `indent`; a word that no line could
/// hold is cut.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    /// A line of 998 octets holds this and any indent.
    const MAX_WORD_OCTETS: usize = 900;
    let mut out = String::new();
    let mut column = 0;
    for mut word in text.split_whitespace() {
        while !word.is_empty() {
            let cut = (0..=word.len().min(MAX_WORD_OCTETS)).rev().find(|at| word.is_char_boundary(*at));
            let (piece, rest) = word.split_at(cut.unwrap_or(word.len()));
            if column > 0 && column + 1 + piece.len() > width {
                out += "\r\n";
                out += indent;
                column = indent.len();
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out += piece;
            column += piece.len();
            word = rest;
        }
    }
    out
}

#[cfg(test)]
mod tests;
