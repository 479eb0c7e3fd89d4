//! Rate limits: how many messages or recipients a sender, a user or a network may send within a time.
//!
//! ```toml
//! limits = [
//!   { per = "network", messages = 100, within = "1h" },
//!   { per = "user", recipients = 500, within = "1d", text = "ask us if you need more than 500 a day" },
//!   { per = "sender", messages = 30, within = "10m", listeners = ["mx"] },
//! ]
//! ```
//!
//! A limit counts `messages` at MAIL or `recipients` at RCPT, for each `user` who has authenticated, each `sender` of the envelope
//! (the null sender is nobody's), each `sender-domain`, each `ip` address or each `network` (/24 or /64). The time begins with the first that is
//! counted and does not slide. What is over it is asked to come again, and counts no further.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `limits` | [] | as above; `listeners` and `text` may be left out |
//! | `allow-networks` | [] | client networks that nothing is counted for |
//! | `allow-users` | [] | users that nothing is counted for |
//! | `temporary` | true | 450 rather than 550 |
//!
//! Grants: `kv`. When the store does not work, mail is let through, with a warning in the log. The counts are this server's own: hosts
//! that share a name count each for itself. What the server counts by itself is `[limits]` of its configuration; that is in memory,
//! this outlives a restart.

use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;
use waxwing_plugin::net::Network;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    limits: Vec<Limit>,
    allow_networks: Vec<Network>,
    allow_users: Vec<String>,
    temporary: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { limits: Vec::new(), allow_networks: Vec::new(), allow_users: Vec::new(), temporary: true }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Limit {
    per: Per,
    messages: Option<u32>,
    recipients: Option<u32>,
    #[serde(with = "config::duration")]
    within: Duration,
    #[serde(default)]
    listeners: Vec<String>,
    text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Per {
    User,
    Sender,
    SenderDomain,
    Ip,
    Network,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Messages,
    Recipients,
}

impl Per {
    fn name(self) -> &'static str {
        match self {
            Per::User => "user",
            Per::Sender => "sender",
            Per::SenderDomain => "sender-domain",
            Per::Ip => "ip",
            Per::Network => "network",
        }
    }

    /// Whose count it is; nobody's: nothing is counted.
    fn whose(self, cx: &Context, sender: Option<&Mailbox>) -> Option<String> {
        match self {
            Per::User => cx.auth_user().map(|user| user.to_lowercase()),
            Per::Sender => sender.map(|sender| sender.to_string().to_lowercase()),
            Per::SenderDomain => sender.map(|sender| sender.domain.to_lowercase()),
            Per::Ip => Some(cx.peer_ip().to_string()),
            Per::Network => Some(network(cx.peer_ip())),
        }
    }
}

/// The /24 or /64 of an address.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("{:?}", &v4.octets()[..3]),
        IpAddr::V6(v6) => format!("{:x?}", &v6.segments()[..4]),
    }
}

#[derive(Debug, Default)]
struct RateLimit {
    settings: config::Lazy<Settings>,
}

impl Plugin for RateLimit {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        for limit in &settings.limits {
            let count = match (limit.messages, limit.recipients) {
                (Some(count), None) | (None, Some(count)) => count,
                _ => return Err("settings: a limit has either messages or recipients".to_owned()),
            };
            if count == 0 || limit.within < seconds(1) {
                return Err("settings: a limit is at least 1, within at least 1s".to_owned());
            }
        }
        Ok(())
    }

    fn mail(&mut self, cx: &Context, sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        self.count(cx, sender, What::Messages)
    }

    fn rcpt(&mut self, cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
        if !self.settings.limits.iter().any(|limit| limit.recipients.is_some()) {
            return Verdict::Proceed;
        }
        self.count(cx, cx.sender().as_ref(), What::Recipients)
    }
}

impl RateLimit {
    fn count(&self, cx: &Context, sender: Option<&Mailbox>, what: What) -> Verdict {
        let settings = &*self.settings;
        if settings.is_exempt(cx) {
            return Verdict::Proceed;
        }
        let listener = cx.listener();
        for (nth, limit) in settings.limits.iter().enumerate() {
            let Some(most) = limit.most(what) else { continue };
            if !limit.listeners.is_empty() && !limit.listeners.contains(&listener) {
                continue;
            }
            let Some(whose) = limit.per.whose(cx, sender) else { continue };
            // Another limit under the same number is another count: its time is part of the key.
            let key = format!("{nth} {} {} {whose}", limit.per.name(), limit.within.as_secs());
            match kv::increment(&key, 1, limit.within) {
                Ok(count) if count > i64::from(most) => return self.refuse(cx, limit, &whose),
                Ok(_) => {}
                Err(e) => log::warn(&format!("the rate cannot be counted: {e}")),
            }
        }
        Verdict::Proceed
    }

    fn refuse(&self, cx: &Context, limit: &Limit, whose: &str) -> Verdict {
        let per = limit.per.name();
        metrics::count("rate_limited", 1, &[("per", per)]);
        log::info(&format!("over the limit of {per} {whose}, client {}", cx.peer_ip()));
        let text = limit
            .text
            .clone()
            .unwrap_or_else(|| format!("too much mail from this {per}, please try again later"));
        let reply = match self.settings.temporary {
            true => Reply::tempfail(text).with_code(450).with_status(4, 7, 1),
            false => Reply::reject(text).with_code(550).with_status(5, 7, 1),
        };
        reply.into()
    }
}

impl Limit {
    fn most(&self, what: What) -> Option<u32> {
        match what {
            What::Messages => self.messages,
            What::Recipients => self.recipients,
        }
    }
}

