//! AUTH, against the server's side of the mechanisms.

use accounts::{AuthOptions, Authenticator, Channel, Directory, Mechanism, Moment, Record, Secret, User};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;

use super::*;

const EXPORTER: [u8; 32] = [7; 32];

fn authenticator() -> Authenticator {
    let mut user = User::new(Mailbox::parse("alice@example.org").unwrap());
    user.records = vec![Record::scram("correct horse").unwrap()];
    let directory = Directory::new(vec![user]).unwrap();
    let options =
        AuthOptions { directory, mechanisms: Some(Mechanism::ALL.to_vec()), ..AuthOptions::default() };
    Authenticator::new(options, Secret([1; 32]))
}

fn channel(is_secured: bool) -> Channel {
    let exporter = is_secured.then(|| EXPORTER.to_vec());
    Channel { tls: is_secured, exporter, ..Channel::without_tls([127, 0, 0, 1].into()) }
}

fn credentials(password: &str) -> Credentials {
    Credentials {
        username: "alice@example.org".into(),
        password: password.into(),
        nonce: "abcdefghijklmnopqrstuvwx".into(),
    }
}

/// A session that is to authenticate and was offered these mechanisms.
fn session(tls: Tls, password: &str, mechanisms: &str) -> Dialogue {
    let binding = Some(Binding { kind: "tls-exporter", data: EXPORTER.to_vec() });
    let binding = binding.filter(|_| tls == Tls::Implicit);
    let options =
        Options { tls, binding, credentials: Some(credentials(password)), ..options(Protocol::Smtp) };
    let mut peer = Dialogue { session: Session::new(options, Instant::now()), cut: usize::MAX };
    peer.peer_says(&format!("220 mx\r\n250-mx\r\n250 AUTH {mechanisms}\r\n"));
    peer
}

/// Answers as a server with these users does, until the session has something to tell. What was said comes with it.
fn serve(peer: &mut Dialogue, is_secured: bool) -> (Vec<String>, Vec<Event>) {
    let authenticator = authenticator();
    let moment = Moment { now: Instant::now(), wall: Timestamp(0) };
    let (mut said, mut exchange) = (Vec::new(), None);
    loop {
        let events = peer.events();
        if !events.is_empty() {
            return (said, events);
        }
        let heard = peer.hears();
        let line =
            heard.rsplit_once("EHLO me.example\r\n").map_or(heard.as_str(), |(_, rest)| rest).trim_end();
        said.push(line.to_owned());
        let (state, response) = match line.strip_prefix("AUTH ") {
            Some(rest) => {
                let mut words = rest.split(' ');
                let begun = authenticator.begin(words.next().unwrap(), channel(is_secured), moment).unwrap();
                (begun, words.next().map(|word| STANDARD.decode(word).unwrap()))
            }
            None => (exchange.take().expect("AUTH comes first"), Some(STANDARD.decode(line).unwrap())),
        };
        match state.step(response.as_deref()) {
            accounts::Step::Challenge(next, challenge) => {
                exchange = Some(next);
                peer.peer_says(&format!("334 {}\r\n", STANDARD.encode(challenge)));
            }
            accounts::Step::Authenticated { .. } => peer.peer_says("235 2.7.0 welcome\r\n"),
            accounts::Step::Failed { .. } => peer.peer_says("535 5.7.8 no\r\n"),
        }
    }
}

#[test]
fn every_mechanism_opens_with_the_password_and_with_no_other() {
    for mechanism in ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"] {
        for (password, is_right) in [("correct horse", true), ("wrong", false)] {
            // Where the channel could be bound, SCRAM that is not looks like an offer that was tampered with.
            let tls = if mechanism == "SCRAM-SHA-256" { Tls::Never } else { Tls::Implicit };
            let mut peer = session(tls, password, mechanism);
            let (said, events) = serve(&mut peer, tls == Tls::Implicit);
            assert!(said[0].starts_with(&format!("AUTH {mechanism}")), "{said:?}");
            match is_right {
                true => assert_eq!(events, [Event::Ready], "{mechanism}"),
                false => {
                    let reply = Reply::new(535, (5, 7, 8), "no");
                    let failure = Failure::Refused { step: Step::Auth, reply };
                    assert_eq!(events, [Event::Ended(Some(failure))], "{mechanism}");
                    assert_eq!(peer.hears(), "QUIT\r\n");
                }
            }
        }
    }
}

