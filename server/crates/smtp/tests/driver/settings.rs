//! The lines of configuration that dialogues have, as far as they concern the session.

use std::time::Duration;

use model::Domain;
use smtp::server::{Channel, Extensions, Options, Protocol};
use smtp::{BareNewline, Paths};

use crate::script::Dialogue;

/// What a dialogue asks for.
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) users: Vec<(String, String)>,
    pub(crate) domains: Vec<Domain>,
    pub(crate) starts_secured: bool,
    starttls: bool,
    plaintext_without_tls: bool,
    xclient: bool,
}

impl Settings {
    pub(crate) fn read(dialogue: &Dialogue) -> Self {
        let mut settings = Self {
            options: Options::new("mx.example.org"),
            users: dialogue.users.clone(),
            domains: vec![Domain::parse("example.org").expect("a domain")],
            starts_secured: false,
            starttls: false,
            plaintext_without_tls: false,
            xclient: false,
        };
        for (table, line) in &dialogue.config {
            let (key, value) = line.split_once(" = ").expect("a key and a value");
            let value = value.trim_matches('"');
            match table.as_str() {
                "limits" => settings.limit(key, value),
                "[listener]" => settings.listener(key, value),
                "auth" if key == "plaintext-without-tls" => settings.plaintext_without_tls = value == "true",
                "[domain]" if key == "name" => settings.domains.push(Domain::parse(value).expect("a domain")),
                "[domain]" => {}
                _ => panic!("{}: nobody reads [{table}] {line}", dialogue.name),
            }
        }
        settings
    }

    /// What the connection offers.
    pub(crate) fn channel(&self, secured: bool) -> Channel {
        let may_authenticate = !self.users.is_empty() && (secured || self.plaintext_without_tls);
        Channel {
            secured,
            starttls: self.starttls,
            mechanisms: if may_authenticate { vec!["PLAIN", "LOGIN"] } else { Vec::new() },
            xclient: self.xclient,
        }
    }

    fn listener(&mut self, key: &str, value: &str) {
        let options = &mut self.options;
        match (key, value) {
            ("kind", "lmtp") => options.protocol = Protocol::Lmtp,
            ("kind", "submission") => {
                options.require_auth = true;
                options.extensions = Extensions::ALL;
            }
            ("tls", "starttls") => self.starttls = true,
            ("tls", "implicit") => self.starts_secured = true,
            ("require-tls", "true") => options.require_tls = true,
            ("strict-paths", "true") => options.paths = Paths::Strict,
            ("bare-newline", "convert") => options.bare_newline = BareNewline::Convert,
            ("xclient", _) => self.xclient = true,
            ("extensions", list) => options.extensions = extensions(list),
            _ => panic!("nobody reads {key} = {value}"),
        }
    }

    fn limit(&mut self, key: &str, value: &str) {
        let limits = &mut self.options.limits;
        let count = || value.parse::<u32>().expect("a number");
        match key {
            "recipients" => limits.recipients = count() as usize,
            "errors" => limits.errors = count(),
            "auth-failures" => limits.auth_failures = count(),
            "idle-commands" => limits.idle_commands = count(),
            "transactions" => limits.transactions = count(),
            "message-size" => limits.message_size = octets(value) as u64,
            "text-line" => limits.text_line = octets(value),
            "command-line" => limits.command_line = octets(value),
            "auth-line" => limits.auth_line = octets(value),
            "command-timeout" => limits.command_timeout = time(value),
            "data-timeout" => limits.data_timeout = time(value),
            "session-time" => limits.session_time = time(value),
            _ => panic!("nobody reads {key} = {value}"),
        }
    }
}

fn extensions(list: &str) -> Extensions {
    let has = |keyword: &str| list.contains(&format!("\"{keyword}\""));
    Extensions {
        pipelining: has("PIPELINING"),
        size: has("SIZE"),
        eight_bit_mime: has("8BITMIME"),
        smtputf8: has("SMTPUTF8"),
        enhanced_status_codes: has("ENHANCEDSTATUSCODES"),
        chunking: has("CHUNKING"),
        binary_mime: has("BINARYMIME"),
        dsn: has("DSN"),
        require_tls: has("REQUIRETLS"),
        limits: has("LIMITS"),
        mt_priority: has("MT-PRIORITY"),
        deliver_by: has("DELIVERBY"),
        future_release: Extensions::ALL.future_release.filter(|_| has("FUTURERELEASE")),
        prdr: has("PRDR"),
    }
}

/// A number of octets, or of KiB.
fn octets(value: &str) -> usize {
    match value.strip_suffix(" KiB") {
        Some(count) => count.parse::<usize>().expect("a size") << 10,
        None => value.parse().expect("a size"),
    }
}

fn time(value: &str) -> Duration {
    let (count, unit) = match value.strip_suffix("ms") {
        Some(count) => (count, 1),
        None => (value.strip_suffix('s').expect("a time"), 1_000),
    };
    Duration::from_millis(unit * count.parse::<u64>().expect("a time"))
}
