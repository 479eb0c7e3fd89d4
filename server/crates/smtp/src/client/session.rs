//! The session's states, and what its driver may do in each.

mod answers;
mod auth;
mod opening;

use std::collections::VecDeque;
use std::time::Instant;

use model::Reply;

use super::chunks::Chunks;
use super::commands;
use super::extensions::Extensions;
use super::options::{Options, Protocol, Tls};
use super::reply::ReplyReader;
use super::sasl::{Binding, Mechanism};
use super::transaction::{Failure, Fate, Step, Transaction};
use super::transparency::DotStuffing;

/// What the driver hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer is ready for a TLS handshake: make it, then call [`Session::secured`]. Octets that came before the handshake are
    /// not to be handed over any more; if it fails, drop the session.
    StartTls,
    /// Greeted; a transaction may start.
    Ready,
    /// At least one recipient was accepted: call [`Session::content`], then [`Session::end_content`].
    ContentWanted,
    /// The transaction is over: a fate for each recipient, in the order of the transaction's. Unless `Ended` follows,
    /// the next may start.
    Done(Vec<Fate>),
    /// Nothing more comes; close the connection once the output is written. No failure after QUIT.
    Ended(Option<Failure>),
}

/// Which reply is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    /// Of a chunk that is not the last.
    Chunk,
    /// The one reply for all accepted recipients.
    Final,
    /// LMTP: the reply for this one.
    FinalOf(usize),
    /// The reply to a lone dot that was sent because nobody had been accepted.
    FinalOfNothing,
    Quit,
}

impl Expect {
    fn step(self) -> Step {
        match self {
            Self::Greeting => Step::Greeting,
            Self::Ehlo | Self::Helo => Step::Hello,
            Self::StartTls => Step::StartTls,
            Self::Auth => Step::Auth,
            Self::Reset => Step::Reset,
            Self::Mail => Step::Mail,
            Self::Rcpt(_) => Step::Rcpt,
            Self::Data => Step::Data,
            Self::Chunk => Step::Chunk,
            Self::Final | Self::FinalOf(_) | Self::FinalOfNothing => Step::Final,
            Self::Quit => Step::Quit,
        }
    }
}

#[derive(Debug)]
enum Phase {
    Opening,
    /// The driver makes the TLS handshake.
    Handshake,
    Ready,
    /// Between MAIL and the reply to DATA.
    Envelope,
    Content(Writer),
    /// The peer refused a chunk; the replies to those that were under way are waited for.
    Refused,
    /// Between the end of data and the last reply to it.
    Final,
    Quitting,
    Ended,
}

/// How content goes out.
#[derive(Debug)]
enum Writer {
    Data(DotStuffing),
    Bdat(Chunks),
}

/// The transaction under way.
#[derive(Debug)]
struct Open {
    /// Made ready where content goes by BDAT; then there is no DATA.
    chunks: Option<Chunks>,
    /// One for each recipient, once it is known. An accepted RCPT is not a fate yet.
    fates: Vec<Option<Fate>>,
    accepted: Vec<usize>,
    /// MAIL's reply when it said no: the fate of everybody who has none yet.
    mail_refused: Option<Reply>,
    /// Without PIPELINING: commands that are sent when the reply to the one before has come.
    unsent: VecDeque<(Expect, Vec<u8>)>,
}

/// One connection's protocol, from greeting to QUIT.
#[derive(Debug)]
pub struct Session {
    options: Options,
    phase: Phase,
    replies: ReplyReader,
    /// The replies that are to come, in order.
    expected: VecDeque<Expect>,
    open: Option<Open>,
    offered: Extensions,
    is_secured: bool,
    binding: Option<Binding>,
    /// Mechanisms that have not been tried.
    mechanisms: VecDeque<Mechanism>,
    auth: Option<auth::Attempt>,
    /// The peer may still think that a transaction is open.
    needs_reset: bool,
    output: Vec<u8>,
    /// Octets of `output` that were taken.
    taken: usize,
    events: VecDeque<Event>,
    /// When the peer last did something.
    progress: Instant,
}

impl Session {
    /// What an output buffer keeps for the next message.
    const KEPT_OUTPUT_OCTETS: usize = 32 * 1024;

