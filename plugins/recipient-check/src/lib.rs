//! Recipient verification: asks a service over HTTP whether there is a recipient, and refuses the unknown ones at RCPT.
//!
//! ```toml
//! grants = { http = ["users.example.org"], kv = true }
//! settings = { url = "https://users.example.org/exists?address={address}", domains = ["example.org"] }
//! ```
//!
//! An answer of 2xx means that there is the recipient, 404 or 410 that there is not; a text of the answer to 404 or 410 that is one line
//! of plain text is what the client reads. Whatever else comes back, or nothing, is answered by `on-error`.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `url` | needed | where to ask; {address}, {local} and {domain} are put in percent-encoded |
//! | `domains` | [] | the domains, and those under them, whose recipients are checked; empty: all of clients that may not relay |
//! | `headers` | {} | fields of the request, such as an `Authorization` |
//! | `timeout` | "3s" | how long to wait for the answer |
//! | `known-for` | "1h" | how long a recipient that there is is remembered, if `kv` is granted |
//! | `unknown-for` | "5m" | and one that there is not |
//! | `on-error` | "tempfail" | or "proceed" |
//! | `text` | "there is no such mailbox" | what the client reads |
//!
//! The postmaster is never checked (RFC 5321 section 4.5.1). Grants: `http` with the host, and `kv` for the memory: without it each
//! recipient is asked about.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use waxwing_plugin::prelude::*;

/// Octets of the service's text that a client reads.
const MAX_TEXT_OCTETS: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(with = "config::duration", default = "three_seconds")]
    timeout: Duration,
    #[serde(with = "config::duration", default = "one_hour")]
    known_for: Duration,
    #[serde(with = "config::duration", default = "five_minutes")]
    unknown_for: Duration,
    #[serde(default)]
    on_error: OnError,
    #[serde(default = "text")]
    text: String,
}

fn three_seconds() -> Duration {
    seconds(3)
}

fn one_hour() -> Duration {
    hours(1)
}

fn five_minutes() -> Duration {
    minutes(5)
}

fn text() -> String {
    "there is no such mailbox".to_owned()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnError {
    #[default]
    Tempfail,
    Proceed,
}

#[derive(Debug, Default)]
struct RecipientCheck {
    settings: config::Lazy<Settings>,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Known,
    /// With what the client reads.
    Unknown(String),
}

impl Plugin for RecipientCheck {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        if !settings.url.starts_with("https://") && !settings.url.starts_with("http://") {
            return Err("settings: url is absolute, http or https".to_owned());
        }
        if !settings.url.contains("{address}") && !settings.url.contains("{local}") {
            return Err("settings: url names no {address} and no {local}".to_owned());
        }
        Ok(())
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        if !self.settings.concerns(cx, to) {
            return Verdict::Proceed;
        }
        match self.settings.find(to) {
            Ok(Found::Known) => Verdict::Proceed,
            Ok(Found::Unknown(text)) => {
                metrics::count("recipient_unknown", 1, &[]);
                Reply::reject(text).with_status(5, 1, 1).into()
            }
            Err(e) => {
                metrics::count("recipient_check_failed", 1, &[]);
                log::warn(&format!("whether there is {to} could not be asked: {e}"));
                match self.settings.on_error {
                    OnError::Proceed => Verdict::Proceed,
                    OnError::Tempfail => {
                        Reply::tempfail("the recipient cannot be verified now, please try again")
                            .with_status(4, 4, 3)
                            .into()
                    }
                }
            }
        }
    }
}

impl Settings {
    fn concerns(&self, cx: &Context, to: &Mailbox) -> bool {
        !to.is_postmaster()
            && match self.domains.is_empty() {
                true => !cx.may_relay(),
                false => self.domains.iter().any(|domain| to.is_within(domain)),
            }
    }

    fn find(&self, to: &Mailbox) -> Result<Found, Error> {
        let key = to.to_string();
        // A store that was not granted, or fails, is no memory.
        if let Ok(Some(entry)) = kv::get(&key) {
            return Ok(match String::from_utf8(entry.value) {
                Ok(text) if !text.is_empty() => Found::Unknown(text),
                _ => Found::Known,
            });
        }
        let found = self.ask(to)?;
        let (value, lifetime) = match &found {
            Found::Known => ("", self.known_for),
            Found::Unknown(text) => (text.as_str(), self.unknown_for),
        };
        if let Err(e) = kv::set(&key, value.as_bytes(), lifetime)
            && e != Error::Denied
        {
            log::warn(&format!("what was found cannot be kept: {e}"));
        }
        Ok(found)
    }

    fn ask(&self, to: &Mailbox) -> Result<Found, Error> {
        let url = self
            .url
            .replace("{address}", &encoded(&to.to_string()))
            .replace("{local}", &encoded(&to.local))
            .replace("{domain}", &encoded(&to.domain));
        let mut request = http::get(&url).timeout(self.timeout);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send()?;
        match answer.status {
            200..=299 => Ok(Found::Known),
            404 | 410 => Ok(Found::Unknown(self.refusal(&answer))),
            status => Err(Error::Unavailable(format!("the service answered {status}"))),
        }
    }

