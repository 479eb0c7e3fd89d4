//! `[[listener]]`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use inbound::{Insider, Kind, ListenerOptions, TlsMode};
use ipnet::IpNet;
use smtp::server::{Extensions, Options as Session, Protocol};
use smtp::{BareNewline, Paths};
use toml::de::DeValue;

use crate::network;
use crate::reader::Table;
use crate::senders::ACTIONS;
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

/// How sessions go that no listener accepts: as on a listener for submission. Programs on this host end lines as this host does.
pub(crate) fn insiders(session: &Session) -> ListenerOptions {
    let session = Session {
        require_auth: true,
        extensions: Extensions::ALL,
        bare_newline: BareNewline::Convert,
        ..session.clone()
    };
    ListenerOptions { kind: Kind::Submission, session: Arc::new(session), ..ListenerOptions::default() }
}

fn listener(
    table: &Table<'_>,
    mut session: Session,
    tls: &Tls,
    names: &mut HashSet<String>,
    addresses: &mut HashSet<SocketAddr>,
) -> ListenerOptions {
    let kind = kind(table);
    let tls_mode = tls_mode(table, tls);
    session_options(table, kind, tls_mode, &mut session);
    let bind = bind(table, addresses);
    //= RFC 2033 section 5: LMTP is not spoken on the port of SMTP.
    if let Some(item) = table.get("kind").filter(|_| kind == Kind::Lmtp)
        && bind.iter().any(|address| address.port() == 25)
    {
        item.fault("LMTP must not be spoken on port 25, where others expect SMTP");
    }
    let mut listener = ListenerOptions {
        name: name(table, names).into(),
        bind,
        kind,
        tls: tls_mode,
        handshake_timeout: tls.handshake_timeout,
        session: Arc::new(session),
        proxy_networks: proxy_networks(table),
        xclient: networks(table, "xclient"),
        ..ListenerOptions::default()
    };
    table.set_duration(
        "greeting-delay",
        &mut listener.greeting_delay,
        Duration::ZERO..=Duration::from_secs(60),
    );
    let actions = [("off", None)].into_iter().chain(ACTIONS.map(|(word, action)| (word, Some(action))));
    table.set_choice("sender-auth", &mut listener.sender_action, &actions.collect::<Vec<_>>());
    table.set_bool("hide-client", &mut listener.hides_client);
    listener
}

fn kind(table: &Table<'_>) -> Kind {
    let mut kind = Kind::default();
    let kinds = [("mx", Kind::Mx), ("submission", Kind::Submission), ("lmtp", Kind::Lmtp)];
    table.set_choice("kind", &mut kind, &kinds);
    kind
}

/// How the listener's sessions behave.
fn session_options(table: &Table<'_>, kind: Kind, tls: TlsMode, session: &mut Session) {
    let mut strict = false;
    table.set_bool("strict-paths", &mut strict);
    session.paths = if strict { Paths::Strict } else { Paths::Lenient };
    let policies = [("reject", BareNewline::Reject), ("convert", BareNewline::Convert)];
    table.set_choice("bare-newline", &mut session.bare_newline, &policies);
    session.protocol = if kind == Kind::Lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    session.require_auth = kind == Kind::Submission;
    if kind == Kind::Submission {
        session.extensions = Extensions::ALL;
    }
    table.set_bool("require-tls", &mut session.require_tls);
    if let Some(item) = table.get("require-tls").filter(|_| session.require_tls)
        && tls == TlsMode::Off
    {
        item.fault("needs tls = \"starttls\" or \"implicit\"; without it no mail could come in");
    }
    if let Some(chosen) = table.list("extensions", extension) {
        session.extensions = Extensions::NONE;
        chosen.iter().for_each(|(_, choose)| choose(&mut session.extensions));
        if session.extensions.binary_mime && !session.extensions.chunking {
            chosen.iter().take(1).for_each(|(item, _)| item.fault("BINARYMIME needs CHUNKING"));
        }
    }
}

/// Turns an extension on.
type Choose = fn(&mut Extensions);

/// By the keyword that EHLO announces.
fn extension(text: &str) -> Result<Choose, String> {
    let known: [(&str, Choose); 14] = [
        ("PIPELINING", |offered| offered.pipelining = true),
        ("SIZE", |offered| offered.size = true),
        ("8BITMIME", |offered| offered.eight_bit_mime = true),
        ("SMTPUTF8", |offered| offered.smtputf8 = true),
        ("ENHANCEDSTATUSCODES", |offered| offered.enhanced_status_codes = true),
        ("CHUNKING", |offered| offered.chunking = true),
        ("BINARYMIME", |offered| offered.binary_mime = true),
        ("DSN", |offered| offered.dsn = true),
        ("REQUIRETLS", |offered| offered.require_tls = true),
        ("LIMITS", |offered| offered.limits = true),
        ("MT-PRIORITY", |offered| offered.mt_priority = true),
        ("DELIVERBY", |offered| offered.deliver_by = true),
        ("FUTURERELEASE", |offered| offered.future_release = Extensions::ALL.future_release),
        ("PRDR", |offered| offered.prdr = true),
    ];
    let found = known.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(text));
    found.map(|(_, choose)| *choose).ok_or_else(|| {
        let keywords: Vec<_> = known.iter().map(|(keyword, _)| *keyword).collect();
        format!("\"{text}\" is no extension that can be chosen; those are {}", keywords.join(", "))
    })
}

fn name(table: &Table<'_>, names: &mut HashSet<String>) -> String {
    let Some(item) = table.get("name") else {
        table.missing("name", "is missing; plugins and logs call the listener by it");
        return String::new();
    };
    let name = item.parse(|text| match text {
        "" => Err("is empty"),
        _ if text.contains(char::is_control) => Err("has a control character"),
        _ if Insider::LISTENERS.contains(&text) => {
            Err("is what mail over HTTP and of sendmail is called; call the listener otherwise")
        }
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
        && !tls.has_certificate
    {
        item.fault("needs a certificate: name one in [tls], or have one made with [acme]");
    }
    mode
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
        _ => networks(table, "proxy-protocol"),
    }
}

/// The networks of a list.
fn networks(table: &Table<'_>, key: &'static str) -> Vec<IpNet> {
    let networks = table.list(key, network::proxy_network).unwrap_or_default();
    networks.into_iter().map(|(_, network)| network).collect()
}
