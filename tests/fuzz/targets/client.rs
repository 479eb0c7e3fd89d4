//! The whole sending session against a peer that says anything: each transaction is told its end once, whatever the cuts.
#![no_main]

use std::time::Instant;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use model::{Mailbox, Recipient, ReversePath};
use smtp::client::{Binding, Credentials, Event, Options, Protocol, Session, Timeouts, Tls, Transaction};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let ways = input.octet();
    let cuts = input.cuts();
    assert_eq!(converse(ways, input.0, cuts), converse(ways, input.0, &[]));
});

/// Protocol, TLS and credentials by the bits of an octet.
fn options(ways: u8) -> Options {
    let binding = Some(Binding { kind: "tls-exporter", data: vec![7; 32] });
    let credentials = Credentials {
        username: "user".to_owned(),
        password: "pencil".to_owned(),
        nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
    };
    let tls = [Tls::Never, Tls::IfOffered, Tls::Required, Tls::Implicit][usize::from(ways >> 1 & 3)];
    Options {
        hostname: "client.example".to_owned(),
        protocol: if ways & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp },
        tls,
        binding: binding.filter(|_| tls == Tls::Implicit),
        credentials: Some(credentials).filter(|_| ways & 8 != 0),
        timeouts: Timeouts::default(),
    }
}

/// What the driver heard, and what was sent.
fn converse(ways: u8, wire: &[u8], cuts: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let now = Instant::now();
    let options = options(ways);
    let mut talk =
        Talk { session: Session::new(options, now), events: Vec::new(), sent: Vec::new(), started: 0, now };
    for piece in Input::pieces(wire, cuts) {
        // A reply at a time, or what is pipelined with a later command would be read before it is sent.
        for line in piece.split_inclusive(|octet| *octet == b'\n') {
            talk.session.receive(line, now);
            talk.pump();
        }
    }
    talk.session.connection_lost();
    talk.pump();
    let over = talk.events.iter().filter(|event| matches!(event, Event::Done(_))).count();
    assert_eq!(over, talk.started, "{:?}", talk.events);
    assert!(matches!(talk.events.last(), Some(Event::Ended(_))));
    (talk.events, talk.sent)
}

struct Talk {
    session: Session,
    events: Vec<Event>,
    sent: Vec<u8>,
    started: usize,
    now: Instant,
}

impl Talk {
    fn pump(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::StartTls => self.session.secured(None, self.now),
                Event::ContentWanted => {
                    self.session.content(b"Subject: x\r\n\r\n", self.now);
                    self.session.content(b".dot\nbare", self.now);
                    self.session.end_content(self.now);
                }
                Event::Ready | Event::Done(_) if self.session.is_ready() => self.start(),
                Event::Done(ref fates) => assert_eq!(fates.len(), 2),
                _ => {}
            }
            self.events.push(event);
        }
        if let Some(output) = self.session.poll_output() {
            let count = output.len();
            self.sent.extend_from_slice(output);
            self.session.sent(count, self.now);
        }
    }

    fn start(&mut self) {
        if self.started == 3 {
            return self.session.quit(self.now);
        }
        self.started += 1;
        let recipient = |text: &str| {
            let address = Mailbox::parse(text).expect("an address");
            Recipient { id: 0, original: address.clone(), address, params: Vec::new() }
        };
        let recipients = [recipient("bob@example.org"), recipient("j\u{fc}rgen@example.org")];
        self.session.start(
            &Transaction {
                sender: &ReversePath::Null,
                sender_params: &[],
                recipients: &[&recipients[0], &recipients[1]],
                size: 24,
                eight_bit: self.started == 2,
                deliver_by: None,
                utf8_header: false,
            },
            self.now,
        );
    }
}
