//! Delivery from end to end: a queue in memory, scripted DNS, and next hops on loopback that behave as they like.

#![expect(clippy::unwrap_used, reason = "what a test sets up either works or fails the test")]

mod authority;
mod control;
mod dialogue;
mod dmarc_reports;
mod fairness;
mod local;
mod lying;
mod notices;
mod pace;
mod peer;
mod plugins;
mod policy;
mod reports;
mod routing;
mod shelf;
mod sites;
mod strain;
mod tls;
mod tls_reports;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::Fake;
use model::{Content, Domain, Envelope, Mailbox, Param, QueueId, ReversePath, Timestamp};
use outbound::{DeliverTo, Engine, HostPort, Options};
use queue::{Courier, Entry, RetrySchedule, Store};

use peer::Peer;
use shelf::Shelf;

const CONTENT: &str = "Subject: hello\r\n\r\n.first\r\nsecond\r\n";

/// An engine with its queue.
struct Post {
    engine: Engine,
    shelf: Arc<Shelf>,
}

/// Options that wait for nothing longer than a test may.
fn options() -> Options {
    let mut options = Options::new("me.example");
    options.retry = RetrySchedule::new(vec![Duration::from_secs(3600)], Duration::from_secs(86_400)).unwrap();
    options.limits.connect_timeout = Duration::from_secs(5);
    options.limits.backoff = Duration::from_millis(200);
    options.limits.backoff_max = Duration::from_millis(200);
    options
}

fn local(mut options: Options, domain: &str, deliver: DeliverTo) -> Options {
    options.domains.insert(&Domain::parse(domain).unwrap(), deliver);
    options
}

fn relay(peer: &Peer) -> DeliverTo {
    DeliverTo::Relay(HostPort { host: peer.address.ip().to_string(), port: peer.address.port() })
}

/// A message; `sender` empty for the null reverse-path.
struct Letter {
    sender: &'static str,
    sender_params: Vec<Param>,
    rcpts: Vec<String>,
    rcpt_params: Vec<Param>,
    content: Bytes,
    arrived: Timestamp,
}

fn letter(rcpts: &[&str]) -> Letter {
    Letter {
        sender: "sender@from.example",
        sender_params: Vec::new(),
        rcpts: rcpts.iter().map(|rcpt| (*rcpt).to_owned()).collect(),
        rcpt_params: Vec::new(),
        content: Bytes::from_static(CONTENT.as_bytes()),
        arrived: clock::wall(),
    }
}

fn param(keyword: &str, value: &str) -> Param {
    Param { keyword: keyword.to_owned(), value: Some(value.to_owned()) }
}

impl Post {
    fn office(options: Options) -> Self {
        Self::office_with(options, Fake::new())
    }

    fn office_with(options: Options, dns: Fake) -> Self {
        let shelf: Arc<Shelf> = Arc::default();
        let engine = Engine::start(Arc::new(options), shelf.clone(), Arc::new(dns));
        Self { engine, shelf }
    }

    fn entry(&self, letter: &Letter) -> (Arc<Entry>, Content) {
        let sender = match letter.sender {
            "" => ReversePath::Null,
            address => ReversePath::Mailbox(Mailbox::parse(address).unwrap()),
        };
        let mut envelope = Envelope::new(sender, letter.sender_params.clone());
        for rcpt in &letter.rcpts {
            let address = Mailbox::parse(rcpt).unwrap();
            envelope.add_recipient(address.clone(), address, letter.rcpt_params.clone());
        }
        let content = Content::from(letter.content.clone());
        let entry = Entry::new(self.shelf.new_id(), envelope, content.len(), letter.arrived, None);
        (Arc::new(entry), content)
    }

    /// Commits a letter and hands it over, as a session does.
    fn takes(&self, letter: Letter) -> QueueId {
        let (entry, content) = self.entry(&letter);
        self.shelf.put(&entry, &content);
        let id = entry.id;
        self.engine.take(entry, content);
        id
    }

    /// Waits until something has come of every recipient: an attempt, or none as its destination is left alone.
    async fn until_tried(&self, id: QueueId) {
        let is_tried =
            move |kept: &shelf::Kept| kept.entry(id).recipients.iter().all(|queued| queued.last.is_some());
        self.shelf.until("every recipient has been tried", is_tried).await;
    }

    async fn until_states(&self, id: QueueId, states: &[&str]) {
        self.shelf.until(&format!("{states:?}"), |kept| kept.states(id) == states).await;
    }

    fn states(&self, id: QueueId) -> Vec<&'static str> {
        self.shelf.look(|kept| kept.states(id))
    }

    fn reply(&self, id: QueueId) -> String {
        self.shelf.look(|kept| kept.last_reply(id))
    }

    async fn closes(self) {
        self.engine.shutdown(Duration::from_secs(10)).await;
    }
}