    /// A session on a connection that was just made.
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            is_secured: options.tls == Tls::Implicit,
            binding: options.binding.clone(),
            mechanisms: VecDeque::new(),
            auth: None,
            options,
            phase: Phase::Opening,
            replies: ReplyReader::default(),
            expected: VecDeque::from([Expect::Greeting]),
            open: None,
            offered: Extensions::default(),
            needs_reset: false,
            output: Vec::new(),
            taken: 0,
            events: VecDeque::new(),
            progress: now,
        }
    }

    /// Whether what is said is said over TLS.
    pub fn is_secured(&self) -> bool {
        self.is_secured
    }

    /// What the peer offers; nothing before [`Event::Ready`].
    pub fn extensions(&self) -> &Extensions {
        &self.offered
    }

    /// Whether a transaction may start.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// What happened next, if anything.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Octets for the peer. What was written is reported through [`Session::sent`].
    pub fn poll_output(&self) -> Option<&[u8]> {
        Some(&self.output[self.taken..]).filter(|octets| !octets.is_empty())
    }

    /// `count` octets of the output were written.
    pub fn sent(&mut self, count: usize, now: Instant) {
        self.taken = (self.taken + count).min(self.output.len());
        if self.taken == self.output.len() {
            self.output.clear();
            self.taken = 0;
            // One large message must not make an idle connection large.
            self.output.shrink_to(Self::KEPT_OUTPUT_OCTETS);
        }
        self.progress = now;
    }

    /// When [`Session::handle_timeout`] is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timeouts = &self.options.timeouts;
        let wait = match self.current_step() {
            Step::Greeting => timeouts.greeting,
            Step::Hello => timeouts.hello,
            Step::StartTls => timeouts.tls,
            Step::Auth => timeouts.auth,
            Step::Mail => timeouts.mail,
            Step::Rcpt => timeouts.rcpt,
            Step::Data => timeouts.data,
            // Content that is still to be written is taken block by block; then the reply is waited for.
            Step::Content | Step::Chunk | Step::Final if self.poll_output().is_some() => timeouts.block,
            Step::Final | Step::Chunk => timeouts.termination,
            Step::Reset => timeouts.reset,
            Step::Quit => timeouts.quit,
            Step::Content | Step::Idle => return None,
        };
        Some(self.progress + wait)
    }

    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.fail(Failure::Timeout(self.current_step()));
        }
    }

    /// Octets from the peer.
    pub fn receive(&mut self, mut octets: &[u8], now: Instant) {
        self.progress = now;
        //= RFC 3207 section 4.2: what the peer said before the handshake is thrown away, whatever it was.
        while !matches!(self.phase, Phase::Ended | Phase::Handshake) {
            match self.replies.read(&mut octets) {
                Ok(Some(reply)) => self.take_reply(reply),
                Ok(None) => return,
                Err(error) => return self.fail(error.into()),
            }
        }
    }

    /// The peer closed the connection, or it broke.
    pub fn connection_lost(&mut self) {
        match self.phase {
            Phase::Ended => {}
            Phase::Quitting => self.end(None),
            _ => self.fail(Failure::ConnectionLost(self.current_step())),
        }
    }

    /// Whether the content of a transaction has to be encoded before this peer takes it (RFC 6152 section 3, RFC 3030 section 3).
    pub fn wants_seven_bit(&self, transaction: &Transaction<'_>) -> bool {
        commands::wants_seven_bit(transaction, &self.offered)
    }

    /// Starts a transaction. To be called when the session is ready; without recipients there is nothing to do.
    ///
    /// Recipients that this peer cannot be given have their fate at once; if that is all of them, `Done` follows at once.
    pub fn start(&mut self, transaction: &Transaction<'_>, now: Instant) {
        if !self.is_ready() || transaction.recipients.is_empty() {
            let failure = Failure::Protocol("no transaction can start now".to_owned());
            self.events.push_back(Event::Done(vec![Fate::Failed(failure); transaction.recipients.len()]));
            return;
        }
        self.progress = now;
        let fates = self.sendable(transaction);
        let is_binary = commands::is_binary(transaction);
        let by_chunks = self.offered.chunking && (self.offered.pipelining || is_binary);
        let whole = (!self.offered.pipelining).then_some(transaction.size);
        let chunks = by_chunks.then(|| Chunks::new(is_binary, whole));
        let (accepted, unsent) = (Vec::new(), VecDeque::new());
        let mut open = Open { chunks, accepted, mail_refused: None, unsent, fates };
        self.phase = Phase::Envelope;
        if open.fates.iter().all(Option::is_some) {
            self.open = Some(open);
            return self.finish_transaction(false);
        }
        if self.offered.pipelining {
            self.write_pipelined(transaction, &open);
        } else {
            open.unsent = self.commands(transaction, &open);
        }
        self.open = Some(open);
        self.send_next();
    }

    /// Hands over content, in order, cut anywhere; ignored when none is wanted. The caller bounds the output by handing over the next piece
    /// when the last was taken.
    pub fn content(&mut self, octets: &[u8], now: Instant) {
        let Phase::Content(writer) = &mut self.phase else { return };
        if self.output.is_empty() {
            self.progress = now;
        }
        match writer {
            Writer::Data(stuffing) => stuffing.write(octets, &mut self.output),
            Writer::Bdat(chunks) => {
                if chunks.write(octets, &mut self.output) {
                    self.expected.push_back(Expect::Chunk);
                }
            }
        }
    }

    /// All content was handed over.
    pub fn end_content(&mut self, now: Instant) {
        let writer = match std::mem::replace(&mut self.phase, Phase::Final) {
            Phase::Content(writer) => writer,
            other => {
                self.phase = other;
                return;
            }
        };
        self.progress = now;
        match writer {
            Writer::Data(stuffing) => stuffing.finish(&mut self.output),
            Writer::Bdat(chunks) => {
                if !chunks.finish(&mut self.output) {
                    return self.fail(Failure::Protocol("the content is shorter than was said".to_owned()));
                }
            }
        }
        let accepted = self.open.as_ref().map(|open| open.accepted.as_slice()).unwrap_or_default();
        match self.options.protocol {
            Protocol::Smtp => self.expected.push_back(Expect::Final),
            Protocol::Lmtp => self.expected.extend(accepted.iter().map(|nth| Expect::FinalOf(*nth))),
        }
    }

    /// Ends the session politely; to be called when it is ready.
    pub fn quit(&mut self, now: Instant) {
        if self.is_ready() {
            self.progress = now;
            self.phase = Phase::Quitting;
            self.command(Expect::Quit, b"QUIT\r\n");
        }
    }

    fn current_step(&self) -> Step {
        match (self.expected.front(), &self.phase) {
            (Some(expect), _) => expect.step(),
            (None, Phase::Content(_)) => Step::Content,
            (None, Phase::Handshake) => Step::StartTls,
            (None, _) => Step::Idle,
        }
    }

    fn command(&mut self, expect: Expect, line: &[u8]) {
        self.output.extend_from_slice(line);
        self.expected.push_back(expect);
    }

    /// The fates that are known before anything is sent.
    fn sendable(&self, transaction: &Transaction<'_>) -> Vec<Option<Fate>> {
        if let Err(unsendable) = commands::check(transaction, &self.offered, self.is_secured) {
            return vec![Some(Fate::Unsendable(unsendable)); transaction.recipients.len()];
        }
        let fate = |recipient: &&model::Recipient| {
            let is_refused = commands::needs_utf8(&recipient.address) && !self.offered.smtputf8;
            is_refused.then_some(Fate::Unsendable(super::Unsendable::Utf8))
        };
        let mut fates: Vec<_> = transaction.recipients.iter().map(fate).collect();
        //= RFC 9422 section 4: no more recipients than the peer announces.
        let room = self.offered.rcpt_max.unwrap_or(usize::MAX);
        for fate in fates.iter_mut().filter(|fate| fate.is_none()).skip(room) {
            *fate = Some(Fate::LeftOver(None));
        }
        fates
    }

    /// Whether MAIL must carry SMTPUTF8.
    fn is_utf8(&self, transaction: &Transaction<'_>) -> bool {
        self.offered.smtputf8
            && (transaction.utf8_header
                || transaction.sender.mailbox().is_some_and(|mailbox| !mailbox.is_ascii())
                || transaction.recipients.iter().any(|recipient| !recipient.address.is_ascii()))
    }

    //= RFC 2920 section 3.1: DATA is the last of a group.
    fn write_pipelined(&mut self, transaction: &Transaction<'_>, open: &Open) {
        let utf8 = self.is_utf8(transaction);
        if std::mem::take(&mut self.needs_reset) {
            self.command(Expect::Reset, b"RSET\r\n");
        }
        commands::write_mail(transaction, &self.offered, utf8, &mut self.output);
        self.expected.push_back(Expect::Mail);
        for (nth, recipient) in transaction.recipients.iter().enumerate() {
            if open.fates[nth].is_none() {
                commands::write_rcpt(recipient, &self.offered, utf8, &mut self.output);
                self.expected.push_back(Expect::Rcpt(nth));
            }
        }
        if open.chunks.is_none() {
            self.command(Expect::Data, b"DATA\r\n");
        }
    }

    fn commands(&mut self, transaction: &Transaction<'_>, open: &Open) -> VecDeque<(Expect, Vec<u8>)> {
        let utf8 = self.is_utf8(transaction);
        let mut unsent = VecDeque::new();
        if std::mem::take(&mut self.needs_reset) {
            unsent.push_back((Expect::Reset, b"RSET\r\n".to_vec()));
        }
        let mut line = Vec::new();
        commands::write_mail(transaction, &self.offered, utf8, &mut line);
        unsent.push_back((Expect::Mail, std::mem::take(&mut line)));
        for (nth, recipient) in transaction.recipients.iter().enumerate() {
            if open.fates[nth].is_none() {
                commands::write_rcpt(recipient, &self.offered, utf8, &mut line);
                unsent.push_back((Expect::Rcpt(nth), std::mem::take(&mut line)));
            }
        }
        if open.chunks.is_none() {
            unsent.push_back((Expect::Data, b"DATA\r\n".to_vec()));
        }
        unsent
    }

    fn send_next(&mut self) {
        let next = self.open.as_mut().and_then(|open| open.unsent.pop_front());
        if let Some((expect, line)) = next {
            self.command(expect, &line);
        }
    }
}
