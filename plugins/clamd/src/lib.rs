//! Has clamd look at each message, and refuses, holds, drops or marks what it finds something in.
//!
//! ```toml
//! grants = { clamd = "unix:/run/clamav/clamd.ctl" }        # or "127.0.0.1:3310"
//! settings = { on-infected = "reject" }
//! ```
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `on-infected` | "reject" | or "quarantine", "discard", "tag" |
//! | `text` | "{virus} was found in the message" | what the client reads |
//! | `header` | "X-Virus" | the field that `tag` writes: the name of what was found. One that a client wrote itself is removed |
//! | `on-error` | "tempfail" | or "proceed": what counts when clamd does not answer |
//! | `max-size` | 26214400 | octets of a message that is scanned; a larger one goes on |
//! | `skip-authenticated` | false | messages of users who have authenticated are not scanned |
//! | `allow` | [] | names, or patterns such as "Heuristics.*", that count as nothing found |
//!
//! Grants: `clamd`. The server streams the message itself, with the edits of the plugins before this one; nothing of it passes through the
//! plugin's memory. clamd's own StreamMaxLength has to be at least `max-size`: what it does not take is answered as `on-error` says.

use serde::Deserialize;
use waxwing_plugin::headers::is_field_name;
use waxwing_plugin::pattern::fits_any;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    on_infected: OnInfected,
    text: String,
    header: String,
    on_error: OnError,
    max_size: u32,
    skip_authenticated: bool,
    allow: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            on_infected: OnInfected::Reject,
            text: "{virus} was found in the message".to_owned(),
            header: "X-Virus".to_owned(),
            on_error: OnError::Tempfail,
            max_size: 25 << 20,
            skip_authenticated: false,
            allow: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnInfected {
    Reject,
    Quarantine,
    Discard,
    Tag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnError {
    Tempfail,
    Proceed,
}

#[derive(Debug, Default)]
struct Clamd {
    settings: config::Lazy<Settings>,
}

impl Plugin for Clamd {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        let name = &settings.header;
        if !is_field_name(name) {
            return Err(format!("settings: header: \"{name}\" is no field name"));
        }
        Ok(())
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        if settings.skip_authenticated && cx.auth_user().is_some() {
            return Verdict::Proceed;
        }
        if cx.message_size() > settings.max_size {
            metrics::count("clamd_too_large", 1, &[]);
            return Verdict::Proceed;
        }
        let judged =
            cx.headers().remove(&settings.header).and_then(|_| scanner::scan()).and_then(
                |found| match found {
                    Some(virus) if !fits_any(&settings.allow, &virus) => settings.judge(cx, &virus),
                    _ => Ok(Verdict::Proceed),
                },
            );
        judged.unwrap_or_else(|e| {
            metrics::count("clamd_failed", 1, &[]);
            log::warn(&format!("the message could not be scanned: {e}"));
            match settings.on_error {
                OnError::Proceed => Verdict::Proceed,
                OnError::Tempfail => Reply::tempfail("the message cannot be scanned now, please try again")
                    .with_status(4, 3, 0)
                    .into(),
            }
        })
    }
}

impl Settings {
    fn judge(&self, cx: &Context, virus: &str) -> Result<Verdict, Error> {
        metrics::count("clamd_found", 1, &[]);
        log::info(&format!("{virus} was found in {}", cx.transaction_id()));
        Ok(match self.on_infected {
            OnInfected::Reject => {
                Reply::reject(self.text.replace("{virus}", virus)).with_status(5, 7, 1).into()
            }
            OnInfected::Quarantine => Verdict::Quarantine(format!("clamd found {virus}")),
            OnInfected::Discard => Verdict::Discard(format!("clamd found {virus}")),
            OnInfected::Tag => {
                cx.headers().add_first(&self.header, virus)?;
                Verdict::Proceed
            }
        })
    }
}

waxwing_plugin::export!(Clamd: init, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Handled, Server, Service};

    fn send(settings: &str, body: &str) -> Handled {
        let server = Server::new().with_settings(settings).with_infection("evil", "Test.Evil-1");
        assert_eq!(server.load::<Clamd>(), Ok(()));
        let message = format!("Subject: x\r\nX-Virus: none, honest\r\n\r\n{body}\r\n");
        server.session::<Clamd>().send("ann@example.com", "bob@example.org", message)
    }

    #[test]
    fn what_is_found_is_refused_held_dropped_or_marked() {
        let Verdict::Reject(reply) = send("{}", "evil").verdict else { panic!("it passed") };
        assert_eq!(reply.text, "Test.Evil-1 was found in the message");
        let on = |what: &str| send(&format!(r#"{{"on-infected": "{what}"}}"#), "evil");
        assert_eq!(on("quarantine").verdict, Verdict::Quarantine("clamd found Test.Evil-1".to_owned()));
        assert!(matches!(on("discard").verdict, Verdict::Discard(_)));
        let marked = on("tag");
        assert_eq!(marked.verdict, Verdict::Proceed);
        assert!(marked.text().starts_with("X-Virus: Test.Evil-1\r\nSubject: x\r\n\r\n"), "{}", marked.text());
    }

    #[test]
    fn what_is_clean_or_allowed_goes_on() {
        let clean = send("{}", "good");
        assert_eq!(clean.verdict, Verdict::Proceed);
        assert!(!clean.text().contains("X-Virus"), "what the client wrote itself says nothing");
        assert_eq!(send(r#"{"allow": ["test.*"]}"#, "evil").verdict, Verdict::Proceed);
        assert_eq!(send(r#"{"max-size": 10}"#, "evil").verdict, Verdict::Proceed);
    }

    #[test]
    fn when_clamd_does_not_answer_the_setting_counts() {
        for (settings, passes) in [("{}", false), (r#"{"on-error": "proceed"}"#, true)] {
            for server in [
                Server::new().with_settings(settings).with_scan_failure(Error::TimedOut),
                Server::new().with_settings(settings).without(Service::Scanner),
            ] {
                let verdict =
                    server.session::<Clamd>().send("a@b.example", "c@d.example", "A: b\r\n\r\n").verdict;
                assert_eq!(verdict == Verdict::Proceed, passes, "{settings}");
                assert_eq!(server.counter("clamd_failed"), 1);
            }
        }
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<Clamd>().unwrap_err();
        assert!(fault(r#"{"on-infected": "panic"}"#).contains("panic"));
        assert!(fault(r#"{"header": "a:b"}"#).contains("field name"));
        assert!(fault(r#"{"virus": 1}"#).contains("virus"));
    }
}
