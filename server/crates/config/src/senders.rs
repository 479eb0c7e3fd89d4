//! `[sender-auth]`, `[sender-auth.reports]` and `[[dkim]]`.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Domain, Timestamp};
use outbound::DmarcReportOptions;
use sender_auth::{Action, Key, Limits, NamedKey, Policy, Reports, Rules, Signers, Verifier};

use crate::outbound::reporter;
use crate::reader::Table;

/// Keys that one configuration may have.
const MAX_KEYS: usize = 10_000;

pub(crate) const ACTIONS: [(&str, Action); 3] =
    [("report", Action::Report), ("quarantine", Action::Quarantine), ("reject", Action::Reject)];

/// How senders are checked, and what is signed.
pub(crate) fn senders(root: &Table<'_>, hostname: &str) -> Option<Arc<Rules>> {
    let keys = keys(root);
    let table = root.table("sender-auth", "sender-auth");
    let mut check = true;
    table.set_bool("check", &mut check);
    let authserv_id = table.parse("authserv-id", authserv_id).unwrap_or_else(|| hostname.to_owned());
    let mut policy = Policy::default();
    table.set_choice("dmarc", &mut policy.dmarc, &ACTIONS);
    table.set_choice("spf", &mut policy.spf, &ACTIONS);
    table.set_choice("dkim", &mut policy.dkim, &ACTIONS);
    table.set_choice("reverse-dns", &mut policy.reverse_dns, &ACTIONS);
    let sealers = table.list("trusted-sealers", domain).unwrap_or_default();
    policy.trusted_sealers = sealers.into_iter().map(|(_, sealer)| sealer).collect();
    let mut limits = Limits::default();
    table.set_count("signatures", &mut limits.signatures, 1..=50);
    table.set_count("lookups", &mut limits.lookups, 10..=1_000);
    table.set_duration("time-limit", &mut limits.time, Duration::from_secs(1)..=Duration::from_secs(120));
    let sealer = table.parse("seal-domain", domain);
    if let (Some(item), Some(sealer)) = (table.get("seal-domain"), &sealer)
        && !keys.iter().any(|key| key.domain == *sealer)
    {
        item.fault(format!("there is no [[dkim]] of {sealer}"));
    }
    let verifier = check.then(|| Verifier::new(hostname, limits));
    let reports = reports(&table.table("reports", "sender-auth.reports"), hostname);
    Some(Arc::new(Rules { verifier, policy, authserv_id, signers: Signers::new(keys, sealer), reports }))
}

/// Who tells domains of mail in their name; nothing when nobody does.
fn reports(table: &Table<'_>, hostname: &str) -> Option<Reports> {
    let mut failures_per_hour = 0;
    table.set_count("failures-per-hour", &mut failures_per_hour, 0..=10_000);
    Some(Reports { reporter: reporter(table, hostname)?, failures_per_hour })
}

/// How delivery sends what was counted.
pub(crate) fn dmarc_report(rules: Option<&Rules>, data_dir: &Path) -> Option<DmarcReportOptions> {
    let reports = rules?.reports.as_ref()?;
    Some(DmarcReportOptions { folder: data_dir.join("dmarc-report"), reporter: reports.reporter.clone() })
}

fn keys(root: &Table<'_>) -> Vec<NamedKey> {
    let mut names = HashSet::new();
    let mut keys = Vec::new();
    for table in root.tables("dkim", "dkim").iter().take(MAX_KEYS) {
        for key in ["domain", "selector", "key"] {
            if table.get(key).is_none() {
                table.missing(key, "is missing");
            }
        }
        let domain = table.parse("domain", domain);
        let selector = table.parse("selector", selector);
        let key = table.file("key").and_then(|(item, path, pem)| match Key::from_pem(&pem) {
            Ok(key) => Some(Arc::new(key)),
            Err(error) => {
                item.fault(format!("{}: {error}", path.display()));
                None
            }
        });
        let (from, until) = (table.parse("from", time), table.parse("until", time));
        if let (Some(from), Some(until), Some(item)) = (from, until, table.get("until"))
            && until <= from
        {
            item.fault("is not after `from`");
        }
        let (Some(domain), Some(selector), Some(key)) = (domain, selector, key) else { continue };
        if !names.insert((domain.clone(), selector.clone()))
            && let Some(item) = table.get("selector")
        {
            item.fault(format!("{domain} has another key of this name"));
        }
        keys.push(NamedKey { domain, selector, key, from, until });
    }
    keys
}

fn domain(text: &str) -> Result<String, String> {
    let domain = Domain::parse(text).map_err(|error| error.to_string())?;
    match domain.literal() {
        Some(_) => Err(format!("\"{text}\" is an address, not a domain")),
        None => Ok(domain.to_ascii().to_ascii_lowercase()),
    }
}

fn selector(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match text.len() <= 100 && text.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("\"{text}\" is no selector: letters, digits and hyphens")),
    }
}

/// A day in UTC, from its midnight on, or a moment.
fn time(text: &str) -> Result<Timestamp, String> {
    let day = text.parse::<jiff::civil::Date>().map(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
    let moment = match (text.parse::<jiff::Timestamp>(), day) {
        (Ok(moment), _) => Some(moment),
        (_, Ok(Ok(day))) => Some(day.timestamp()),
        _ => None,
    };
    let ms = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    ms.map(Timestamp).ok_or_else(|| {
        format!("\"{text}\" is no day and no moment, as in 2026-12-31 or 2026-12-31T12:00:00Z")
    })
}

fn authserv_id(text: &str) -> Result<String, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    match !text.is_empty() && text.len() <= 253 && text.bytes().all(is_token) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is no name for the server: letters, digits, dots and hyphens")),
    }
}
