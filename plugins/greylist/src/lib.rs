//! Greylisting: the first message of an unknown sender from an unknown network to a recipient is asked to come back
//! later, which servers do and much malware does not. RFC 6647.
//!
//! What is remembered is the triplet of the client's network (/24 or /64), the sender and the recipient. A client that
//! comes back after `delay` and within `retry` passes; its triplet then passes at once for `pass`, renewed by use.
//! Clients that have authenticated are not asked to wait. A network from which `auto-allow` triplets have come back is no longer asked
//! at all, for `pass`, renewed by use: it is a mail server.
//!
//! Settings (times such as "5m" or "36d"):
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `delay` | "5m" | how long a new triplet waits |
//! | `retry` | "2d" | how long a triplet that waits is remembered |
//! | `pass` | "36d" | how long a triplet that came back passes at once |
//! | `auto-allow` | 5 | how many triplets of a network have to come back until all of its mail passes; 0: never |
//! | `allow-networks` | [] | client networks such as "192.0.2.0/24" that never wait |
//! | `allow-clients` | [] | domains of clients (by confirmed reverse name) that never wait |
//! | `allow-senders` | [] | sender domains, and those under them, that never wait |
//! | `allow-recipients` | [] | recipients, "user@domain" or a domain, that nobody waits for |
//! | `text` | "greylisted, please try again" | what the client reads |
//!
//! Grants: `kv`. When the store does not work, mail is let through, with a warning in the log: a greylist is no reason to
//! stop mail.

use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;
use waxwing_plugin::net::Network;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    #[serde(with = "config::duration")]
    delay: Duration,
    #[serde(with = "config::duration")]
    retry: Duration,
    #[serde(with = "config::duration")]
    pass: Duration,
    auto_allow: u32,
    allow_networks: Vec<Network>,
    allow_clients: Vec<String>,
    allow_senders: Vec<String>,
    allow_recipients: Vec<String>,
    text: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            delay: minutes(5),
            retry: days(2),
            pass: days(36),
            auto_allow: 5,
            allow_networks: Vec::new(),
            allow_clients: Vec::new(),
            allow_senders: Vec::new(),
            allow_recipients: Vec::new(),
            text: "greylisted, please try again".to_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Greylist {
    settings: config::Lazy<Settings>,
}

impl Plugin for Greylist {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        if settings.retry <= settings.delay {
            return Err("settings: retry must be longer than delay, or nobody ever passes".to_owned());
        }
        Ok(())
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        if self.settings.is_exempt(cx, to) {
            return Verdict::Proceed;
        }
        self.judge(&network(cx.peer_ip()), &cx.triplet(to)).unwrap_or_else(|e| {
            log::warn(&format!("the greylist cannot be read: {e}"));
            Verdict::Proceed
        })
    }
}

impl Greylist {
    /// `p` keys pass; `w` keys wait and hold the time of the first attempt; `n` keys count what came back of a network.
    fn judge(&self, network: &str, triplet: &str) -> Result<Verdict, Error> {
        if self.is_known(network)? {
            metrics::count("greylist_known", 1, &[]);
            return Ok(Verdict::Proceed);
        }
        let (passing, waiting) = (format!("p {triplet}"), format!("w {triplet}"));
        let settings = &self.settings;
        if kv::get(&passing)?.is_some() {
            kv::set(&passing, b"", settings.pass)?;
            metrics::count("greylist_known", 1, &[]);
            return Ok(Verdict::Proceed);
        }
        let now_ms = clock::now_unix_ms();
        let Some(first_ms) = kv::get(&waiting)?.and_then(|e| e.value.try_into().ok().map(u64::from_be_bytes))
        else {
            kv::set(&waiting, &now_ms.to_be_bytes(), settings.retry)?;
            return Ok(self.wait());
        };
        if u128::from(now_ms.saturating_sub(first_ms)) < settings.delay.as_millis() {
            return Ok(self.wait());
        }
        kv::set(&passing, b"", settings.pass)?;
        kv::delete(&waiting)?;
        if self.settings.auto_allow > 0 {
            kv::increment(&format!("n {network}"), 1, settings.pass)?;
        }
        metrics::count("greylist_passed", 1, &[]);
        Ok(Verdict::Proceed)
    }

    /// Whether enough has come back from a network. Use renews it, once in a while.
    fn is_known(&self, network: &str) -> Result<bool, Error> {
        let most = self.settings.auto_allow;
        if most == 0 {
            return Ok(false);
        }
        let key = format!("n {network}");
        let Some(entry) = kv::get(&key)? else { return Ok(false) };
        let count: u32 =
            std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if count < most {
            return Ok(false);
        }
        let half_s = self.settings.pass.as_secs() / 2;
        if entry.ttl_s.is_some_and(|left_s| u64::from(left_s) < half_s) {
            kv::set(&key, &entry.value, self.settings.pass)?;
        }
        Ok(true)
    }

    fn wait(&self) -> Verdict {
        metrics::count("greylist_delayed", 1, &[]);
        Reply::tempfail(&self.settings.text).with_status(4, 7, 1).into()
    }
}

/// The /24 or /64 of an address, as the triplet has it.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("{:?}", &v4.octets()[..3]),
        IpAddr::V6(v6) => format!("{:x?}", &v6.segments()[..4]),
    }
}

