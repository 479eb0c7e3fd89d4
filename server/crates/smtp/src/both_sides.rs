//! The sending session and the receiving one talk to each other in memory.

#![expect(clippy::disallowed_methods, reason = "a test may start its own time anywhere")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Mailbox, Param, Recipient, Reply, ReversePath, Timestamp};
use proptest::prelude::*;

use crate::{client, server};

/// What arrived of one message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrived {
    sender: String,
    recipients: Vec<String>,
    content: Vec<u8>,
}

/// The two sessions, and how the bytes between them are cut.
struct Wire<'a> {
    client: client::Session,
    server: server::Session,
    cuts: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    now: Instant,
    under_way: Arrived,
    arrived: Vec<Arrived>,
}

/// Time stands still here, so that a pause would never end.
fn without_pauses(protocol: server::Protocol) -> server::Options {
    let mut options = server::Options::new("mx.example");
    options.protocol = protocol;
    options.limits.tarpit_delay = Duration::ZERO;
    options
}

impl<'a> Wire<'a> {
    fn new(lmtp: bool, cuts: &'a [usize]) -> Self {
        let now = Instant::now();
        let (protocol, of_server) = match lmtp {
            true => (client::Protocol::Lmtp, server::Protocol::Lmtp),
            false => (client::Protocol::Smtp, server::Protocol::Smtp),
        };
        let options = client::Options { protocol, ..client::Options::plain("client.example") };
        Self {
            client: client::Session::new(options, now),
            server: server::Session::new(
                Arc::new(without_pauses(of_server)),
                server::Channel::default(),
                now,
                Timestamp(0),
            ),
            cuts: cuts.iter().cycle(),
            now,
            under_way: Arrived::default(),
            arrived: Vec::new(),
        }
    }

    /// Moves bytes both ways until the client has something to tell.
    fn next_event(&mut self) -> client::Event {
        for _ in 0..100_000 {
            if let Some(event) = self.client.poll_event() {
                return event;
            }
            self.serve();
            let cut = *self.cuts.next().unwrap_or(&1);
            if let Some(output) = self.client.poll_output() {
                let count = cut.min(output.len());
                self.server.receive(&output[..count], self.now);
                self.client.sent(count, self.now);
            }
            self.serve();
            for piece in self.server.take_output().chunks(cut) {
                self.client.receive(piece, self.now);
            }
        }
        panic!("the sessions wait for each other");
    }

    fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let mut answer = server::Answer::Proceed;
            match &event {
                server::Event::Mail { sender, .. } => {
                    self.under_way = Arrived { sender: sender.to_string(), ..Arrived::default() };
                }
                server::Event::Rcpt { path: model::ForwardPath::Mailbox(mailbox), .. } => {
                    if mailbox.local().starts_with("no") {
                        answer = Reply::new(550, (5, 1, 1), "no such mailbox").into();
                    } else {
                        self.under_way.recipients.push(mailbox.to_string());
                    }
                }
                server::Event::Content(piece) => self.under_way.content.extend_from_slice(piece),
                server::Event::Message => {
                    let message = std::mem::take(&mut self.under_way);
                    if self.server.hears_each() {
                        answer = server::Answer::Each(
                            message.recipients.iter().map(|to| final_reply(to)).collect(),
                        );
                    }
                    self.arrived.push(message);
                }
                _ => {}
            }
            if event.asks() {
                self.server.answer(answer, self.now);
            }
        }
    }
}

/// What is said of one recipient at the end of data where each hears of its own.
fn final_reply(to: &str) -> Reply {
    match to.starts_with("full") {
        true => Reply::new(452, (4, 2, 2), "the mailbox is full"),
        false => Reply::new(250, (2, 1, 5), format!("taken for {to}")),
    }
}

#[derive(Debug, Clone)]
struct Mail {
    sender: ReversePath,
    recipients: Vec<Recipient>,
    content: Vec<u8>,
    /// Lines mean nothing in the content (BODY=BINARYMIME).
    is_binary: bool,
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    "(no|full)?[a-z]{1,6}".prop_map(|local| Mailbox::parse(&format!("{local}@example.org")).unwrap())
}

/// Content as a store holds it: lines that end in CRLF, dots anywhere, any octet but a bare CR or LF.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::collection::vec(prop_oneof![Just(b'.'), any::<u8>()], 0..40)
        .prop_map(|line| line.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect::<Vec<u8>>());
    proptest::collection::vec(line, 0..12)
        .prop_map(|lines| lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect())
}

fn mail() -> impl Strategy<Value = Mail> {
    let content = prop_oneof![
        content().prop_map(|lines| (lines, false)),
        proptest::collection::vec(any::<u8>(), 0..400).prop_map(|octets| (octets, true)),
    ];
    (proptest::option::of(mailbox()), proptest::collection::vec(mailbox(), 1..5), content).prop_map(
        |(sender, recipients, (content, is_binary))| Mail {
            is_binary,
            sender: sender.map_or(ReversePath::Null, ReversePath::Mailbox),
            recipients: recipients
                .into_iter()
                .map(|address| Recipient { id: 0, original: address.clone(), address, params: Vec::new() })
                .collect(),
            content,
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_messages_arrive_unchanged(
        mails in proptest::collection::vec(mail(), 1..4),
        lmtp: bool,
        cuts in proptest::collection::vec(1usize..200, 1..20),
        piece in 1usize..200,
    ) {
        let mut wire = Wire::new(lmtp, &cuts);
        prop_assert_eq!(wire.next_event(), client::Event::Ready);
        for mail in &mails {
            let recipients: Vec<&Recipient> = mail.recipients.iter().collect();
            let body = Param { keyword: "BODY".to_owned(), value: Some("BINARYMIME".to_owned()) };
            let params: Vec<Param> = mail.is_binary.then_some(body).into_iter().collect();
            let transaction = client::Transaction {
                sender: &mail.sender,
                sender_params: &params,
                recipients: &recipients,
                size: mail.content.len() as u64,
                eight_bit: !mail.content.is_ascii(),
                deliver_by: None,
            utf8_header: false,
            };
            let now = wire.now;
            wire.client.start(&transaction, now);
            let mut event = wire.next_event();
            let wanted: Vec<String> = recipients.iter().map(|r| r.address.to_string()).filter(|a| !a.starts_with("no")).collect();
            if event == client::Event::ContentWanted {
                for piece in mail.content.chunks(piece) {
                    wire.client.content(piece, now);
                }
                wire.client.end_content(now);
                event = wire.next_event();
            }
            let client::Event::Done(fates) = event else { panic!("{event:?}") };
            for (recipient, fate) in recipients.iter().zip(&fates) {
                let address = recipient.address.to_string();
                let refused = address.starts_with("no") || lmtp && address.starts_with("full");
                prop_assert_eq!(matches!(fate, client::Fate::Accepted(_)), !refused, "{:?}", fate);
                if let (client::Fate::Accepted(reply), true) = (fate, lmtp) {
                    prop_assert_eq!(reply, &final_reply(&address));
                }
            }
            if wanted.is_empty() {
                prop_assert!(wire.arrived.is_empty());
            } else {
                let arrived = wire.arrived.pop().expect("a message that was accepted has arrived");
                let sender = mail.sender.to_string();
                prop_assert_eq!(arrived, Arrived { sender, recipients: wanted, content: mail.content.clone() });
            }
        }
    }
}
