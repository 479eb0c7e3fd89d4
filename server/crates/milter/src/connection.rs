//! A connection to a milter: opened, negotiated, one command and its answer at a time. Every wait has an end.

use std::io;
use std::time::{Duration, Instant};

use hooks::{FilterAddress, FilterHost};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::macros::MacroNames;
use crate::options::MilterOptions;
use crate::response::{Change, Response};
use crate::wire::{Command, Frames, LEAST_VERSION, VERSION, WireError, actions, steps};

/// Octets that are read at once.
const READ_OCTETS: usize = 16 << 10;

/// Why a milter gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MilterError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no answer to {what} within {patience:?}")]
    Time { what: &'static str, patience: Duration },
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("it speaks version {0} of the protocol, not {LEAST_VERSION} to {VERSION}")]
    Version(u32),
    #[error("it wants what was not offered: actions {actions:#x}, steps {steps:#x}")]
    NotOffered { actions: u32, steps: u32 },
    #[error("it answered {what} with {answer}")]
    OutOfPlace { what: &'static str, answer: &'static str },
    #[error("it changed {0} without having said that it would")]
    NotAgreed(&'static str),
    #[error("it wrote {what} that cannot be: {why}")]
    BadChange { what: &'static str, why: String },
    #[error("it changed more than the limit of {0}")]
    TooMuch(String),
}

/// Both halves of a socket.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// What was agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    version: u32,
    actions: u32,
    steps: u32,
    pub(crate) macros: MacroNames,
}

impl Agreement {
    /// Whether the milter chose this step.
    pub(crate) fn has(&self, step: u32) -> bool {
        self.steps & step != 0
    }

    /// Whether the milter may do this.
    pub(crate) fn may(&self, action: u32) -> bool {
        self.actions & action != 0
    }

    /// Unknown commands came with version 3 of the protocol.
    pub(crate) fn knows_unknown(&self) -> bool {
        self.version >= 3
    }

    /// DATA came with version 4 of the protocol.
    pub(crate) fn knows_data(&self) -> bool {
        self.version >= 4
    }

    /// Whether the milter said that it makes such changes.
    fn check(&self, change: &Change) -> Result<(), MilterError> {
        let (action, what) = match change {
            Change::AddHeader { .. } => (actions::ADD_HEADERS, "header fields"),
            Change::InsertHeader { .. } => (actions::ADD_HEADERS | actions::CHANGE_HEADERS, "header fields"),
            Change::SetHeader { .. } => (actions::CHANGE_HEADERS, "header fields"),
            Change::Body(_) => (actions::CHANGE_BODY, "the body"),
            Change::Sender { .. } => (actions::CHANGE_SENDER, "the sender"),
            Change::AddRecipient { .. } => {
                (actions::ADD_RECIPIENTS | actions::ADD_RECIPIENTS_WITH_PARAMS, "recipients")
            }
            Change::DeleteRecipient(_) => (actions::DELETE_RECIPIENTS, "recipients"),
            Change::Quarantine(_) => (actions::QUARANTINE, "the message's fate"),
        };
        if self.may(action) { Ok(()) } else { Err(MilterError::NotAgreed(what)) }
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: Box<dyn Socket>,
    frames: Frames,
    out: Vec<u8>,
    pub(crate) agreement: Agreement,
}

impl Connection {
    /// Connects and negotiates.
    pub(crate) async fn open(options: &MilterOptions) -> Result<Self, MilterError> {
        let patience = options.timeouts.connect;
        let socket = match tokio::time::timeout(patience, connect(&options.address)).await {
            Ok(socket) => socket.map_err(MilterError::Connect)?,
            Err(_) => return Err(MilterError::Time { what: "the connection", patience }),
        };
        let nothing = Agreement { version: VERSION, actions: 0, steps: 0, macros: MacroNames::new(&[]) };
        let mut connection = Self { socket, frames: Frames::default(), out: Vec::new(), agreement: nothing };
        connection.negotiate(options.timeouts.command).await?;
        Ok(connection)
    }

