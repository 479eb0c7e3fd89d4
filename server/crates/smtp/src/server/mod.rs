//! The receiving side of one SMTP session, without I/O and without a clock.
//!
//! The driver hands in bytes ([`Session::receive`]), takes events ([`Session::poll_event`]) until there is none, answers those
//! that ask ([`Session::answer`]), and sends what [`Session::take_output`] gives. Replies to pipelined commands gather in the
//! output, so that they leave in one write (RFC 2920 section 3.2).
//!
//! Standards: RFC 5321 (4.1 commands, 4.2 replies, 4.5.3 limits), 1870 SIZE, 2034 enhanced status codes, 2920 pipelining,
//! 6152 8BITMIME, 6531 SMTPUTF8.
//! Limits: [`crate::Limits`]; each is named in the reply that it causes.
//! Known gaps: STARTTLS, AUTH, CHUNKING and DSN are not offered.

mod commands;
mod event;
mod options;
mod params;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use model::{Param, Reply, ReversePath};

pub use event::{Answer, CloseReason, Event, ResetReason};
pub use options::Options;

use crate::data::Decoder;
use crate::line::{Line, LineReader};

/// Content is handed on in pieces of at least this many octets, but for the last.
const CONTENT_PIECE: usize = 64 << 10;

/// Where a session stands between two commands.
#[derive(Debug)]
enum State {
    /// Before the greeting.
    Connected,
    /// Greeted; HELO or EHLO must come first.
    Greeted,
    /// May begin a transaction.
    Ready,
    /// In a transaction: MAIL was taken, and this many recipients.
    Recipients {
        taken: usize,
    },
    /// Behind 354.
    Content(Box<Reception>),
    Closed,
}

/// Content that is arriving.
#[derive(Debug)]
struct Reception {
    decoder: Decoder,
    /// Octets that were not handed on yet.
    piece: Vec<u8>,
    /// Octets of content so far.
    size: u64,
    /// Octets that arrived when the deadline was set last.
    block_start: u64,
    /// Why the message will be refused at its end; its octets are thrown away.
    refusal: Option<Reply>,
}

/// The event that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Connect,
    Hello { extended: bool },
    Mail,
    Rcpt { taken: usize },
    Data,
    Message,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    state: State,
    asked: Option<Asked>,
    /// EHLO rather than HELO: parameters are allowed.
    extended: bool,
    /// The transaction under way asked for SMTPUTF8.
    utf8: bool,
    input: BytesMut,
    lines: LineReader,
    output: Vec<u8>,
    events: VecDeque<Event>,
    now: Instant,
    deadline: Instant,
    errors: u32,
    idle_commands: u32,
    transactions: u32,
}

impl Session {
    /// A session on a connection that was just accepted. Its first event is [`Event::Connect`].
    pub fn new(options: Arc<Options>, now: Instant) -> Self {
        let deadline = now + options.limits.command_timeout;
        Self {
            options,
            state: State::Connected,
            asked: None,
            extended: false,
            utf8: false,
            input: BytesMut::new(),
            lines: LineReader::default(),
            output: Vec::new(),
            events: VecDeque::new(),
            now,
            deadline,
            errors: 0,
            idle_commands: 0,
            transactions: 0,
        }
    }

    /// Bytes from the client. Hand in more when [`Session::poll_event`] has nothing left: what waits is kept, not bounded.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        if !matches!(self.state, State::Closed) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// The client closed its side, or the connection broke.
    pub fn receive_end(&mut self, now: Instant) {
        self.now = now;
        self.close(CloseReason::Gone);
    }

