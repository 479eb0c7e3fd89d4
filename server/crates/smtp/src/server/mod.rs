//! The receiving side of one SMTP or LMTP session, without I/O and without a clock.
//!
//! The driver hands in bytes ([`Session::receive`]), takes events ([`Session::poll_event`]) until there is none, answers those
//! that ask ([`Session::answer`]), and sends what [`Session::take_output`] gives, not before [`Session::paused_until`]. Replies to
//! pipelined commands gather in the output, so that they leave in one write (RFC 2920 section 3.2).
//!
//! STARTTLS goes in three steps: the answer to [`Event::StartTls`], its reply sent while [`Session::wants_handshake`], and
//! [`Session::secured`] when the handshake is done. Octets that came before it are thrown away, whatever they were.
//!
//! Standards: RFC 5321 (4.1 commands, 4.2 replies, 4.5.3 limits), 1870 SIZE, 2033 LMTP, 2034 enhanced status codes, 2852 DELIVERBY,
//! 2920 pipelining, 3030 CHUNKING and BINARYMIME, 3207 STARTTLS, 3461 DSN, 4865 FUTURERELEASE, 4954 AUTH, 6152 8BITMIME, 6531 SMTPUTF8,
//! 6710 MT-PRIORITY, 8689 REQUIRETLS, 9422 LIMITS; draft-hall-prdr; Postfix's XCLIENT_README.
//! Limits: [`crate::Limits`]; each is named in the reply that it causes.
//! Known gaps: no reply text but EHLO's is told in another language; VRFY verifies nothing (252).

mod announced;
mod answers;
mod commands;
mod content;
mod event;
mod extended;
mod options;
mod params;
mod receive;
mod release;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use model::{Reply, Timestamp};

pub use event::{Answer, CloseReason, Event, ResetReason};
pub use options::{Channel, Extensions, Options, Protocol};
pub use release::release_at;

use self::content::Reception;
use self::params::Wishes;
use self::receive::line_limit;
use crate::line::LineReader;

/// Where a session stands between two commands.
#[derive(Debug)]
enum State {
    /// Before the greeting.
    Connected,
    /// The greeting was 5xx: nothing is served, and QUIT is waited for.
    Unserved,
    /// Greeted; HELO or EHLO must come first.
    Greeted,
    /// May begin a transaction.
    Ready,
    /// Behind a challenge: the next line is a response.
    Authenticating,
    /// STARTTLS was answered; nothing that comes is looked at before the handshake is done.
    Handshaking,
    /// In a transaction: MAIL was taken, and this many recipients.
    Recipients {
        taken: usize,
    },
    /// Behind 354, or inside a chunk.
    Content(Box<Reception>),
    /// Between two chunks of a message.
    Chunks(Box<Reception>),
    /// Inside a chunk that is not taken; the reply comes when it is over.
    Discarding {
        left: u64,
        reply: Reply,
        then: Box<State>,
    },
    Closed,
}

/// The event that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Connect,
    Hello { extended: bool },
    StartTls,
    Auth,
    XClient,
    Mail { wishes: Wishes },
    Rcpt { taken: usize },
    Data { taken: usize },
    Chunk,
    Message { recipients: usize },
}

/// One session.
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    channel: Channel,
    state: State,
    asked: Option<Asked>,
    /// EHLO or LHLO rather than HELO: parameters are allowed.
    extended: bool,
    authenticated: bool,
    /// What MAIL asked of the transaction under way.
    wishes: Wishes,
    input: BytesMut,
    lines: LineReader,
    output: Vec<u8>,
    events: VecDeque<Event>,
    started: Instant,
    /// The world's time at `started`.
    wall: Timestamp,
    now: Instant,
    deadline: Instant,
    /// The output waits until then, and nothing is read before.
    paused_until: Option<Instant>,
    errors: u32,
    auth_failures: u32,
    idle_commands: u32,
    transactions: u32,
}

impl Session {
    /// A session on a connection that was just accepted. Its first event is [`Event::Connect`]. `wall` is the world's time at `now`.
    pub fn new(options: Arc<Options>, channel: Channel, now: Instant, wall: Timestamp) -> Self {
        let deadline = now + options.limits.command_timeout;
        Self {
            options,
            channel,
            state: State::Connected,
            asked: None,
            extended: false,
            authenticated: false,
            wishes: Wishes::default(),
            input: BytesMut::new(),
            lines: LineReader::default(),
            output: Vec::new(),
            events: VecDeque::new(),
            started: now,
            wall,
            now,
            deadline,
            paused_until: None,
            errors: 0,
            auth_failures: 0,
            idle_commands: 0,
            transactions: 0,
        }
    }

