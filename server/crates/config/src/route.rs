//! `[[route]]`: by which way mail for other domains leaves.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use model::Domain;
use outbound::{
    Credentials, DomainPattern, HostPort, LocalDomains, NextHop, Password, Route, Routes, TlsLevel,
};

use crate::reader::{Item, Table};

/// The words for a level of TLS.
pub(crate) const TLS_LEVELS: [(&str, TlsLevel); 5] = [
    ("off", TlsLevel::Off),
    ("opportunistic", TlsLevel::Opportunistic),
    ("required", TlsLevel::Required),
    ("verified", TlsLevel::Verified),
    ("implicit", TlsLevel::Implicit),
];

const MILLION: u64 = 1_000_000;

/// The routes of the file; the smarthost of `[outbound]` is one for `*`.
pub(crate) fn routes(root: &Table<'_>, local: &LocalDomains) -> Routes {
    let mut routes = Routes::default();
    let mut names = HashSet::new();
    for table in root.tables("route", "route") {
        let Some((item, domains)) = domains(&table, local) else { continue };
        let route = route(&table, domains, &mut names);
        for taken in routes.insert(route).err().into_iter().flatten() {
            item.fault(taken.to_string());
        }
    }
    let outbound = root.table("outbound", "outbound");
    if let Some((item, host)) = outbound.get("smarthost").and_then(|item| {
        let host = item.parse(str::parse::<HostPort>)?;
        Some((item, host))
    }) {
        let smarthost =
            Route { domains: vec![DomainPattern::Any], ..Route::new("smarthost", NextHop::Host(host)) };
        for taken in routes.insert(smarthost).err().into_iter().flatten() {
            item.fault(format!("is a route for everything, but {taken}"));
        }
    }
    routes
}

fn domains<'a>(table: &Table<'a>, local: &LocalDomains) -> Option<(Item<'a>, Vec<DomainPattern>)> {
    let Some(item) = table.get("domains") else {
        table.missing("domains", "is missing; it says whose mail goes this way, as in [\"*\"]");
        return None;
    };
    let all = table.list("domains", str::parse::<DomainPattern>).unwrap_or_default();
    if item.items().is_empty() {
        item.fault("names no domain; \"*\" stands for all");
    }
    for (item, pattern) in &all {
        if let DomainPattern::Exact(domain) = pattern
            && ends_here(domain, local)
        {
            item.fault(format!(
                "mail for {domain} ends on this host, as its [[domain]] says; no route leads there"
            ));
        }
    }
    Some((item, all.into_iter().map(|(_, pattern)| pattern).collect()))
}

fn ends_here(domain: &Domain, local: &LocalDomains) -> bool {
    local.get(domain).is_some_and(|deliver| !matches!(deliver, outbound::DeliverTo::Relay(_)))
}

fn route(table: &Table<'_>, domains: Vec<DomainPattern>, names: &mut HashSet<String>) -> Route {
    let next_hop = table.parse("next-hop", str::parse::<HostPort>).map_or(NextHop::Mx, NextHop::Host);
    let first = domains.first().map(ToString::to_string).unwrap_or_default();
    let given = table.text("name").map(|(item, name)| {
        if name.is_empty() {
            item.fault("is empty");
        }
        (item, name.to_owned())
    });
    let name = given.as_ref().map_or(first, |(_, name)| name.clone());
    if !names.insert(name.clone())
        && let Some((item, name)) = given
    {
        item.fault(format!("there are two routes of the name \"{name}\""));
    }
    let mut tls = None;
    if table.get("tls").is_some() {
        let mut level = TlsLevel::default();
        table.set_choice("tls", &mut level, &TLS_LEVELS);
        tls = Some(level);
    }
    let auth = credentials(table, &next_hop, &mut tls);
    let count = |key: &'static str, most: u64| {
        let mut count = 1;
        table.get(key)?;
        table.set_count(key, &mut count, 1..=most);
        Some(count)
    };
    let source = table.list("source", source).unwrap_or_default();
    Route {
        name,
        domains,
        next_hop,
        tls,
        auth,
        source: source.into_iter().map(|(_, address)| address).collect(),
        connections: count("connections", 10_000).map(|count| count as usize),
        messages_per_minute: count("messages-per-minute", MILLION),
        connections_per_minute: count("connections-per-minute", MILLION),
    }
}

fn source(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(format!("{address} is no address of a host"))
        }
        Ok(address) => Ok(address),
        Err(_) => Err(format!("\"{text}\" is no address, such as \"192.0.2.1\"")),
    }
}

/// As whom the next hop is to know us. A password goes to a host that has shown who it is, unless the file says otherwise.
fn credentials(table: &Table<'_>, next_hop: &NextHop, tls: &mut Option<TlsLevel>) -> Option<Credentials> {
    let username = table.text("username").map(|(item, name)| (item, name.to_owned()));
    let password = password(table);
    let Some((item, username)) = username else {
        if let Some(item) = table.get("password-file") {
            item.fault("is for a `username`, which is missing");
        }
        return None;
    };
    if username.is_empty() || username.contains(char::is_control) {
        item.fault("is a name of visible characters");
    }
    if *next_hop == NextHop::Mx {
        item.fault("is for a `next-hop`; hosts that DNS names are told no password");
    }
    if table.get("password-file").is_none() {
        table.missing("password-file", "is missing; it names the file with the password of `username`");
    }
    match tls.get_or_insert(TlsLevel::Verified) {
        TlsLevel::Off | TlsLevel::Opportunistic if !is_near(next_hop) => {
            let item = table.get("tls").unwrap_or(item);
            item.fault("would send a password in plain text; say \"required\", \"verified\" or \"implicit\"");
        }
        _ => {}
    }
    Some(Credentials { username, password: password? })
}

/// What is said to this host's own addresses passes no wire.
fn is_near(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::Host(host) => host.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        NextHop::Mx => false,
    }
}

fn password(table: &Table<'_>) -> Option<Password> {
    let (item, path, octets) = table.file("password-file")?;
    let shown = path.display();
    if let Some(mode) = mode_for_others(&path) {
        item.fault(format!("{shown} may be used by others than its owner (mode {mode:04o}); chmod 600"));
        return None;
    }
    let Ok(text) = String::from_utf8(octets) else {
        item.fault(format!("{shown} is not UTF-8"));
        return None;
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.contains(char::is_control) {
        item.fault(format!("{shown} does not hold a password in one line"));
        return None;
    }
    Some(Password(text.to_owned()))
}

/// The mode of a file that more than its owner may use.
fn mode_for_others(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}
