//! A session with the server, over its submission socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use message::HeaderBlock;
use model::{Domain, Recipient};
use smtp::client::{Event, Failure, Fate, Options, Session, Transaction};

use super::exit::{Exit, Failed};
use super::letter::Letter;

/// How long the server may be silent; a plugin that scans a message takes its time.
const PATIENCE: Duration = Duration::from_secs(600);
/// Octets of content between two looks at what the server has to say.
const BLOCK_OCTETS: usize = 64 << 10;
/// Octets of a greeting.
const MAX_GREETING_OCTETS: usize = 4 << 10;

pub(super) struct Handover {
    stream: UnixStream,
    session: Session,
    server: Domain,
}

impl Handover {
    /// Waits for the greeting, which tells the server's name, and says EHLO.
    pub(super) fn begin(mut stream: UnixStream) -> Result<Self, Failed> {
        let timeouts =
            stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timeouts.map_err(|error| broken(&error))?;
        let greeting = read_greeting(&mut stream).map_err(|error| broken(&error))?;
        let text = String::from_utf8_lossy(&greeting);
        let name = text.get(4..).and_then(|rest| rest.split_ascii_whitespace().next());
        let server = name.and_then(|name| Domain::parse(name).ok());
        let localhost =
            || Domain::parse("localhost").map_err(|error| Exit::TempFail.because(error.to_string()));
        let server = server.map_or_else(localhost, Ok)?;
        let mut handover =
            Self { stream, session: Session::new(Options::plain("localhost"), clock::now()), server };
        handover.session.receive(&greeting, clock::now());
        match handover.next_event()? {
            Event::Ready => Ok(handover),
            Event::Ended(Some(failure)) => Err(failed(&failure)),
            other => Err(Exit::TempFail.because(format!("no session began: {other:?}"))),
        }
    }

    /// The server's name, which stands in for a domain that is not given.
    pub(super) fn server_name(&self) -> &Domain {
        &self.server
    }

    /// Sends the message, in as many transactions as the server wants to have of it.
    ///
    /// # Errors
    /// The first recipient that was refused, after the others were sent to.
    pub(super) fn send(mut self, letter: &Letter) -> Result<(), Failed> {
        let octets = letter.content.to_bytes().map_err(|error| broken(&error))?;
        let mut left: Vec<&Recipient> = letter.recipients.iter().collect();
        let mut refusals = Vec::new();
        while !left.is_empty() {
            let fates = self.transact(letter, &octets, &left)?;
            let before = left.len();
            let mut again = Vec::new();
            for (recipient, fate) in left.into_iter().zip(fates) {
                match fate {
                    Fate::Accepted(_) => {}
                    Fate::LeftOver(_) => again.push(recipient),
                    Fate::Refused { reply, .. } => {
                        refusals.push((recipient, Exit::of(&reply), reply.to_string()))
                    }
                    Fate::Unsendable(why) => {
                        refusals.push((recipient, Exit::of(&why.reply()), why.to_string()))
                    }
                    Fate::Failed(failure) => return Err(failed(&failure)),
                }
            }
            if again.len() == before {
                return Err(Exit::TempFail.because("the server takes no recipient"));
            }
            left = again;
        }
        self.session.quit(clock::now());
        // It has the message: how the session ends is of no more concern.
        while let Ok(event) = self.next_event() {
            if matches!(event, Event::Ended(_)) {
                break;
            }
        }
        let Some((_, exit, _)) = refusals.first() else { return Ok(()) };
        let said: Vec<String> =
            refusals.iter().map(|(to, _, reply)| format!("{}: {reply}", to.address)).collect();
        Err(exit.because(said.join("\nwaxwing: ")))
    }

    fn transact(&mut self, letter: &Letter, octets: &Bytes, to: &[&Recipient]) -> Result<Vec<Fate>, Failed> {
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
                        self.write().map_err(|error| broken(&error))?;
                    }
                    self.session.end_content(clock::now());
                }
                Event::Done(fates) => return Ok(fates),
                Event::Ended(failure) => {
                    let lost = Failure::Protocol("the session ended".to_owned());
                    return Err(failed(&failure.unwrap_or(lost)));
                }
                Event::Ready | Event::StartTls => {}
            }
        }
    }

    fn next_event(&mut self) -> Result<Event, Failed> {
        let mut octets = [0; 4 << 10];
        loop {
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            self.write().map_err(|error| broken(&error))?;
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

fn broken(error: &dyn std::fmt::Display) -> Failed {
    Exit::TempFail.because(format!("the mail server broke off: {error}"))
}

fn failed(failure: &Failure) -> Failed {
    match failure {
        Failure::Refused { reply, .. } => Exit::of(reply).because(reply.to_string()),
        other => broken(other),
    }
}
