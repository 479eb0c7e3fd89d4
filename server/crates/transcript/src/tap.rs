//! One session's side.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use crate::follower::Follower;
use crate::hub::{Hub, Line, Watcher, Who};
use crate::subject::Known;

/// What is known of a session when somebody begins to listen.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// What sessions are told apart by; a subject may be this. Empty: it is given a number.
    pub session: String,
    /// Who is at the other end, as people read it.
    pub peer: String,
    pub address: Option<IpAddr>,
    /// The other end's name.
    pub host: Option<String>,
}

/// A session's transcript: nothing, as long as nobody listens.
#[derive(Debug)]
pub struct Transcript {
    hub: Arc<Hub>,
    tap: Option<Box<Tap>>,
    /// Whether nothing was said yet.
    is_fresh: bool,
}

impl Transcript {
    /// Of a session that begins.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, tap: None, is_fresh: true }
    }

    /// Writes into it if anybody listens. Costs a look at one number otherwise.
    pub fn write(&mut self, opening: impl FnOnce() -> Opening, write: impl FnOnce(&mut Tap)) {
        if !self.hub.is_watched() {
            self.tap = None;
            self.is_fresh = false;
            return;
        }
        let is_fresh = std::mem::replace(&mut self.is_fresh, false);
        let tap =
            self.tap.get_or_insert_with(|| Box::new(Tap::new(Arc::clone(&self.hub), opening(), is_fresh)));
        write(tap);
    }
}

/// Where a session's octets are heard.
#[derive(Debug)]
pub struct Tap {
    hub: Arc<Hub>,
    session: Arc<str>,
    peer: Arc<str>,
    follower: Follower,
    known: Known,
    /// How many of the names that are known are the session's own.
    own: (usize, usize),
    /// Those whom it concerns.
    watchers: Vec<Arc<Watcher>>,
    /// Of the hub, when they were last looked at.
    version: u64,
    /// The last lines, for those whom it comes to concern.
    early: VecDeque<Arc<Line>>,
}

impl Tap {
    /// Lines of a session that are kept for those whom it comes to concern.
    pub const EARLY_LINES: usize = 200;

    fn new(hub: Arc<Hub>, mut opening: Opening, is_fresh: bool) -> Self {
        if opening.session.is_empty() {
            opening.session = format!("out-{}", hub.number());
        }
        let mut known =
            Known { address: opening.address.map(|address| address.to_canonical()), ..Known::default() };
        known.ids.push(opening.session.clone());
        if let Some(host) = &opening.host {
            known.domain(host);
        }
        let own = (known.ids.len(), known.domains.len());
        let mut tap = Self {
            session: opening.session.into(),
            peer: opening.peer.into(),
            follower: Follower::new(is_fresh),
            known,
            own,
            watchers: Vec::new(),
            version: 0,
            early: VecDeque::new(),
            hub,
        };
        tap.note(if is_fresh { "connected" } else { "was connected before" });
        tap
    }

    /// Octets from whoever gives the mail.
    pub fn client(&mut self, octets: &[u8]) {
        let mut lines = Vec::new();
        self.follower.client(octets, &mut |who, text| lines.push((who, text)));
        for (who, text) in lines {
            self.learn(&text);
            self.say(who, text);
        }
    }

    /// Octets from whoever takes it.
    pub fn server(&mut self, octets: &[u8]) {
        let mut lines = Vec::new();
        self.follower.server(octets, &mut |who, text| lines.push((who, text)));
        lines.into_iter().for_each(|(who, text)| self.say(who, text));
    }

    /// A word about the session.
    pub fn note(&mut self, text: impl Into<String>) {
        self.say(Who::Note, text.into());
    }

    /// A handshake was made after STARTTLS.
    pub fn secured(&mut self, text: impl Into<String>) {
        self.follower.secured();
        self.note(text);
    }

    /// The session is about this message.
    pub fn about(&mut self, id: impl ToString) {
        let id = id.to_string();
        if !self.known.ids.contains(&id) {
            self.known.ids.push(id);
            self.look_again();
        }
    }

    /// Somebody in an envelope, or somebody who logged in.
    pub fn concerns(&mut self, address: &str) {
        if self.known.mailbox(address) {
            self.look_again();
        }
    }

    /// Another transaction begins over a connection that had one before; it concerns others.
    pub fn next_transaction(&mut self) {
        let (ids, domains) = self.own;
        self.known.forget_transaction(ids, domains);
        self.watchers.retain(|watcher| self.known.concerns(&watcher.subject));
        self.early.clear();
        self.note("goes on over the same connection");
    }

    /// Whom a command names.
    fn learn(&mut self, line: &str) {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let is_news = match verb.as_str() {
            "MAIL" | "RCPT" => {
                let path = line.split_once('<').and_then(|(_, path)| path.split_once('>'));
                path.is_some_and(|(path, _)| self.known.mailbox(path))
            }
            "EHLO" | "HELO" | "LHLO" => {
                let name = line.split_ascii_whitespace().nth(1);
                name.is_some_and(|name| self.known.domain(name))
            }
            _ => false,
        };
        if is_news {
            self.look_again();
        }
    }

    fn say(&mut self, who: Who, text: String) {
        if self.hub.version() != self.version {
            self.look_again();
        }
        let (session, peer) = (Arc::clone(&self.session), Arc::clone(&self.peer));
        let line = Arc::new(Line { at: clock::wall(), session, peer, who, text });
        self.watchers.iter().for_each(|watcher| watcher.hear(&line));
        if self.early.len() == Self::EARLY_LINES {
            self.early.pop_front();
        }
        self.early.push_back(line);
    }

    /// Whom does it concern now? They hear what was said before.
    fn look_again(&mut self) {
        self.version = self.hub.version();
        let all = self.hub.watchers();
        self.watchers.retain(|watcher| all.iter().any(|other| Arc::ptr_eq(watcher, other)));
        for watcher in all {
            let is_known = self.watchers.iter().any(|other| Arc::ptr_eq(&watcher, other));
            if !is_known && self.known.concerns(&watcher.subject) {
                self.early.iter().for_each(|line| watcher.hear(line));
                self.watchers.push(watcher);
            }
        }
    }
}
