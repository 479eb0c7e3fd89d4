//! Webhooks: tells a service over HTTP how deliveries ended, one JSON object for each recipient and attempt.
//!
//! ```toml
//! grants = { http = ["hooks.example.org"], kv = true }
//! settings = { url = "https://hooks.example.org/mail", secret = "...", kinds = ["bounced", "expired"] }
//! ```
//!
//! ```json
//! {"event": "bounced", "queue-id": "...", "recipient": "bob@example.net", "sender": "alice@example.org", "host": "mx.example.net",
//!  "reply": "550 5.1.1 unknown", "attempt": 1, "time-ms": 1767225600000, "server": "mx.example.org"}
//! ```
//!
//! A secret puts `X-Waxwing-Timestamp` (seconds since 1970) and `X-Waxwing-Signature: sha256=HEX` on the request: HMAC-SHA-256 over the
//! timestamp, a dot and the body, so that the service knows who asks and that nobody plays an old one again.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `url` | needed | where to POST |
//! | `secret` | none | for the signature; at least 16 characters |
//! | `kinds` | all four | of delivered, deferred, bounced and expired |
//! | `headers` | {} | more fields of the request |
//! | `timeout` | "5s" | how long to wait for an answer |
//! | `retries` | 10 | how often an event is sent again that the service did not take with 2xx; needs `kv` |
//! | `kept` | 1000 | events that wait at once; with more, what comes is dropped and counted |
//! | `kept-for` | "1d" | how long one waits |
//!
//! Nothing of mail waits for a webhook. What the service did not take is kept in the store and sent again, the oldest first, after the
//! next event that it takes; so an event may come late, or twice: `queue-id`, `recipient` and `attempt` name it.
//!
//! Grants: `http` with the host, `kv` for what is sent again.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use waxwing_plugin::prelude::*;

/// Waiting events that are sent again behind one that was taken.
const AGAIN_AT_ONCE: u32 = 5;
/// Characters of a secret.
const LEAST_SECRET: usize = 16;
/// What the keys of waiting events begin with.
const WAITING: &str = "w ";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    url: String,
    secret: Option<String>,
    #[serde(default = "all_kinds")]
    kinds: Vec<Kind>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(with = "config::duration", default = "five_seconds")]
    timeout: Duration,
    #[serde(default = "ten")]
    retries: u32,
    #[serde(default = "thousand")]
    kept: u32,
    #[serde(with = "config::duration", default = "one_day")]
    kept_for: Duration,
}

fn all_kinds() -> Vec<Kind> {
    vec![Kind::Delivered, Kind::Deferred, Kind::Bounced, Kind::Expired]
}

fn five_seconds() -> Duration {
    seconds(5)
}

fn ten() -> u32 {
    10
}

fn thousand() -> u32 {
    1_000
}

fn one_day() -> Duration {
    days(1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Delivered,
    Deferred,
    Bounced,
    Expired,
}

impl From<OutcomeKind> for Kind {
    fn from(kind: OutcomeKind) -> Kind {
        match kind {
            OutcomeKind::Delivered => Kind::Delivered,
            OutcomeKind::Deferred => Kind::Deferred,
            OutcomeKind::Bounced => Kind::Bounced,
            OutcomeKind::Expired => Kind::Expired,
        }
    }
}

/// What is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Event {
    event: Kind,
    queue_id: String,
    recipient: String,
    sender: Option<String>,
    host: Option<String>,
    reply: String,
    attempt: u32,
    time_ms: u64,
    server: String,
}

/// An event that waits.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    body: String,
    /// How often it was sent.
    sent: u32,
}

#[derive(Debug, Default)]
struct Webhook {
    settings: config::Lazy<Settings>,
}

