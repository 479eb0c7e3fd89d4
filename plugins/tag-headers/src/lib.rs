//! Adds, sets and removes header fields by rules.
//!
//! Settings: `rules`, a list. A rule applies when everything in its `when` holds, and an absent `when` always does; the
//! rules are applied in their order, each seeing what the earlier ones did. Without settings there is one rule, which adds
//! `X-Waxwing: passed {listener} as {transaction}`.
//!
//! ```toml
//! rules = [
//!   { remove = ["X-Spam-*"] },                                       # patterns
//!   { when = { listener = ["mx"], peer-network = ["192.0.2.0/24"] }, add = { X-Origin = "branch office {peer}" } },
//!   { when = { header = { Subject = "*invoice*" } }, set = { X-Kind = "invoice" } },
//! ]
//! ```
//!
//! | in `when` | holds when |
//! |---|---|
//! | `sender-domain` | the sender's domain is one of these or under it; "" is the null sender |
//! | `recipient-domain` | so is the domain of one recipient |
//! | `listener` | the listener is one of these |
//! | `peer-network` | the client's address is in one of these |
//! | `authenticated`, `tls` | the client has (or has not) authenticated, or encrypted |
//! | `header` | for each name, one field's value fits the pattern |
//! | `not-header` | for each name, none does |
//!
//! `remove` comes first, then `set` (the first field of the name, or a new one), then `add` (on top, or with
//! `place = "bottom"` below the others). Values may name {listener}, {peer}, {peer-name}, {helo}, {user}, {sender},
//! {transaction}, {session} and {tls}; what is not known is "-".
//!
//! Known gaps: patterns are held against fields as they are written; encoded words (RFC 2047) stay encoded.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use waxwing_plugin::net::Network;
use waxwing_plugin::pattern::fits;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    #[serde(default = "default_rules")]
    rules: Vec<Rule>,
}

fn default_rules() -> Vec<Rule> {
    let add = BTreeMap::from([("X-Waxwing".to_owned(), "passed {listener} as {transaction}".to_owned())]);
    vec![Rule { add, ..Rule::default() }]
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Rule {
    when: When,
    remove: Vec<String>,
    set: BTreeMap<String, String>,
    add: BTreeMap<String, String>,
    place: Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    #[default]
    Top,
    Bottom,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct When {
    sender_domain: Option<Vec<String>>,
    recipient_domain: Option<Vec<String>>,
    listener: Option<Vec<String>>,
    peer_network: Option<Vec<Network>>,
    authenticated: Option<bool>,
    tls: Option<bool>,
    header: BTreeMap<String, String>,
    not_header: BTreeMap<String, String>,
}

impl When {
    fn holds(&self, cx: &Context) -> bool {
        let within = |domains: &[String], mailbox: &Mailbox| domains.iter().any(|d| mailbox.is_within(d));
        let fitting = |name: &str, pattern: &str| {
            let values = cx.headers().raw(name);
            values.iter().any(|v| fits(pattern, String::from_utf8_lossy(v).replace("\r\n", "").trim()))
        };
        self.listener.as_ref().is_none_or(|list| list.contains(&cx.listener()))
            && self.authenticated.is_none_or(|wanted| wanted == cx.auth_user().is_some())
            && self.tls.is_none_or(|wanted| wanted == cx.tls_version().is_some())
            && self.peer_network.as_ref().is_none_or(|list| list.iter().any(|net| net.contains(cx.peer_ip())))
            && self.sender_domain.as_ref().is_none_or(|list| match cx.sender() {
                Some(sender) => within(list, &sender),
                None => list.iter().any(String::is_empty),
            })
            && self
                .recipient_domain
                .as_ref()
                .is_none_or(|list| cx.recipients().iter().any(|r| within(list, &r.address)))
            && self.header.iter().all(|(name, pattern)| fitting(name, pattern))
            && !self.not_header.iter().any(|(name, pattern)| fitting(name, pattern))
    }
}

impl Rule {
    fn apply(&self, cx: &Context) -> Result<(), Error> {
        let headers = cx.headers();
        if !self.remove.is_empty() {
            let names: BTreeSet<String> =
                headers.all().into_iter().map(|h| h.name.to_ascii_lowercase()).collect();
            for name in names.iter().filter(|name| self.remove.iter().any(|pattern| fits(pattern, name))) {
                headers.remove(name)?;
            }
        }
        for (name, value) in &self.set {
            headers.set(name, filled(value, cx))?;
        }
        for (name, value) in &self.add {
            match self.place {
                Place::Top => headers.add_first(name, filled(value, cx))?,
                Place::Bottom => headers.add(name, filled(value, cx))?,
            }
        }
        Ok(())
    }
}

/// The value with its {names} replaced. What comes from the client cannot end the line, or name further names.
fn filled(value: &str, cx: &Context) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        let known = match &rest[1..close] {
            "listener" => Some(cx.listener()),
            "peer" => Some(cx.peer_ip().to_string()),
            "peer-name" => cx.peer_name(),
            "helo" => cx.helo(),
            "user" => cx.auth_user(),
            "sender" => Some(cx.sender().map_or_else(|| "<>".to_owned(), |s| s.to_string())),
            "transaction" => Some(cx.transaction_id()),
            "session" => Some(cx.session_id()),
            "tls" => cx.tls_version(),
            _ => {
                out.push('{');
                rest = &rest[1..];
                continue;
            }
        };
        let known = known.unwrap_or_else(|| "-".to_owned());
        out.extend(known.chars().filter(|c| !c.is_control()));
        rest = &rest[close + 1..];
    }
    out + rest
}

