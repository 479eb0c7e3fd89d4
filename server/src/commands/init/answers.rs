//! What is asked, and what is made of the answers.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use config::system_hostname;
use model::{Domain, Mailbox};
use outbound::{HostPort, MaildirPattern};

use crate::cli::Init;
use crate::commands::BadInput;

const NONE: &str = "none";

/// What the configuration is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) hostname: String,
    pub(super) domains: Vec<Receives>,
    pub(super) deliver: Deliver,
    pub(super) smarthost: Option<String>,
}

/// A domain, and the mailboxes that were named; none: every local part has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receives {
    pub(super) domain: String,
    pub(super) mailboxes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deliver {
    Maildir(String),
    Lmtp(String),
    Relay(String),
}

impl Answers {
    /// Takes what was given, and asks for the rest where there is somebody to ask. `maildirs` is where mailboxes lie unless somebody says
    /// otherwise.
    pub(super) fn gather(options: &Init, maildirs: &str) -> Result<Self> {
        let asks = !options.yes && std::io::stdin().is_terminal();
        let missing = |flag: &str| {
            BadInput(format!("there is no terminal to ask at: give {flag}, or --yes for what is proposed"))
        };
        let system = system_hostname();
        let hostname = match &options.hostname {
            Some(name) => hostname(name).map_err(|why| BadInput(format!("--hostname: {why}")))?,
            None if asks => ask("1. What is this host called in the world's DNS?", &system, hostname)?,
            None if options.yes => hostname(&system).map_err(BadInput)?,
            None => bail!(missing("--hostname")),
        };
        let proposed = hostname
            .split_once('.')
            .filter(|(_, parent)| parent.contains('.'))
            .map_or(hostname.as_str(), |(_, parent)| parent);
        let question = "2. Which domains or addresses does it receive mail for? (\"none\": it only sends)";
        let domains = match options.receive.is_empty() {
            false => {
                receives(&options.receive.join(" ")).map_err(|why| BadInput(format!("--receive: {why}")))?
            }
            true if asks => ask(question, proposed, receives)?,
            true if options.yes => receives(proposed).map_err(BadInput)?,
            true => bail!(missing("--receive")),
        };
        let mut smarthost = options
            .smarthost
            .as_deref()
            .map(host_port)
            .transpose()
            .map_err(|why| BadInput(format!("--smarthost: {why}")))?;
        let mut deliver = Deliver::Maildir(maildirs.to_owned());
        match &options.deliver {
            Some(given) => {
                deliver = self::deliver(given).map_err(|why| BadInput(format!("--deliver: {why}")))?
            }
            None if !asks => {}
            None if !domains.is_empty() => {
                let question =
                    "3. Where does that mail go? (maildir:PATH, lmtp:SOCKET or HOST:PORT, relay:HOST:PORT)";
                deliver = ask(question, &format!("maildir:{maildirs}"), self::deliver)?;
            }
            None if smarthost.is_none() => {
                let question = "3. Through which host does mail leave? (HOST:PORT, or \"none\": it goes to each domain's own hosts)";
                smarthost =
                    ask(
                        question,
                        NONE,
                        |text| if text == NONE { Ok(None) } else { host_port(text).map(Some) },
                    )?;
            }
            None => {}
        }
        Ok(Self { hostname, domains, deliver, smarthost })
    }
}

/// Asks until the answer is one. An empty one is what was proposed.
fn ask<T>(question: &str, proposed: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    let mut err = std::io::stderr();
    loop {
        write!(err, "{question} [{proposed}] ")?;
        err.flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("no answer was given");
        }
        let text = if line.trim().is_empty() { proposed } else { line.trim() };
        match parse(text) {
            Ok(answer) => return Ok(answer),
            Err(why) => writeln!(err, "   {why}")?,
        }
    }
}

