//! `status`: how the server is, on one screen; what is wrong stands at the end, where it is seen.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use admin::{Request, ServerStatus};
use anyhow::Result;

use super::connect;
use super::output::{print, print_json, printable, size};
use crate::cli::Reading;

/// Destinations in trouble that are shown; `--json` has more.
const DESTINATIONS: usize = 10;
/// Plugins with faults that are shown.
const PLUGINS: usize = 10;
/// A certificate that counts no longer than this is worth a word: renewals have failed by then.
const CERTIFICATE_SOON: i64 = 14 * 86_400;

/// How the server is.
pub(crate) fn status(reading: &Reading) -> Result<()> {
    let status: ServerStatus = connect(&reading.file)?.call(&Request::Status)?;
    if reading.json {
        return print_json(&status);
    }
    let mut text = String::new();
    write_traffic(&mut text, &status)?;
    write_queue(&mut text, &status)?;
    write_plugins(&mut text, &status)?;
    write_upkeep(&mut text, &status)?;
    print(&text)
}

fn write_traffic(text: &mut String, status: &ServerStatus) -> std::fmt::Result {
    let sessions = &status.sessions;
    let uptime = span(status.uptime_s);
    writeln!(text, "waxwing {} as {}, process {}, up {uptime}", status.version, status.hostname, status.pid)?;
    for listener in &status.listeners {
        writeln!(text, "listening    {} {}", listener.name, listener.address)?;
    }
    writeln!(
        text,
        "sessions     {} open, {} in all, {} turned away",
        sessions.open, sessions.total, sessions.turned_away
    )?;
    if !sessions.turned_away_for.is_empty() {
        writeln!(text, "turned away  {}", counts(&sessions.turned_away_for))?;
    }
    writeln!(
        text,
        "clients      {} authenticated, {} failed; {} TLS handshakes, {} failed; {} protocol errors",
        sessions.authenticated,
        sessions.authentications_failed,
        sessions.handshakes,
        sessions.handshakes_failed,
        sessions.protocol_errors,
    )?;
    writeln!(
        text,
        "received     {} accepted ({}), {} refused, {} held, {} discarded; {} recipients refused",
        sessions.messages_accepted,
        size(sessions.octets_accepted),
        sessions.messages_refused,
        sessions.messages_held,
        sessions.messages_discarded,
        sessions.recipients_refused,
    )?;
    for (stage, verdicts) in &sessions.verdicts {
        writeln!(text, "at {stage:10}{}", counts(verdicts))?;
    }
    Ok(())
}

fn write_queue(text: &mut String, status: &ServerStatus) -> std::fmt::Result {
    let (queue, delivery) = (&status.queue, &status.delivery);
    let free = queue.free_octets.map_or_else(|| "an unknown size".to_owned(), size);
    writeln!(
        text,
        "queue        {} waiting, {} held, {} corrupt; {} on disk, {free} left",
        queue.waiting,
        queue.held,
        queue.corrupt,
        size(queue.disk_octets),
    )?;
    for state in queue.states.iter().filter(|state| state.recipients > 0) {
        let oldest = state.oldest_s.map_or_else(String::new, |age| format!(", the oldest for {}", span(age)));
        writeln!(text, "  {:11}{} recipients{oldest}", state.state, state.recipients)?;
    }
    writeln!(
        text,
        "delivery     {} delivered, {} deferred, {} bounced, {} expired, {} reports; {} active",
        delivery.delivered,
        delivery.deferred,
        delivery.bounced,
        delivery.expired,
        delivery.reports,
        delivery.active,
    )?;
    writeln!(
        text,
        "connections  {} made, {} failed; {} transactions, {} over one that was there",
        delivery.connections,
        delivery.connections_failed,
        delivery.transactions,
        delivery.transactions_reused,
    )?;
    for (class, outcomes) in &delivery.outcomes {
        writeln!(text, "by {class:10}{}", counts(outcomes))?;
    }
    let is_troubled = |to: &&admin::DestinationStatus| to.last_error.is_some() || to.backoff_s.is_some();
    let troubled: Vec<_> = delivery.destinations.iter().filter(is_troubled).collect();
    for destination in troubled.iter().take(DESTINATIONS) {
        let (queued, connections) = (destination.queued, destination.connections);
        write!(
            text,
            "trouble with {}: {queued} queued, {connections} connections",
            printable(&destination.name)
        )?;
        if let Some(pause) = destination.backoff_s {
            write!(text, ", left alone for {}", span(pause))?;
        }
        if let Some(error) = &destination.last_error {
            write!(text, ", {}", printable(error))?;
        }
        writeln!(text)?;
    }
    match troubled.len().saturating_sub(DESTINATIONS) {
        0 => Ok(()),
        more => writeln!(text, "trouble with {more} destinations more; --json has them"),
    }
}

fn write_plugins(text: &mut String, status: &ServerStatus) -> std::fmt::Result {
    let plugins = &status.plugins;
    writeln!(
        text,
        "plugins      {} loaded, {} refused, {} missing; {} of {} instances",
        plugins.loaded, plugins.refused, plugins.missing, plugins.instances, plugins.instances_limit,
    )?;
    for fault in plugins.faults.iter().take(PLUGINS) {
        let said =
            fault.last_error.as_deref().map_or_else(String::new, |error| format!(": {}", printable(error)));
        match fault.breaker.as_str() {
            "closed" => writeln!(text, "  {} failed {} times{said}", fault.name, fault.failures)?,
            "open" | "half-open" => {
                writeln!(
                    text,
                    "  {} is left alone (breaker {}), failed {} times{said}",
                    fault.name, fault.breaker, fault.failures
                )?;
            }
            what => writeln!(text, "  {} is {what}{said}", fault.name)?,
        }
    }
    Ok(())
}

fn write_upkeep(text: &mut String, status: &ServerStatus) -> std::fmt::Result {
    for certificate in &status.certificates {
        let names = certificate.names.join(" ");
        let left = match certificate.left_s {
            left if left <= 0 => "HAS EXPIRED".to_owned(),
            left if left < CERTIFICATE_SOON => format!("expires SOON, in {}", span(left.unsigned_abs())),
            left => format!("expires in {} days", left / 86_400),
        };
        writeln!(text, "certificate  {} {left} ({})", printable(&names), certificate.expires)?;
    }
    let Some(reload) = &status.last_reload else {
        return writeln!(text, "reload       none since the start");
    };
    let Some(error) = &reload.error else {
        writeln!(text, "reload       {}, and it counts", reload.at)?;
        for what in &reload.needs_restart {
            writeln!(text, "  counts after a restart: {what}")?;
        }
        return Ok(());
    };
    writeln!(text, "reload       {}, REFUSED: what was there before goes on", reload.at)?;
    for line in error.lines() {
        writeln!(text, "  {}", printable(line))?;
    }
    Ok(())
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let said: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    said.join(", ")
}

/// A time for people: its two largest units.
fn span(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