impl Settings {
    fn is_exempt(&self, cx: &Context) -> bool {
        !self.allow_networks.is_empty() && self.allow_networks.iter().any(|net| net.contains(cx.peer_ip()))
            || !self.allow_users.is_empty()
                && cx
                    .auth_user()
                    .is_some_and(|user| self.allow_users.iter().any(|one| one.eq_ignore_ascii_case(&user)))
    }
}

waxwing_plugin::export!(RateLimit: init, mail, rcpt);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Server, Service, Session};

    fn server(settings: &str) -> Server {
        let server = Server::new().with_settings(settings);
        assert_eq!(server.load::<RateLimit>(), Ok(()));
        server
    }

    fn mail(server: &Server, ip: &str, sender: &str) -> Verdict {
        server.session::<RateLimit>().from(ip).mail(sender)
    }

    fn is_put_off(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Tempfail(reply) if reply.code == 450)
    }

    #[test]
    fn a_network_has_so_many_messages_within_a_time_that_does_not_slide() {
        let server = server(r#"{"limits": [{"per": "network", "messages": 2, "within": "1h"}]}"#);
        assert_eq!(mail(&server, "192.0.2.1", "a@example.org"), Verdict::Proceed);
        server.advance(minutes(59));
        assert_eq!(mail(&server, "192.0.2.99", "b@example.org"), Verdict::Proceed);
        assert!(is_put_off(&mail(&server, "192.0.2.7", "c@example.org")));
        assert_eq!(mail(&server, "198.51.100.1", "c@example.org"), Verdict::Proceed, "another network");
        server.advance(minutes(2));
        assert_eq!(mail(&server, "192.0.2.7", "c@example.org"), Verdict::Proceed);
    }

    #[test]
    fn ipv6_clients_of_one_network_count_together() {
        let server = server(r#"{"limits": [{"per": "network", "messages": 1, "within": "1h"}]}"#);
        assert_eq!(mail(&server, "2001:db8::1", "a@example.org"), Verdict::Proceed);
        assert!(is_put_off(&mail(&server, "2001:db8::ffff:1", "a@example.org")));
        assert_eq!(mail(&server, "2001:db8:0:1::1", "a@example.org"), Verdict::Proceed);
    }

    #[test]
    fn senders_are_counted_whatever_their_case_and_the_null_sender_is_not() {
        let server =
            server(r#"{"limits": [{"per": "sender", "messages": 1, "within": "1h", "text": "slow down"}]}"#);
        assert_eq!(mail(&server, "192.0.2.1", "News@Example.org"), Verdict::Proceed);
        let Verdict::Tempfail(reply) = mail(&server, "198.51.100.1", "news@example.org") else {
            panic!("it passed")
        };
        assert_eq!(reply.text, "slow down");
        for _ in 0..3 {
            assert_eq!(mail(&server, "192.0.2.1", ""), Verdict::Proceed);
        }
    }

    #[test]
    fn recipients_of_a_user_are_counted_over_sessions() {
        let server =
            server(r#"{"temporary": false, "limits": [{"per": "user", "recipients": 3, "within": "1d"}]}"#);
        let session = |user: &str| -> Session<RateLimit> {
            let mut session = server.session::<RateLimit>();
            session.auth("PLAIN", user);
            session.mail("alice@example.org");
            session
        };
        let mut first = session("alice");
        assert_eq!(
            [first.rcpt("a@b.example"), first.rcpt("c@b.example")],
            [Verdict::Proceed, Verdict::Proceed]
        );
        let mut second = session("Alice");
        assert_eq!(second.rcpt("d@b.example"), Verdict::Proceed);
        assert!(matches!(second.rcpt("e@b.example"), Verdict::Reject(reply) if reply.code == 550));
        assert_eq!(session("bob").rcpt("e@b.example"), Verdict::Proceed);
        assert_eq!(server.counter("rate_limited"), 1);
    }

    #[test]
    fn who_is_allowed_and_other_listeners_are_not_counted() {
        let settings = r#"{"limits": [{"per": "ip", "messages": 1, "within": "1h", "listeners": ["mx"]}],
                           "allow-networks": ["192.0.2.0/24"], "allow-users": ["boss"]}"#;
        let server = server(settings);
        for _ in 0..3 {
            assert_eq!(mail(&server, "192.0.2.1", "a@example.org"), Verdict::Proceed);
            assert_eq!(
                server.session::<RateLimit>().from("203.0.113.1").on("other").mail("a@b.example"),
                Verdict::Proceed
            );
            let mut session = server.session::<RateLimit>().from("203.0.113.1").on("mx");
            session.auth("PLAIN", "Boss");
            assert_eq!(session.mail("a@b.example"), Verdict::Proceed);
        }
    }

    #[test]
    fn without_a_store_mail_passes_with_a_warning() {
        let server =
            server(r#"{"limits": [{"per": "ip", "messages": 1, "within": "1h"}]}"#).without(Service::Kv);
        for _ in 0..3 {
            assert_eq!(mail(&server, "192.0.2.1", "a@example.org"), Verdict::Proceed);
        }
        assert!(server.log()[0].message.contains("cannot be counted"));
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<RateLimit>().unwrap_err();
        assert!(fault(r#"{"limits": [{"per": "ip", "within": "1h"}]}"#).contains("either"));
        assert!(
            fault(r#"{"limits": [{"per": "ip", "messages": 1, "recipients": 2, "within": "1h"}]}"#)
                .contains("either")
        );
        assert!(
            fault(r#"{"limits": [{"per": "ip", "messages": 0, "within": "1h"}]}"#).contains("at least 1")
        );
        assert!(
            fault(r#"{"limits": [{"per": "planet", "messages": 1, "within": "1h"}]}"#).contains("planet")
        );
        assert!(fault(r#"{"limit": []}"#).contains("limit"));
    }
}
