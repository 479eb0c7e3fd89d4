//! `queue list`, `show`, `retry`, `hold`, `release` and `remove`.

use std::fmt::Write as _;
use std::io::Write;

use admin::{Applied, EntryRow, EntryView, Request, StateFilter};
use anyhow::{Context, Result};
use model::QueueId;
use serde_json::json;

use super::connect;
use super::output::{output, print, print_json, printable, size, table};
use crate::cli::{OneEntry, Queue, QueueState, Reading, Which};

pub(crate) fn queue(command: Queue) -> Result<()> {
    match command {
        Queue::List { state, domain, reading } => list(state, domain.as_deref(), &reading),
        Queue::Show(entry) => show(&entry),
        Queue::Retry { which, reading } => retry(&which, &reading),
        Queue::Hold(entry) => order(&entry, "held", |id| Request::QueueHold { id }),
        Queue::Release(entry) => order(&entry, "released", |id| Request::QueueRelease { id }),
        Queue::Remove(entry) => order(&entry, "removed", |id| Request::QueueRemove { id }),
    }
}

fn parse(id: &str) -> Result<QueueId> {
    id.parse().with_context(|| format!("\"{}\"", printable(id)))
}

/// Prints page after page, so that a long queue is never held whole.
fn list(state: Option<QueueState>, domain: Option<&str>, reading: &Reading) -> Result<()> {
    let state = state.map(|state| match state {
        QueueState::Waiting => StateFilter::Waiting,
        QueueState::Held => StateFilter::Held,
    });
    let mut out = output();
    let mut count = 0u64;
    connect(&reading.file)?.list::<anyhow::Error>(state, domain, |page| {
        for row in &page.entries {
            match (reading.json, count) {
                (true, 0) => write!(out, "[\n  ")?,
                (true, _) => write!(out, ",\n  ")?,
                (false, 0) => writeln!(out, "{HEAD}")?,
                (false, _) => {}
            }
            match reading.json {
                true => serde_json::to_writer(&mut out, row).map_err(std::io::Error::from)?,
                false => write_row(&mut out, row)?,
            }
            count += 1;
        }
        Ok(out.flush()?)
    })?;
    match (reading.json, count) {
        (true, 0) => writeln!(out, "[]")?,
        (true, _) => writeln!(out, "\n]")?,
        (false, 0) => writeln!(out, "the queue is empty")?,
        (false, _) => {}
    }
    Ok(out.flush()?)
}

const HEAD: &str = "ID             STATE    ARRIVED               SIZE        SENDER -> RECIPIENTS";

fn write_row(out: &mut impl Write, row: &EntryRow) -> Result<()> {
    let mut recipients = row.recipients.join(" ");
    let more = row.recipients_left.saturating_sub(row.recipients.len());
    if more > 0 {
        write!(recipients, " and {more} more")?;
    }
    writeln!(
        out,
        "{}  {:7}  {}  {:>10}  <{}> -> {}",
        row.id,
        row.state,
        row.arrived,
        size(row.size),
        printable(&row.sender),
        printable(&recipients),
    )?;
    if row.due.is_some() || row.reason.is_some() {
        let due = row.due.as_ref().map(|due| format!("attempt {} at {due}", u64::from(row.attempts) + 1));
        let said: Vec<String> = due.into_iter().chain(row.reason.as_deref().map(printable)).collect();
        writeln!(out, "               {}", said.join(": "))?;
    }
    Ok(())
}

fn show(entry: &OneEntry) -> Result<()> {
    let id = parse(&entry.id)?;
    let view: EntryView = connect(&entry.reading.file)?.call(&Request::QueueShow { id })?;
    if entry.reading.json {
        return print_json(&view);
    }
    let mut text = format!("{}\narrived  {}\nsize     {}\n", view.id, view.arrived, size(view.size));
    writeln!(text, "sender   <{}>\n", printable(&view.sender))?;
    let rows: Vec<Vec<String>> = view
        .recipients
        .iter()
        .map(|recipient| {
            let said = [
                recipient.original.as_ref().map(|original| format!("given as {original}")),
                recipient.held_because.clone(),
                recipient.due.as_ref().map(|due| format!("next attempt {due}")),
                recipient.last_host.clone(),
                recipient.last_reply.clone(),
            ];
            let said: Vec<String> = said.into_iter().flatten().map(|text| printable(&text)).collect();
            vec![
                printable(&recipient.address),
                recipient.state.clone(),
                recipient.attempts.to_string(),
                said.join("; "),
            ]
        })
        .collect();
    text.push_str(&table(&["RECIPIENT", "STATE", "ATTEMPTS", "SAID"], &rows));
    print(&text)
}

fn retry(which: &Which, reading: &Reading) -> Result<()> {
    if let Some(id) = &which.id {
        let entry = OneEntry { id: id.clone(), reading: reading.clone() };
        return order(&entry, "retried", |id| Request::QueueRetry { id });
    }
    let request = match &which.domain {
        Some(domain) => Request::QueueRetryDomain { domain: domain.clone() },
        None => Request::QueueRetryAll,
    };
    let count: u64 = connect(&reading.file)?.call(&request)?;
    match reading.json {
        true => print_json(&json!({ "entries": count })),
        false => print(&format!("{count} retried\n")),
    }
}

fn order(entry: &OneEntry, done: &str, request: impl FnOnce(QueueId) -> Request) -> Result<()> {
    let id = parse(&entry.id)?;
    let applied: Applied = connect(&entry.reading.file)?.call(&request(id))?;
    if entry.reading.json {
        return print_json(&json!({ "id": id, "applied": applied }));
    }
    match applied {
        Applied::Now => print(&format!("{id} {done}\n")),
        Applied::AfterAttempt => print(&format!("{id} will be {done} when its attempt is over\n")),
    }
}
