//! BDAT, LIMITS, and the parameters that go with few peers.

use super::*;

const OFFERS_CHUNKING: &str =
    "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 8BITMIME\r\n";

fn feed(peer: &mut Dialogue, pieces: &[&str]) -> String {
    for piece in pieces {
        peer.session.content(piece.as_bytes(), Instant::now());
    }
    peer.session.end_content(Instant::now());
    peer.hears()
}

#[test]
fn content_goes_in_chunks_behind_the_replies_for_the_recipients() {
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_CHUNKING);
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    assert_eq!(
        peer.hears(),
        "MAIL FROM:<from@me.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"
    );
    peer.peer_says("250 ok\r\n550 no\r\n");
    assert_eq!(peer.events(), []);
    peer.peer_says("250 ok\r\n");
    assert_eq!(peer.events(), [Event::ContentWanted]);
    // Dots are dots, and line ends that stand alone are none.
    assert_eq!(
        feed(&mut peer, &[".a\r\n", "b\n.\r", "\nc"]),
        "BDAT 4\r\n.a\r\nBDAT 4\r\nb\r\n.BDAT 3 LAST\r\n\r\nc"
    );
    peer.peer_says("250 4 octets\r\n250 4 octets\r\n");
    assert_eq!(peer.events(), []);
    peer.peer_says("250 taken\r\n");
    assert_eq!(peer.events(), [Event::Done(vec![refused(Step::Rcpt, 550, "no"), accepted("taken")])]);
    assert!(peer.session.is_ready());
}

#[test]
fn when_nobody_is_accepted_no_chunk_goes_out() {
    for (says, step, reset) in
        [("250 ok\r\n550 no\r\n", Step::Rcpt, "RSET\r\n"), ("550 no\r\n503 no\r\n", Step::Mail, "")]
    {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_CHUNKING);
        Mail::to(&["a@x.example"]).start(&mut peer.session);
        peer.hears();
        peer.peer_says(says);
        assert_eq!(peer.events(), [Event::Done(vec![refused(step, 550, "no")])]);
        Mail::to(&["a@x.example"]).start(&mut peer.session);
        assert!(peer.hears().starts_with(&format!("{reset}MAIL")));
    }
}

#[test]
fn a_chunk_that_is_refused_ends_the_transaction_when_all_replies_are_in() {
    for last in [false, true] {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_CHUNKING);
        Mail::to(&["a@x.example"]).start(&mut peer.session);
        peer.hears();
        peer.peer_says("250 ok\r\n250 ok\r\n");
        peer.events();
        for piece in ["one\r\n", "two\r\n", "three\r\n"] {
            peer.session.content(piece.as_bytes(), Instant::now());
        }
        if last {
            peer.session.end_content(Instant::now());
        }
        peer.hears();
        peer.peer_says("552 5.3.4 too much\r\n");
        assert_eq!(peer.events(), []);
        peer.peer_says("503 no\r\n");
        if last {
            assert_eq!(peer.events(), []);
            // Whatever that is worth: the content is not whole.
            peer.peer_says("250 yes\r\n");
        }
        let fate = Fate::Refused { step: Step::Chunk, reply: Reply::new(552, (5, 3, 4), "too much") };
        assert_eq!(peer.events(), [Event::Done(vec![fate])]);
        // What the driver still has to say falls on nothing.
        assert_eq!(feed(&mut peer, &["four"]), "");
        assert!(peer.session.is_ready());
    }
}

#[test]
fn binary_content_stays_as_it_is_and_goes_to_no_peer_without_binarymime() {
    let mut mail = Mail::to(&["a@x.example"]);
    mail.params = vec![Param { keyword: "BODY".into(), value: Some("BINARYMIME".into()) }];
    let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_CHUNKING);
    mail.start(&mut peer.session);
    assert!(peer.hears().starts_with("MAIL FROM:<from@me.example> BODY=BINARYMIME\r\n"));
    peer.peer_says("250 ok\r\n250 ok\r\n");
    assert_eq!(feed(&mut peer, &["a\rb", "\n\n"]), "BDAT 3\r\na\rbBDAT 2 LAST\r\n\n\n");

    // Without PIPELINING nothing may follow a chunk before its reply, so there is one.
    let mut peer = Dialogue::with(Protocol::Smtp, "220 mx\r\n250-mx\r\n250-CHUNKING\r\n250 BINARYMIME\r\n");
    mail.start(&mut peer.session);
    peer.hears();
    peer.peer_says("250 ok\r\n");
    peer.hears();
    peer.peer_says("250 ok\r\n");
    assert_eq!(feed(&mut peer, &["a\rb", "\n\n"]), "BDAT 5 LAST\r\na\rb\n\n");
    peer.peer_says("250 taken\r\n");
    assert_eq!(peer.events(), [Event::ContentWanted, Event::Done(vec![accepted("taken")])]);

    for offers in ["BINARYMIME", "CHUNKING"] {
        let mut peer = Dialogue::with(Protocol::Smtp, &format!("220 mx\r\n250-mx\r\n250 {offers}\r\n"));
        mail.start(&mut peer.session);
        assert_eq!(peer.events(), [Event::Done(vec![Fate::Unsendable(Unsendable::Binary)])]);
    }
}