impl Plugin for Webhook {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        if !settings.url.starts_with("https://") && !settings.url.starts_with("http://") {
            return Err("settings: url is absolute, http or https".to_owned());
        }
        if settings.secret.as_ref().is_some_and(|secret| secret.chars().count() < LEAST_SECRET) {
            return Err(format!("settings: secret has fewer than {LEAST_SECRET} characters"));
        }
        Ok(())
    }

    fn outcome(&mut self, cx: &Context, outcome: &Outcome) {
        let settings = &*self.settings;
        let event = Kind::from(outcome.kind);
        if !settings.kinds.contains(&event) {
            return;
        }
        let event = Event {
            event,
            queue_id: outcome.queue_id.clone(),
            recipient: outcome.recipient.to_string(),
            sender: cx.sender().map(|sender| sender.to_string()),
            host: outcome.host.clone(),
            reply: outcome.reply.clone(),
            attempt: outcome.attempt,
            time_ms: clock::now_unix_ms(),
            server: cx.server_name(),
        };
        let body = match serde_json::to_string(&event) {
            Ok(body) => body,
            Err(e) => return log::error(&format!("the event cannot be written: {e}")),
        };
        match settings.send(&body) {
            Ok(()) => settings.send_waiting(),
            Err(e) => {
                metrics::count("webhook_failed", 1, &[]);
                log::warn(&format!("an event of {} was not taken: {e}", outcome.queue_id));
                settings.keep(Waiting { body, sent: 1 });
            }
        }
    }
}

impl Settings {
    fn send(&self, body: &str) -> Result<(), Error> {
        let mut request = http::post(&self.url)
            .header("Content-Type", "application/json")
            .timeout(self.timeout)
            .body(body.as_bytes());
        if let Some(secret) = &self.secret {
            let timestamp = (clock::now_unix_ms() / 1_000).to_string();
            let signature = sign(secret, &timestamp, body)?;
            request =
                request.header("X-Waxwing-Timestamp", &timestamp).header("X-Waxwing-Signature", &signature);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send()?.success()?;
        metrics::count("webhook_sent", 1, &[]);
        Ok(())
    }

    /// Keeps an event for later, when there is a store and room in it.
    fn keep(&self, waiting: Waiting) {
        if waiting.sent > self.retries {
            return self.drop_event("sent as often as it may be");
        }
        let outcome = kv::scan(WAITING, None, self.kept).and_then(|(keys, _)| {
            if keys.len() >= self.kept as usize {
                return Ok(false);
            }
            // Keys are in the order of time; the number keeps those of one moment apart.
            let number = u64::from_be_bytes(random::bytes(8).try_into().unwrap_or_default());
            let key = format!("{WAITING}{:016x} {number:016x}", clock::now_unix_ms());
            let value = serde_json::to_vec(&waiting).map_err(|e| Error::BadInput(e.to_string()))?;
            kv::set(&key, &value, self.kept_for).map(|_| true)
        });
        match outcome {
            Ok(true) => {}
            Ok(false) => self.drop_event("too many wait"),
            Err(e) => self.drop_event(&e.to_string()),
        }
    }

    fn drop_event(&self, why: &str) {
        metrics::count("webhook_dropped", 1, &[]);
        log::warn(&format!("an event is dropped: {why}"));
    }

    /// Sends some of what waits, now that the service answers.
    fn send_waiting(&self) {
        let keys = kv::scan(WAITING, None, AGAIN_AT_ONCE).map(|(keys, _)| keys).unwrap_or_default();
        for key in keys {
            let entry = kv::get(&key).ok().flatten();
            // Whoever deletes it sends it: two sessions never send the same one at a time.
            if !kv::delete(&key).unwrap_or(false) {
                continue;
            }
            let waiting = entry.and_then(|entry| serde_json::from_slice::<Waiting>(&entry.value).ok());
            let Some(mut waiting) = waiting else { continue };
            if self.send(&waiting.body).is_err() {
                waiting.sent += 1;
                return self.keep(waiting);
            }
        }
    }
}

/// `sha256=` and the HMAC in hexadecimal.
fn sign(secret: &str, timestamp: &str, body: &str) -> Result<String, Error> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|e| Error::BadInput(e.to_string()))?;
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    let mut out = "sha256=".to_owned();
    for octet in mac.finalize().into_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{octet:02x}");
    }
    Ok(out)
}

