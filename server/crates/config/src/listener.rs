//! `[[listener]]`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use inbound::{Kind, ListenerOptions, TlsMode};
use ipnet::IpNet;
use smtp::server::Options as Session;
use smtp::{BareNewline, Paths};
use toml::de::DeValue;

use crate::network;
use crate::reader::Table;
use crate::tls::Tls;

/// The listeners; `session` is what their sessions have in common.
pub(crate) fn listeners(root: &Table<'_>, session: &Session, tls: &Tls) -> Vec<Arc<ListenerOptions>> {
    let tables = root.tables("listener", "listener");
    if root.get("listener").is_none() {
        root.missing("listener", "is missing; without a [[listener]] no mail can arrive");
    }
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    tables
        .iter()
        .map(|table| listener(table, session.clone(), tls, &mut names, &mut addresses).into())
        .collect()
}

fn listener(
    table: &Table<'_>,
    mut session: Session,
    tls: &Tls,
    names: &mut HashSet<String>,
    addresses: &mut HashSet<SocketAddr>,
) -> ListenerOptions {
    let mut strict = false;
    table.set_bool("strict-paths", &mut strict);
    session.paths = if strict { Paths::Strict } else { Paths::Lenient };
    let policies = [("reject", BareNewline::Reject), ("convert", BareNewline::Convert)];
    table.set_choice("bare-newline", &mut session.bare_newline, &policies);
    refuse_later(table);
    ListenerOptions {
        name: name(table, names).into(),
        bind: bind(table, addresses),
        tls: tls_mode(table, tls),
        handshake_timeout: tls.handshake_timeout,
        session: Arc::new(session),
        proxy_networks: proxy_networks(table),
        ..ListenerOptions::default()
    }
}

fn name(table: &Table<'_>, names: &mut HashSet<String>) -> String {
    let Some(item) = table.get("name") else {
        table.missing("name", "is missing; plugins and logs call the listener by it");
        return String::new();
    };
    let name = item.parse(|text| match text {
        "" => Err("is empty"),
        _ if text.contains(char::is_control) => Err("has a control character"),
        _ => Ok(text.to_owned()),
    });
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        item.fault(format!("another listener is called \"{name}\" too"));
    }
    name.unwrap_or_default()
}

fn bind(table: &Table<'_>, taken: &mut HashSet<SocketAddr>) -> Vec<SocketAddr> {
    let parse = |text: &str| {
        text.parse::<SocketAddr>()
            .map_err(|_| format!("\"{text}\" is no address with a port, as in \"0.0.0.0:25\" or \"[::]:25\""))
    };
    match table.get("bind") {
        None => table.missing("bind", "is missing; it says at which addresses clients connect"),
        Some(item) if item.items().is_empty() => item.fault("has no address"),
        Some(_) => {}
    }
    let addresses = table.list("bind", parse).unwrap_or_default();
    for (item, address) in &addresses {
        if address.port() != 0 && !taken.insert(*address) {
            item.fault(format!("{address} is bound twice"));
        }
    }
    addresses.into_iter().map(|(_, address)| address).collect()
}

fn tls_mode(table: &Table<'_>, tls: &Tls) -> TlsMode {
    let mut mode = TlsMode::Off;
    let modes = [("off", TlsMode::Off), ("starttls", TlsMode::StartTls), ("implicit", TlsMode::Implicit)];
    table.set_choice("tls", &mut mode, &modes);
    if let Some(item) = table.get("tls")
        && mode != TlsMode::Off
        && tls.options.certificates.is_empty()
    {
        item.fault("needs a certificate; name one in [tls] with certificate and key");
    }
    mode
}

/// What the contract of the configuration has, and this version cannot carry out.
fn refuse_later(table: &Table<'_>) {
    let mut kind = "mx";
    table.set_choice("kind", &mut kind, &["mx", "submission", "lmtp"].map(|kind| (kind, kind)));
    if let Some(item) = table.get("kind")
        && kind != "mx"
    {
        item.fault("this version of Waxwing has only listeners of the kind \"mx\" yet");
    }
}

/// The proxies that are trusted to say whose connection they hand on.
fn proxy_networks(table: &Table<'_>) -> Vec<IpNet> {
    let Some(item) = table.get("proxy-protocol") else { return Vec::new() };
    match item.value() {
        DeValue::Boolean(false) => Vec::new(),
        DeValue::Boolean(true) => {
            item.fault("whoever connects could call itself anybody; name the networks of your proxies, as in [\"10.0.0.0/8\"]");
            Vec::new()
        }
        _ => {
            let networks = table.list("proxy-protocol", network::proxy_network).unwrap_or_default();
            networks.into_iter().map(|(_, network)| network).collect()
        }
    }
}
