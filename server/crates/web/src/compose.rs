//! A message in JSON, made into one of RFC 5322.
//!
//! Standards: RFC 5322 (3.6 fields), 2045 to 2047 (MIME), 4648 section 4 (base64).
//! Limits: those of a message; 100 fields and 100 attachments beside.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::text::Text;
use model::{Mailbox, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::envelope::{Envelope, clipped};
use crate::problem::Problem;

/// Fields beside those that have a key of their own.
const FIELDS: usize = 100;
const ATTACHMENTS: usize = 100;
/// Fields that are made from other keys, or by the server.
const MADE: [&str; 15] = [
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "received",
    "return-path",
    "sender",
    "delivered-to",
    "dkim-signature",
    "authentication-results",
];

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// The author; the token's user has to be allowed to send in this name.
    from: Party,
    #[serde(default)]
    to: Parties,
    #[serde(default)]
    cc: Parties,
    /// Nobody sees these.
    #[serde(default)]
    bcc: Parties,
    #[serde(default)]
    reply_to: Parties,
    #[serde(default)]
    subject: String,
    text: Option<String>,
    html: Option<String>,
    /// More fields, such as `List-Unsubscribe`.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    attachments: Vec<NewAttachment>,
    /// Where reports of failure go, when not to the author; empty for nowhere.
    envelope_from: Option<String>,
}

/// `ann@example.org`, `Ann <ann@example.org>`, or name and address apart.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Party {
    Written(String),
    Apart {
        #[serde(default)]
        name: Option<String>,
        address: String,
    },
}

/// One or many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Parties {
    Many(Vec<Party>),
    One(Party),
}

impl Default for Parties {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// A file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NewAttachment {
    name: String,
    /// `application/octet-stream` when it is not said.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// In base64.
    content: String,
    /// Shown in the HTML, which names it as `cid:...`.
    content_id: Option<String>,
}

/// A name, if there is one, and an address.
type Named = (Option<String>, Mailbox);

impl Party {
    fn named(&self) -> Result<Named, Problem> {
        let (name, address) = match self {
            Self::Apart { name, address } => (name.as_deref(), address.as_str()),
            Self::Written(text) => match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<'))
            {
                Some((name, address)) => (Some(name.trim().trim_matches('"')), address),
                None => (None, text.trim()),
            },
        };
        let name = name.filter(|name| !name.is_empty());
        if let Some(name) = name {
            one_line("a name", name)?;
        }
        let address = Mailbox::parse(address).map_err(|error| {
            Problem::bad_request(format!("\"{}\" is no address: {error}", clipped(address)))
        })?;
        Ok((name.map(str::to_owned), address))
    }
}

impl Parties {
    fn named(&self) -> Result<Vec<Named>, Problem> {
        match self {
            Self::One(party) => Ok(vec![party.named()?]),
            Self::Many(parties) => parties.iter().map(Party::named).collect(),
        }
    }
}

/// What would end a field and begin another is refused, not encoded.
fn one_line(what: &str, text: &str) -> Result<(), Problem> {
    match text.contains(|c: char| c.is_control() && c != '\t') {
        true => Err(Problem::bad_request(format!("{what} has a control character or a line end"))),
        false => Ok(()),
    }
}

fn address((name, mailbox): &Named) -> Address<'static> {
    Address::new_address(name.clone(), mailbox.to_string())
}

fn list(all: &[Named]) -> Address<'static> {
    Address::new_list(all.iter().map(address).collect())
}