    /// Bytes from the client. Hand in more when [`Session::poll_event`] has nothing left: what waits is kept, not bounded.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        //= RFC 3207 section 4.2: what came before the handshake is not to be trusted.
        if !matches!(self.state, State::Closed | State::Handshaking) {
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
            if self.asked.is_some() || self.is_paused() {
                return None;
            }
            match &mut self.state {
                State::Closed | State::Handshaking => return None,
                State::Connected => self.ask(Asked::Connect, Event::Connect),
                State::Content(_) => {
                    if !self.receive_content() {
                        return None;
                    }
                }
                State::Discarding { .. } => {
                    if !self.discard() {
                        return None;
                    }
                }
                State::Unserved
                | State::Greeted
                | State::Ready
                | State::Authenticating
                | State::Recipients { .. }
                | State::Chunks(_) => {
                    let limit = |begun: &[u8]| line_limit(&self.state, &self.options.limits, begun);
                    let line = self.lines.next(&mut self.input, limit)?;
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
            Answer::Challenge(challenge) => self.challenge(asked, &challenge),
            Answer::Each(replies) => self.conclude(asked, &replies),
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

    /// Until when the output is kept back, because the client made many errors. Nothing else happens before.
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The pause is over, or the driver does not want to wait any longer.
    pub fn resume(&mut self, now: Instant) {
        self.now = now;
        self.paused_until = None;
    }

    /// When [`Session::handle_timeout`] is due; nothing while an answer is owed or the session is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.asked.is_none() && !matches!(self.state, State::Closed);
        waiting.then(|| self.deadline.min(self.started + self.options.limits.session_time))
    }

    /// Ends the session when its deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            //= RFC 5321 section 3.8: a server that times out says 421 before it closes.
            let why = if self.deadline <= now { "timed out waiting" } else { "keeps no session this long" };
            self.say(&Reply::new(421, (4, 4, 2), format!("{} {why}", self.options.hostname)));
            self.close(CloseReason::TimedOut);
        }
    }

    /// The server stops: a session that is between messages ends now. One that is not goes on until asked again.
    /// Says whether the session has ended.
    pub fn shut_down(&mut self, now: Instant) -> bool {
        self.now = now;
        let busy = self.asked.is_some()
            || matches!(self.state, State::Content(_) | State::Chunks(_) | State::Discarding { .. });
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

    /// Whether a TLS handshake is to follow what there is to send.
    pub fn wants_handshake(&self) -> bool {
        matches!(self.state, State::Handshaking)
    }

    /// The TLS handshake is done: the session knows nothing of what was before (RFC 3207 section 4.2).
    pub fn secured(&mut self, channel: Channel, now: Instant) {
        self.now = now;
        if self.wants_handshake() {
            self.channel = Channel { secured: true, ..channel };
            self.extended = false;
            self.authenticated = false;
            self.state = State::Greeted;
            self.deadline = now + self.options.limits.command_timeout;
        }
    }

    /// The client counts as authenticated without AUTH: a proxy said so. Another answer than yes takes it back.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Whether the client hears of each recipient after the end of the content under way: in LMTP, and with PRDR when there are
    /// several.
    pub fn hears_each(&self) -> bool {
        match self.asked {
            Some(Asked::Message { recipients }) => self.replies_each(recipients),
            _ => false,
        }
    }

    fn replies_each(&self, recipients: usize) -> bool {
        self.options.protocol == Protocol::Lmtp || self.wishes.prdr && recipients > 1
    }

    fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| self.now < until)
    }

    /// The world's time now, by the monotonic clock.
    fn wall(&self) -> Timestamp {
        self.wall + self.now.saturating_duration_since(self.started)
    }

    fn ask(&mut self, asked: Asked, event: Event) {
        self.asked = Some(asked);
        self.events.push_back(event);
    }

    fn say(&mut self, reply: &Reply) {
        reply.write(self.options.extensions.enhanced_status_codes, &mut self.output);
    }

    /// Refuses something without having asked.
    fn say_refusal(&mut self, reply: &Reply) {
        self.events.push_back(Event::Refused(reply.clone()));
        self.say_no(reply);
    }

    /// Says a reply that refuses; many of them slow the session down, too many end it.
    fn say_no(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            let limits = &self.options.limits;
            self.errors += 1;
            if self.errors >= limits.errors {
                return self.give_up("too many errors");
            }
            if self.errors >= limits.tarpit_after && !limits.tarpit_delay.is_zero() {
                self.paused_until = Some(self.now + limits.tarpit_delay);
            }
        }
        self.say(reply);
    }

    fn give_up(&mut self, why: &str) {
        let reply = Reply::new(421, (4, 7, 0), format!("{} {why}", self.options.hostname));
        self.say(&reply);
        self.events.push_back(Event::Refused(reply));
        self.close(CloseReason::Limit);
    }

    fn close(&mut self, reason: CloseReason) {
        let before = std::mem::replace(&mut self.state, State::Closed);
        if matches!(before, State::Closed) {
            return;
        }
        self.asked = None;
        self.input.clear();
        if before.has_transaction() {
            self.events.push_back(Event::Reset(ResetReason::Closed));
        }
        self.events.push_back(Event::Closed(reason));
    }
}

impl State {
    /// Whether a transaction is under way that the driver has not heard the end of.
    fn has_transaction(&self) -> bool {
        match self {
            Self::Recipients { .. } | Self::Chunks(_) => true,
            Self::Content(reception) => reception.refusal.is_none(),
            Self::Discarding { then, .. } => then.has_transaction(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
