//! Wants the way that its settings name, and logs how attempts ended.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `match` | - | only for this recipient |
//! | `next-hop`, `source`, `hold`, `delay-s` | - | what it wants |
//! | `sender` | - | traps unless the message's sender is this, and there is no session |

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    #[serde(rename = "match")]
    recipient: Option<String>,
    next_hop: Option<String>,
    source: Option<String>,
    hold: Option<String>,
    delay_s: Option<u32>,
    sender: Option<String>,
}

#[derive(Debug, Default)]
struct Chooses {
    settings: config::Lazy<Settings>,
}

impl Plugin for Chooses {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn route(&mut self, cx: &Context, recipient: &Mailbox, _attempt: u32) -> Option<NextHop> {
        let settings = &*self.settings;
        if let Some(expected) = &settings.sender {
            assert_eq!(cx.sender().map(|sender| sender.to_string()).as_ref(), Some(expected));
            assert_eq!(cx.helo(), None);
        }
        if settings.recipient.as_ref().is_some_and(|meant| *meant != recipient.to_string()) {
            return None;
        }
        Some(NextHop {
            next_hop: settings.next_hop.clone(),
            hold: settings.hold.clone(),
            delay_s: settings.delay_s,
            source: settings.source.clone(),
        })
    }

    fn outcome(&mut self, _: &Context, outcome: &Outcome) {
        let Outcome { queue_id, recipient, kind, host, reply, attempt } = outcome;
        let host = host.as_deref().unwrap_or("nobody");
        log::info(&format!("{queue_id}: {recipient} {kind:?} at attempt {attempt}, {host} said {reply}"));
    }
}

waxwing_plugin::export!(Chooses: init, route, outcome);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::Server;

    #[test]
    fn it_wants_what_it_is_told_for_whom_it_is_told() {
        let settings = r#"{"match": "a@example.org", "next-hop": "mx.example.net:25"}"#;
        let server = Server::new().with_settings(settings);
        let mut session = server.session::<Chooses>();
        assert_eq!(session.route("b@example.org", 1), None);
        assert_eq!(session.route("a@example.org", 1).unwrap().next_hop.as_deref(), Some("mx.example.net:25"));
    }
}