impl NewMessage {
    /// The envelope and the octets. `hostname` is this server's.
    pub(crate) fn compose(self, hostname: &str, now: Timestamp) -> Result<(Envelope, Vec<u8>), Problem> {
        let from = self.from.named()?;
        let (to, cc, bcc) = (self.to.named()?, self.cc.named()?, self.bcc.named()?);
        let addresses: Vec<String> =
            to.iter().chain(&cc).chain(&bcc).map(|(_, mailbox)| mailbox.to_string()).collect();
        let sender = self.envelope_from.clone().unwrap_or_else(|| from.1.to_string());
        let envelope = Envelope::new(&sender, addresses.iter().map(String::as_str))?;
        one_line("the subject", &self.subject)?;
        let mut message = MessageBuilder::new()
            .message_id(message_id(hostname)?)
            .date(Date::new(i64::try_from(now.0 / 1000).unwrap_or(i64::MAX)))
            .from(address(&from));
        if !to.is_empty() {
            message = message.to(list(&to));
        }
        if !cc.is_empty() {
            message = message.cc(list(&cc));
        }
        let reply_to = self.reply_to.named()?;
        if !reply_to.is_empty() {
            message = message.reply_to(list(&reply_to));
        }
        message = message.subject(self.subject.clone());
        for (name, value) in self.fields()? {
            message = message.header(name, Text::new(value));
        }
        Ok((envelope, self.with_parts(message)?))
    }

    fn fields(&self) -> Result<Vec<(String, String)>, Problem> {
        if self.headers.len() > FIELDS {
            return Err(Problem::bad_request(format!("headers has more than {FIELDS} fields")));
        }
        for (name, value) in &self.headers {
            //= RFC 5322 section 3.6.8: a name is of printable ASCII but the colon.
            let is_name =
                !name.is_empty() && name.len() <= 76 && name.bytes().all(|c| matches!(c, 33..=57 | 59..=126));
            let lower = name.to_ascii_lowercase();
            if !is_name {
                return Err(Problem::bad_request(format!("\"{}\" is no name of a field", clipped(name))));
            }
            if MADE.contains(&lower.as_str()) || lower.starts_with("content-") {
                return Err(Problem::bad_request(format!("the field {name} cannot be given in headers")));
            }
            one_line(&format!("the field {name}"), value)?;
        }
        Ok(self.headers.clone().into_iter().collect())
    }

    fn with_parts(self, mut message: MessageBuilder<'static>) -> Result<Vec<u8>, Problem> {
        if self.attachments.len() > ATTACHMENTS {
            return Err(Problem::bad_request(format!("there are more than {ATTACHMENTS} attachments")));
        }
        if let Some(text) = self.text {
            message = message.text_body(text);
        }
        let (inline, attached): (Vec<_>, Vec<_>) =
            self.attachments.into_iter().partition(|attachment| attachment.content_id.is_some());
        if let Some(html) = self.html {
            message = message.html_body(html);
        }
        for attachment in attached.into_iter().chain(inline) {
            let NewAttachment { name, kind, content, content_id } = attachment;
            let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
            check_attachment(&name, &kind, content_id.as_deref())?;
            let octets = STANDARD.decode(content.as_bytes()).map_err(|error| {
                Problem::bad_request(format!("the attachment \"{}\" is not base64: {error}", clipped(&name)))
            })?;
            message = match content_id {
                Some(id) => message.inline(kind, id, octets),
                None => message.attachment(kind, name, octets),
            };
        }
        message
            .write_to_vec()
            .map_err(|error| Problem::bad_request(format!("the message cannot be made: {error}")))
    }
}

fn check_attachment(name: &str, kind: &str, content_id: Option<&str>) -> Result<(), Problem> {
    one_line("an attachment's name", name)?;
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c))
    };
    if !kind.split_once('/').is_some_and(|(top, sub)| token(top) && token(sub)) {
        return Err(Problem::bad_request(format!(
            "\"{}\" is no type, as in \"application/pdf\"",
            clipped(kind)
        )));
    }
    match content_id {
        Some(id) if id.is_empty() || !id.bytes().all(|c| c.is_ascii_graphic() && !b"<>\"\\".contains(&c)) => {
            Err(Problem::bad_request("a content-id is of visible ASCII without < > \" \\"))
        }
        _ => Ok(()),
    }
}

