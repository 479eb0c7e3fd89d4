//! `queue list`, `counts`, `show`, `cat`, `retry`, `hold`, `release` and `remove`.

use std::fmt::Write as _;
use std::io::Write;

use admin::{
    Applied, Counts, CountsRow, EntryRow, EntryView, Filter, Order, RecipientView, Request, StateFilter,
    Touched,
};
use anyhow::{Context, Result, bail};
use model::QueueId;
use serde_json::json;

use super::connect;
use super::output::{output, print, print_json, printable, size, table};
use crate::cli::{ConfigFile, OneEntry, Queue, QueueFilter, QueueList, QueueOrder, QueueState, Reading};
use crate::progress::Progress;

pub(crate) fn queue(command: Queue) -> Result<()> {
    match command {
        Queue::List(list) if list.counts => counts(list.limit, &list.reading),
        Queue::List(list) => self::list(&list),
        Queue::Counts(command) => counts(Some(command.limit), &command.reading),
        Queue::Show { content: true, entry } => cat(&entry.id, &entry.reading.file),
        Queue::Show { content: false, entry } => show(&entry),
        Queue::Cat { id, file } => cat(&id, &file),
        Queue::Retry(command) => order(&command, Order::Retry, "retried"),
        Queue::Hold(command) => order(&command, Order::Hold, "held"),
        Queue::Release(command) => order(&command, Order::Release, "released"),
        Queue::Remove(command) => order(&command, Order::Remove, "removed"),
    }
}

fn parse(id: &str) -> Result<QueueId> {
    id.parse().with_context(|| format!("\"{}\"", printable(id)))
}

impl From<&QueueFilter> for Filter {
    fn from(filter: &QueueFilter) -> Self {
        let state = |state| match state {
            QueueState::Waiting => StateFilter::Waiting,
            QueueState::Deferred => StateFilter::Deferred,
            QueueState::Held => StateFilter::Held,
        };
        Self {
            state: filter.state.map(state),
            sender: filter.sender.clone(),
            recipient: filter.recipient.clone(),
            domain: filter.domain.clone(),
            reason: filter.reason.clone(),
            older_s: filter.older.map(|older| older.as_secs()),
        }
    }
}

