//! `[auth]`: how users authenticate.

use std::time::Duration;

use accounts::{
    AttemptLimits, AuthOptions, MAX_TOKEN_KEYS, Mechanism, TokenAlgorithm, TokenKey, TokenOptions,
};

use crate::reader::Table;
use crate::user;

const SECOND: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MILLION: u64 = 1_000_000;

/// Who may authenticate, and how.
pub(crate) fn authenticator(root: &Table<'_>) -> AuthOptions {
    let table = root.table("auth", "auth");
    let oauth = table.table("oauth", "auth.oauth");
    let mut options = AuthOptions {
        directory: user::directory(root),
        mechanisms: mechanisms(&table, oauth.is_present()),
        tokens: oauth.is_present().then(|| tokens(&oauth)).flatten(),
        limits: limits(&table.table("limits", "auth.limits")),
        ..AuthOptions::default()
    };
    table.set_bool("plaintext-without-tls", &mut options.plaintext_without_tls);
    options
}

fn mechanisms(table: &Table<'_>, has_tokens: bool) -> Option<Vec<Mechanism>> {
    let listed = table.list("mechanisms", str::parse::<Mechanism>)?;
    for (item, mechanism) in &listed {
        if matches!(mechanism, Mechanism::OauthBearer | Mechanism::Xoauth2) && !has_tokens {
            item.fault(format!("{mechanism} needs a table [auth.oauth], which says whose tokens count"));
        }
    }
    Some(listed.into_iter().map(|(_, mechanism)| mechanism).collect())
}

fn limits(table: &Table<'_>) -> AttemptLimits {
    let mut limits = AttemptLimits::default();
    table.set_count("failures-per-user", &mut limits.per_user, 1..=1_000);
    table.set_duration("user-window", &mut limits.per_user_window, SECOND..=WEEK);
    table.set_count("failures-per-address", &mut limits.per_address, 1..=10_000);
    table.set_duration("address-window", &mut limits.per_address_window, SECOND..=WEEK);
    table.set_count("entries", &mut limits.max_entries, 100..=MILLION);
    limits
}

fn tokens(table: &Table<'_>) -> Option<TokenOptions> {
    for (key, text) in [
        ("issuer", "is missing; it says whose tokens count"),
        ("audience", "is missing; it says what a token has to be meant for"),
        ("keys", "is missing; it says what tokens are signed with"),
    ] {
        match table.get(key) {
            None => table.missing(key, text),
            Some(item) if item.items().is_empty() => item.fault("is empty"),
            Some(_) => {}
        }
    }
    let keys: Vec<TokenKey> = table.tables("keys", "auth.oauth.keys").iter().flat_map(token_keys).collect();
    if keys.len() > MAX_TOKEN_KEYS {
        table.missing("keys", &format!("are more than {MAX_TOKEN_KEYS}"));
    }
    let audience = table.list("audience", filled).unwrap_or_default();
    Some(TokenOptions {
        issuer: table.parse("issuer", filled)?,
        audience: audience.into_iter().map(|(_, audience)| audience).collect(),
        keys,
        user_claim: match table.get("user-claim") {
            Some(item) => item.parse(filled)?,
            None => "email".to_owned(),
        },
        scope: table.parse("scope", filled),
        openid_configuration: table.parse("openid-configuration", filled),
    })
}

fn filled(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("is empty") } else { Ok(text.to_owned()) }
}

/// The keys of one entry: a file's one, or those of a set.
fn token_keys(table: &Table<'_>) -> Vec<TokenKey> {
    let ways = ["file", "jwks"].map(|key| table.get(key).is_some());
    if ways[0] == ways[1] {
        table.missing("file", "has to be there, or jwks, and not both");
        return Vec::new();
    }
    let algorithm = table.parse("algorithm", str::parse::<TokenAlgorithm>);
    let id = table.parse("id", filled);
    if ways[0] && table.get("algorithm").is_none() {
        table.missing("algorithm", "is missing; a key in a file is for one algorithm");
    }
    if let (true, Some(item)) = (ways[1], table.get("id")) {
        item.fault("is for a key in a file; those of a set have their own");
    }
    let from_file = table.file("file").and_then(|(item, path, octets)| {
        Some((item, path, TokenKey::from_file(id, algorithm?, &octets).map(|key| vec![key])))
    });
    let from_set =
        table.file("jwks").map(|(item, path, octets)| (item, path, TokenKey::from_jwks(algorithm, &octets)));
    match from_file.or(from_set) {
        Some((_, _, Ok(keys))) => keys,
        Some((item, path, Err(error))) => {
            item.fault(format!("{} {error}", path.display()));
            Vec::new()
        }
        None => Vec::new(),
    }
}