    /// What the service says itself, when it is fit to be read.
    fn refusal(&self, answer: &http::Response) -> String {
        let is_plain = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain"));
        let text = answer.text();
        let text = text.trim();
        let is_fit = (1..=MAX_TEXT_OCTETS).contains(&text.len()) && !text.contains(char::is_control);
        if is_plain && is_fit { text.to_owned() } else { self.text.clone() }
    }
}

/// RFC 3986 section 2.3.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

waxwing_plugin::export!(RecipientCheck: init, rcpt);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::http::Response;
    use waxwing_plugin::testing::{Server, Service};

    const URL: &str = "https://users.example/exists?a={address}";

    fn server(more: &str) -> Server {
        let server = Server::new()
            .with_settings(&format!("{{\"url\": \"{URL}\"{more}}}"))
            .with_answer("https://users.example/exists?a=alice%2Bx%40example.org", Ok(Response::new(204, "")))
            .with_answer(
                "https://users.example/exists?a=nobody%40example.org",
                Ok(Response::new(404, "<html>")),
            )
            .with_answer(
                "https://users.example/exists?a=left%40example.org",
                Ok(Response::new(410, "she left\n").with_header("Content-Type", "text/plain; charset=utf-8")),
            )
            .with_answer("https://users.example/exists?a=broken%40example.org", Ok(Response::new(500, "")));
        assert_eq!(server.load::<RecipientCheck>(), Ok(()));
        server
    }

    fn rcpt(server: &Server, to: &str) -> Verdict {
        let mut session = server.session::<RecipientCheck>();
        session.mail("ann@example.com");
        session.rcpt(to)
    }

    #[test]
    fn what_the_service_says_counts() {
        let server = server("");
        assert_eq!(rcpt(&server, "alice+x@example.org"), Verdict::Proceed);
        let refused = |to: &str| match rcpt(&server, to) {
            Verdict::Reject(reply) => reply,
            other => panic!("{to}: {other:?}"),
        };
        assert_eq!(refused("nobody@example.org").text, "there is no such mailbox");
        assert_eq!(refused("left@example.org").text, "she left");
        assert!(matches!(rcpt(&server, "broken@example.org"), Verdict::Tempfail(_)));
    }

    #[test]
    fn an_answer_is_remembered_for_a_while() {
        let server = server("");
        for _ in 0..3 {
            assert!(
                matches!(rcpt(&server, "left@example.org"), Verdict::Reject(reply) if reply.text == "she left")
            );
            assert_eq!(rcpt(&server, "alice+x@example.org"), Verdict::Proceed);
        }
        assert_eq!(server.requests().len(), 2);
        server.advance(minutes(6));
        rcpt(&server, "left@example.org");
        rcpt(&server, "alice+x@example.org");
        assert_eq!(server.requests().len(), 3, "the unknown one is asked about again");
    }

    #[test]
    fn without_a_store_each_recipient_is_asked_about() {
        let server = server("").without(Service::Kv);
        for _ in 0..2 {
            assert_eq!(rcpt(&server, "alice+x@example.org"), Verdict::Proceed);
        }
        assert_eq!(server.requests().len(), 2);
    }

    #[test]
    fn others_are_not_asked_about() {
        let server = server(r#", "domains": ["example.org"]"#);
        assert_eq!(rcpt(&server, "x@elsewhere.example"), Verdict::Proceed);
        assert_eq!(rcpt(&server, "postmaster@example.org"), Verdict::Proceed);
        assert!(server.requests().is_empty());
        let server = self::server("");
        let mut session = server.session::<RecipientCheck>().relaying();
        session.mail("ann@example.com");
        assert_eq!(session.rcpt("nobody@example.org"), Verdict::Proceed);
    }

    #[test]
    fn a_service_that_is_down_may_let_mail_pass() {
        let server = server(r#", "on-error": "proceed", "headers": {"Authorization": "Bearer x"}"#);
        assert_eq!(rcpt(&server, "broken@example.org"), Verdict::Proceed);
        assert_eq!(rcpt(&server, "unheard-of@example.org"), Verdict::Proceed);
        assert_eq!(server.requests()[0].headers, [("Authorization".to_owned(), "Bearer x".to_owned())]);
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<RecipientCheck>().unwrap_err();
        assert!(fault("{}").contains("url"));
        assert!(fault(r#"{"url": "ftp://a/{address}"}"#).contains("http"));
        assert!(fault(r#"{"url": "http://a/"}"#).contains("{address}"));
        assert!(fault(r#"{"url": "http://a/{local}", "on-error": "panic"}"#).contains("panic"));
    }
}
