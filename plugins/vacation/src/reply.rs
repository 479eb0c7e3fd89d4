//! What is kept of a message until it is delivered, and the answer that is made of it.

use crate::Away;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use waxwing_plugin::prelude::*;
use waxwing_plugin::submission::{AutoSubmitted, Letter, named};

/// Octets of a subject, and of one message id, that are repeated.
const MOST_SUBJECT: usize = 500;
const MOST_ID: usize = 250;
/// Message ids in References.
const MOST_IDS: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    local: String,
    domain: String,
    subject: String,
    message_id: Option<String>,
    /// The message's own References, or its In-Reply-To.
    references: Vec<String>,
    /// For whom it may be answered, in lower case.
    pub(crate) mailboxes: Vec<String>,
}

impl Kept {
    pub(crate) fn of(cx: &Context, sender: &Mailbox, mailboxes: Vec<String>) -> Kept {
        let headers = cx.headers();
        let field = |name: &str| headers.get(name).unwrap_or_default();
        let mut references = ids(&field("References"));
        //= RFC 5322 section 3.6.4: without References, In-Reply-To when it names one message.
        if references.is_empty() {
            references = ids(&field("In-Reply-To"));
            references.truncate(if references.len() == 1 { 1 } else { 0 });
        }
        references.drain(..references.len().saturating_sub(MOST_IDS));
        let mut subject = subject(headers.raw("Subject").first());
        subject.truncate(subject.floor_char_boundary(MOST_SUBJECT));
        Kept {
            local: sender.local.clone(),
            domain: sender.domain.clone(),
            subject,
            message_id: ids(&field("Message-ID")).into_iter().next(),
            references,
            mailboxes,
        }
    }

    pub(crate) fn sender(&self) -> Mailbox {
        Mailbox { local: self.local.clone(), domain: self.domain.clone() }
    }
}

/// The text of a Subject, its encoded words decoded.
fn subject(value: Option<&Vec<u8>>) -> String {
    let Some(value) = value else { return String::new() };
    let block = [b"Subject: ", value.as_slice(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::default().parse_headers(&block);
    parsed.as_ref().and_then(|message| message.subject()).unwrap_or_default().trim().to_owned()
}

/// Message ids: what stands between angle brackets, without white space.
fn ids(value: &str) -> Vec<String> {
    let is_id = |id: &&str| {
        id.len() <= MOST_ID && id.contains('@') && id.chars().all(|c| c.is_ascii_graphic() && c != '<')
    };
    let ids = value.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(id, _)| id));
    ids.filter(is_id).map(|id| format!("<{id}>")).collect()
}

/// The answer (RFC 3834 section 3, RFC 5230 section 5). The server adds Date, Message-ID and Received.
pub(crate) fn letter(address: &str, away: &Away, kept: &Kept) -> Letter {
    let subject = match kept.subject.is_empty() {
        true => away.subject.replace("{subject}", "your message"),
        false => away.subject.replace("{subject}", &kept.subject),
    };
    let from = named(&away.name, &Mailbox::new(address));
    let mut letter =
        Letter::new(&from, &subject).to(&kept.sender()).text(&away.text).mark(Some(AutoSubmitted::Replied));
    if let Some(id) = &kept.message_id {
        letter = letter.header("In-Reply-To", id);
        let references: Vec<&str> = kept.references.iter().chain([id]).map(String::as_str).collect();
        letter = letter.header("References", &references.join(" "));
    }
    letter
}