    async fn negotiate(&mut self, patience: Duration) -> Result<(), MilterError> {
        let what = "the negotiation";
        self.say(&Command::Negotiate { version: VERSION, actions: actions::ALL, steps: steps::ALL });
        let wanted = match self.answer(what, patience).await? {
            Response::Negotiated(wanted) => wanted,
            other => return Err(MilterError::OutOfPlace { what, answer: other.name() }),
        };
        if !(LEAST_VERSION..=VERSION).contains(&wanted.version) {
            return Err(MilterError::Version(wanted.version));
        }
        let (more, others) = (wanted.actions & !actions::ALL, wanted.steps & !steps::ALL);
        if more != 0 || others != 0 {
            return Err(MilterError::NotOffered { actions: more, steps: others });
        }
        self.agreement = Agreement {
            version: wanted.version,
            actions: wanted.actions,
            steps: wanted.steps,
            macros: MacroNames::new(match wanted.actions & actions::SET_MACROS {
                0 => &[],
                _ => &wanted.macros,
            }),
        };
        Ok(())
    }

    /// Says something with the next question; nothing is sent yet.
    pub(crate) fn say(&mut self, command: &Command<'_>) {
        command.encode(&mut self.out);
    }

    /// Sends what was said.
    pub(crate) async fn send(&mut self, what: &'static str, patience: Duration) -> Result<(), MilterError> {
        match tokio::time::timeout(patience, self.socket.write_all(&self.out)).await {
            Ok(sent) => sent?,
            Err(_) => return Err(MilterError::Time { what, patience }),
        }
        self.out.clear();
        Ok(())
    }

    /// Sends what was said, and waits for the answer.
    pub(crate) async fn answer(
        &mut self,
        what: &'static str,
        patience: Duration,
    ) -> Result<Response, MilterError> {
        self.send(what, patience).await?;
        self.response(what, patience).await
    }

    /// The next thing that the milter says.
    pub(crate) async fn response(
        &mut self,
        what: &'static str,
        patience: Duration,
    ) -> Result<Response, MilterError> {
        let frame = match tokio::time::timeout(patience, self.frame()).await {
            Ok(frame) => frame?,
            Err(_) => return Err(MilterError::Time { what, patience }),
        };
        let response = Response::decode(frame)?;
        if let Response::Change(change) = &response {
            self.agreement.check(change)?;
        }
        Ok(response)
    }

    async fn frame(&mut self) -> Result<bytes::Bytes, MilterError> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(frame);
            }
            let buffer = self.frames.buffer();
            buffer.reserve(READ_OCTETS);
            if self.socket.read_buf(buffer).await? == 0 {
                return Err(MilterError::Closed);
            }
        }
    }

    /// Says goodbye, and that a message under way is given up; nobody waits for what the milter thinks of it.
    pub(crate) async fn quit(mut self, in_message: bool) {
        self.out.clear();
        if in_message {
            self.say(&Command::Abort);
        }
        self.say(&Command::Quit);
        // It hears of the end by the closed connection as well.
        let _ = self.send("the end", Duration::from_secs(1)).await;
    }
}

/// The less of two times to wait.
pub(crate) fn until(end: Instant, patience: Duration) -> Duration {
    end.saturating_duration_since(clock::now()).min(patience)
}

pub(crate) async fn connect(address: &FilterAddress) -> io::Result<Box<dyn Socket>> {
    let stream = match address {
        FilterAddress::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        FilterAddress::Tcp(FilterHost::Ip(ip), port) => TcpStream::connect((*ip, *port)).await?,
        FilterAddress::Tcp(FilterHost::Name(name), port) => {
            TcpStream::connect((name.as_str(), *port)).await?
        }
    };
    // A command is a small packet that the next one waits for.
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
