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
//! ```toml
//! settings = { text = "Sent through Waxwing", direction = "outgoing" }
//! ```
//!
//! ```toml
//! [plugins.footer.settings]
//! even-if-signed = true
//! rules = [                                                        # the first that fits is the footer
//!   { sender-domains = ["example.com"], direction = "outgoing", text = "Example Ltd.", html = "<p><b>Example</b> Ltd.</p>" },
//!   { direction = "incoming", text = "This message came from outside." },
//! ]
//! ```
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `text` | - | what to put below plain text; several lines are fine |
//! | `html` | the text, as HTML | what to put into HTML |
//! | `direction` | "all" | "outgoing": only mail of clients that may relay, by their user or address; "incoming": only other mail |
//! | `sender-domains` | [] | only mail from these domains and those under them; empty: all |
//! | `listeners` | [] | only mail that came through these listeners; empty: all |
//! | `authenticated-only` | false | only mail of users who have authenticated |
//! | `rules` | [] | tables of the keys above, instead of these |
//! | `even-if-signed` | false | also when that breaks a DKIM or ARC signature |
//!
//! Without `text` and `rules` nothing is done. In a text that is format=flowed (RFC 3676) the footer's lines stay lines.
//!
//! A part in us-ascii, iso-8859-1, iso-8859-15 or windows-1252 becomes UTF-8 when its charset cannot say the footer. Known gaps: nothing is
//! added to a message that has no text; what another national charset does not have becomes "?".

mod charset;
mod encoding;
mod flowed;
mod part_header;
mod place;
mod settings;

use charset::Written;
use encoding::Content;
use place::{Form, Target};
use settings::{Rule, Settings};
use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;

/// The most that is read of one text, octets as encoded.
const LONGEST_TEXT: u32 = 2 * 1024 * 1024;

#[derive(Debug, Default)]
struct Footer {
    settings: config::Lazy<Settings>,
}

impl Plugin for Footer {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        settings.check().map_err(|why| format!("settings: {why}"))
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        let Some(rule) = settings.rule(cx) else { return Verdict::Proceed };
        let signed = ["DKIM-Signature", "ARC-Message-Signature"].iter().any(|name| cx.headers().has(name));
        if signed && !settings.even_if_signed {
            log::debug("left alone: a footer would break its signature");
            return Verdict::Proceed;
        }
        match add(rule, cx) {
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

fn add(rule: &Rule, cx: &Context) -> Result<(), Error> {
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
        let mut footer = rule.footer(form);
        if form == Form::Plain
            && part_header::content_type(cx, part)?.is_some_and(|value| flowed::is_flowed(&value))
        {
            footer = flowed::fixed_lines(&footer);
        }
        let Some(change) = change(part, form, &footer, content) else { continue };
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
    let recoded = |text: &[u8], bytes: &[u8], charset: Option<&str>| {
        let (at, bytes) = place::insertion(form, text, bytes, part.path.is_empty())?;
        // Quoted-printable carries everything.
        let data = encoding::quoted_printable(&[&text[..at], &bytes, &text[at..]].concat());
        let header = part_header::Fields::quoted_printable(&part.media_type, charset);
        Some(Change { range: part.range(), data, header: Some(header) })
    };
    let bytes = match charset::write(footer, charset)? {
        Written::InCharset(bytes) => bytes,
        Written::OnlyInUtf8 => {
            let text = charset::to_utf8(charset, &content.decoded)?;
            return recoded(text.as_bytes(), footer.as_bytes(), Some("utf-8"));
        }
    };
    if part.encoding == "7bit" && !bytes.is_ascii() {
        return recoded(&content.decoded, &bytes, None);
    }
    let (at, bytes) = place::insertion(form, &content.decoded, &bytes, part.path.is_empty())?;
    let (range, data) = content.inserted(at, &bytes);
    let range = part.offset + range.start as u32..part.offset + range.end as u32;
    Some(Change { range, data, header: None })
}

#[cfg(test)]
mod tests;