/// One that nobody has had before, and that tells of no machine but this server.
fn message_id(hostname: &str) -> Result<String, Problem> {
    let mut octets = [0; 16];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| Problem::unavailable("the system has no randomness to give"))?;
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(format!("{digits}@{hostname}"))
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use serde_json::{Value, json};

    use super::*;

    fn compose(message: &Value) -> Result<(Envelope, String), Problem> {
        let message: NewMessage = serde_json::from_value(message.clone())
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let (envelope, octets) = message.compose("mx.example.org", Timestamp(0))?;
        Ok((envelope, String::from_utf8(octets).unwrap()))
    }

    #[test]
    fn everything_that_is_given_is_in_the_message_and_blind_recipients_are_not() {
        let (envelope, text) = compose(&json!({
            "from": "Jörg <joerg@example.org>",
            "to": ["a@one.example", {"name": "B, C", "address": "b@two.example"}],
            "cc": "c@three.example",
            "bcc": "hidden@four.example",
            "reply-to": "answers@example.org",
            "subject": "Grüße",
            "text": "plain",
            "html": "<p>rich</p>",
            "headers": {"List-Unsubscribe": "<https://example.org/u?x=1>"},
            "attachments": [{"name": "a b.pdf", "type": "application/pdf", "content": "QUJD"}],
            "envelope-from": "bounces@example.org",
        }))
        .unwrap();
        assert_eq!(envelope.sender.to_string(), "<bounces@example.org>");
        assert_eq!(envelope.recipients.len(), 4);
        assert!(!text.contains("hidden"), "{text}");
        let message = MessageParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(message.subject(), Some("Grüße"));
        assert_eq!(message.from().unwrap().first().unwrap().name(), Some("Jörg"));
        assert_eq!(message.to().unwrap().iter().nth(1).unwrap().name(), Some("B, C"));
        assert_eq!(
            (message.body_text(0).unwrap().trim(), message.body_html(0).unwrap().trim()),
            ("plain", "<p>rich</p>")
        );
        let file = message.attachments().next().unwrap();
        assert_eq!((file.attachment_name(), file.contents()), (Some("a b.pdf"), &b"ABC"[..]));
        assert!(text.contains("List-Unsubscribe: <https://example.org/u?x=1>"), "{text}");
        assert!(message.message_id().unwrap().ends_with("@mx.example.org"));
        assert!(text.is_ascii());
    }

    #[test]
    fn what_could_end_a_field_or_is_no_address_is_refused_with_the_reason() {
        let with = |key: &str, value: Value| {
            let mut message = json!({"from": "a@b.example", "to": "c@d.example"});
            message[key] = value;
            compose(&message).unwrap_err().detail
        };
        for (key, value, says) in [
            ("subject", json!("x\r\nBcc: y@z.example"), "the subject has a control character"),
            ("from", json!("x"), "\"x\" is no address"),
            ("from", json!({"name": "x\ny", "address": "a@b.example"}), "a name has a control character"),
            ("to", json!([]), "no recipient"),
            ("headers", json!({"X: y": "z"}), "is no name of a field"),
            ("headers", json!({"X": "y\nz"}), "the field X has a control character"),
            ("headers", json!({"bcc": "y@z.example"}), "cannot be given in headers"),
            ("headers", json!({"Content-Type": "x"}), "cannot be given in headers"),
            ("attachments", json!([{"name": "x", "content": "?"}]), "is not base64"),
            ("attachments", json!([{"name": "x", "type": "a/b; c", "content": ""}]), "is no type"),
            ("attachments", json!([{"name": "x", "content-id": "a>b", "content": ""}]), "a content-id is"),
            ("envelope-from", json!("x y"), "is no address"),
            ("colour", json!("red"), "unknown field `colour`"),
        ] {
            let said = with(key, value.clone());
            assert!(said.contains(says), "{key} {value}: {said}");
        }
    }
}
