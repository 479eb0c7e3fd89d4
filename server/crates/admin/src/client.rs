//! The side of the commands: asks and waits.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::QueueId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{ContentPiece, Page};
use crate::filter::Filter;
use crate::request::Request;
use crate::socket::SOCKET_NAME;
use crate::trace::TraceLine;

/// Octets of an answer; an entry has at most some thousand recipients.
const MAX_ANSWER_OCTETS: u64 = 256 << 20;
/// How long an answer is waited for: a reload compiles plugins, a retry of all goes through the queue.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the server is not running: no control socket at {}", .0.display())]
    NoSocket(PathBuf),
    #[error("the server is not running: nobody listens at {}", .0.display())]
    NobodyListens(PathBuf),
    #[error("{}: {source}", .path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the server broke off: {0}")]
    Broken(#[from] io::Error),
    #[error("the server's answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
    /// The server's own sentence.
    #[error("{0}")]
    Refused(String),
}

/// A connection to the server of a data directory.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ok(Value),
    Error(String),
}

impl Client {
    /// Connects to the server of this data directory.
    ///
    /// # Errors
    /// Says whether there is no server, or the socket may not be opened.
    pub fn connect(data_dir: &Path) -> Result<Self, ClientError> {
        let path = data_dir.join(SOCKET_NAME);
        let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket(path.clone()),
            io::ErrorKind::ConnectionRefused => ClientError::NobodyListens(path.clone()),
            _ => ClientError::Connect { path: path.clone(), source },
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// `Refused` with the server's sentence; the others when there is no answer.
    pub fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
        (&mut self.stream).take(MAX_ANSWER_OCTETS).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match serde_json::from_str(&line)? {
            Answer::Ok(value) => Ok(serde_json::from_value(value)?),
            Answer::Error(sentence) => Err(ClientError::Refused(sentence)),
        }
    }

    /// Lines of sessions that concern somebody, for ever, or until `show` says an error.
    ///
    /// # Errors
    /// As [`Self::call`], or what `show` said; the server ends it when it stops.
    pub fn trace<E: From<ClientError>>(
        mut self,
        subject: &str,
        mut show: impl FnMut(TraceLine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.call::<String>(&Request::Trace { subject: subject.to_owned() })?;
        // It may be long before somebody says something.
        self.stream.get_ref().set_read_timeout(None).map_err(ClientError::from)?;
        let mut line = String::new();
        loop {
            line.clear();
            let mut limited = (&mut self.stream).take(MAX_ANSWER_OCTETS);
            if limited.read_line(&mut line).map_err(ClientError::from)? == 0 {
                return Ok(());
            }
            show(serde_json::from_str(&line).map_err(ClientError::from)?)?;
        }
    }

    /// The queue from behind `after` on, page after page, at most `limit` entries; `show` is handed each page as it comes and may
    /// end it with an error. Answers where the next entries begin, if there may be more.
    ///
    /// # Errors
    /// As [`Self::call`], or what `show` said.
    pub fn list<E: From<ClientError>>(
        &mut self,
        filter: &Filter,
        mut after: Option<QueueId>,
        mut limit: Option<usize>,
        mut show: impl FnMut(Page) -> Result<(), E>,
    ) -> Result<Option<QueueId>, E> {
        loop {
            let page: Page = self.call(&Request::QueueList { after, limit, filter: filter.clone() })?;
            after = page.next;
            limit = limit.map(|limit| limit.saturating_sub(page.entries.len()));
            show(page)?;
            if after.is_none() || limit == Some(0) {
                return Ok(after);
            }
        }
    }

    /// A message, piece after piece.
    ///
    /// # Errors
    /// As [`Self::call`], or what `show` said.
    pub fn content<E: From<ClientError>>(
        &mut self,
        id: QueueId,
        mut show: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut offset = 0;
        loop {
            let piece: ContentPiece = self.call(&Request::QueueContent { id, offset })?;
            let octets = STANDARD
                .decode(&piece.octets)
                .map_err(|error| ClientError::Broken(io::Error::new(io::ErrorKind::InvalidData, error)))?;
            show(&octets)?;
            match piece.next {
                Some(next) => offset = next,
                None => return Ok(()),
            }
        }
    }
}
