//! What a milter sends, as far as that needs no socket: frames, answers, changes of a message. For the fuzz target alone.

use std::io;

use bytes::Bytes;
use hooks::TransactionFacts;
use message::Draft;
use model::{Content, Envelope, QueueId, ReversePath};

use crate::connection::MilterError;
use crate::edits::Edits;
use crate::response::{Change, Response};
use crate::wire::Frames;

/// Octets of a new body.
const BODY_OCTETS: u64 = 1 << 20;

/// How far a milter came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Each answer, as the log of a developer shows it.
    pub answers: Vec<String>,
    /// Why it was not heard to its end.
    pub fault: Option<String>,
    /// Whether it wrote a new body.
    pub has_new_body: bool,
    /// The message in place of the old one.
    pub message: Option<Bytes>,
    pub envelope: Option<Envelope>,
}

/// Reads what a milter sends in these pieces, and makes the changes that are in it.
///
/// # Errors
/// The message's header block is larger than one may be.
pub fn hear<'a>(pieces: impl Iterator<Item = &'a [u8]>, message: &Bytes, leading: bool) -> io::Result<Heard> {
    let content = Content::from(message.clone());
    let mut edits = Edits::new(Draft::new(content.clone())?, BODY_OCTETS);
    let envelope = Envelope::new(ReversePath::Null, Vec::new());
    let facts = TransactionFacts { id: QueueId(1), envelope, content: Some(content), findings: Vec::new() };
    let (mut heard, mut frames) = (Heard::default(), Frames::default());
    for piece in pieces {
        frames.buffer().extend_from_slice(piece);
        if let Err(error) = take(&mut frames, &mut edits, leading, &facts, &mut heard) {
            heard.fault = Some(error.to_string());
            return Ok(heard);
        }
    }
    match edits.finish() {
        Ok(edited) => {
            heard.envelope = edited.envelope;
            heard.message = edited.content.map(|content| content.to_bytes()).transpose()?;
        }
        Err(error) => heard.fault = Some(error.to_string()),
    }
    Ok(heard)
}

/// The frames that are whole.
fn take(
    frames: &mut Frames,
    edits: &mut Edits,
    leading: bool,
    facts: &TransactionFacts,
    heard: &mut Heard,
) -> Result<(), MilterError> {
    while let Some(frame) = frames.next()? {
        let answer = Response::decode(frame)?;
        heard.answers.push(format!("{answer:?}"));
        if let Response::Change(change) = answer {
            heard.has_new_body |= matches!(change, Change::Body(_));
            edits.make(change, leading, facts)?;
        }
    }
    Ok(())
}
