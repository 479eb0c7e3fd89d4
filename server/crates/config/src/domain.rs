//! `[[domain]]`: the domains whose mail ends here.

use std::collections::HashSet;

use accounts::DomainOptions;
use model::{Domain, Mailbox};
use outbound::{DeliverTo, HostPort, LmtpAddress, MaildirPattern};

use crate::reader::{Item, Table};

/// The domains as the rooms know them: whose mailbox an address is, and where its mail is put.
#[derive(Debug)]
pub(crate) struct Domains {
    pub(crate) accounts: Option<accounts::LocalDomains>,
    pub(crate) deliver: outbound::LocalDomains,
}

pub(crate) fn domains(root: &Table<'_>, hostname: &str) -> Domains {
    let mut names = HashSet::new();
    let mut deliver = outbound::LocalDomains::default();
    let tables = root.tables("domain", "domain");
    let found = tables.iter().filter_map(|table| domain(table, &mut names, &mut deliver)).collect();
    let hostname = Domain::parse(hostname).or_else(|_| Domain::parse("invalid")).ok();
    let accounts = hostname.and_then(|hostname| {
        let options = accounts::Options { hostname, domains: found };
        // What is wrong with one name was noted with its line; what is left is about aliases of aliases.
        accounts::LocalDomains::new(options).map_err(|error| root.missing("domain", &error.to_string())).ok()
    });
    Domains { accounts, deliver }
}

fn domain(
    table: &Table<'_>,
    names: &mut HashSet<Domain>,
    deliveries: &mut outbound::LocalDomains,
) -> Option<DomainOptions> {
    let name = name(table, names);
    // An address needs some domain, so that the faults of the rest are found as well.
    let mut options = DomainOptions::new(name.clone().or_else(|| Domain::parse("invalid").ok())?);
    options.mailboxes = table
        .list("mailboxes", |text| local_part(text, &options.name))
        .map(|list| list.into_iter().map(|(_, local)| local).collect());
    options.aliases = aliases(table, &options.name);
    if let Some(separator) = table.parse("subaddress-separator", separator) {
        options.subaddress_separator = separator;
    }
    match table.get("deliver") {
        Some(item) => {
            if let (Some(name), Some(way)) = (&name, deliver(&item)) {
                deliveries.insert(name, way);
            }
        }
        None => table
            .missing("deliver", "is missing; it says where mail goes, as in { maildir = \"mail/{local}\" }"),
    }
    name.map(|_| options)
}

fn name(table: &Table<'_>, names: &mut HashSet<Domain>) -> Option<Domain> {
    let Some(item) = table.get("name") else {
        table.missing("name", "is missing; it says whose mail ends here");
        return None;
    };
    let name = item.parse(Domain::parse)?;
    if !names.insert(name.clone()) {
        item.fault(format!("the domain {name} is there twice"));
        return None;
    }
    Some(name)
}

fn local_part(text: &str, domain: &Domain) -> Result<String, String> {
    let wrong = |error: model::MailboxError| format!("\"{text}\" is no local part: {error}");
    Mailbox::new(text, domain.clone()).map(|mailbox| mailbox.local().to_owned()).map_err(wrong)
}

fn separator(text: &str) -> Result<Option<char>, &'static str> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        (Some(separator), None) if separator.is_ascii_punctuation() && separator != '@' => {
            Ok(Some(separator))
        }
        _ => Err("is one character such as \"+\" or \"-\", or empty"),
    }
}

fn aliases(table: &Table<'_>, domain: &Domain) -> Vec<(String, Vec<String>)> {
    let mut aliases: Vec<(String, Vec<String>)> = Vec::new();
    let Some(item) = table.get("aliases") else { return aliases };
    for (name, targets) in item.table_of_names("domain.aliases").entries() {
        let items = targets.items();
        let parsed: Vec<String> =
            items.iter().filter_map(|item| item.parse(|text| target(text, domain))).collect();
        if items.is_empty() {
            targets.fault("leads nowhere; name at least one address");
        }
        match local_part(name, domain) {
            Err(error) => targets.fault(error),
            Ok(local) if aliases.iter().any(|(other, _)| other.eq_ignore_ascii_case(&local)) => {
                targets.fault("is there twice: upper and lower case are the same");
            }
            Ok(local) if !parsed.is_empty() => aliases.push((local, parsed)),
            Ok(_) => {}
        }
    }
    aliases
}

fn target(text: &str, domain: &Domain) -> Result<String, String> {
    let mailbox = match text.contains('@') {
        true => Mailbox::parse(text),
        false => Mailbox::new(text, domain.clone()),
    };
    mailbox.map(|_| text.to_owned()).map_err(|error| format!("\"{text}\" is no address: {error}"))
}

fn deliver(item: &Item<'_>) -> Option<DeliverTo> {
    let table = item.table("domain.deliver");
    if !table.is_present() {
        return None;
    }
    let ways = ["maildir", "lmtp", "relay"].map(|key| table.get(key).is_some());
    if ways.iter().filter(|way| **way).count() != 1 {
        item.fault("has exactly one of maildir, lmtp and relay");
    }
    let maildir = table.path("maildir").and_then(|path| {
        let pattern = |_: &str| path.to_string_lossy().parse::<MaildirPattern>();
        table.parse("maildir", pattern)
    });
    let lmtp = table.text("lmtp").and_then(|(item, text)| match text.contains('/') {
        true => table.path("lmtp").map(LmtpAddress::Unix),
        false => item.parse(str::parse::<HostPort>).map(LmtpAddress::Tcp),
    });
    let relay = table.parse("relay", str::parse::<HostPort>);
    maildir.map(DeliverTo::Maildir).or(lmtp.map(DeliverTo::Lmtp)).or(relay.map(DeliverTo::Relay))
}
