//! What a person wants to see of a message before deciding about it: its header decoded, its text as text, the names of its
//! attachments. And `/v1/quarantine`: what is held, with subjects.
//!
//! HTML is turned into text here; nothing of a message is ever sent as anything but JSON strings.
//!
//! Limits: [`READ_OCTETS`] of a message are read, [`TEXT_OCTETS`] of text and [`HEADER_OCTETS`] of header are shown, 50 attachments
//! are named; 50 messages make a page of the quarantine.

use std::sync::Arc;

use admin::{EntryRow, Filter, Page, Request, StateFilter};
use axum::Json;
use axum::extract::State;
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use model::{Content, QueueId};
use queue::Store;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Reading;
use crate::problem::Problem;
use crate::router::{Id, Parameters};
use crate::site::Site;

/// Octets that are read of a message.
const READ_OCTETS: usize = 2 << 20;
/// Octets that are read of a message for its row alone.
const ROW_OCTETS: usize = 64 << 10;
/// Characters of text that are shown.
const TEXT_OCTETS: usize = 64 << 10;
/// Characters of the header that are shown.
const HEADER_OCTETS: usize = 32 << 10;
/// Characters of one field that are shown.
const FIELD_OCTETS: usize = 2_000;
/// Attachments that are named.
const ATTACHMENTS: usize = 50;
/// Messages of a page of the quarantine.
const PAGE: usize = 50;

/// What a message looks like.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Preview {
    /// Octets of the whole message.
    size: u64,
    subject: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cc: Option<String>,
    date: Option<String>,
    message_id: Option<String>,
    /// The header as it stands in the message.
    header: String,
    /// The text, or the HTML as text.
    text: String,
    /// `text/plain` or `text/html`: what the text was.
    text_was: Option<String>,
    /// There is more than is shown.
    truncated: bool,
    attachments: Vec<Attachment>,
}

/// A part that is no text.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Attachment {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    /// Octets, decoded.
    size: usize,
}

/// What a message looks like, as text.
#[utoipa::path(get, path = "/v1/queue/{id}/preview", tag = "queue", params(("id" = String, Path)),
    responses((status = 200, body = Preview), (status = 404, body = Problem)))]
pub(crate) async fn preview(
    _: Reading,
    State(site): State<Arc<Site>>,
    Id(id): Id,
) -> Result<Json<Preview>, Problem> {
    let preview = site.read(move |store| {
        let content = store.content(id)?;
        Ok(view(content.len(), &beginning(&content, READ_OCTETS)?))
    });
    preview.await.map(Json)
}

