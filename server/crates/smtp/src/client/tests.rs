//! Dialogues with a scripted peer.

#![expect(clippy::disallowed_methods, reason = "a test may start its own time anywhere")]

mod auth;
mod chunks;
mod tls;

use std::time::{Duration, Instant};

use model::{Domain, Mailbox, Param, Recipient, Reply, ReversePath};
use proptest::prelude::*;

use super::*;

const OFFERS_ALL: &str =
    "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n";
const OFFERS_NOTHING: &str = "220 mx\r\n250 mx\r\n";

fn options(protocol: Protocol) -> Options {
    Options {
        hostname: "me.example".to_owned(),
        protocol,
        tls: Tls::IfOffered,
        binding: None,
        credentials: None,
        timeouts: Timeouts::default(),
    }
}

/// A message for some recipients, with what a transaction borrows.
struct Mail {
    sender: ReversePath,
    params: Vec<Param>,
    recipients: Vec<Recipient>,
    eight_bit: bool,
    size: u64,
    deliver_by: Option<model::DeliverBy>,
}

impl Mail {
    fn to(addresses: &[&str]) -> Self {
        let recipient = |address: &&str| {
            let address = Mailbox::parse(address).unwrap();
            Recipient { id: 0, original: address.clone(), address, params: Vec::new() }
        };
        Self {
            sender: ReversePath::Mailbox(Mailbox::parse("from@me.example").unwrap()),
            params: Vec::new(),
            recipients: addresses.iter().map(recipient).collect(),
            eight_bit: false,
            size: 5,
            deliver_by: None,
        }
    }

    fn start(&self, session: &mut Session) {
        let recipients: Vec<&Recipient> = self.recipients.iter().collect();
        let transaction = Transaction {
            sender: &self.sender,
            sender_params: &self.params,
            recipients: &recipients,
            size: self.size,
            eight_bit: self.eight_bit,
            deliver_by: self.deliver_by,
            utf8_header: false,
        };
        session.start(&transaction, Instant::now());
    }
}

/// A session, and the peer's side of the wire.
struct Dialogue {
    session: Session,
    cut: usize,
}

impl Dialogue {
    fn with(protocol: Protocol, opening: &str) -> Self {
        let mut dialogue = Self { session: Session::new(options(protocol), Instant::now()), cut: usize::MAX };
        dialogue.peer_says(opening);
        assert_eq!(dialogue.events(), [Event::Ready]);
        dialogue.hears();
        dialogue
    }

    fn peer_says(&mut self, octets: &str) {
        for chunk in octets.as_bytes().chunks(self.cut.min(octets.len().max(1))) {
            self.session.receive(chunk, Instant::now());
        }
    }

    fn hears(&mut self) -> String {
        let octets = self.session.poll_output().unwrap_or_default().to_vec();
        self.session.sent(octets.len(), Instant::now());
        String::from_utf8(octets).unwrap()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn sends(&mut self, content: &str) -> String {
        self.session.content(content.as_bytes(), Instant::now());
        self.session.end_content(Instant::now());
        self.hears()
    }
}

fn refused(step: Step, code: u16, text: &str) -> Fate {
    Fate::Refused { step, reply: Reply::plain(code, text) }
}

fn accepted(text: &str) -> Fate {
    Fate::Accepted(Reply::plain(250, text))
}

#[test]
fn a_pipelined_transaction_goes_out_in_two_pieces_and_the_next_follows() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    for round in 0..2 {
        let mail = Mail::to(&["a@x.example", "b@x.example"]);
        mail.start(&mut peer.session);
        assert_eq!(
            peer.hears(),
            "MAIL FROM:<from@me.example> SIZE=5\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
        );
        peer.peer_says("250 ok\r\n250 ok\r\n550 5.1.1 who\r\n354 go\r\n");
        assert_eq!(peer.events(), [Event::ContentWanted]);
        assert_eq!(peer.sends(".hi\r\n"), "..hi\r\n.\r\n");
        peer.peer_says(&format!("250 taken {round}\r\n"));
        let refused = Fate::Refused { step: Step::Rcpt, reply: Reply::new(550, (5, 1, 1), "who") };
        assert_eq!(peer.events(), [Event::Done(vec![accepted(&format!("taken {round}")), refused])]);
    }
    peer.session.quit(Instant::now());
    assert_eq!(peer.hears(), "QUIT\r\n");
    peer.peer_says("221 bye\r\n");
    assert_eq!(peer.events(), [Event::Ended(None)]);
}

