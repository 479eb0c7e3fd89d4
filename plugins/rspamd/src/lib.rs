//! A bridge to rspamd: has it look at each message over its HTTP API, and does what it says. It needs rspamd's normal worker (port
//! 11333) or proxy.
//!
//! ```toml
//! grants = { http = ["127.0.0.1:11333"] }
//! settings = { url = "http://127.0.0.1:11333" }
//! ```
//!
//! | rspamd's action | becomes |
//! |---|---|
//! | `no action` | proceed |
//! | `greylist`, `soft reject` | 451 4.7.1 |
//! | `add header` | the field `spam-header`, and on it goes |
//! | `rewrite subject` | the subject that rspamd says, or `subject` |
//! | `reject` | 550 5.7.1 |
//! | `discard`, `quarantine` | the same |
//!
//! What else it wants of the message is done: fields to add and to remove (its module `milter_headers`), a DKIM signature, another
//! sender. It is told of the client's address, name and HELO, TLS, the user, the envelope and the queue id. Fields that a
//! client wrote itself under the names of `spam-header` and `X-Spamd-Result` are removed.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `url` | "http://127.0.0.1:11333" | where rspamd is |
//! | `password` | none | if its controller wants one |
//! | `timeout` | "8s" | how long to wait for the answer; the hook's time (`wall-per-hook`) bounds it too |
//! | `max-size` | 10485760 | octets of a message that is looked at; a larger one goes on |
//! | `on-error` | "tempfail" | or "proceed": what counts when rspamd does not answer |
//! | `skip-authenticated` | false | messages of users who have authenticated are not looked at |
//! | `listeners` | [] | those whose mail is looked at; empty: all |
//! | `spam-header` | "X-Spam" | written with the value `Yes` for `add header` |
//! | `subject` | "[SPAM] {subject}" | for `rewrite subject`, when rspamd says none |
//! | `greylist` | true | false: `greylist` goes on, for a server that greylists itself |
//! | `text` | "refused as spam" | what the client reads, when rspamd says nothing |
//!
//! Grants: `http` with rspamd's address. The message passes through this plugin's memory: `max-size` has to fit its limit three
//! times.

mod answer;

use answer::{Answer, Field};
use serde::Deserialize;
use std::time::Duration;
use waxwing_plugin::headers::is_field_name;
use waxwing_plugin::prelude::*;

/// Octets of the body that are read at a time.
const READ_OCTETS: u32 = 256 << 10;
/// Octets of a text of rspamd's that a client reads.
const MAX_TEXT_OCTETS: usize = 300;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    url: String,
    password: Option<String>,
    #[serde(with = "config::duration")]
    timeout: Duration,
    max_size: u32,
    on_error: OnError,
    skip_authenticated: bool,
    listeners: Vec<String>,
    spam_header: String,
    subject: String,
    greylist: bool,
    text: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            url: "http://127.0.0.1:11333".to_owned(),
            password: None,
            timeout: seconds(8),
            max_size: 10 << 20,
            on_error: OnError::Tempfail,
            skip_authenticated: false,
            listeners: Vec::new(),
            spam_header: "X-Spam".to_owned(),
            subject: "[SPAM] {subject}".to_owned(),
            greylist: true,
            text: "refused as spam".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnError {
    Tempfail,
    Proceed,
}

#[derive(Debug, Default)]
struct Rspamd {
    settings: config::Lazy<Settings>,
}

impl Plugin for Rspamd {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        if !settings.url.starts_with("https://") && !settings.url.starts_with("http://") {
            return Err("settings: url is absolute, http or https".to_owned());
        }
        let name = &settings.spam_header;
        if !is_field_name(name) {
            return Err(format!("settings: spam-header: \"{name}\" is no field name"));
        }
        Ok(())
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        let elsewhere = !settings.listeners.is_empty() && !settings.listeners.contains(&cx.listener());
        if elsewhere || settings.skip_authenticated && cx.auth_user().is_some() {
            return Verdict::Proceed;
        }
        if cx.message_size() > settings.max_size {
            metrics::count("rspamd_too_large", 1, &[]);
            return Verdict::Proceed;
        }
        let done = settings.ask(cx).and_then(|answer| {
            settings.edit(cx, &answer)?;
            Ok(settings.verdict(cx, &answer))
        });
        done.unwrap_or_else(|e| {
            metrics::count("rspamd_failed", 1, &[]);
            log::warn(&format!("rspamd was of no use: {e}"));
            match settings.on_error {
                OnError::Proceed => Verdict::Proceed,
                OnError::Tempfail => Reply::tempfail("the message cannot be checked now, please try again")
                    .with_status(4, 3, 0)
                    .into(),
            }
        })
    }
}

impl Settings {
    fn ask(&self, cx: &Context) -> Result<Answer, Error> {
        let mut request = http::post(&format!("{}/checkv2", self.url.trim_end_matches('/')))
            .timeout(self.timeout)
            .body(whole_message(cx)?);
        for (name, value) in facts(cx) {
            request = request.header(name, &value);
        }
        if let Some(password) = &self.password {
            request = request.header("Password", password);
        }
        let answer: Answer = request.send()?.success()?.json()?;
        metrics::count("rspamd_actions", 1, &[("action", action_label(&answer.action))]);
        let symbols: Vec<&str> = answer.symbols.keys().map(String::as_str).collect();
        log::debug(&format!(
            "rspamd: {} with {:.2} of {:.2}: {}",
            answer.action,
            answer.score,
            answer.required_score,
            symbols.join(" ")
        ));
        Ok(answer)
    }

