//! A message told to a milter: its header fields, its body in pieces, and what it answers to the end of it.

use std::time::Instant;

use hooks::TransactionFacts;
use message::{Draft, HeaderBlock};
use model::Content;

use crate::connection::{Connection, MilterError, until};
use crate::conversation::Said;
use crate::edits::{Edited, Edits};
use crate::macros::Known;
use crate::options::MilterOptions;
use crate::response::Response;
use crate::wire::{CHUNK_OCTETS, Command, MacroStage, steps};

/// What came of a whole message.
pub(crate) enum Heard {
    /// The milter answered before the end.
    Early(Said),
    /// The answer to the end, with what is to be changed where that lets the message go on.
    AtTheEnd { said: Said, edited: Edited, quarantine: Option<String> },
}

/// Tells a milter of a message. The draft's header block is what is told, and what the changes are made in.
pub(crate) async fn tell(
    connection: &mut Connection,
    options: &MilterOptions,
    content: &Content,
    known: Known<'_>,
    facts: &TransactionFacts,
) -> Result<Heard, MilterError> {
    let end = clock::now() + options.timeouts.message;
    let draft = open(content).await?;
    if let Some(said) = tell_header(connection, options, draft.block(), known, end).await? {
        return Ok(Heard::Early(said));
    }
    if let Some(said) = tell_body(connection, options, &draft, end).await? {
        return Ok(Heard::Early(said));
    }
    tell_the_end(connection, options, draft, known, facts, end).await
}

async fn tell_header(
    connection: &mut Connection,
    options: &MilterOptions,
    block: &HeaderBlock,
    known: Known<'_>,
    end: Instant,
) -> Result<Option<Said>, MilterError> {
    let what = "a header field";
    if !connection.agreement.has(steps::NO_HEADERS) {
        let leading = connection.agreement.has(steps::LEADING_SPACE);
        let fields = block.raw_fields().zip(block.fields());
        for (raw, field) in fields {
            let value = if leading { raw.value } else { field.value };
            connection.say(&Command::Header { name: field.name, value: &with_line_feeds(value) });
            let patience = until(end, options.timeouts.content);
            if let Some(said) = step(connection, what, steps::NO_REPLY_HEADER, patience).await? {
                return Ok(Some(said));
            }
        }
    }
    if connection.agreement.has(steps::NO_END_OF_HEADERS) {
        return Ok(None);
    }
    let what = "the end of the header";
    let values = connection.agreement.macros.values(MacroStage::EndOfHeaders, &options.macros, &known);
    connection.say(&Command::Macros { stage: MacroStage::EndOfHeaders, values: &values });
    connection.say(&Command::EndOfHeaders);
    step(connection, what, steps::NO_REPLY_END_OF_HEADERS, until(end, options.timeouts.content)).await
}

async fn tell_body(
    connection: &mut Connection,
    options: &MilterOptions,
    draft: &Draft,
    end: Instant,
) -> Result<Option<Said>, MilterError> {
    if connection.agreement.has(steps::NO_BODY) {
        return Ok(None);
    }
    let what = "a piece of the body";
    let mut at = 0;
    while at < draft.body_size() {
        let piece = read(draft, at).await?;
        at += piece.len() as u64;
        connection.say(&Command::Body(&piece));
        let patience = until(end, options.timeouts.content);
        match step(connection, what, steps::NO_REPLY_BODY, patience).await? {
            None => {}
            Some(Said::Skip) if connection.agreement.has(steps::SKIP) => return Ok(None),
            Some(Said::Skip) => return Err(MilterError::OutOfPlace { what, answer: "skip" }),
            Some(said) => return Ok(Some(said)),
        }
    }
    Ok(None)
}

async fn tell_the_end(
    connection: &mut Connection,
    options: &MilterOptions,
    draft: Draft,
    known: Known<'_>,
    facts: &TransactionFacts,
    end: Instant,
) -> Result<Heard, MilterError> {
    let what = "the end of the message";
    let leading = connection.agreement.has(steps::LEADING_SPACE);
    let values = connection.agreement.macros.values(MacroStage::EndOfMessage, &options.macros, &known);
    connection.say(&Command::Macros { stage: MacroStage::EndOfMessage, values: &values });
    connection.say(&Command::EndOfMessage);
    let mut edits = Edits::new(draft, options.body_octets);
    connection.send(what, until(end, options.timeouts.end_of_message)).await?;
    loop {
        match connection.response(what, until(end, options.timeouts.end_of_message)).await? {
            Response::Progress => {}
            Response::Change(change) => edits.make(change, leading, facts)?,
            response => {
                let said = Said::of(response, what)?;
                if said == Said::Skip {
                    return Err(MilterError::OutOfPlace { what, answer: "skip" });
                }
                let quarantine = edits.quarantine.take();
                return Ok(Heard::AtTheEnd { said, edited: edits.finish()?, quarantine });
            }
        }
    }
}

/// Sends what was said, and hears the answer unless the milter gives none; nothing when it says to go on.
async fn step(
    connection: &mut Connection,
    what: &'static str,
    unanswered: u32,
    patience: std::time::Duration,
) -> Result<Option<Said>, MilterError> {
    if connection.agreement.has(unanswered) {
        connection.send(what, patience).await?;
        return Ok(None);
    }
    loop {
        match connection.answer(what, patience).await? {
            Response::Progress => {}
            response => {
                let said = Said::of(response, what)?;
                return Ok(Some(said).filter(|said| *said != Said::Continue));
            }
        }
    }
}

/// Folds as sendmail holds them, which milters know: an LF alone.
fn with_line_feeds(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for (at, octet) in value.iter().enumerate() {
        if *octet != b'\r' || value.get(at + 1) != Some(&b'\n') {
            out.push(*octet);
        }
    }
    out
}

/// Reads the header block; on a thread that may wait when the message is on the disk.
async fn open(content: &Content) -> Result<Draft, MilterError> {
    if content.source().as_bytes().is_some() {
        return Ok(Draft::new(content.clone())?);
    }
    let content = content.clone();
    Ok(blocking(move || Draft::new(content)).await?)
}

async fn read(draft: &Draft, at: u64) -> Result<bytes::Bytes, MilterError> {
    if draft.original().source().as_bytes().is_some() {
        return Ok(draft.read_body(at, CHUNK_OCTETS as u64)?);
    }
    let draft = draft.clone();
    Ok(blocking(move || draft.read_body(at, CHUNK_OCTETS as u64)).await?)
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}
