//! DNS block lists: asks about a client when it connects and refuses its recipients when enough lists name it. RFC 5782.
//!
//! Refusing recipients rather than the connection keeps the postmaster reachable (RFC 5321 section 4.5.1) and says in the
//! log whose mail was refused. Clients in private and loopback networks are not looked up unless `local-clients` says so;
//! clients that have authenticated are never refused.
//!
//! Settings:
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `zones` | [] | each a name, or `{ zone = "...", score = 1, codes = ["127.0.0.2", "127.0.0.8/30", "127.0.[0..255].[2..3]"] }` |
//! | `threshold` | 1 | the score from which a client is refused; a zone counts 1 unless it says otherwise |
//! | `refuse-at` | "rcpt" | "connect" closes at once, "never" only leaves the notes |
//! | `temporary` | false | 450 rather than 550 |
//! | `text` | "{ip} is listed by {zones}" | what the client reads |
//! | `allow-networks` | [] | clients that are not looked up |
//! | `allow-recipients` | ["postmaster", "abuse"] | local parts, addresses or "@domain" that are not refused |
//! | `listeners` | [] | look up clients of these listeners alone; empty: of all |
//! | `local-clients` | false | look up clients in private and loopback networks too, for a list of one's own |
//!
//! Only answers within `codes` count; without them, all of 127.0.0.0/8 except 127.255.255.0/24, with which lists say that
//! the question itself was refused. A code is an address, a network, or a pattern as postscreen writes them: for each octet a number, `*` or a
//! range in brackets. A negative score is an allow list, such as dnswl.org's, whose last octet says how far a client is trusted. The score is left in the session's note
//! `dnsbl-score`, the zones in `dnsbl-zones`. A list that does not answer counts nothing.
//!
//! Grants: `dns`.

use serde::Deserialize;
use std::net::IpAddr;
use waxwing_plugin::net::Network;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    zones: Vec<Zone>,
    threshold: i64,
    refuse_at: RefuseAt,
    temporary: bool,
    text: String,
    allow_networks: Vec<Network>,
    allow_recipients: Vec<String>,
    listeners: Vec<String>,
    local_clients: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            zones: Vec::new(),
            threshold: 1,
            refuse_at: RefuseAt::Rcpt,
            temporary: false,
            text: "{ip} is listed by {zones}".to_owned(),
            allow_networks: Vec::new(),
            allow_recipients: vec!["postmaster".to_owned(), "abuse".to_owned()],
            listeners: Vec::new(),
            local_clients: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RefuseAt {
    Connect,
    Rcpt,
    Never,
}