    /// What rspamd wants of the message, when it goes on.
    fn edit(&self, cx: &Context, answer: &Answer) -> Result<(), Error> {
        let headers = cx.headers();
        for own in [self.spam_header.as_str(), "X-Spamd-Result"] {
            headers.remove(own)?;
        }
        for (name, nth) in &answer.milter.remove_headers {
            remove(cx, name, *nth)?;
        }
        for (name, fields) in &answer.milter.add_headers {
            for field in fields.iter() {
                add(cx, name, field)?;
            }
        }
        for signature in answer.dkim_signature.iter().flat_map(|all| all.iter()) {
            headers.add_first("DKIM-Signature", folded(signature))?;
        }
        if let Some(sender) = &answer.milter.change_from {
            let sender = sender.trim_matches(['<', '>']);
            cx.set_sender((!sender.is_empty()).then(|| Mailbox::new(sender)).as_ref())?;
        }
        match answer.action.as_str() {
            "add header" => headers.add_first(&self.spam_header, "Yes")?,
            "rewrite subject" => {
                let said = answer.subject.clone();
                let old = headers.get("Subject").unwrap_or_default();
                let new = said.unwrap_or_else(|| self.subject.replace("{subject}", &old));
                headers.set("Subject", one_line(&new))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn verdict(&self, cx: &Context, answer: &Answer) -> Verdict {
        let said = answer.messages.smtp_message.as_deref().map(one_line).filter(|text| !text.is_empty());
        let reason = || format!("rspamd: {:.2} of {:.2}", answer.score, answer.required_score);
        match (answer.action.as_str(), answer.milter.reject.as_deref()) {
            ("discard", _) | ("reject", Some("discard")) => Verdict::Discard(reason()),
            ("quarantine", _) | ("reject", Some("quarantine")) => Verdict::Quarantine(reason()),
            ("reject", _) => {
                log::info(&format!("{} is refused, {}", cx.transaction_id(), reason()));
                Reply::reject(said.unwrap_or_else(|| self.text.clone())).with_status(5, 7, 1).into()
            }
            ("greylist", _) if !self.greylist => Verdict::Proceed,
            ("greylist" | "soft reject", _) => {
                let text = said.unwrap_or_else(|| "try again later".to_owned());
                Reply::tempfail(text).with_status(4, 7, 1).into()
            }
            _ => Verdict::Proceed,
        }
    }
}

/// Header and body as they stand now.
fn whole_message(cx: &Context) -> Result<Vec<u8>, Error> {
    let mut message = Vec::with_capacity(cx.message_size() as usize + 1_024);
    for field in cx.headers().all() {
        message.extend_from_slice(field.name.as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(&field.value);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    let body = cx.body();
    let mut at = 0;
    while at < body.size() {
        let piece = body.read(at..at.saturating_add(READ_OCTETS))?;
        if piece.is_empty() {
            break;
        }
        at += u32::try_from(piece.len()).unwrap_or(READ_OCTETS);
        message.extend_from_slice(&piece);
    }
    Ok(message)
}

/// What rspamd is told beside the message.
fn facts(cx: &Context) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("IP", cx.peer_ip().to_string()),
        ("Queue-Id", cx.transaction_id()),
        ("MTA-Name", cx.server_name()),
        ("From", cx.sender().map(|sender| sender.to_string()).unwrap_or_default()),
    ];
    facts.extend(cx.recipients().into_iter().map(|recipient| ("Rcpt", recipient.address.to_string())));
    let known = [
        ("Helo", cx.helo()),
        ("Hostname", cx.peer_name()),
        ("User", cx.auth_user()),
        ("TLS-Version", cx.tls_version()),
        ("TLS-Cipher", cx.tls_cipher()),
    ];
    facts.extend(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
    // A field of a request is one line of ASCII.
    facts.retain(|(_, value)| value.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    facts
}

/// 0 removes all of the name; the nth counts from the top, a negative one from below.
fn remove(cx: &Context, name: &str, nth: i64) -> Result<(), Error> {
    let headers = cx.headers();
    let count = headers.raw(name).len() as i64;
    let at = if nth > 0 { nth - 1 } else { count + nth };
    match nth {
        0 => headers.remove(name)?,
        _ if (0..count).contains(&at) => headers.remove_nth(name, u32::try_from(at).unwrap_or(0))?,
        _ => 0,
    };
    Ok(())
}

fn add(cx: &Context, name: &str, field: &Field) -> Result<(), Error> {
    let value = folded(field.value());
    match field.is_last() {
        true => cx.headers().add(name, value),
        false => cx.headers().add_first(name, value),
    }
}

/// A value whose line ends fold it, whatever follows them.
fn folded(value: &str) -> String {
    let lines = value.split('\n').map(str::trim_end).filter(|line| !line.is_empty());
    let mut out = String::new();
    for (nth, line) in lines.enumerate() {
        if nth > 0 {
            out.push_str("\r\n");
            if !line.starts_with([' ', '\t']) {
                out.push('\t');
            }
        }
        out.extend(line.chars().filter(|c| *c == '\t' || !c.is_control()));
    }
    out
}

fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_TEXT_OCTETS)];
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// rspamd's own words; anything else is one.
fn action_label(action: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "no action",
        "greylist",
        "soft reject",
        "add header",
        "rewrite subject",
        "reject",
        "discard",
        "quarantine",
    ];
    KNOWN.into_iter().find(|known| *known == action).unwrap_or("other")
}

waxwing_plugin::export!(Rspamd: init, message);

#[cfg(test)]
mod tests;
