//! Says the verdict that its settings name.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `at` | - | connect, ehlo, auth, mail, rcpt, data or message |
//! | `say` | "proceed" | proceed, accept, reject, tempfail, discard, quarantine or disconnect |
//! | `code`, `text` | those of the verdict | the reply's, or the text is the reason |
//! | `status` | that of the verdict | enhanced status, "5.7.1" |
//! | `match` | - | only when the EHLO name, AUTH user, sender, recipient or peer address is this; at data and message the
//!   sender or any recipient. The null sender is "" |
//! | `note` | - | leave the note `verdict` with this text first |

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    at: Option<String>,
    #[serde(default)]
    say: Say,
    code: Option<u16>,
    text: Option<String>,
    status: Option<String>,
    #[serde(rename = "match")]
    subject: Option<String>,
    note: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Say {
    #[default]
    Proceed,
    Accept,
    Reject,
    Tempfail,
    Discard,
    Quarantine,
    Disconnect,
}

#[derive(Debug, Default)]
struct Says {
    settings: config::Lazy<Settings>,
}

impl Says {
    fn at(&self, hook: &str, subjects: &[String]) -> Verdict {
        let settings = &*self.settings;
        let meant =
            settings.subject.as_ref().is_none_or(|s| subjects.iter().any(|x| x.eq_ignore_ascii_case(s)));
        if settings.at.as_deref() != Some(hook) || !meant {
            return Verdict::Proceed;
        }
        let text = settings.text.clone().unwrap_or_else(|| "as the settings say".to_owned());
        match settings.say {
            Say::Proceed => Verdict::Proceed,
            Say::Accept => Verdict::Accept,
            Say::Reject => Verdict::Reject(self.reply(Reply::reject(text))),
            Say::Tempfail => Verdict::Tempfail(self.reply(Reply::tempfail(text))),
            Say::Discard => Verdict::Discard(text),
            Say::Quarantine => Verdict::Quarantine(text),
            Say::Disconnect => {
                self.reply(Reply::tempfail(text).with_code(421).with_status(4, 7, 0)).disconnect()
            }
        }
    }

    fn reply(&self, mut reply: Reply) -> Reply {
        if let Some(code) = self.settings.code {
            reply = reply.with_code(code);
        }
        let numbers =
            self.settings.status.as_deref().map(|s| s.split('.').map(str::parse).collect::<Vec<_>>());
        match numbers.as_deref() {
            Some([Ok(class), Ok(subject), Ok(detail)]) => reply.with_status(*class as u8, *subject, *detail),
            _ => reply,
        }
    }
}

fn text(sender: Option<&Mailbox>) -> String {
    sender.map_or_else(String::new, Mailbox::to_string)
}

fn envelope(cx: &Context) -> Vec<String> {
    let mut subjects = vec![text(cx.sender().as_ref())];
    subjects.extend(cx.recipients().iter().map(|r| r.address.to_string()));
    subjects
}

impl Plugin for Says {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }
    fn connect(&mut self, cx: &Context) -> Verdict {
        if let Some(note) = &self.settings.note {
            cx.set_note("verdict", note);
        }
        self.at("connect", &[cx.peer_ip().to_string()])
    }
    fn ehlo(&mut self, _cx: &Context, name: &str) -> Verdict {
        self.at("ehlo", &[name.to_owned()])
    }
    fn auth(&mut self, _cx: &Context, _mechanism: &str, user: &str) -> Verdict {
        self.at("auth", &[user.to_owned()])
    }
    fn mail(&mut self, _cx: &Context, sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        self.at("mail", &[text(sender)])
    }
    fn rcpt(&mut self, _cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        self.at("rcpt", &[to.to_string()])
    }
    fn data(&mut self, cx: &Context) -> Verdict {
        self.at("data", &envelope(cx))
    }
    fn message(&mut self, cx: &Context) -> Verdict {
        self.at("message", &envelope(cx))
    }
}

waxwing_plugin::export!(Says: init, connect, ehlo, auth, mail, rcpt, data, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::Server;

    #[test]
    fn it_says_what_it_is_told_where_it_is_told_and_to_whom() {
        let server = Server::new().with_settings(
            r#"{"at": "rcpt", "say": "reject", "code": 553, "status": "5.1.3", "text": "no", "match": "bad@example.org"}"#,
        );
        let mut session = server.session::<Says>();
        assert_eq!(session.mail("bad@example.org"), Verdict::Proceed);
        assert_eq!(session.rcpt("good@example.org"), Verdict::Proceed);
        let Verdict::Reject(reply) = session.rcpt("bad@example.org") else { panic!("not rejected") };
        assert_eq!(reply.to_string(), "553 5.1.3 no");
    }
}
