//! `[limits]` and `[queue]`.

use std::path::Path;
use std::time::Duration;

use queue::RetrySchedule;

use crate::reader::{self, Table};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any machine has; a limit above it is a slip.
const TIB: u64 = 1 << 40;
const MILLION: u64 = 1_000_000;

/// What one session may use up.
pub(crate) fn session(table: &Table<'_>) -> smtp::Limits {
    let mut limits = smtp::Limits::default();
    table.set_size("command-line", &mut limits.command_line, 512..=1 << 20);
    table.set_size("auth-line", &mut limits.auth_line, 512..=1 << 20);
    table.set_size("text-line", &mut limits.text_line, 1_000..=1 << 30);
    table.set_size("message-size", &mut limits.message_size, 1 << 10..=TIB);
    table.set_count("recipients", &mut limits.recipients, 1..=MILLION);
    table.set_count("errors", &mut limits.errors, 1..=MILLION);
    table.set_count("auth-failures", &mut limits.auth_failures, 1..=MILLION);
    table.set_count("tarpit-after", &mut limits.tarpit_after, 0..=MILLION);
    table.set_duration("tarpit-delay", &mut limits.tarpit_delay, Duration::ZERO..=MINUTE);
    table.set_count("idle-commands", &mut limits.idle_commands, 1..=MILLION);
    table.set_count("transactions", &mut limits.transactions, 1..=MILLION * 1000);
    table.set_duration("command-timeout", &mut limits.command_timeout, Duration::from_millis(100)..=DAY);
    table.set_duration("data-timeout", &mut limits.data_timeout, Duration::from_millis(100)..=DAY);
    table.set_duration("session-time", &mut limits.session_time, Duration::from_millis(100)..=30 * DAY);
    table.set_size("data-block", &mut limits.data_block, 1..=TIB);
    limits
}

/// What all sessions together may use up.
pub(crate) fn sessions(table: &Table<'_>) -> inbound::Limits {
    let mut limits = inbound::Limits::default();
    table.set_count("sessions", &mut limits.sessions, 1..=10 * MILLION);
    table.set_count("sessions-per-address", &mut limits.sessions_per_address, 1..=10 * MILLION);
    table.set_count("sessions-per-network", &mut limits.sessions_per_network, 0..=10 * MILLION);
    limits.rates = rates(table);
    table.set_size("content-memory", &mut limits.content_memory, 0..=TIB);
    table.set_size("header-size", &mut limits.header_size, 256..=TIB);
    table.set_count("header-fields", &mut limits.shape.header_fields, 10..=MILLION);
    table.set_count("mime-depth", &mut limits.shape.mime_depth, 1..=1_000);
    table.set_count("hops", &mut limits.hops, 1..=1_000);
    table.set_count("expanded-recipients", &mut limits.expanded_recipients, 1..=MILLION);
    table.set_count("relay-grants", &mut limits.relay_grants, 0..=MILLION);
    table.set_duration("reverse-dns-timeout", &mut limits.reverse_dns_timeout, Duration::ZERO..=MINUTE);
    table.set_duration("proxy-timeout", &mut limits.proxy_timeout, Duration::from_millis(100)..=MINUTE);
    limits
}

/// What a client may ask for in a time; whom it does not concern is filled in by the caller.
fn rates(table: &Table<'_>) -> inbound::RateLimits {
    let mut rates = inbound::RateLimits::default();
    let slots = [
        ("connections-per-minute", &mut rates.connections_per_minute),
        ("messages-per-minute", &mut rates.messages_per_minute),
        ("messages-per-hour", &mut rates.messages_per_hour),
        ("user-messages-per-hour", &mut rates.user_messages_per_hour),
        ("user-recipients-per-hour", &mut rates.user_recipients_per_hour),
    ];
    for (key, slot) in slots {
        table.set_count(key, slot, 0..=MILLION);
    }
    rates
}

/// When delivery is tried again.
pub(crate) fn retry(table: &Table<'_>) -> RetrySchedule {
    let mut schedule = RetrySchedule::default();
    table.set_duration("expire", &mut schedule.expire, Duration::from_secs(1)..=30 * DAY);
    let bounds = Duration::from_millis(100)..=30 * DAY;
    if let Some(pauses) = table.list("retry", |text| reader::duration(text, &bounds)) {
        let pauses = pauses.into_iter().map(|(_, pause)| pause).collect();
        schedule = RetrySchedule::new(pauses, schedule.expire).unwrap_or(schedule);
    }
    if let Some(item) = table.get("retry")
        && item.items().is_empty()
    {
        item.fault("has no time span; the last one repeats, so there must be one");
    }
    schedule
}

/// What the queue may use up.
pub(crate) fn store(table: &Table<'_>, data_dir: &Path) -> store::Options {
    let mut options = store::Options::new(data_dir);
    table.set_size("min-free", &mut options.min_free_octets, 0..=TIB);
    table.set_count("max-entries", &mut options.max_entries, 1..=1_000 * MILLION);
    table.set_size("segment-size", &mut options.segment_octets, 1 << 20..=4 << 30);
    table.set_size("inline-size", &mut options.inline_octets, 0..=512 << 20);
    if options.inline_octets as u64 > options.segment_octets / 8 {
        let text = "is at most an eighth of segment-size, which is 64 MiB by default";
        match table.get("inline-size").or_else(|| table.get("segment-size")) {
            Some(item) => item.fault(text),
            None => table.missing("inline-size", text),
        }
    }
    table.set_duration("settle-delay", &mut options.settle_delay, Duration::ZERO..=MINUTE);
    table.set_count("memory-recipients", &mut options.memory_recipients, 1_000..=100 * MILLION);
    options
}