#[derive(Debug, Default)]
struct TagHeaders {
    settings: config::Lazy<Settings>,
}

impl Plugin for TagHeaders {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        let printable =
            |name: &&String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let mut names = settings.rules.iter().flat_map(|rule| rule.set.keys().chain(rule.add.keys()));
        match names.find(|name| !printable(name)) {
            Some(name) => Err(format!("settings: {name:?} is no header field name")),
            None => Ok(()),
        }
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        for rule in self.settings.rules.iter().filter(|rule| rule.when.holds(cx)) {
            if let Err(e) = rule.apply(cx) {
                log::error(&format!("cannot change the header: {e}"));
                return e.into();
            }
        }
        Verdict::Proceed
    }
}

waxwing_plugin::export!(TagHeaders: init, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Server, Session};

    fn session(settings: &str) -> Session<TagHeaders> {
        let server = Server::new().with_settings(settings);
        assert_eq!(server.load::<TagHeaders>(), Ok(()));
        server.session().from("192.0.2.7").on("mx")
    }

    fn sent(settings: &str) -> String {
        let message = "Subject: Your Invoice\nX-Spam-Score: 9\nX-SPAM: yes\n\nbody\n";
        let handled = session(settings).send("alice@mail.example.org", "bob@example.net", message);
        assert_eq!(handled.verdict, Verdict::Proceed);
        handled.text().to_owned()
    }

    #[test]
    fn without_settings_a_message_is_marked() {
        assert!(
            sent("{}").starts_with("X-Waxwing: passed mx as test-transaction\r\nSubject: Your Invoice\r\n")
        );
    }

    #[test]
    fn fields_are_removed_set_and_added_in_that_order() {
        let settings = r#"{"rules": [{"remove": ["x-spam*"], "set": {"Subject": "[ext] {sender}"},
            "add": {"X-Peer": "{peer} {peer-name} {unknown} {"}, "place": "bottom"}]}"#;
        assert_eq!(
            sent(settings),
            "Subject: [ext] alice@mail.example.org\r\nX-Peer: 192.0.2.7 - {unknown} {\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn a_rule_applies_when_all_its_conditions_hold() {
        for (when, holds) in [
            (r#"{}"#, true),
            (r#"{"sender-domain": ["example.org"]}"#, true),
            (r#"{"sender-domain": ["example.com", ""]}"#, false),
            (r#"{"recipient-domain": ["example.net"]}"#, true),
            (r#"{"recipient-domain": ["example.org"]}"#, false),
            (r#"{"listener": ["mx", "other"]}"#, true),
            (r#"{"listener": ["other"]}"#, false),
            (r#"{"peer-network": ["192.0.2.0/24"]}"#, true),
            (r#"{"peer-network": ["192.0.3.0/24"]}"#, false),
            (r#"{"authenticated": true}"#, false),
            (r#"{"tls": false}"#, true),
            (r#"{"header": {"subject": "*invoice*"}}"#, true),
            (r#"{"header": {"subject": "invoice"}}"#, false),
            (r#"{"not-header": {"X-Spam": "yes"}}"#, false),
            (r#"{"listener": ["mx"], "tls": true}"#, false),
        ] {
            let text = sent(&format!(r#"{{"rules": [{{"when": {when}, "add": {{"X-Tag": "1"}}}}]}}"#));
            assert_eq!(text.starts_with("X-Tag: 1\r\n"), holds, "{when}");
        }
    }

    #[test]
    fn a_later_rule_sees_what_an_earlier_one_did() {
        let settings =
            r#"{"rules": [{"add": {"X-A": "1"}}, {"when": {"header": {"X-A": "1"}}, "add": {"X-B": "2"}}]}"#;
        assert!(sent(settings).starts_with("X-B: 2\r\nX-A: 1\r\n"));
    }

    #[test]
    fn what_the_client_says_cannot_break_out_of_its_field() {
        let mut session = session(r#"{"rules": [{"add": {"X-Helo": "{helo}"}}]}"#);
        session.ehlo("evil\r\nX-Injected: {peer}");
        let handled = session.send("a@example.org", "b@example.org", "Subject: x\n\nbody\n");
        assert!(handled.text().starts_with("X-Helo: evilX-Injected: {peer}\r\nSubject: x\r\n"));
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<TagHeaders>().unwrap_err();
        assert!(fault(r#"{"rules": [{"add": {"X A": "1"}}]}"#).contains("X A"));
        assert!(fault(r#"{"rules": [{"wen": {}}]}"#).contains("wen"));
    }
}