/// Prints page after page, so that a long queue is never held whole.
fn list(command: &QueueList) -> Result<()> {
    let reading = &command.reading;
    let after = command.after.as_deref().map(parse).transpose()?;
    let limit = command.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut out = output();
    let mut count = 0u64;
    let next =
        connect(&reading.file)?.list::<anyhow::Error>(&(&command.filter).into(), after, limit, |page| {
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
        (false, 0) => writeln!(out, "{}", nothing(command))?,
        (false, _) => {}
    }
    if let (false, Some(next)) = (reading.json, next) {
        writeln!(out, "there may be more: --after {next}")?;
    }
    Ok(out.flush()?)
}

fn nothing(command: &QueueList) -> &'static str {
    match command.after.is_none() && Filter::from(&command.filter) == Filter::default() {
        true => "the queue is empty",
        false => "nothing in the queue is like that",
    }
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

fn counts(limit: Option<u64>, reading: &Reading) -> Result<()> {
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let counts: Counts = connect(&reading.file)?.call(&Request::QueueCounts { limit })?;
    if reading.json {
        return print_json(&counts);
    }
    let mut text = format!(
        "{} messages wait and {} are held, for {} and {} recipients",
        counts.entries_waiting, counts.entries_held, counts.recipients_waiting, counts.recipients_held
    );
    match &counts.oldest {
        Some(oldest) => writeln!(text, "; the oldest arrived {oldest}")?,
        None => writeln!(text)?,
    }
    for (title, rows, left) in [
        ("DESTINATION", &counts.domains, counts.domains_left),
        ("REASON", &counts.reasons, counts.reasons_left),
    ] {
        if rows.is_empty() && left == 0 {
            continue;
        }
        let row = |row: &CountsRow| {
            let oldest = row.oldest.clone().unwrap_or_default();
            vec![row.waiting.to_string(), row.held.to_string(), oldest, printable(&row.name)]
        };
        let mut rows: Vec<Vec<String>> = rows.iter().map(row).collect();
        if left > 0 {
            rows.push(vec![
                left.to_string(),
                String::new(),
                String::new(),
                "(all others, waiting and held)".to_owned(),
            ]);
        }
        write!(text, "\n{}", table(&["WAITING", "HELD", "OLDEST", title], &rows))?;
    }
    print(&text)
}

fn show(entry: &OneEntry) -> Result<()> {
    let id = parse(&entry.id)?;
    let view: EntryView = connect(&entry.reading.file)?.call(&Request::QueueShow { id })?;
    if entry.reading.json {
        return print_json(&view);
    }
    let mut text = format!("{}\narrived  {}\nsize     {}\n", view.id, view.arrived, size(view.size));
    writeln!(text, "sender   <{}>", printable(&view.sender))?;
    if view.active {
        writeln!(text, "an attempt is under way")?;
    }
    let row = |recipient: &RecipientView| {
        let said = [
            recipient.original.as_ref().map(|original| format!("given as {original}")),
            recipient.held_because.clone(),
            recipient.due.as_ref().map(|due| format!("next attempt {due}")),
            recipient.last_host.clone(),
            recipient.last_reply.clone(),
        ];
        let said: Vec<String> = said.into_iter().flatten().map(|text| printable(&text)).collect();
        let (address, attempts) = (printable(&recipient.address), recipient.attempts.to_string());
        vec![address, recipient.state.clone(), attempts, said.join("; ")]
    };
    let rows: Vec<Vec<String>> = view.recipients.iter().map(row).collect();
    write!(text, "\n{}", table(&["RECIPIENT", "STATE", "ATTEMPTS", "SAID"], &rows))?;
    let attempts = view.recipients.iter().flat_map(|recipient| {
        recipient.history.iter().map(|attempt| {
            let host = attempt.host.as_deref().map_or_else(|| "-".to_owned(), printable);
            vec![attempt.at.clone(), printable(&recipient.address), host, printable(&attempt.reply)]
        })
    });
    let attempts: Vec<Vec<String>> = attempts.collect();
    if !attempts.is_empty() {
        write!(text, "\n{}", table(&["ATTEMPT", "RECIPIENT", "HOST", "REPLY"], &attempts))?;
    }
    print(&text)
}

/// The message as it is: it may be anything, so it is not made safe for a terminal.
fn cat(id: &str, file: &ConfigFile) -> Result<()> {
    let id = parse(id)?;
    let mut out = output();
    connect(file)?.content::<anyhow::Error>(id, |octets| Ok(out.write_all(octets)?))?;
    Ok(out.flush()?)
}

fn order(command: &QueueOrder, order: Order, done: &str) -> Result<()> {
    let reading = &command.reading;
    if command.ids.is_empty() {
        let filter = (&command.filter).into();
        let mut client = connect(&reading.file)?;
        let progress = Progress::waiting("going through the queue");
        let touched: Touched = client.call(&Request::QueueOrderAll { order, filter })?;
        drop(progress);
        return match reading.json {
            true => print_json(&touched),
            false => print(&format!("{} {done}\n", touched.entries)),
        };
    }
    let ids = command.ids.iter().map(|id| parse(id)).collect::<Result<Vec<_>>>()?;
    let mut client = connect(&reading.file)?;
    let progress = (ids.len() > 1).then(|| Progress::waiting("going through the messages"));
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for (nth, id) in ids.iter().copied().enumerate() {
        if let Some(progress) = &progress {
            progress.says(format!("{nth} of {} messages", ids.len()));
        }
        match client.call::<Applied>(&Request::QueueOrder { id, order }) {
            Ok(applied) if reading.json => answers.push(json!({ "id": id, "applied": applied })),
            Ok(Applied::Now) => print(&format!("{id} {done}\n"))?,
            Ok(Applied::AfterAttempt) => print(&format!("{id} will be {done} when its attempt is over\n"))?,
            // The others are none the worse for it.
            Err(admin::ClientError::Refused(sentence)) => failures.push(sentence),
            Err(error) => return Err(error.into()),
        }
    }
    drop(progress);
    match answers.as_slice() {
        [] => {}
        [answer] if command.ids.len() == 1 => print_json(answer)?,
        _ => print_json(&answers)?,
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(())
}