fn hostname(text: &str) -> Result<String, String> {
    let domain = name(text)?;
    match domain.contains('.') {
        true => Ok(domain),
        false => {
            Err(format!("\"{domain}\" has no dot: other servers would not find it, as in mx.example.org"))
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let domain = Domain::parse(text).map_err(|error| format!("\"{text}\": {error}"))?;
    match domain.literal() {
        Some(_) => Err(format!("\"{text}\" is an address, not a name")),
        None => Ok(domain.to_ascii()),
    }
}

/// Domains and addresses with blanks or commas between them; addresses of a domain are gathered.
fn receives(text: &str) -> Result<Vec<Receives>, String> {
    let mut all: Vec<Receives> = Vec::new();
    if text == NONE {
        return Ok(all);
    }
    for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
        let (domain, mailbox) = match word.contains('@') {
            true => {
                let mailbox: Mailbox = word.parse().map_err(|error| format!("\"{word}\": {error}"))?;
                (name(&mailbox.domain().to_ascii())?, Some(mailbox.local().to_owned()))
            }
            false => (name(word)?, None),
        };
        let at = all.iter().position(|known| known.domain == domain);
        match (at, mailbox) {
            (None, mailbox) => all.push(Receives { domain, mailboxes: mailbox.into_iter().collect() }),
            (Some(at), Some(mailbox)) if !all[at].mailboxes.is_empty() => all[at].mailboxes.push(mailbox),
            (Some(_), _) => return Err(format!("{domain} is given as a whole and in parts")),
        }
    }
    match all.is_empty() {
        true => Err("a domain or an address, as in example.org or alice@example.org".to_owned()),
        false => Ok(all),
    }
}

fn deliver(text: &str) -> Result<Deliver, String> {
    let Some((way, place)) = text.split_once(':') else {
        return Err("maildir:PATH, lmtp:SOCKET or HOST:PORT, or relay:HOST:PORT".to_owned());
    };
    match way {
        "maildir" => {
            // Beside the file, unless it begins with a slash.
            let absolute = std::path::Path::new("/").join(place).display().to_string();
            absolute.parse::<MaildirPattern>().map_err(|error| format!("\"{place}\": {error}"))?;
            Ok(Deliver::Maildir(place.to_owned()))
        }
        "lmtp" if place.starts_with('/') => Ok(Deliver::Lmtp(place.to_owned())),
        "lmtp" => place
            .parse::<HostPort>()
            .map(|_| Deliver::Lmtp(place.to_owned()))
            .map_err(|error| format!("\"{place}\": {error}")),
        "relay" => host_port(place).map(Deliver::Relay),
        _ => Err(format!("\"{way}\" is no way to deliver: maildir, lmtp or relay")),
    }
}

fn host_port(text: &str) -> Result<String, String> {
    text.parse::<HostPort>().map(|_| text.to_owned()).map_err(|error| format!("\"{text}\": {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_domain_are_gathered_and_a_domain_is_whole_or_in_parts() {
        let found = receives("alice@example.org, bob@Example.ORG example.net").unwrap();
        let expected = [("example.org", vec!["alice", "bob"]), ("example.net", vec![])];
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.domain.as_str(), one.mailboxes.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(receives("none"), Ok(vec![]));
        for wrong in
            ["example.org alice@example.org", "alice@example.org example.org", "@", "a b@", "", "[192.0.2.1]"]
        {
            assert!(receives(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ways_to_deliver_are_told_apart() {
        assert_eq!(deliver("lmtp:/run/dovecot/lmtp"), Ok(Deliver::Lmtp("/run/dovecot/lmtp".to_owned())));
        assert_eq!(
            deliver("relay:mail.example.net:25"),
            Ok(Deliver::Relay("mail.example.net:25".to_owned()))
        );
        for wrong in ["/var/mail", "maildir:relative/{user}", "relay:", "pigeon:home", "lmtp:"] {
            assert!(deliver(wrong).is_err(), "{wrong}");
        }
        assert!(hostname("localhost").is_err() && hostname("MX.Example.org").is_ok());
    }
}
