//! A file in the folder: a line that says what it is, a line of JSON with the envelope, and the message as it was typed.

use std::io::{self, BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use crate::commands::sendmail::Order;

/// Of the first line, with its newline.
const MAGIC: &[u8] = b"waxwing-drop 1\n";
/// Octets of the envelope.
pub(super) const MAX_HEAD_OCTETS: usize = 1 << 20;
/// Octets of a message too large to be taken that go back with the report, which shows no more than the header.
const START_OCTETS: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    order: Order,
    /// Of the message: a file that has fewer was cut off.
    octets: u64,
}

/// What a file has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) order: Order,
    /// The whole message, or its start.
    pub(super) octets: Vec<u8>,
    /// The message is larger than the server takes, and only its start was read.
    pub(super) is_too_large: bool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// Later may be better.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{0}")]
    Malformed(String),
}

/// What stands before the message.
///
/// # Errors
/// An envelope over [`MAX_HEAD_OCTETS`].
pub(super) fn head(order: &Order, octets: u64) -> io::Result<Vec<u8>> {
    let mut head = MAGIC.to_vec();
    serde_json::to_writer(&mut head, &Head { order: order.clone(), octets })?;
    head.push(b'\n');
    if head.len() > MAX_HEAD_OCTETS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the envelope is larger than 1 MiB"));
    }
    Ok(head)
}

/// Reads a file of so many octets, and no more of it than the server takes of a message.
pub(super) fn read(file: impl Read, length: u64, message_octets: u64) -> Result<Left, Unusable> {
    let malformed = |why: String| Unusable::Malformed(why);
    let mut reader = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    match reader.read_exact(&mut magic) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
        Ok(()) if magic == MAGIC => {}
        _ => return Err(malformed("it does not begin as a message that sendmail has left".to_owned())),
    }
    let mut line = Vec::new();
    reader.by_ref().take(MAX_HEAD_OCTETS as u64).read_until(b'\n', &mut line)?;
    let head: Head =
        serde_json::from_slice(&line).map_err(|error| malformed(format!("its envelope: {error}")))?;
    let found = length.saturating_sub((MAGIC.len() + line.len()) as u64);
    if found != head.octets {
        return Err(malformed(format!("it has {found} octets of message and names {}", head.octets)));
    }
    let is_too_large = found > message_octets;
    let (wanted, mut octets) = (if is_too_large { START_OCTETS.min(found) } else { found }, Vec::new());
    reader.take(wanted).read_to_end(&mut octets)?;
    match octets.len() as u64 == wanted {
        true => Ok(Left { order: head.order, octets, is_too_large }),
        false => Err(malformed("it was cut off while it was read".to_owned())),
    }
}
