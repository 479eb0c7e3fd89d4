//! Puts a text below the messages that pass, in the form that each message needs.
//!
//! The text goes below the first text of a message; where a message says the same in several forms
//! (multipart/alternative), below each of them. It is written in the part's own charset and transfer encoding, into HTML
//! before the end of the body. What is attached is never touched, and all that is not text stays byte for byte.
//!
//! Left alone are: signed and encrypted messages (S/MIME, PGP/MIME and PGP in the text), delivery and other reports,
//! messages that already carry a DKIM or ARC signature (unless `even-if-signed`), texts in which the footer stands already,
//! texts of more than 2 MiB, and texts in charsets that do not contain ASCII.
//!
//! Settings:
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `text` | - | what to put below plain text; several lines are fine. Without it nothing is done |
//! | `html` | the text, as HTML | what to put into HTML |
//! | `even-if-signed` | false | also when that breaks a DKIM or ARC signature |
//! | `sender-domains` | [] | only mail from these domains and those under them; empty: all |
//! | `listeners` | [] | only mail that came through these listeners; empty: all |
//! | `authenticated-only` | false | only mail of users who have authenticated |
//!
//! Known gaps: nothing is added to a message that has no text; characters that a national charset does not have become
//! "?", unless the part can be made UTF-8 without touching what it says, which is so for ASCII.

mod charset;
mod encoding;
mod part_header;
mod place;

use charset::Written;
use encoding::Content;
use place::{Form, Target};
use serde::Deserialize;
use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;

/// The most that is read of one text, octets as encoded.
const LONGEST_TEXT: u32 = 2 * 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    text: String,
    html: Option<String>,
    even_if_signed: bool,
    sender_domains: Vec<String>,
    listeners: Vec<String>,
    authenticated_only: bool,
}

impl Settings {
    fn mean(&self, cx: &Context) -> bool {
        let domains = &self.sender_domains;
        !self.text.is_empty()
            && (self.listeners.is_empty() || self.listeners.contains(&cx.listener()))
            && (!self.authenticated_only || cx.auth_user().is_some())
            && (domains.is_empty() || cx.sender().is_some_and(|s| domains.iter().any(|d| s.is_within(d))))
    }

    fn footer(&self, form: Form) -> String {
        match (form, &self.html) {
            (Form::Plain, _) => self.text.trim_end().replace("\r\n", "\n"),
            (Form::Html, Some(html)) => charset::as_entities(html.trim_end()),
            (Form::Html, None) => {
                let escaped =
                    self.text.trim_end().replace("\r\n", "\n").replace('&', "&amp;").replace('<', "&lt;");
                charset::as_entities(&format!("<p>{}</p>", escaped.replace('\n', "<br>\n")))
            }
        }
    }
}

#[derive(Debug, Default)]
struct Footer {
    settings: config::Lazy<Settings>,
}

impl Plugin for Footer {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        if !settings.mean(cx) {
            return Verdict::Proceed;
        }
        let signed = ["DKIM-Signature", "ARC-Message-Signature"].iter().any(|name| cx.headers().has(name));
        if signed && !settings.even_if_signed {
            log::debug("left alone: a footer would break its signature");
            return Verdict::Proceed;
        }
        match add(settings, cx) {
            Ok(()) => Verdict::Proceed,
            Err(e) => {
                log::error(&format!("the footer cannot be added: {e}"));
                e.into()
            }
        }
    }
}

waxwing_plugin::export!(Footer: init, message);

/// What one text needs.
struct Change {
    range: std::ops::Range<u32>,
    data: Vec<u8>,
    /// The new content type and transfer encoding, when these change.
    header: Option<part_header::Fields>,
}

fn add(settings: &Settings, cx: &Context) -> Result<(), Error> {
    let parts = cx.body().parts();
    if place::is_sealed(&parts) {
        log::debug("left alone: it is signed, encrypted or a report");
        return Ok(());
    }
    let mut edit = cx.body().edit();
    let mut root_header = None;
    for Target { part, form } in place::targets(&parts) {
        if part.len > LONGEST_TEXT {
            log::info("left alone: the text is too long");
            continue;
        }
        let encoded = cx.body().read(part.range())?;
        let Some(content) = Content::decode(&part.encoding, encoded) else {
            log::info(&format!("left alone: a text is not {}", part.encoding));
            continue;
        };
        if place::has_pgp(&content.decoded) {
            log::debug("left alone: there is PGP in the text");
            return Ok(());
        }
        let Some(change) = change(part, form, &settings.footer(form), content) else { continue };
        match change.header {
            Some(fields) if part.path.is_empty() => root_header = Some(fields),
            Some(fields) => {
                let Some(new) = part_header::rewritten(cx, part, &fields)? else { continue };
                edit = edit.replace(new.range, new.header);
            }
            None => {}
        }
        edit = edit.replace(change.range, change.data);
    }
    if let Some(fields) = root_header {
        fields.set_on_the_message(cx)?;
    }
    edit.commit()
}

/// How the footer gets into this part; nothing when it is there already or cannot be.
fn change(part: &Part, form: Form, footer: &str, content: Content) -> Option<Change> {
    let charset = part.charset.as_deref().unwrap_or("us-ascii");
    let written = charset::write(footer, charset)?;
    let (bytes, to_utf8) = match written {
        Written::InCharset(bytes) => (bytes, false),
        Written::OnlyInUtf8(bytes) => (bytes, true),
    };
    let (at, bytes) = place::insertion(form, &content.decoded, &bytes, part.path.is_empty())?;
    let octets_do_not_fit = part.encoding == "7bit" && !bytes.is_ascii();
    if to_utf8 || octets_do_not_fit {
        // ASCII is UTF-8 already; quoted-printable carries everything.
        let data = content.recoded_with(at, &bytes);
        let charset = if to_utf8 { "utf-8" } else { charset };
        let header = part_header::Fields::quoted_printable(&part.media_type, to_utf8.then_some(charset));
        return Some(Change { range: part.range(), data, header: Some(header) });
    }
    let (range, data) = content.inserted(at, &bytes);
    let range = part.offset + range.start as u32..part.offset + range.end as u32;
    Some(Change { range, data, header: None })
}

#[cfg(test)]
mod tests;