#[derive(Debug, Deserialize)]
#[serde(from = "WrittenZone")]
struct Zone {
    zone: String,
    score: i64,
    codes: Vec<Code>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenZone {
    Name(String),
    #[serde(rename_all = "kebab-case")]
    Full {
        zone: String,
        #[serde(default = "one")]
        score: i64,
        #[serde(default)]
        codes: Vec<Code>,
    },
}

/// Answers that count.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
enum Code {
    Network(Network),
    /// The bounds of each octet.
    Octets([(u8, u8); 4]),
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Code, String> {
        let octets = || octets(&text).map(Code::Octets);
        let code = Network::parse(&text).map(Code::Network).or_else(octets);
        code.ok_or_else(|| format!("{text:?} is no address, network or pattern of octets"))
    }
}

/// `127.0.[0..255].*`
fn octets(text: &str) -> Option<[(u8, u8); 4]> {
    // The dots of a range are no separators.
    let text = text.replace("..", "-");
    let bounds = text.split('.').map(|octet| {
        if octet == "*" {
            return Some((0, 255));
        }
        let (low, high) = match octet.strip_prefix('[').and_then(|octet| octet.strip_suffix(']')) {
            Some(range) => range.split_once('-')?,
            None => (octet, octet),
        };
        let (low, high) = (low.parse().ok()?, high.parse().ok()?);
        (low <= high).then_some((low, high))
    });
    bounds.collect::<Option<Vec<_>>>()?.try_into().ok()
}

impl Code {
    fn contains(&self, ip: IpAddr) -> bool {
        match (self, ip) {
            (Code::Network(network), ip) => network.contains(ip),
            (Code::Octets(bounds), IpAddr::V4(v4)) => {
                v4.octets().iter().zip(bounds).all(|(octet, (low, high))| (low..=high).contains(&octet))
            }
            (Code::Octets(_), IpAddr::V6(_)) => false,
        }
    }
}

fn one() -> i64 {
    1
}

impl From<WrittenZone> for Zone {
    fn from(written: WrittenZone) -> Zone {
        match written {
            WrittenZone::Name(zone) => Zone { zone, score: 1, codes: Vec::new() },
            WrittenZone::Full { zone, score, codes } => Zone { zone, score, codes },
        }
    }
}

impl Zone {
    fn counts(&self, answers: &[IpAddr]) -> bool {
        answers.iter().any(|&answer| match answer {
            IpAddr::V4(v4) if self.codes.is_empty() => {
                v4.octets()[0] == 127 && v4.octets()[..3] != [127, 255, 255]
            }
            _ => self.codes.iter().any(|code| code.contains(answer)),
        })
    }
}

#[derive(Debug, Default)]
struct Dnsbl {
    settings: config::Lazy<Settings>,
    /// What to say to the recipients of a listed client.
    listed: Option<Reply>,
}

impl Plugin for Dnsbl {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn connect(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        let ip = cx.peer_ip();
        let elsewhere = !settings.listeners.is_empty() && !settings.listeners.contains(&cx.listener());
        if elsewhere
            || settings.zones.is_empty()
            || is_local(ip) && !settings.local_clients
            || settings.allow_networks.iter().any(|n| n.contains(ip))
        {
            return Verdict::Proceed;
        }
        let (score, zones) = settings.ask(ip);
        if zones.is_empty() {
            return Verdict::Proceed;
        }
        let zones = zones.join(", ");
        cx.set_note("dnsbl-score", &score.to_string());
        cx.set_note("dnsbl-zones", &zones);
        if score < settings.threshold || settings.refuse_at == RefuseAt::Never {
            return Verdict::Proceed;
        }
        metrics::count("dnsbl_listed", 1, &[]);
        let text = settings.text.replace("{ip}", &ip.to_string()).replace("{zones}", &zones);
        let reply =
            if settings.temporary { Reply::tempfail(text).with_code(450) } else { Reply::reject(text) };
        if settings.refuse_at == RefuseAt::Connect {
            return reply.with_code(if settings.temporary { 421 } else { 554 }).disconnect();
        }
        self.listed = Some(reply);
        Verdict::Proceed
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        match &self.listed {
            Some(reply) if cx.auth_user().is_none() && !self.settings.is_always_reachable(to) => {
                reply.clone().into()
            }
            _ => Verdict::Proceed,
        }
    }
}

impl Settings {
    fn ask(&self, ip: IpAddr) -> (i64, Vec<String>) {
        let names: Vec<String> = self.zones.iter().map(|z| z.zone.clone()).collect();
        let (mut score, mut listing) = (0i64, Vec::new());
        for (name, answers) in dns::dnsbl(ip, &names) {
            for zone in self.zones.iter().filter(|z| z.zone.eq_ignore_ascii_case(&name) && z.counts(&answers))
            {
                score = score.saturating_add(zone.score);
                listing.push(zone.zone.clone());
            }
        }
        (score, listing)
    }

    fn is_always_reachable(&self, to: &Mailbox) -> bool {
        self.allow_recipients.iter().any(|entry| match entry.split_once('@') {
            None => entry.eq_ignore_ascii_case(&to.local),
            Some(("", domain)) => to.is_within(domain),
            Some(_) => entry.eq_ignore_ascii_case(&to.to_string()),
        })
    }
}

/// No list knows anything about these.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    }
}