#[test]
fn lmtp_answers_for_each_recipient_behind_the_last_chunk_alone() {
    let mut peer = Dialogue::with(Protocol::Lmtp, OFFERS_CHUNKING);
    Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
    peer.peer_says("250 ok\r\n250 ok\r\n250 ok\r\n");
    peer.events();
    feed(&mut peer, &["x\r\n", "y\r\n"]);
    peer.peer_says("250 octets\r\n250 a\r\n452 b\r\n");
    assert_eq!(peer.events(), [Event::Done(vec![accepted("a"), refused(Step::Final, 452, "b")])]);
}

#[test]
fn recipients_beyond_what_the_peer_takes_are_left_for_another_transaction() {
    let mut peer = Dialogue::with(Protocol::Smtp, "220 mx\r\n250-mx\r\n250 LIMITS RCPTMAX=2\r\n");
    Mail::to(&["a@x.example", "b@x.example", "c@x.example"]).start(&mut peer.session);
    peer.hears();
    peer.peer_says("250 ok\r\n");
    peer.hears();
    peer.peer_says("250 ok\r\n");
    peer.hears();
    // One more than it takes now, though it announced two.
    peer.peer_says("452 4.5.3 too many\r\n");
    assert_eq!(peer.hears(), "DATA\r\n");
    peer.peer_says("354 go\r\n");
    peer.events();
    peer.sends("x\r\n");
    peer.peer_says("250 taken\r\n");
    let late = Fate::LeftOver(Some(Reply::new(452, (4, 5, 3), "too many")));
    assert_eq!(peer.events(), [Event::Done(vec![accepted("taken"), late, Fate::LeftOver(None)])]);

    // A mailbox that is full, and a first recipient, are no question of number.
    for (first, second, status) in
        [("250 ok", "452 4.2.2 full", (4, 2, 2)), ("550 no", "452 4.5.3 x", (4, 5, 3))]
    {
        let mut peer = Dialogue::with(Protocol::Smtp, OFFERS_ALL);
        Mail::to(&["a@x.example", "b@x.example"]).start(&mut peer.session);
        peer.peer_says(&format!("250 ok\r\n{first}\r\n{second}\r\n451 stop\r\n"));
        let events = peer.events();
        let [Event::Done(fates)] = events.as_slice() else { panic!("{events:?}") };
        let Fate::Refused { step: Step::Rcpt, reply } = &fates[1] else { panic!("{fates:?}") };
        assert_eq!(reply.status.map(|status| (status.class, status.subject, status.detail)), Some(status));
    }
}

#[test]
fn requiretls_goes_over_tls_to_peers_that_offer_it_and_nowhere_else() {
    let mut mail = Mail::to(&["a@x.example"]);
    mail.params = vec![Param { keyword: "REQUIRETLS".into(), value: None }];
    for (tls, offers, goes) in [
        (Tls::Implicit, "REQUIRETLS", true),
        (Tls::Implicit, "DSN", false),
        (Tls::Never, "REQUIRETLS", false),
    ] {
        let options = Options { tls, ..options(Protocol::Smtp) };
        let mut peer = Dialogue { session: Session::new(options, Instant::now()), cut: usize::MAX };
        peer.peer_says(&format!("220 mx\r\n250-mx\r\n250 {offers}\r\n"));
        peer.events();
        peer.hears();
        mail.start(&mut peer.session);
        match goes {
            true => assert_eq!(peer.hears(), "MAIL FROM:<from@me.example> REQUIRETLS\r\n"),
            false => {
                assert_eq!(peer.events(), [Event::Done(vec![Fate::Unsendable(Unsendable::RequireTls)])]);
            }
        }
    }
    assert_eq!(Unsendable::RequireTls.reply().status.unwrap().to_string(), "5.7.30");
}

#[test]
fn urgency_and_what_is_left_of_the_time_go_to_peers_that_know_them() {
    for (offers, said) in
        [("250-MT-PRIORITY MIXER\r\n250 DELIVERBY 240", " MT-PRIORITY=-3 BY=90;RT"), ("250 SIZE", " SIZE=5")]
    {
        let mut peer = Dialogue::with(Protocol::Smtp, &format!("220 mx\r\n250-mx\r\n{offers}\r\n"));
        let mut mail = Mail::to(&["a@x.example"]);
        mail.params = vec![Param { keyword: "MT-PRIORITY".into(), value: Some("-3".into()) }];
        mail.deliver_by = Some(model::DeliverBy { seconds: 90, mode: model::LateMode::Return, trace: true });
        mail.start(&mut peer.session);
        assert_eq!(peer.hears(), format!("MAIL FROM:<from@me.example>{said}\r\n"));
    }
}
