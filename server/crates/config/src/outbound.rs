//! `[outbound]`, beside the smarthost, which is a route.

use std::path::Path;
use std::time::Duration;

use model::{Domain, Mailbox};
use outbound::{Limits, LocalDomains, MtaStsOptions, Options, TlsReportOptions};
use reporting::Reporter;
use smtp::client::Timeouts;

use crate::reader::Table;
use crate::route::{TLS_LEVELS, routes};

const MINUTE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
const MILLION: u64 = 1_000_000;

/// The options that `[outbound]` gives; the others are the caller's to fill in.
pub(crate) fn outbound(root: &Table<'_>, hostname: &str, data_dir: &Path, local: LocalDomains) -> Options {
    let table = root.table("outbound", "outbound");
    let mut options = Options::new(hostname);
    options.routes = routes(root, &local);
    options.domains = local;
    table.set_count("mx-port", &mut options.mx_port, 1..=65_535);
    let names = table.list("own-names", |text| Domain::parse(text).map(|name| name.to_ascii()));
    options.own_names = names.unwrap_or_default().into_iter().map(|(_, name)| name).collect();
    table.set_choice("tls", &mut options.tls_level, &TLS_LEVELS);
    options.authorities.ca_file = table.path("ca-file");
    table.set_bool("dane", &mut options.dane);
    let (mut mta_sts, mut port) = (true, 443);
    table.set_bool("mta-sts", &mut mta_sts);
    table.set_count("mta-sts-port", &mut port, 1..=65_535);
    options.mta_sts = mta_sts.then(|| MtaStsOptions { folder: data_dir.join("mta-sts"), port });
    options.tls_report = tls_report(root, hostname, data_dir);
    options.timeouts = timeouts(&table.table("timeouts", "outbound.timeouts"));
    options.limits = limits(&table.table("limits", "outbound.limits"));
    options
}

/// `[tls-report]`; nothing when no reports are sent.
fn tls_report(root: &Table<'_>, hostname: &str, data_dir: &Path) -> Option<TlsReportOptions> {
    let reporter = reporter(&root.table("tls-report", "tls-report"), hostname)?;
    Some(TlsReportOptions { folder: data_dir.join("tls-report"), reporter })
}

/// Who reports to other domains, in a table of a kind of reports; nothing when they are not enabled.
pub(crate) fn reporter(table: &Table<'_>, hostname: &str) -> Option<Reporter> {
    let (mut is_enabled, mut spread) = (false, 4 * 60 * MINUTE);
    table.set_bool("enabled", &mut is_enabled);
    let contact = table.parse("contact", Mailbox::parse);
    let organization = table.text("organization").map(|(_, text)| text.to_owned());
    table.set_duration("spread", &mut spread, Duration::ZERO..=12 * 60 * MINUTE);
    let hostname = Domain::parse(hostname).map_or_else(|_| hostname.to_owned(), |name| name.to_ascii());
    is_enabled.then(|| Reporter {
        organization: organization.unwrap_or_else(|| hostname.clone()),
        contact: contact.map_or_else(|| format!("postmaster@{hostname}"), |contact| contact.to_string()),
        hostname,
        spread,
    })
}

fn timeouts(table: &Table<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let slots = [
        ("greeting", &mut timeouts.greeting),
        ("hello", &mut timeouts.hello),
        ("tls", &mut timeouts.tls),
        ("auth", &mut timeouts.auth),
        ("mail", &mut timeouts.mail),
        ("rcpt", &mut timeouts.rcpt),
        ("data", &mut timeouts.data),
        ("block", &mut timeouts.block),
        ("termination", &mut timeouts.termination),
        ("reset", &mut timeouts.reset),
        ("quit", &mut timeouts.quit),
    ];
    for (key, slot) in slots {
        table.set_duration(key, slot, 10 * MS..=60 * MINUTE);
    }
    timeouts
}

fn limits(table: &Table<'_>) -> Limits {
    let mut limits = Limits::default();
    table.set_count("connections-per-destination", &mut limits.connections_per_destination, 1..=10_000);
    table.set_count("deliveries", &mut limits.deliveries, 1..=100_000);
    table.set_count("maildir-writers", &mut limits.maildir_writers, 1..=1_000);
    table.set_count("active-entries", &mut limits.active_entries, 1..=100 * MILLION);
    table.set_count("queued-per-destination", &mut limits.queued_per_destination, 1..=100 * MILLION);
    table.set_count("parked-entries", &mut limits.parked_entries, 0..=100 * MILLION);
    table.set_size("memory", &mut limits.memory_octets, 0..=1 << 40);
    table.set_count("messages-per-connection", &mut limits.messages_per_connection, 1..=MILLION);
    table.set_count("recipients-per-transaction", &mut limits.recipients_per_transaction, 1..=MILLION);
    table.set_count("hosts-per-destination", &mut limits.hosts_per_destination, 1..=100);
    table.set_count("addresses-per-attempt", &mut limits.addresses_per_attempt, 1..=100);
    table.set_duration("idle-connection", &mut limits.idle_connection, Duration::ZERO..=10 * MINUTE);
    table.set_duration("connect-timeout", &mut limits.connect_timeout, 10 * MS..=10 * MINUTE);
    table.set_duration("address-delay", &mut limits.address_delay, 10 * MS..=MINUTE);
    table.set_duration("session-timeout", &mut limits.session_timeout, 10 * MS..=60 * MINUTE);
    table.set_duration("backoff", &mut limits.backoff, MS..=1_440 * MINUTE);
    table.set_duration("backoff-max", &mut limits.backoff_max, MS..=1_440 * MINUTE);
    table.set_duration("sweep", &mut limits.sweep, 10 * MS..=60 * MINUTE);
    limits
}