waxwing_plugin::export!(Webhook: init, outcome);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::http::Response;
    use waxwing_plugin::testing::{Server, Service};

    const URL: &str = "https://hooks.example/mail";

    fn server(more: &str) -> Server {
        let server = Server::new().with_settings(&format!("{{\"url\": \"{URL}\"{more}}}"));
        assert_eq!(server.load::<Webhook>(), Ok(()));
        server
    }

    fn happens(server: &Server, kind: OutcomeKind, attempt: u32) {
        server.session::<Webhook>().outcome(&Outcome {
            queue_id: "q1".to_owned(),
            recipient: Mailbox::new("bob@example.net"),
            kind,
            host: Some("mx.example.net".to_owned()),
            reply: "550 5.1.1 \"unknown\"".to_owned(),
            attempt,
        });
    }

    fn answers(server: &Server, status: u16) -> Server {
        server.clone().with_answer(URL, Ok(Response::new(status, "")))
    }

    #[test]
    fn an_outcome_is_told_as_json() {
        let server = answers(&server(""), 202);
        happens(&server, OutcomeKind::Bounced, 1);
        let request = server.requests().remove(0);
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", URL));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["event"], "bounced");
        assert_eq!(body["recipient"], "bob@example.net");
        assert_eq!(body["reply"], "550 5.1.1 \"unknown\"");
        assert_eq!(body["attempt"], 1);
        assert!(request.headers.iter().all(|(name, _)| !name.starts_with("X-")), "no secret, no signature");
    }

    #[test]
    fn a_secret_signs_what_is_sent() {
        // RFC 4231, test case 2, holds the library; ours puts the timestamp and a dot in front.
        let mac = |text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect::<String>()
        };
        assert_eq!(
            mac("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(sign("Jefe", "17", "{}").unwrap(), format!("sha256={}", mac("17.{}")));
        let server = answers(&server(r#", "secret": "0123456789abcdef""#), 200);
        happens(&server, OutcomeKind::Delivered, 1);
        let request = server.requests().remove(0);
        let field = |name: &str| request.headers.iter().find(|(one, _)| one == name).unwrap().1.clone();
        let body = String::from_utf8(request.body.clone()).unwrap();
        let wanted = sign("0123456789abcdef", &field("X-Waxwing-Timestamp"), &body).unwrap();
        assert_eq!(field("X-Waxwing-Signature"), wanted);
    }

    #[test]
    fn only_the_kinds_that_were_asked_for_are_told() {
        let server = answers(&server(r#", "kinds": ["expired"]"#), 200);
        happens(&server, OutcomeKind::Delivered, 1);
        happens(&server, OutcomeKind::Expired, 9);
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn what_was_not_taken_is_sent_again_behind_the_next_that_is() {
        let server = answers(&server(""), 503);
        happens(&server, OutcomeKind::Deferred, 1);
        server.advance(seconds(1));
        happens(&server, OutcomeKind::Deferred, 2);
        assert_eq!(server.keys().len(), 2);
        let server = answers(&server, 200);
        happens(&server, OutcomeKind::Delivered, 3);
        let attempts: Vec<u64> = server
            .requests()
            .iter()
            .map(|request| {
                serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()["attempt"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(attempts, [1, 2, 3, 1, 2]);
        assert!(server.keys().is_empty());
    }

    #[test]
    fn an_event_is_not_sent_for_ever_and_not_too_many_wait() {
        let server = answers(&server(r#", "retries": 0"#), 503);
        happens(&server, OutcomeKind::Deferred, 1);
        assert!(server.keys().is_empty());
        let server = answers(&self::server(r#", "kept": 2"#), 503);
        for attempt in 1..5 {
            happens(&server, OutcomeKind::Deferred, attempt);
        }
        assert_eq!((server.keys().len(), server.counter("webhook_dropped")), (2, 2));
        server.advance(days(2));
        assert!(server.keys().is_empty());
        let server = answers(&self::server(""), 503).without(Service::Kv);
        happens(&server, OutcomeKind::Deferred, 1);
        assert_eq!(server.counter("webhook_dropped"), 1);
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<Webhook>().unwrap_err();
        assert!(fault("{}").contains("url"));
        assert!(fault(r#"{"url": "hooks.example"}"#).contains("http"));
        assert!(fault(r#"{"url": "https://a/", "secret": "short"}"#).contains("secret"));
        assert!(fault(r#"{"url": "https://a/", "kinds": ["lost"]}"#).contains("lost"));
    }
}