#[test]
fn without_pipelining_each_command_waits_for_its_reply() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_NOTHING);
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    assert_eq!(peer.hears(), "MAIL FROM:<from@me.example>\r\n");
    peer.peer_says("250 ok\r\n");
    assert_eq!(peer.hears(), "RCPT TO:<a@x.example>\r\n");
    peer.peer_says("450 later\r\n");
    assert_eq!(peer.hears(), "RCPT TO:<b@x.example>\r\n");
    peer.peer_says("250 ok\r\n");
    assert_eq!(peer.hears(), "DATA\r\n");
    peer.peer_says("354 go\r\n");
    peer.events();
    assert_eq!(peer.sends("x"), "x\r\n.\r\n");
    peer.peer_says("554 no\r\n");
    assert_eq!(
        peer.events(),
        [Event::Done(vec![refused(Step::Rcpt, 450, "later"), refused(Step::Final, 554, "no")])]
    );
}

#[test]
fn when_nobody_is_accepted_no_content_goes_out_and_the_next_transaction_resets() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_NOTHING);
    let mail = Mail::to(&["a@x.example"]);
    mail.start(&mut peer.session);
    peer.hears();
    peer.peer_says("250 ok\r\n");
    peer.hears();
    peer.peer_says("550 no\r\n");
    assert_eq!(peer.hears(), "");
    assert_eq!(peer.events(), [Event::Done(vec![refused(Step::Rcpt, 550, "no")])]);
    mail.start(&mut peer.session);
    assert_eq!(peer.hears(), "RSET\r\n");
    peer.peer_says("250 ok\r\n");
    assert_eq!(peer.hears(), "MAIL FROM:<from@me.example>\r\n");
}

#[test]
fn a_354_after_all_recipients_were_refused_gets_a_lone_dot() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    Mail::to(&["a@x.example"]).start(&mut peer.session);
    peer.hears();
    peer.peer_says("250 ok\r\n550 no\r\n354 go\r\n");
    assert_eq!(peer.events(), []);
    assert_eq!(peer.hears(), ".\r\n");
    peer.peer_says("250 took nothing\r\n");
    assert_eq!(peer.events(), [Event::Done(vec![refused(Step::Rcpt, 550, "no")])]);
    assert!(peer.session.is_ready());
}

#[test]
fn the_reply_to_mail_is_everybodys_fate() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    peer.peer_says("451 not now\r\n503 no MAIL\r\n503 no MAIL\r\n503 no RCPT\r\n");
    let fate = refused(Step::Mail, 451, "not now");
    assert_eq!(peer.events(), [Event::Done(vec![fate.clone(), fate])]);
}

#[test]
fn data_refused_is_the_fate_of_those_who_had_been_accepted() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    peer.peer_says("250 ok\r\n250 ok\r\n550 no\r\n452 full\r\n");
    assert_eq!(
        peer.events(),
        [Event::Done(vec![refused(Step::Data, 452, "full"), refused(Step::Rcpt, 550, "no")])]
    );
    assert!(peer.session.is_ready());
}