#[test]
fn a_server_sees_that_its_offer_to_bind_the_channel_was_taken_out() {
    let mut peer = session(Tls::Implicit, "correct horse", "SCRAM-SHA-256");
    let (said, events) = serve(&mut peer, true);
    let first = STANDARD.decode(said[0].rsplit_once(' ').unwrap().1).unwrap();
    assert!(first.starts_with(b"y,,"));
    assert!(matches!(events[..], [Event::Ended(Some(Failure::Refused { step: Step::Auth, .. }))]));
}

#[test]
fn the_best_mechanism_is_taken_and_none_without_tls_that_shows_the_password() {
    for (tls, offered, taken) in [
        (Tls::Implicit, "LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", Some("SCRAM-SHA-256-PLUS")),
        (Tls::Implicit, "login plain scram-sha-256 CRAM-MD5", Some("SCRAM-SHA-256")),
        (Tls::Implicit, "LOGIN PLAIN", Some("PLAIN")),
        (Tls::Implicit, "LOGIN XOAUTH2", Some("LOGIN")),
        (Tls::Never, "LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", Some("SCRAM-SHA-256")),
        (Tls::IfOffered, "LOGIN PLAIN", None),
        (Tls::Implicit, "CRAM-MD5", None),
        (Tls::Implicit, "", None),
    ] {
        let mut peer = session(tls, "correct horse", offered);
        let heard = peer.hears();
        match taken {
            Some(taken) => assert!(heard.contains(&format!("AUTH {taken}")), "{offered}: {heard}"),
            None => {
                assert_eq!(peer.events(), [Event::Ended(Some(Failure::NoMechanism))], "{offered}");
                assert!(!heard.contains("AUTH"), "{offered}: {heard}");
            }
        }
    }
}

#[test]
fn a_mechanism_that_is_not_there_after_all_gives_way_to_the_next() {
    let mut peer = session(Tls::Implicit, "correct horse", "PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS");
    for (code, next) in [(535, "AUTH SCRAM-SHA-256 "), (504, "AUTH PLAIN ")] {
        peer.hears();
        peer.peer_says(&format!("{code} no\r\n"));
        let heard = peer.session.poll_output().map(String::from_utf8_lossy).unwrap().into_owned();
        assert!(heard.starts_with(next), "{heard}");
    }
    peer.hears();
    peer.peer_says("454 4.7.0 later\r\n");
    let reply = Reply::new(454, (4, 7, 0), "later");
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::Refused { step: Step::Auth, reply }))]);
}

#[test]
fn a_yes_without_proof_or_in_the_middle_is_not_believed() {
    let mut peer = session(Tls::Implicit, "correct horse", "SCRAM-SHA-256");
    peer.peer_says("235 welcome\r\n");
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::Sasl(SaslFault::NotMutual)))]);
    let mut peer = session(Tls::Implicit, "correct horse", "LOGIN");
    peer.peer_says("334 VXNlcm5hbWU6\r\n235 welcome\r\n");
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::Sasl(SaslFault::NotMutual)))]);
}

#[test]
fn challenges_that_are_none_end_the_session() {
    for (mechanism, challenge) in
        [("PLAIN", ""), ("LOGIN", "?"), ("SCRAM-SHA-256", "AAAA"), ("SCRAM-SHA-256", "")]
    {
        let mut peer = session(Tls::Implicit, "correct horse", mechanism);
        peer.peer_says(&format!("334 {challenge}\r\n"));
        assert_eq!(peer.events(), [Event::Ended(Some(Failure::Sasl(SaslFault::Challenge)))], "{mechanism}");
    }
    let mut peer = session(Tls::Implicit, "correct horse", "LOGIN");
    peer.peer_says("334 \r\n334 \r\n334 \r\n");
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::Sasl(SaslFault::Challenge)))]);
}

#[test]
fn a_long_initial_response_follows_the_first_challenge() {
    let mut peer = session(Tls::Implicit, &"x".repeat(600), "PLAIN");
    assert!(peer.hears().ends_with("AUTH PLAIN\r\n"));
    peer.peer_says("334 \r\n");
    let response = STANDARD.decode(peer.hears().trim_end()).unwrap();
    assert_eq!(response, format!("\0alice@example.org\0{}", "x".repeat(600)).into_bytes());
    peer.peer_says("235 welcome\r\n");
    assert_eq!(peer.events(), [Event::Ready]);
}
