//! Drives a session as a small server would.

mod settings;

use std::sync::Arc;
use std::time::Instant;

use model::{ForwardPath, Mailbox, Reply, ReversePath, Timestamp};
use smtp::server::{Answer, Event, Session};

use crate::script::Dialogue;
use settings::Settings;

/// A session with what a server knows beside it.
pub(crate) struct Driver {
    session: Session,
    settings: Settings,
    now: Instant,
    heard: Vec<u8>,
    /// What alice got, with `\n` as the line end.
    pub(crate) delivered: Vec<String>,
    /// The Return-Path of each.
    pub(crate) stamps: Vec<String>,
    content: Vec<u8>,
    sender: String,
    /// Whether alice is among the recipients of the transaction.
    to_alice: bool,
    user: Option<String>,
}

impl Driver {
    pub(crate) fn new(dialogue: &Dialogue) -> Self {
        let settings = Settings::read(dialogue);
        let now = Instant::now();
        let options = Arc::new(settings.options.clone());
        let session = Session::new(options, settings.channel(settings.starts_secured), now, Timestamp(0));
        let mut driver = Self {
            session,
            settings,
            now,
            heard: Vec::new(),
            delivered: Vec::new(),
            stamps: Vec::new(),
            content: Vec::new(),
            sender: String::new(),
            to_alice: false,
            user: None,
        };
        driver.pump();
        driver
    }

    pub(crate) fn says(&mut self, octets: &[u8]) {
        self.session.receive(octets, self.now);
        self.pump();
    }

    /// The handshake, when it is wanted.
    pub(crate) fn shakes_hands(&mut self) -> bool {
        let wanted = self.session.wants_handshake();
        self.user = None;
        self.session.secured(self.settings.channel(true), self.now);
        wanted
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    pub(crate) fn has_more_to_say(&self) -> bool {
        !self.heard.is_empty()
    }

    /// The next reply: its code, and its lines without their codes. When there is none the client waits until the session gives up.
    pub(crate) fn next_reply(&mut self) -> Option<String> {
        if self.heard.is_empty()
            && let Some(deadline) = self.session.poll_timeout()
        {
            self.now = deadline;
            self.session.handle_timeout(deadline);
            self.pump();
        }
        let mut reply = String::new();
        while !self.heard.is_empty() {
            let end = self.heard.windows(2).position(|two| two == b"\r\n").expect("a reply ends in CRLF");
            let line: Vec<u8> = self.heard.drain(..end + 2).take(end).collect();
            let line = String::from_utf8(line).expect("replies are UTF-8");
            match reply.is_empty() {
                true => reply = format!("{} {}", &line[..3], &line[4..]),
                false => reply = format!("{reply}\n{}", &line[4..]),
            }
            if line.as_bytes()[3] == b' ' {
                return Some(reply);
            }
        }
        None
    }

    fn pump(&mut self) {
        loop {
            while let Some(event) = self.session.poll_event() {
                if let Some(answer) = self.handle(event) {
                    self.session.answer(answer, self.now);
                }
            }
            let Some(until) = self.session.paused_until() else { break };
            self.now = until;
            self.session.resume(until);
        }
        self.heard.extend(self.session.take_output());
    }

    /// Carries an event out, and says the answer to one that asks.
    fn handle(&mut self, event: Event) -> Option<Answer> {
        match event {
            Event::Content(piece) => self.content.extend(piece),
            Event::Reset(_) => self.content.clear(),
            Event::AuthCancelled | Event::Unknown(_) | Event::Refused(_) | Event::Closed(_) => {}
            Event::Mail { sender, .. } => return Some(self.mail(&sender)),
            Event::Rcpt { path, .. } => return Some(self.rcpt(&path)),
            Event::Message => return Some(self.message()),
            Event::Auth { mechanism, initial } => return Some(self.auth(&mechanism, initial)),
            Event::AuthResponse(response) => return Some(self.password(&response)),
            Event::Connect | Event::Hello { .. } | Event::StartTls | Event::XClient(_) | Event::Data => {
                return Some(Answer::Proceed);
            }
        }
        None
    }

    fn mail(&mut self, sender: &ReversePath) -> Answer {
        self.sender = sender.to_string();
        self.to_alice = false;
        self.content.clear();
        match (&self.user, sender.mailbox()) {
            (Some(user), Some(mailbox)) if *user != mailbox.to_string() => {
                no(553, (5, 7, 1), "somebody else")
            }
            _ => Answer::Proceed,
        }
    }

    fn rcpt(&mut self, path: &ForwardPath) -> Answer {
        let local = match path {
            ForwardPath::Postmaster => "postmaster".to_owned(),
            ForwardPath::Mailbox(mailbox) if self.is_ours(mailbox) => mailbox.local().to_lowercase(),
            ForwardPath::Mailbox(_) if self.user.is_some() => return Answer::Proceed,
            ForwardPath::Mailbox(_) => return no(550, (5, 7, 1), "relaying denied"),
        };
        let name = local.split('+').next().unwrap_or_default();
        self.to_alice |= name == "alice";
        match name {
            "alice" | "bob" | "carol" | "dave" | "postmaster" => Answer::Proceed,
            _ => no(550, (5, 1, 1), "no such mailbox"),
        }
    }

    fn is_ours(&self, mailbox: &Mailbox) -> bool {
        self.settings.domains.contains(mailbox.domain())
    }

    fn message(&mut self) -> Answer {
        let content = String::from_utf8_lossy(&std::mem::take(&mut self.content)).replace("\r\n", "\n");
        if self.to_alice {
            self.delivered.push(content);
            self.stamps.push(format!("Return-Path: {}", self.sender));
        }
        Answer::Proceed
    }

    fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Answer {
        match (mechanism, initial) {
            ("PLAIN", Some(response)) => self.password(&response),
            _ => Answer::Challenge(Vec::new()),
        }
    }

    /// The response of PLAIN (RFC 4616): an identity, a name and a password, each but the last followed by NUL.
    fn password(&mut self, response: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(response).into_owned();
        let parts: Vec<&str> = text.split('\0').collect();
        let [_, name, password] = parts[..] else { return no(501, (5, 5, 2), "not a response of PLAIN") };
        let mut users = self.settings.users.iter();
        self.user = users.find(|user| user.0 == name && user.1 == password).map(|user| user.0.clone());
        if self.user.is_some() { Answer::Proceed } else { no(535, (5, 7, 8), "no") }
    }
}

fn no(code: u16, status: (u8, u16, u16), text: &str) -> Answer {
    Answer::Say(Reply::new(code, status, text))
}
