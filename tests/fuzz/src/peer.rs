//! A driver of the receiving session whose answers depend on nothing but the events, so that two runs can be compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{ForwardPath, Reply, Timestamp};
use smtp::server::{Answer, Channel, Event, Options, Session};

/// A session, what it said, and what it told.
pub struct Peer {
    pub session: Session,
    pub heard: Vec<u8>,
    /// Content that came in several events counts as one; content that was refused in the end does not count.
    pub events: Vec<Event>,
    /// The content of each message that was whole.
    pub messages: Vec<Vec<u8>>,
    now: Instant,
    recipients: usize,
}

/// Options without anything that would end a long session, or make it wait: time stands still here.
pub fn patient() -> Options {
    let mut options = Options::new("mx.example.org");
    options.limits.tarpit_delay = Duration::ZERO;
    options.limits.errors = u32::MAX;
    options.limits.idle_commands = u32::MAX;
    options
}

/// A session that has answered EHLO, and takes everything.
pub fn greeted(change: impl FnOnce(&mut Options)) -> Peer {
    let mut options = patient();
    change(&mut options);
    let mut peer = Peer::new(options, Channel::default());
    peer.says(b"EHLO client.example\r\n");
    peer.heard.clear();
    peer.events.clear();
    peer
}

impl Peer {
    pub fn new(options: Options, channel: Channel) -> Self {
        let now = Instant::now();
        let session = Session::new(Arc::new(options), channel, now, Timestamp(0));
        let mut peer =
            Self { session, heard: Vec::new(), events: Vec::new(), messages: Vec::new(), now, recipients: 0 };
        peer.pump();
        peer
    }

    pub fn says(&mut self, octets: &[u8]) {
        self.session.receive(octets, self.now);
        self.pump();
    }

    /// The TLS handshake, when it is wanted.
    pub fn shakes_hands(&mut self, channel: Channel) {
        if self.session.wants_handshake() {
            self.session.secured(channel, self.now);
        }
    }

    fn pump(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if event.asks() {
                let answer = self.answer(&event);
                self.session.answer(answer, self.now);
            }
            self.note(event);
        }
        self.heard.append(&mut self.session.take_output());
    }

    fn note(&mut self, event: Event) {
        match (self.events.last_mut(), event) {
            (Some(Event::Content(before)), Event::Content(piece)) => before.extend(piece),
            (Some(Event::Content(_)), event @ Event::Reset(_)) => {
                self.events.pop();
                self.events.push(event);
            }
            (last, Event::Message) => {
                let content = match last {
                    Some(Event::Content(content)) => content.clone(),
                    _ => Vec::new(),
                };
                self.messages.push(content);
                self.events.push(Event::Message);
            }
            (_, event) => self.events.push(event),
        }
    }

    fn answer(&mut self, event: &Event) -> Answer {
        let no = |code, status, text: &str| Answer::Say(Reply::new(code, status, text));
        match event {
            Event::Hello { name, .. } if name.starts_with("no") => no(550, (5, 7, 1), "not you"),
            Event::Mail { .. } => {
                self.recipients = 0;
                Answer::Proceed
            }
            Event::Rcpt { path: ForwardPath::Mailbox(mailbox), .. } if mailbox.local().starts_with("no") => {
                no(550, (5, 1, 1), "no such mailbox")
            }
            Event::Rcpt { path: ForwardPath::Mailbox(mailbox), .. }
                if mailbox.local().starts_with("later") =>
            {
                no(450, (4, 2, 0), "later")
            }
            Event::Rcpt { .. } => {
                self.recipients += 1;
                Answer::Proceed
            }
            Event::Auth { initial: None, .. } => Answer::Challenge(b"who are you?".to_vec()),
            Event::Auth { initial: Some(response), .. } | Event::AuthResponse(response) => {
                match response.first() {
                    Some(b'y') => Answer::Proceed,
                    Some(b'm') => Answer::Challenge(vec![b'x'; 700]),
                    _ => no(535, (5, 7, 8), "no"),
                }
            }
            Event::Message if self.session.hears_each() => {
                let fate = |nth| match nth % 2 {
                    0 => Reply::new(250, (2, 0, 0), "taken"),
                    _ => Reply::new(452, (4, 2, 2), "the mailbox is full"),
                };
                Answer::Each((0..self.recipients).map(fate).collect())
            }
            _ => Answer::Proceed,
        }
    }
}