#[test]
fn lmtp_gives_each_accepted_recipient_a_reply_of_its_own() {
    let mut peer = Dialogue::with(Protocol::Lmtp, OFFERS_ALL);
    Mail::to(&["a@x.example", "b@x.example", "c@x.example"]).start(&mut peer.session);
    peer.peer_says("250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
    peer.events();
    peer.sends("x\r\n");
    peer.peer_says("250 a\r\n");
    assert_eq!(peer.events(), []);
    peer.peer_says("452 quota\r\n");
    let fates = vec![accepted("a"), refused(Step::Rcpt, 550, "no"), refused(Step::Final, 452, "quota")];
    assert_eq!(peer.events(), [Event::Done(fates)]);
}

#[test]
fn lmtp_speaks_lhlo_and_smtp_falls_back_to_helo() {
    let mut peer =
        Dialogue { session: Session::new(options(Protocol::Lmtp), Instant::now()), cut: usize::MAX };
    peer.peer_says("220 mx\r\n");
    assert_eq!(peer.hears(), "LHLO me.example\r\n");
    let mut peer =
        Dialogue { session: Session::new(options(Protocol::Smtp), Instant::now()), cut: usize::MAX };
    peer.peer_says("220 mx\r\n");
    assert_eq!(peer.hears(), "EHLO me.example\r\n");
    peer.peer_says("502 what\r\n");
    assert_eq!(peer.hears(), "HELO me.example\r\n");
    peer.peer_says("250-mx\r\n250 PIPELINING\r\n");
    assert_eq!(peer.events(), [Event::Ready]);
    assert_eq!(peer.session.extensions(), &Extensions::default());
}

#[test]
fn a_refusal_at_the_greeting_is_answered_with_quit() {
    let mut peer =
        Dialogue { session: Session::new(options(Protocol::Smtp), Instant::now()), cut: usize::MAX };
    peer.peer_says("554 go away\r\n");
    let failure = Failure::Refused { step: Step::Greeting, reply: Reply::plain(554, "go away") };
    assert_eq!(peer.events(), [Event::Ended(Some(failure))]);
    assert_eq!(peer.hears(), "QUIT\r\n");
}

#[test]
fn a_421_ends_the_session_and_defers_who_has_no_fate_yet() {
    let script = ["250 ok\r\n", "550 no\r\n", "250 ok\r\n", "354 go\r\n", ""];
    for at in 0..script.len() {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
        Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
        peer.peer_says(&script[..at].concat());
        if at == 4 {
            peer.events();
            peer.sends("x");
        }
        peer.peer_says("421 bye\r\n");
        let events = peer.events();
        let [Event::Done(fates), Event::Ended(Some(Failure::Refused { reply, .. }))] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!(reply.code, 421);
        let code = |fate: &Fate| match fate {
            Fate::Refused { reply, .. } => reply.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            fates.iter().map(code).collect::<Vec<_>>(),
            [if at > 1 { 550 } else { 421 }, 421],
            "at {at}"
        );
    }
}

#[test]
fn a_connection_lost_before_the_final_reply_is_a_failure_and_after_it_is_none() {
    let script = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 tak", "en\r\n"];
    for at in 0..=script.len() {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
        Mail::to(&["a@x.example"]).start(&mut peer.session);
        peer.peer_says(&script[..at.min(3)].concat());
        peer.sends("x");
        peer.peer_says(&script[at.min(3)..at].concat());
        peer.session.connection_lost();
        let done = peer.events().into_iter().find_map(|event| match event {
            Event::Done(fates) => Some(fates),
            _ => None,
        });
        let fates = done.unwrap();
        match at {
            5 => assert_eq!(fates, [accepted("taken")]),
            _ => assert!(matches!(fates[..], [Fate::Failed(Failure::ConnectionLost(_))]), "{at} {fates:?}"),
        }
    }
}

#[test]
fn a_peer_that_talks_out_of_turn_is_left() {
    let surplus =
        [("250 ok\r\n", Step::Idle), ("250 ok\r\n250 ok\r\n354 go\r\n250 early\r\n", Step::Content)];
    for (nth, (says, _)) in surplus.iter().enumerate() {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
        if nth > 0 {
            Mail::to(&["a@x.example"]).start(&mut peer.session);
        }
        peer.peer_says(says);
        assert!(matches!(peer.events().last(), Some(Event::Ended(Some(Failure::Protocol(_))))));
    }
    for odd in [
        "354 go\r\n",
        "250 ok\r\n354 go\r\n",
        "250 ok\r\n250 ok\r\n250 yes\r\n",
        "250 ok\r\n250 ok\r\n399 x\r\n",
    ] {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
        Mail::to(&["a@x.example"]).start(&mut peer.session);
        peer.peer_says(odd);
        let events = peer.events();
        assert!(
            matches!(events.last(), Some(Event::Ended(Some(Failure::Protocol(_))))),
            "{odd:?} {events:?}"
        );
    }
}

#[test]
fn what_the_peer_does_not_offer_is_not_sent() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_NOTHING);
    let mut mail = Mail::to(&["a@x.example"]);
    mail.eight_bit = true;
    mail.start(&mut peer.session);
    assert_eq!(peer.hears(), "");
    assert_eq!(peer.events(), [Event::Done(vec![Fate::Unsendable(Unsendable::EightBit)])]);

    Mail::to(&["\u{e4}@x.example", "b@x.example"]).start(&mut peer.session);
    peer.hears();
    peer.peer_says("250 ok\r\n");
    assert_eq!(peer.hears(), "RCPT TO:<b@x.example>\r\n");
    peer.peer_says("550 no\r\n");
    let fates = vec![Fate::Unsendable(Unsendable::Utf8), refused(Step::Rcpt, 550, "no")];
    assert_eq!(peer.events(), [Event::Done(fates)]);

    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    let mut mail = Mail::to(&["a@x.example"]);
    mail.size = 1001;
    mail.start(&mut peer.session);
    assert_eq!(peer.events(), [Event::Done(vec![Fate::Unsendable(Unsendable::TooLarge { limit: 1000 })])]);
}

