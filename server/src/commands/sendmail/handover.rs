//! A session with the server, over its submission socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use message::HeaderBlock;
use model::{Domain, Recipient, Reply};
use smtp::client::{Event, Failure, Fate, Options, Session, Step, Transaction};

use super::exit::{Exit, Failed};
use super::letter::Letter;

/// How long the server may be silent; a plugin that scans a message takes its time.
const PATIENCE: Duration = Duration::from_secs(600);
/// Octets of content between two looks at what the server has to say.
const BLOCK_OCTETS: usize = 64 << 10;
/// Octets of a greeting.
const MAX_GREETING_OCTETS: usize = 4 << 10;

/// A recipient whom the server does not take the message for.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) recipient: Recipient,
    /// At which command; nothing when the server was not asked, as it does not offer what is needed.
    pub(crate) step: Option<Step>,
    pub(crate) reply: Reply,
}

/// Why there is no session, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The server said so.
    #[error("{0}")]
    Refused(Reply),
    #[error("the mail server broke off: {0}")]
    Lost(String),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { reply, .. } => Self::Refused(reply),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match &broken {
            Broken::Refused(reply) => Exit::of(reply).because(reply.to_string()),
            Broken::Lost(_) => Exit::TempFail.because(broken.to_string()),
        }
    }
}

/// A session that broke while a message was under way.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub(crate) broken: Broken,
    /// Of whom it is unknown whether the server has the message; it may.
    pub(crate) left: Vec<Recipient>,
    pub(crate) refusals: Vec<Refusal>,
}

pub(crate) struct Handover {
    stream: UnixStream,
    session: Session,
    server: Domain,
}

impl Handover {
    /// Waits for the greeting, which tells the server's name, and says EHLO.
    pub(crate) fn begin(mut stream: UnixStream) -> Result<Self, Broken> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let greeting = read_greeting(&mut stream)?;
        let text = String::from_utf8_lossy(&greeting);
        let name = text.get(4..).and_then(|rest| rest.split_ascii_whitespace().next());
        let server = name.and_then(|name| Domain::parse(name).ok());
        let localhost = || Domain::parse("localhost").map_err(|error| Broken::Lost(error.to_string()));
        let server = server.map_or_else(localhost, Ok)?;
        let mut handover =
            Self { stream, session: Session::new(Options::plain("localhost"), clock::now()), server };
        handover.session.receive(&greeting, clock::now());
        match handover.next_event()? {
            Event::Ready => Ok(handover),
            Event::Ended(Some(failure)) => Err(failure.into()),
            other => Err(Broken::Lost(format!("no session began: {other:?}"))),
        }
    }

    /// The server's name, which stands in for a domain that is not given.
    pub(crate) fn server_name(&self) -> &Domain {
        &self.server
    }

    /// Sends the message, in as many transactions as the server wants to have of it. Who was refused comes back.
    ///
    /// # Errors
    /// The session broke before all was said.
    pub(crate) fn send(mut self, letter: &Letter) -> Result<Vec<Refusal>, Interrupted> {
        let mut left: Vec<&Recipient> = letter.recipients.iter().collect();
        let mut refusals = Vec::new();
        let sent = self.transact_all(letter, &mut left, &mut refusals);
        if let Err(broken) = sent {
            let left = left.into_iter().cloned().collect();
            return Err(Interrupted { broken, left, refusals });
        }
        self.session.quit(clock::now());
        // It has the message: how the session ends is of no more concern.
        while let Ok(event) = self.next_event() {
            if matches!(event, Event::Ended(_)) {
                break;
            }
        }
        Ok(refusals)
    }

    /// Until nobody is left.
    fn transact_all(
        &mut self,
        letter: &Letter,
        left: &mut Vec<&Recipient>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), Broken> {
        let octets = letter.content.to_bytes()?;
        while !left.is_empty() {
            let fates = self.transact(letter, &octets, left)?;
            let before = left.len();
            let mut failure = None;
            let mut refused = |recipient: &Recipient, step, reply| {
                refusals.push(Refusal { recipient: recipient.clone(), step, reply });
            };
            let mut again = Vec::new();
            for (recipient, fate) in left.drain(..).zip(fates) {
                match fate {
                    Fate::Accepted(_) => {}
                    Fate::LeftOver(_) => again.push(recipient),
                    Fate::Refused { step, reply } => refused(recipient, Some(step), reply),
                    Fate::Unsendable(why) => refused(recipient, None, why.reply()),
                    Fate::Failed(why) => {
                        again.push(recipient);
                        failure = Some(why);
                    }
                }
            }
            *left = again;
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            if left.len() == before {
                return Err(Broken::Lost("it takes no recipient".to_owned()));
            }
        }
        Ok(())
    }

    fn transact(&mut self, letter: &Letter, octets: &Bytes, to: &[&Recipient]) -> Result<Vec<Fate>, Broken> {
        let transaction = Transaction {
            sender: &letter.sender,
            sender_params: &letter.sender_params,
            recipients: to,
            size: octets.len() as u64,
            eight_bit: !octets.is_ascii(),
            deliver_by: None,
            utf8_header: !HeaderBlock::parse(octets).as_bytes().is_ascii(),
        };
        self.session.start(&transaction, clock::now());
        loop {
            match self.next_event()? {
                Event::ContentWanted => {
                    for block in octets.chunks(BLOCK_OCTETS) {
                        self.session.content(block, clock::now());
                        self.write()?;
                    }
                    self.session.end_content(clock::now());
                }
                Event::Done(fates) => return Ok(fates),
                Event::Ended(failure) => {
                    let lost = Failure::Protocol("the session ended".to_owned());
                    return Err(failure.unwrap_or(lost).into());
                }
                Event::Ready | Event::StartTls => {}
            }
        }
    }

    fn next_event(&mut self) -> Result<Event, Broken> {
        let mut octets = [0; 4 << 10];
        loop {
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            self.write()?;
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            match self.stream.read(&mut octets) {
                Ok(count @ 1..) => self.session.receive(&octets[..count], clock::now()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => self.session.connection_lost(),
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(output) = self.session.poll_output() {
            let count = self.stream.write(output)?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.session.sent(count, clock::now());
        }
        Ok(())
    }
}

/// The first line that the server says.
fn read_greeting(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let (mut greeting, mut octets) = (Vec::new(), [0; 512]);
    while !greeting.contains(&b'\n') && greeting.len() < MAX_GREETING_OCTETS {
        match stream.read(&mut octets)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => greeting.extend_from_slice(&octets[..count]),
        }
    }
    Ok(greeting)
}