    /// The next event; nothing while an answer is owed, or more bytes are needed, or the session is over.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.asked.is_some() {
                return None;
            }
            match &mut self.state {
                State::Closed => return None,
                State::Connected => self.ask(Asked::Connect, Event::Connect),
                State::Content(_) => {
                    if !self.receive_content() {
                        return None;
                    }
                }
                State::Greeted | State::Ready | State::Recipients { .. } => {
                    let line = self.lines.next(&mut self.input, self.options.limits.command_line)?;
                    self.line(line);
                }
            }
        }
    }

    /// The answer to the event that asked last. Without one that asked, nothing happens.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        self.now = now;
        let Some(asked) = self.asked.take() else { return };
        self.deadline = now + self.options.limits.command_timeout;
        match answer {
            Answer::Proceed => self.proceed(asked, None),
            Answer::Say(reply) if reply.is_positive() => self.proceed(asked, Some(reply)),
            Answer::Say(reply) => self.refuse(asked, reply),
            Answer::Close(reply) => {
                self.say(&reply);
                self.close(CloseReason::Refused);
            }
        }
    }

    /// What is to be sent, taken out.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether there is something to send.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// When [`Session::handle_timeout`] is due; nothing while an answer is owed or the session is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.asked.is_none() && !matches!(self.state, State::Closed);
        waiting.then_some(self.deadline)
    }

    /// Ends the session when its deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            //= RFC 5321 section 3.8: a server that times out says 421 before it closes.
            self.say(&Reply::new(421, (4, 4, 2), format!("{} timed out waiting", self.options.hostname)));
            self.close(CloseReason::TimedOut);
        }
    }

    /// The server stops: a session that is between messages ends now. One that is not goes on until asked again.
    /// Says whether the session has ended.
    pub fn shut_down(&mut self, now: Instant) -> bool {
        self.now = now;
        let busy = self.asked.is_some() || matches!(self.state, State::Content(_));
        if !busy && !self.is_closed() {
            self.say(&Reply::new(421, (4, 3, 2), format!("{} is shutting down", self.options.hostname)));
            self.close(CloseReason::Shutdown);
        }
        self.is_closed()
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn ask(&mut self, asked: Asked, event: Event) {
        self.asked = Some(asked);
        self.events.push_back(event);
    }

    fn say(&mut self, reply: &Reply) {
        reply.write(true, &mut self.output);
    }

    /// Says a reply that refuses; too many of them end the session.
    fn say_refusal(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            self.errors += 1;
            if self.errors >= self.options.limits.errors {
                return self.give_up("too many errors");
            }
        }
        self.say(reply);
    }

    fn give_up(&mut self, why: &str) {
        self.say(&Reply::new(421, (4, 7, 0), format!("{} {why}", self.options.hostname)));
        self.close(CloseReason::Limit);
    }

    fn close(&mut self, reason: CloseReason) {
        let before = std::mem::replace(&mut self.state, State::Closed);
        if matches!(before, State::Closed) {
            return;
        }
        self.asked = None;
        self.input.clear();
        let refused = matches!(&before, State::Content(reception) if reception.refusal.is_some());
        if matches!(before, State::Recipients { .. } | State::Content(_)) && !refused {
            self.events.push_back(Event::Reset(ResetReason::Closed));
        }
        self.events.push_back(Event::Closed(reason));
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Whole(line) => self.command(&line),
            Line::BareNewline => self.say_refusal(&Reply::new(
                500,
                (5, 5, 2),
                "a line must end with CR LF; a bare CR or LF is not accepted",
            )),
            Line::TooLong => {
                let limit = self.options.limits.command_line;
                self.say_refusal(&Reply::new(
                    500,
                    (5, 5, 6),
                    format!("the line is longer than {limit} octets"),
                ));
            }
        }
        self.deadline = self.now + self.options.limits.command_timeout;
    }

    /// Decodes what has arrived of the content; false when more is needed.
    fn receive_content(&mut self) -> bool {
        let State::Content(reception) = &mut self.state else { return false };
        let arrived = self.input.len();
        let before = reception.piece.len();
        let ended = reception.decoder.decode(&mut self.input, &mut reception.piece);
        reception.size += (reception.piece.len() - before) as u64;
        let progress = reception.size - reception.block_start;
        if progress >= self.options.limits.data_block {
            reception.block_start = reception.size;
            self.deadline = self.now + self.options.limits.data_timeout;
        }
        let refusal = reception.judge(&self.options);
        if let Some(reply) = refusal
            && reception.refusal.replace(reply).is_none()
        {
            self.events.push_back(Event::Reset(ResetReason::Content));
        }
        if reception.refusal.is_some() {
            reception.piece.clear();
        }
        if reception.size > reception.most_discarded(&self.options) {
            self.give_up("the message goes on far beyond its limit");
            return true;
        }
        if ended || reception.piece.len() >= CONTENT_PIECE {
            let piece = std::mem::take(&mut reception.piece);
            if !piece.is_empty() {
                self.events.push_back(Event::Content(piece));
            }
        }
        if ended {
            self.end_content();
        }
        ended || !self.events.is_empty() || self.input.len() < arrived && !self.input.is_empty()
    }

    fn end_content(&mut self) {
        let before = std::mem::replace(&mut self.state, State::Ready);
        let State::Content(reception) = before else { return };
        self.deadline = self.now + self.options.limits.command_timeout;
        match reception.refusal {
            Some(reply) => self.say_refusal(&reply),
            None => {
                // Until the answer the transaction is alive: a connection that breaks now must reset it.
                self.state = State::Recipients { taken: 0 };
                self.ask(Asked::Message, Event::Message);
            }
        }
    }
}

impl Reception {
    fn new(options: &Options) -> Self {
        Self {
            decoder: Decoder::new(options.bare_newline, options.limits.text_line),
            piece: Vec::new(),
            size: 0,
            block_start: 0,
            refusal: None,
        }
    }

    /// Why the message cannot be taken, by what has arrived of it.
    fn judge(&self, options: &Options) -> Option<Reply> {
        let limits = &options.limits;
        if self.size > limits.message_size {
            let text = format!("the message is larger than {} octets", limits.message_size);
            Some(Reply::new(552, (5, 3, 4), text))
        } else if self.decoder.bare_newline_seen && options.bare_newline == crate::BareNewline::Reject {
            Some(Reply::new(554, (5, 6, 0), "the message has a bare CR or LF; lines must end with CR LF"))
        } else if self.decoder.line_too_long {
            let text = format!("the message has a line longer than {} octets", limits.text_line);
            Some(Reply::new(554, (5, 6, 0), text))
        } else {
            None
        }
    }

    /// A refused message is read to its end, so that the client hears why; but not for ever.
    fn most_discarded(&self, options: &Options) -> u64 {
        options.limits.message_size.saturating_mul(4).saturating_add(64 << 20)
    }
}

#[cfg(test)]
mod tests;