waxwing_plugin::export!(Dnsbl: init, connect, rcpt);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Server, Session};

    const LISTED: &str = "203.0.113.9";

    fn server(settings: &str) -> Server {
        let server = Server::new()
            .with_settings(settings)
            .with_listing("bl.example", LISTED, &["127.0.0.4"])
            .with_listing("other.example", LISTED, &["127.0.0.2"])
            .with_listing("wl.example", LISTED, &["127.0.0.1"])
            .with_listing("broken.example", LISTED, &["127.255.255.254"])
            .with_listing("parked.example", LISTED, &["198.51.100.1"])
            .with_listing("bl.example", "2001:db8::9", &["127.0.0.2"])
            .with_listing("bl.example", "10.1.2.3", &["127.0.0.2"]);
        assert_eq!(server.load::<Dnsbl>(), Ok(()));
        server
    }

    fn connected(settings: &str, ip: &str) -> Session<Dnsbl> {
        let mut session = server(settings).session().from(ip);
        assert_eq!(session.connect(), Verdict::Proceed);
        session
    }

    fn is_refused(session: &mut Session<Dnsbl>) -> bool {
        session.mail("a@example.org");
        matches!(session.rcpt("bob@example.net"), Verdict::Reject(reply) if reply.code == 550)
    }

    #[test]
    fn a_listed_client_reaches_the_postmaster_and_nobody_else() {
        for ip in [LISTED, "2001:db8::9"] {
            let mut session = connected(r#"{"zones": ["bl.example"]}"#, ip);
            session.mail("a@example.org");
            let Verdict::Reject(reply) = session.rcpt("bob@example.net") else { panic!("{ip} passed") };
            assert_eq!(reply.text, format!("{ip} is listed by bl.example"));
            assert_eq!(session.rcpt("Postmaster@example.net"), Verdict::Proceed);
        }
    }

    #[test]
    fn a_client_that_no_list_names_passes() {
        assert!(!is_refused(&mut connected(r#"{"zones": ["bl.example"]}"#, "203.0.113.10")));
    }

    #[test]
    fn scores_are_summed_and_an_allow_list_counts_against_them() {
        let zones = |third: &str| {
            format!(
                r#"{{"threshold": 3, "zones": [{{"zone": "bl.example", "score": 2}}, "other.example"{third}]}}"#
            )
        };
        assert!(is_refused(&mut connected(&zones(""), LISTED)));
        assert!(!is_refused(&mut connected(&zones(r#", {"zone": "wl.example", "score": -1}"#), LISTED)));
    }

    #[test]
    fn only_the_codes_that_count_count() {
        let refused = |zone: &str| is_refused(&mut connected(&format!(r#"{{"zones": [{zone}]}}"#), LISTED));
        assert!(refused(r#"{"zone": "bl.example", "codes": ["127.0.0.4/30"]}"#));
        assert!(!refused(r#"{"zone": "bl.example", "codes": ["127.0.0.2"]}"#));
        assert!(refused(r#"{"zone": "bl.example", "codes": ["127.0.[0..255].[3..4]"]}"#));
        assert!(refused(r#"{"zone": "bl.example", "codes": ["127.*.0.4"]}"#));
        assert!(!refused(r#"{"zone": "bl.example", "codes": ["127.0.*.[1..3]"]}"#));
        for bad in ["127.0.0", "127.0.[5..2].1", "127.0.[0..300].1", "a"] {
            let settings = format!(r#"{{"zones": [{{"zone": "bl.example", "codes": ["{bad}"]}}]}}"#);
            assert!(Server::new().with_settings(&settings).load::<Dnsbl>().is_err(), "{bad}");
        }
        assert!(!refused(r#""broken.example""#), "the list refused to answer");
        assert!(!refused(r#""parked.example""#), "the list is no list any more");
    }

    #[test]
    fn authenticated_and_allowed_clients_pass() {
        let mut session = connected(r#"{"zones": ["bl.example"]}"#, LISTED);
        session.auth("PLAIN", "alice");
        assert!(!is_refused(&mut session));
        let allowed = r#"{"zones": ["bl.example"], "allow-networks": ["203.0.113.0/24"]}"#;
        assert!(!is_refused(&mut connected(allowed, LISTED)));
        let elsewhere = r#"{"zones": ["bl.example"], "listeners": ["other"]}"#;
        assert!(!is_refused(&mut connected(elsewhere, LISTED)));
    }

    #[test]
    fn clients_in_private_networks_are_looked_up_only_when_that_is_wanted() {
        assert!(!is_refused(&mut connected(r#"{"zones": ["bl.example"]}"#, "10.1.2.3")));
        assert!(is_refused(&mut connected(
            r#"{"zones": ["bl.example"], "local-clients": true}"#,
            "10.1.2.3"
        )));
    }

    #[test]
    fn it_can_refuse_at_connect_or_only_tell() {
        let mut session =
            server(r#"{"zones": ["bl.example"], "refuse-at": "connect"}"#).session::<Dnsbl>().from(LISTED);
        assert!(matches!(session.connect(), Verdict::Disconnect(reply) if reply.code == 554));
        let mut session = connected(r#"{"zones": ["bl.example"], "refuse-at": "never"}"#, LISTED);
        assert!(!is_refused(&mut session));
        assert_eq!(session.note("dnsbl-zones"), Some("bl.example"));
    }
}
