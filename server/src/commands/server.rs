//! `status` and `reload`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use admin::{Reloaded, Request, ServerStatus};
use anyhow::Result;

use super::connect;
use super::output::{print, print_json, printable, size};
use crate::cli::Reading;

/// How the server is.
pub(crate) fn status(reading: &Reading) -> Result<()> {
    let status: ServerStatus = connect(&reading.file)?.call(&Request::Status)?;
    if reading.json {
        return print_json(&status);
    }
    print(&status_text(&status)?)
}

fn status_text(status: &ServerStatus) -> Result<String> {
    let mut text = String::new();
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_s));
    let (sessions, queue, delivery, plugins) =
        (&status.sessions, &status.queue, &status.delivery, &status.plugins);
    writeln!(text, "waxwing {} as {}, process {}, up {uptime}", status.version, status.hostname, status.pid)?;
    for listener in &status.listeners {
        writeln!(text, "listening   {} {}", listener.name, listener.address)?;
    }
    writeln!(
        text,
        "sessions    {} open, {} in all, {} turned away",
        sessions.open, sessions.total, sessions.turned_away
    )?;
    if !sessions.turned_away_for.is_empty() {
        writeln!(text, "turned away {}", counts(&sessions.turned_away_for))?;
    }
    writeln!(
        text,
        "clients     {} authenticated, {} failed; {} TLS handshakes, {} failed; {} protocol errors",
        sessions.authenticated,
        sessions.authentications_failed,
        sessions.handshakes,
        sessions.handshakes_failed,
        sessions.protocol_errors,
    )?;
    writeln!(
        text,
        "received    {} accepted ({}), {} refused, {} held, {} discarded; {} recipients refused",
        sessions.messages_accepted,
        size(sessions.octets_accepted),
        sessions.messages_refused,
        sessions.messages_held,
        sessions.messages_discarded,
        sessions.recipients_refused,
    )?;
    writeln!(
        text,
        "queue       {} waiting, {} held, {} corrupt; {} on disk, {} free",
        queue.waiting,
        queue.held,
        queue.corrupt,
        size(queue.disk_octets),
        queue.free_octets.map_or_else(|| "an unknown size".to_owned(), size),
    )?;
    if let Some(oldest) = &queue.oldest {
        writeln!(text, "oldest      {oldest}")?;
    }
    writeln!(
        text,
        "delivery    {} delivered, {} deferred, {} bounced, {} expired, {} reports; {} active",
        delivery.delivered,
        delivery.deferred,
        delivery.bounced,
        delivery.expired,
        delivery.reports,
        delivery.active,
    )?;
    writeln!(
        text,
        "connections {} made, {} failed; {} transactions, {} over one that was there",
        delivery.connections,
        delivery.connections_failed,
        delivery.transactions,
        delivery.transactions_reused,
    )?;
    for (class, outcomes) in &delivery.outcomes {
        writeln!(text, "by {class:8} {}", counts(outcomes))?;
    }
    for (stage, verdicts) in &sessions.verdicts {
        writeln!(text, "at {stage:8} {}", counts(verdicts))?;
    }
    writeln!(
        text,
        "plugins     {} loaded, {} refused, {} missing; {} of {} instances",
        plugins.loaded, plugins.refused, plugins.missing, plugins.instances, plugins.instances_limit,
    )?;
    for destination in &delivery.destinations {
        let (queued, connections) = (destination.queued, destination.connections);
        write!(text, "to {}: {queued} queued, {connections} connections", printable(&destination.name))?;
        if let Some(pause) = destination.backoff_s {
            write!(text, ", left alone for {}", humantime::format_duration(Duration::from_secs(pause)))?;
        }
        if let Some(error) = &destination.last_error {
            write!(text, ", {}", printable(error))?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let said: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    said.join(", ")
}

/// What SIGHUP does, with the answer.
pub(crate) fn reload(reading: &Reading) -> Result<()> {
    let reloaded: Reloaded = connect(&reading.file)?.call(&Request::Reload)?;
    if reading.json {
        print_json(&reloaded)?;
    } else {
        let mut text = "reloaded\n".to_owned();
        for what in &reloaded.needs_restart {
            writeln!(text, "counts after a restart: {what}")?;
        }
        for refused in &reloaded.refused {
            writeln!(text, "refused: {}", printable(refused))?;
        }
        print(&text)?;
    }
    anyhow::ensure!(reloaded.refused.is_empty(), "the configuration counts, but not every plugin was taken");
    Ok(())
}
