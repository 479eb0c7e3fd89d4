//! `[[domain]]`: the domains whose mail ends here.

use std::collections::HashSet;

use accounts::{AccountsError, DomainOptions};
use model::{Domain, Mailbox};
use outbound::{DeliverTo, HostPort, LmtpAddress, MaildirPattern};

use crate::pipe;
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
        // What is wrong with one name was noted with its line; what is left is where aliases lead.
        match accounts::LocalDomains::with_faults(options) {
            Ok((accounts, faults)) => {
                faults.iter().for_each(|fault| note(fault, &tables, root));
                Some(accounts)
            }
            Err(error) => {
                root.missing("domain", &error.to_string());
                None
            }
        }
    });
    Domains { accounts, deliver }
}

/// Notes what an alias or a catch-all leads to, with its line.
fn note(fault: &AccountsError, tables: &[Table<'_>], root: &Table<'_>) {
    let (domain, alias) = match fault {
        AccountsError::Unresolved { alias, .. } => (alias.domain(), Some(alias.local())),
        AccountsError::UnresolvedCatchAll { domain, .. } | AccountsError::IdleCatchAll { domain } => {
            (domain, None)
        }
        _ => return root.missing("domain", &fault.to_string()),
    };
    let is_this = |table: &&Table<'_>| {
        let name = table.get("name").and_then(|item| Domain::parse(item.text()?).ok());
        name.as_ref() == Some(domain)
    };
    let table = tables.iter().find(is_this);
    let item = table.and_then(|table| match alias {
        Some(alias) => {
            let aliases = table.get("aliases")?.table_of_names("domain.aliases");
            aliases.entries().find(|(name, _)| name.eq_ignore_ascii_case(alias)).map(|(_, item)| item)
        }
        None => table.get("catch-all"),
    });
    match item {
        Some(item) => item.fault(fault.to_string()),
        None => root.missing("domain", &fault.to_string()),
    }
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
    options.catch_all = table.parse("catch-all", |text| target(text, &options.name));
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
    let ways = ["maildir", "lmtp", "relay", "pipe"].map(|key| table.get(key).is_some());
    if ways.iter().filter(|way| **way).count() != 1 {
        item.fault("has exactly one of maildir, lmtp, relay and pipe");
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
    let pipe = pipe::pipe(&table);
    maildir.map(DeliverTo::Maildir).or(pipe).or(lmtp.map(DeliverTo::Lmtp)).or(relay.map(DeliverTo::Relay))
}