impl Settings {
    fn is_exempt(&self, cx: &Context, to: &Mailbox) -> bool {
        let listed = |list: &[String], mailbox: &Mailbox| {
            list.iter().any(|entry| {
                if entry.contains('@') {
                    entry.eq_ignore_ascii_case(&mailbox.to_string())
                } else {
                    mailbox.is_within(entry)
                }
            })
        };
        let ip = cx.peer_ip();
        cx.auth_user().is_some()
            || self.allow_networks.iter().any(|net| net.contains(ip))
            || listed(&self.allow_recipients, to)
            || !self.allow_senders.is_empty() && cx.sender().is_some_and(|s| listed(&self.allow_senders, &s))
            || !self.allow_clients.is_empty()
                && cx.peer_name().is_some_and(|name| {
                    let client = Mailbox { local: String::new(), domain: name };
                    self.allow_clients.iter().any(|domain| client.is_within(domain))
                })
    }
}

waxwing_plugin::export!(Greylist: init, rcpt);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Server, Service};

    fn attempt(server: &Server, ip: &str) -> Verdict {
        let mut session = server.session::<Greylist>().from(ip);
        session.mail("News@Example.org");
        session.rcpt("alice@example.net")
    }

    fn waits(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Tempfail(reply) if reply.code == 451 && reply.text.contains("greylisted"))
    }

    #[test]
    fn a_client_that_comes_back_after_the_delay_passes_and_then_passes_at_once() {
        let server = Server::new();
        assert!(waits(&attempt(&server, "192.0.2.1")));
        server.advance(minutes(4));
        assert!(waits(&attempt(&server, "192.0.2.1")), "too early");
        server.advance(minutes(1));
        assert_eq!(attempt(&server, "192.0.2.1"), Verdict::Proceed);
        server.advance(days(35));
        assert_eq!(attempt(&server, "192.0.2.1"), Verdict::Proceed);
        server.advance(days(35));
        assert_eq!(attempt(&server, "192.0.2.1"), Verdict::Proceed, "use renews the pass");
        server.advance(days(36));
        assert!(waits(&attempt(&server, "192.0.2.1")), "unused for too long");
    }

    #[test]
    fn a_network_that_came_back_often_enough_is_not_asked_any_more() {
        let server = Server::new().with_settings(r#"{"auto-allow": 2}"#);
        let attempt = |ip: &str, to: &str| {
            let mut session = server.session::<Greylist>().from(ip);
            session.mail("news@example.org");
            session.rcpt(to)
        };
        for to in ["a@example.net", "b@example.net"] {
            assert!(waits(&attempt("192.0.2.1", to)));
            server.advance(minutes(6));
            assert_eq!(attempt("192.0.2.1", to), Verdict::Proceed);
        }
        assert_eq!(attempt("192.0.2.77", "c@example.net"), Verdict::Proceed);
        assert!(waits(&attempt("192.0.3.1", "c@example.net")), "another network");
        server.advance(days(30));
        assert_eq!(attempt("192.0.2.1", "d@example.net"), Verdict::Proceed);
        server.advance(days(30));
        assert_eq!(attempt("192.0.2.1", "e@example.net"), Verdict::Proceed, "use renews it");
        server.advance(days(37));
        assert!(waits(&attempt("192.0.2.1", "f@example.net")));
    }

    #[test]
    fn the_retry_may_come_from_a_neighbour_but_not_from_elsewhere() {
        let server = Server::new();
        assert!(waits(&attempt(&server, "192.0.2.1")));
        server.advance(minutes(6));
        assert!(waits(&attempt(&server, "198.51.100.1")));
        assert_eq!(attempt(&server, "192.0.2.200"), Verdict::Proceed);
    }

    #[test]
    fn a_retry_that_comes_too_late_begins_anew() {
        let server = Server::new();
        assert!(waits(&attempt(&server, "192.0.2.1")));
        server.advance(days(2));
        assert!(waits(&attempt(&server, "192.0.2.1")));
    }

    #[test]
    fn allow_lists_and_authenticated_users_do_not_wait() {
        for settings in [
            r#"{"allow-networks": ["192.0.2.0/25", "2001:db8::/32"]}"#,
            r#"{"allow-clients": ["example.com"]}"#,
            r#"{"allow-senders": ["example.org"]}"#,
            r#"{"allow-recipients": ["Alice@example.net"]}"#,
            r#"{"allow-recipients": ["example.net"]}"#,
        ] {
            let server = Server::new().with_settings(settings);
            let mut session = server.session::<Greylist>().named("mail.example.com");
            session.mail("news@example.org");
            assert_eq!(session.rcpt("alice@example.net"), Verdict::Proceed, "{settings}");
        }
        let server = Server::new();
        let mut session = server.session::<Greylist>();
        session.auth("PLAIN", "alice");
        session.mail("alice@example.org");
        assert_eq!(session.rcpt("bob@example.com"), Verdict::Proceed);
    }

    #[test]
    fn without_a_store_mail_passes_with_a_warning() {
        let server = Server::new().without(Service::Kv);
        assert_eq!(attempt(&server, "192.0.2.1"), Verdict::Proceed);
        assert!(server.log()[0].message.contains("not granted"));
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        assert_eq!(Server::new().load::<Greylist>(), Ok(()));
        let fault = |json| Server::new().with_settings(json).load::<Greylist>().unwrap_err();
        assert!(fault(r#"{"dealy": "5m"}"#).contains("dealy"));
        assert!(fault(r#"{"delay": "soon"}"#).contains("soon"));
        assert!(fault(r#"{"delay": "3d"}"#).contains("retry"));
        assert!(fault(r#"{"allow-networks": ["192.0.2.0/33"]}"#).contains("192.0.2.0/33"));
    }
}