#[test]
fn parameters_go_to_peers_that_offer_to_take_them() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
    let param = |keyword: &str, value: &str| Param { keyword: keyword.into(), value: Some(value.into()) };
    let mut mail = Mail::to(&["\u{e4}@x.example"]);
    mail.eight_bit = true;
    mail.params = vec![param("ENVID", "q1"), param("RET", "HDRS"), param("AUTH", "<>")];
    mail.recipients[0].params = vec![param("NOTIFY", "NEVER"), param("ORCPT", "rfc822;a\r\nDATA")];
    mail.start(&mut peer.session);
    assert_eq!(
        peer.hears(),
        "MAIL FROM:<from@me.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q1\r\n\
         RCPT TO:<\u{e4}@x.example> NOTIFY=NEVER\r\nDATA\r\n"
    );
}

#[test]
fn a_domain_beyond_ascii_has_a_name_for_peers_without_smtputf8() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_NOTHING);
    let mut mail = Mail::to(&["a@x.example"]);
    let domain = Domain::parse("b\u{fc}cher.example").unwrap();
    mail.sender = ReversePath::Mailbox(Mailbox::new("me", domain).unwrap());
    mail.start(&mut peer.session);
    assert_eq!(peer.hears(), "MAIL FROM:<me@xn--bcher-kva.example>\r\n");
}

#[test]
fn every_wait_has_its_own_deadline() {
    let start = Instant::now();
    let timeouts = Timeouts::default();
    let mut session = Session::new(options(Protocol::Smtp), start);
    assert_eq!(session.poll_timeout(), Some(start + timeouts.greeting));
    session.handle_timeout(start + timeouts.greeting - Duration::from_millis(1));
    assert_eq!(session.poll_event(), None);
    session.handle_timeout(start + timeouts.greeting);
    assert_eq!(session.poll_event(), Some(Event::Ended(Some(Failure::Timeout(Step::Greeting)))));

    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_NOTHING);
    assert_eq!(peer.session.poll_timeout(), None);
    Mail::to(&["a@x.example"]).start(&mut peer.session);
    let mut waits = Vec::new();
    for says in ["250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        let now = Instant::now();
        let octets = peer.session.poll_output().unwrap().len();
        peer.session.sent(octets, now);
        waits.push(peer.session.poll_timeout().unwrap() - now);
        peer.peer_says(says);
    }
    assert_eq!(waits, [timeouts.mail, timeouts.rcpt, timeouts.data]);
    let now = Instant::now();
    peer.session.content(b"x", now);
    assert_eq!(peer.session.poll_timeout(), Some(now + timeouts.block));
    peer.session.end_content(now);
    assert_eq!(peer.session.poll_timeout(), Some(now + timeouts.block));
    let octets = peer.session.poll_output().unwrap().len();
    peer.session.sent(octets, now);
    assert_eq!(peer.session.poll_timeout(), Some(now + timeouts.termination));
    peer.session.handle_timeout(now + timeouts.termination);
    let failure = Failure::Timeout(Step::Final);
    let events = peer.events();
    assert_eq!(events[1..], [Event::Done(vec![Fate::Failed(failure.clone())]), Event::Ended(Some(failure))]);
}

/// Runs a transaction against a peer that answers with given lines, cut to pieces, and notes all events.
fn run(lines: &[String], cut: usize, pipelining: bool) -> Vec<Event> {
    let opening = if pipelining { OFFERS_ALL } else { OFFERS_NOTHING };
    let mut peer = Dialogue::with(Protocol::Smtp, opening);
    peer.cut = cut;
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    let mut events = Vec::new();
    for line in lines {
        if peer.session.is_ready() {
            break;
        }
        peer.peer_says(line);
        for event in peer.events() {
            if event == Event::ContentWanted {
                peer.sends("x\r\n");
            }
            events.push(event);
        }
    }
    events
}

proptest! {
    #[test]
    fn cuts_of_the_peers_octets_change_nothing(
        codes in prop::collection::vec(prop::sample::select(vec!["250", "354", "450", "550", "421", "2", "250-a\r\n250"]), 1..9),
        cut in 1usize..12,
        pipelining: bool,
    ) {
        let lines: Vec<String> = codes.iter().map(|code| format!("{code} x\r\n")).collect();
        let whole = run(&lines, usize::MAX, pipelining);
        prop_assert_eq!(&whole, &run(&lines, cut, pipelining));
        // Whatever the peer says, a transaction has at most one end, with a fate for everybody.
        let ends = whole.iter().filter(|event| matches!(event, Event::Done(fates) if fates.len() == 2)).count();
        prop_assert!(ends <= 1);
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut session = Session::new(options(Protocol::Smtp), Instant::now());
        session.receive(&octets, Instant::now());
        session.connection_lost();
    }
}
