//! `trace`: what is said in sessions, as it is said, until Ctrl-C or the end of the server.

use std::collections::HashMap;
use std::io::Write;

use admin::TraceLine;
use anyhow::Result;

use super::connect;
use super::output::{output, printable};
use crate::cli::Trace;

/// Sessions of which it is remembered that they were introduced.
const INTRODUCED: usize = 10_000;

pub(crate) fn trace(options: &Trace) -> Result<()> {
    let client = connect(&options.reading.file)?;
    if !options.reading.json {
        // There is nobody left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "listening for {}; Ctrl-C ends it", printable(&options.subject));
    }
    let mut peers = HashMap::new();
    client.trace::<anyhow::Error>(&options.subject, |line| {
        let mut out = output();
        match options.reading.json {
            true => serde_json::to_writer(&mut out, &line).map_err(std::io::Error::from)?,
            false => write_line(&mut out, &line, &mut peers)?,
        }
        writeln!(out)?;
        // Whoever watches sees each line as it comes.
        Ok(out.flush()?)
    })
}

fn write_line(out: &mut impl Write, line: &TraceLine, peers: &mut HashMap<String, String>) -> Result<()> {
    let (at, session, peer, who, text) = match line {
        TraceLine::Said { at, session, peer, who, text } => (at, session, peer, who, text),
        TraceLine::Lost { lost } => {
            return Ok(write!(out, "-- {lost} lines were lost: they came faster than they were read")?);
        }
    };
    // Of a session's peer one line says enough.
    if peers.get(session) != Some(peer) {
        if peers.len() >= INTRODUCED {
            peers.clear();
        }
        peers.insert(session.clone(), peer.clone());
        writeln!(out, "== {session} {}", printable(peer))?;
    }
    // The time of day, of 2026-01-01T12:34:56.789Z.
    let time = at.get(11..23).unwrap_or(at);
    let mark = match who.as_str() {
        "client" => "C:",
        "server" => "S:",
        _ => "--",
    };
    Ok(write!(out, "{time} {session} {mark} {}", printable(text))?)
}
