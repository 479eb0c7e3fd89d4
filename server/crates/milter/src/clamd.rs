//! clamd: a message goes to it in pieces, and the name of what it found comes back.
//!
//! Standards: clamd(8), the command INSTREAM with NUL as its end. Limits: an answer of 4 KiB; scans at once; the caller's time for all of it.
//!
//! An answer counts when it is whole: what clamd says of a message that it did not get to its end is an error, unless it is that it
//! found something.

use std::io;
use std::time::Duration;

use hooks::{BoxFuture, FilterAddress, ScanError, Scanner};
use model::Content;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use crate::connection::connect;

/// Octets of a piece.
const PIECE_OCTETS: usize = 64 << 10;
/// Octets of an answer.
const MAX_ANSWER_OCTETS: u64 = 4 << 10;
/// Characters of an answer that are repeated in an error.
const SHOWN_CHARACTERS: usize = 200;

/// Asks clamd. Each scan is a connection.
#[derive(Debug)]
pub struct Clamd {
    turns: Semaphore,
}

impl Clamd {
    /// Makes so many scans at once; those beyond wait, within their time.
    pub fn new(at_once: usize) -> Self {
        Self { turns: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    async fn scan_in_turn(
        &self,
        address: &FilterAddress,
        content: &Content,
    ) -> Result<Option<String>, ScanError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await.map_err(|error| ScanError::Failed(error.to_string()))?;
        scan(address, content).await
    }
}

impl Scanner for Clamd {
    fn scan<'a>(
        &'a self,
        address: &'a FilterAddress,
        content: &'a Content,
        time: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, ScanError>> {
        Box::pin(async move {
            let scanned = tokio::time::timeout(time, self.scan_in_turn(address, content)).await;
            scanned.unwrap_or(Err(ScanError::TimedOut(time)))
        })
    }
}

async fn scan(address: &FilterAddress, content: &Content) -> Result<Option<String>, ScanError> {
    let socket = connect(address).await.map_err(|error| ScanError::Connect(error.to_string()))?;
    let (reader, mut writer) = tokio::io::split(socket);
    let mut reader = BufReader::new(reader).take(MAX_ANSWER_OCTETS);
    let mut answer = Vec::new();
    let mut hearing = std::pin::pin!(reader.read_until(0, &mut answer));
    // What it takes no more of it answers at once; it need not read on then.
    let (sent, heard) = tokio::select! {
        biased;
        heard = &mut hearing => (None, heard),
        sent = send(&mut writer, content) => (Some(sent), hearing.await),
    };
    let is_whole = matches!(sent, Some(Ok(())));
    if answer.is_empty() {
        sent.unwrap_or(Ok(())).and(heard.map(drop)).map_err(|error| ScanError::Failed(error.to_string()))?;
    }
    match understand(&answer)? {
        None if !is_whole => Err(ScanError::Failed("it answered before it had the message".to_owned())),
        found => Ok(found),
    }
}

async fn send<W: AsyncWrite + Unpin>(socket: &mut W, content: &Content) -> io::Result<()> {
    socket.write_all(b"zINSTREAM\0").await?;
    let mut at = 0;
    while at < content.len() {
        let piece = read(content, at).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += piece.len() as u64;
        // A piece has at most 64 KiB.
        socket.write_u32(u32::try_from(piece.len()).unwrap_or(0)).await?;
        socket.write_all(&piece).await?;
    }
    socket.write_u32(0).await?;
    socket.flush().await
}

/// The next piece; read on a thread that may wait when the message is on the disk.
async fn read(content: &Content, at: u64) -> io::Result<Vec<u8>> {
    let read = move |content: &Content| {
        let mut piece = vec![0; PIECE_OCTETS];
        let count = content.read_at(at, &mut piece)?;
        piece.truncate(count);
        Ok(piece)
    };
    if content.source().as_bytes().is_some() {
        return read(content);
    }
    let content = content.clone();
    tokio::task::spawn_blocking(move || read(&content)).await.map_err(io::Error::other)?
}

/// `stream: OK`, `stream: NAME FOUND`, or an error.
fn understand(answer: &[u8]) -> Result<Option<String>, ScanError> {
    let text: String = String::from_utf8_lossy(answer)
        .trim_end_matches(['\0', '\n', '\r'])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let said = text.strip_prefix("stream: ").unwrap_or(&text);
    match said.strip_suffix(" FOUND") {
        Some(name) if !name.is_empty() => Ok(Some(name.to_owned())),
        None if said == "OK" => Ok(None),
        None if said.contains("size limit exceeded") => Err(ScanError::TooLarge),
        None if said.is_empty() => Err(ScanError::Failed("it closed the connection".to_owned())),
        _ => {
            let shown: String = said.chars().take(SHOWN_CHARACTERS).collect();
            Err(ScanError::Failed(format!("it answered \"{shown}\"")))
        }
    }
}

#[cfg(test)]
mod tests;
