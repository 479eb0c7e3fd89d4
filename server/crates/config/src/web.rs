//! `[web]` and `[[api-token]]`: what is answered over HTTP, and to whom.

use std::collections::HashSet;
use std::net::SocketAddr;

use accounts::{ApiScope, ApiToken, ApiTokens, Directory, MAX_API_TOKENS, TokenHash};
use model::Mailbox;

use crate::reader::Table;

/// Where Prometheus asks unless the file says otherwise.
const METRICS_PORT: u16 = 9025;
/// Where the postmaster's page is unless the file says otherwise.
const WEB_PORT: u16 = 9026;

/// The page and the API over HTTP.
#[derive(Debug, Clone)]
pub struct Web {
    /// Nowhere without the table.
    pub bind: Vec<SocketAddr>,
    /// Requests of an address; 0 is no limit.
    pub requests_per_minute: u32,
    /// Wrong tokens of an address; 0 is no limit.
    pub failed_tokens_per_minute: u32,
    /// Octets on disk of what became of messages; 0 keeps it in memory alone.
    pub history_octets: u64,
    pub tokens: ApiTokens,
}

/// Where metrics are told over HTTP; nowhere without the table.
pub(crate) fn metrics(root: &Table<'_>) -> Vec<SocketAddr> {
    bind(&root.table("metrics", "metrics"), METRICS_PORT)
}

pub(crate) fn web(root: &Table<'_>, users: &Directory) -> Web {
    let table = root.table("web", "web");
    let mut web = Web {
        bind: bind(&table, WEB_PORT),
        requests_per_minute: 600,
        failed_tokens_per_minute: 10,
        history_octets: 8 << 20,
        tokens: tokens(root, users),
    };
    let mut behind_tls = false;
    table.set_bool("behind-tls", &mut behind_tls);
    if let Some(item) = table.get("bind").filter(|_| !behind_tls) {
        for address in web.bind.iter().filter(|address| !address.ip().to_canonical().is_loopback()) {
            item.fault(format!(
                "{address} is not this machine alone, and tokens would cross the network in the clear; put a proxy with TLS \
                 before 127.0.0.1, or say behind-tls = true when nobody but such a proxy can connect"
            ));
        }
    }
    table.set_count("requests-per-minute", &mut web.requests_per_minute, 0..=1_000_000);
    table.set_count("failed-tokens-per-minute", &mut web.failed_tokens_per_minute, 0..=1_000_000);
    table.set_size("history-size", &mut web.history_octets, 0..=1 << 30);
    web
}

fn bind(table: &Table<'_>, port: u16) -> Vec<SocketAddr> {
    let parse = |text: &str| {
        text.parse::<SocketAddr>()
            .map_err(|_| format!("is no address with a port, as in \"127.0.0.1:{port}\""))
    };
    match table.list("bind", parse) {
        Some(bind) => bind.into_iter().map(|(_, address)| address).collect(),
        None if table.is_present() => vec![SocketAddr::from(([127, 0, 0, 1], port))],
        None => Vec::new(),
    }
}

fn tokens(root: &Table<'_>, users: &Directory) -> ApiTokens {
    let tables = root.tables("api-token", "api-token");
    if tables.len() > MAX_API_TOKENS
        && let Some(item) = root.get("api-token")
    {
        item.fault(format!("there are more than {MAX_API_TOKENS}"));
    }
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    let token = |table: &Table<'_>| token(table, users, &mut names, &mut hashes);
    ApiTokens::new(tables.iter().filter_map(token).collect())
}

fn token(
    table: &Table<'_>,
    users: &Directory,
    names: &mut HashSet<String>,
    hashes: &mut HashSet<String>,
) -> Option<ApiToken> {
    let name = table.parse("name", |text| match text {
        "" => Err("is empty"),
        _ if text.contains(char::is_control) => Err("has a control character"),
        _ => Ok(text.to_owned()),
    });
    let hash = table.parse("hash", str::parse::<TokenHash>);
    let mut scope = None;
    let scopes = [ApiScope::Read, ApiScope::Admin, ApiScope::Send].map(|scope| (scope.name(), Some(scope)));
    table.set_choice("scope", &mut scope, &scopes);
    for key in ["name", "hash", "scope"] {
        if !table.has(key) {
            table.missing(key, "is missing; `waxwing token new` prints the whole table");
        }
    }
    let user = user(table, scope, users);
    let (name, hash, scope) = (name?, hash?, scope?);
    if !names.insert(name.clone()) {
        table.get("name")?.fault(format!("another token is called \"{name}\" too"));
    }
    if !hashes.insert(hash.to_string()) {
        table.get("hash")?.fault("another token has this hash too");
    }
    Some(ApiToken { name, hash, scope, user })
}

/// In whose name a token sends.
fn user(table: &Table<'_>, scope: Option<ApiScope>, users: &Directory) -> Option<Mailbox> {
    let known = |text: &str| {
        let user = users.user(text);
        user.map(|user| user.name.clone()).ok_or_else(|| format!("\"{text}\" is no [[user]]"))
    };
    let user = table.parse("user", known);
    match (scope, table.get("user")) {
        (Some(ApiScope::Send), None) => {
            table.missing("user", "is missing; a token that sends has the name of a [[user]]")
        }
        (Some(ApiScope::Read | ApiScope::Admin), Some(item)) => item.fault("is for the scope \"send\" alone"),
        _ => {}
    }
    user
}