fn beginning(content: &Content, limit: usize) -> std::io::Result<Vec<u8>> {
    let wanted = limit.min(usize::try_from(content.len()).unwrap_or(limit));
    let mut octets = vec![0; wanted];
    let mut filled = 0;
    while filled < octets.len() {
        match content.read_at(filled as u64, &mut octets[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    octets.truncate(filled);
    Ok(octets)
}

fn view(size: u64, octets: &[u8]) -> Preview {
    let mut preview = Preview { size, truncated: octets.len() as u64 != size, ..Preview::default() };
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
    preview.header = shown(&String::from_utf8_lossy(&octets[..end]), HEADER_OCTETS, &mut preview.truncated);
    let Some(message) = MessageParser::default().parse(octets) else { return preview };
    preview.fields_of(&message);
    if let Some(text) = message.body_text(0) {
        preview.text = shown(&text, TEXT_OCTETS, &mut preview.truncated);
        let is_html = message
            .text_body
            .first()
            .and_then(|nth| message.part(*nth))
            .is_some_and(|part| part.is_text_html());
        preview.text_was = Some(if is_html { "text/html" } else { "text/plain" }.to_owned());
    }
    for part in message.attachments() {
        if preview.attachments.len() == ATTACHMENTS {
            preview.truncated = true;
            break;
        }
        let kind = part.content_type().map_or_else(
            || "application/octet-stream".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")),
        );
        preview.attachments.push(Attachment {
            name: part.attachment_name().map(|name| clipped(name, FIELD_OCTETS)),
            kind: clipped(&kind, FIELD_OCTETS),
            size: part.len(),
        });
    }
    preview
}

impl Preview {
    fn fields_of(&mut self, message: &Message<'_>) {
        self.subject = message.subject().map(|subject| clipped(subject, FIELD_OCTETS));
        self.from = message.from().map(addresses);
        self.to = message.to().map(addresses);
        self.cc = message.cc().map(addresses);
        self.date = message.date().map(mail_parser::DateTime::to_rfc3339);
        self.message_id = message.message_id().map(|id| clipped(id, FIELD_OCTETS));
    }
}

fn addresses(addresses: &Address<'_>) -> String {
    let one = |addr: &mail_parser::Addr<'_>| match (addr.name(), addr.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    };
    let all: Vec<String> = addresses.iter().take(ATTACHMENTS).map(one).collect();
    clipped(&all.join(", "), FIELD_OCTETS)
}

fn clipped(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn shown(text: &str, limit: usize, truncated: &mut bool) -> String {
    let short = clipped(text, limit);
    *truncated |= short.len() < text.len();
    short
}

/// What is held, with what it is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quarantine {
    messages: Vec<Held>,
    /// Where the next page begins; nothing after the last. A page may be empty and not the last.
    next: Option<String>,
}

/// A message that is held, for a recipient at least.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Held {
    #[serde(flatten)]
    entry: EntryRow,
    subject: Option<String>,
    from: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct HeldPage {
    /// Behind this entry: `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<QueueId>,
    /// At most so many; 50 however many are asked for.
    limit: Option<usize>,
}

/// What is held, the oldest first.
#[utoipa::path(get, path = "/v1/quarantine", tag = "queue", params(HeldPage), responses((status = 200, body = Quarantine)))]
pub(crate) async fn quarantine(
    _: Reading,
    State(site): State<Arc<Site>>,
    Parameters(HeldPage { after, limit }): Parameters<HeldPage>,
) -> Result<Json<Quarantine>, Problem> {
    let filter = Filter { state: Some(StateFilter::Held), ..Filter::default() };
    let limit = Some(limit.unwrap_or(PAGE).min(PAGE));
    let Json(page) = site.ask(Request::QueueList { after, limit, filter }).await?;
    let page: Page = serde_json::from_value(page)
        .map_err(|error| Problem::unavailable(format!("an answer is not understood: {error}")))?;
    let next = page.next.map(|id| id.to_string());
    let messages =
        site.read(move |store| Ok(page.entries.into_iter().map(|entry| held(store, entry)).collect()));
    Ok(Json(Quarantine { messages: messages.await?, next }))
}

/// One that went away meanwhile, or cannot be read, is shown without its subject.
fn held(store: &dyn Store, entry: EntryRow) -> Held {
    let read =
        store.content(entry.id).and_then(|content| Ok(beginning(&content, ROW_OCTETS)?)).unwrap_or_default();
    let mut preview = Preview::default();
    if let Some(message) = MessageParser::default().parse_headers(&read) {
        preview.fields_of(&message);
    }
    Held { entry, subject: preview.subject, from: preview.from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_as_text_whatever_it_is() {
        let message = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: a@b.example, c@d.example\r\n\
                       Subject: <script>alert(1)</script>\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
                       --x\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>there</b></p><script>no()</script>\r\n\
                       --x\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--x--\r\n";
        let preview = view(message.len() as u64, message.as_bytes());
        assert_eq!(preview.subject.as_deref(), Some("<script>alert(1)</script>"));
        assert_eq!(preview.from.as_deref(), Some("Jörg <joerg@example.org>"));
        assert_eq!(preview.to.as_deref(), Some("a@b.example, c@d.example"));
        assert!(preview.text.contains("Hello there") && !preview.text.contains('<'), "{}", preview.text);
        assert_eq!(preview.text_was.as_deref(), Some("text/html"));
        let attachment =
            Attachment { name: Some("a.pdf".to_owned()), kind: "application/pdf".to_owned(), size: 3 };
        assert_eq!(preview.attachments, [attachment]);
        assert!(preview.header.starts_with("From: =?utf-8") && !preview.truncated);
    }

    #[test]
    fn what_is_no_message_is_shown_as_far_as_it_goes() {
        for octets in [&b""[..], b"\r\n", b"\xff\xfe\0\r\n\r\n\0\xff", b"no header at all"] {
            assert!(!view(octets.len() as u64, octets).truncated);
        }
        let long = format!("Subject: x\r\n\r\n{}", "ä".repeat(100_000));
        let preview = view(long.len() as u64, long.as_bytes());
        assert!(preview.truncated && preview.text.chars().count() == TEXT_OCTETS);
    }
}
