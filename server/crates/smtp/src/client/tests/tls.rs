//! STARTTLS, and what may be believed around it.

use super::*;

fn session(tls: Tls) -> Dialogue {
    let options = Options { tls, ..options(Protocol::Smtp) };
    Dialogue { session: Session::new(options, Instant::now()), cut: usize::MAX }
}

const OFFERS_TLS: &str = "220 mx\r\n250-mx\r\n250-STARTTLS\r\n250-DSN\r\n250 PIPELINING\r\n";

#[test]
fn what_was_said_before_the_handshake_is_forgotten() {
    for tls in [Tls::IfOffered, Tls::Required] {
        let mut peer = session(tls);
        peer.peer_says(OFFERS_TLS);
        assert_eq!(peer.hears(), "EHLO me.example\r\nSTARTTLS\r\n");
        assert_eq!(peer.events(), []);
        // An attacker's reply to the next EHLO, in the same segment and in one behind it, whole and begun.
        peer.peer_says("220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n250-b");
        peer.peer_says("250-egun\r\n");
        assert_eq!(peer.events(), [Event::StartTls]);
        assert_eq!((peer.hears().as_str(), peer.session.is_secured()), ("", false));
        assert_eq!(peer.session.extensions(), &Extensions::default());
        peer.session.secured(None, Instant::now());
        assert_eq!(peer.hears(), "EHLO me.example\r\n");
        // STARTTLS that is offered once more is not asked for once more.
        peer.peer_says("250-mx\r\n250-STARTTLS\r\n250 SIZE\r\n");
        assert_eq!(peer.events(), [Event::Ready]);
        assert!(peer.session.is_secured() && peer.session.extensions().size);
        assert!(!peer.session.extensions().dsn && !peer.session.extensions().pipelining);
    }
}

#[test]
fn a_session_that_must_be_encrypted_is_none_without_starttls() {
    for hello in ["220 mx\r\n250 mx\r\n", "220 mx\r\n500 what\r\n250 mx\r\n"] {
        let mut peer = session(Tls::Required);
        peer.peer_says(hello);
        assert_eq!(peer.events(), [Event::Ended(Some(Failure::NoTls))]);
        assert_eq!(peer.hears(), "QUIT\r\n");
    }
}

#[test]
fn starttls_that_is_not_offered_or_not_wanted_is_not_said() {
    for (tls, hello) in
        [(Tls::IfOffered, OFFERS_NOTHING), (Tls::Never, OFFERS_TLS), (Tls::Implicit, OFFERS_TLS)]
    {
        let mut peer = session(tls);
        peer.peer_says(hello);
        assert_eq!(peer.events(), [Event::Ready]);
        assert_eq!(peer.hears(), "EHLO me.example\r\n");
        assert_eq!(peer.session.is_secured(), tls == Tls::Implicit);
    }
}

#[test]
fn a_refusal_of_starttls_is_a_fault_of_its_own() {
    for code in [454, 501, 554] {
        let mut peer = session(Tls::IfOffered);
        peer.peer_says(OFFERS_TLS);
        peer.peer_says(&format!("{code} no\r\n"));
        let failure = Failure::Refused { step: Step::StartTls, reply: Reply::plain(code, "no") };
        assert_eq!(peer.events(), [Event::Ended(Some(failure))]);
        assert!(peer.hears().ends_with("QUIT\r\n"));
    }
    let mut peer = session(Tls::IfOffered);
    peer.peer_says(OFFERS_TLS);
    peer.session.connection_lost();
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::ConnectionLost(Step::StartTls)))]);
}

#[test]
fn the_handshake_has_a_deadline() {
    let mut peer = session(Tls::Required);
    peer.peer_says(OFFERS_TLS);
    peer.hears();
    peer.peer_says("220 go\r\n");
    assert_eq!(peer.events(), [Event::StartTls]);
    let deadline = peer.session.poll_timeout().unwrap();
    peer.session.handle_timeout(deadline);
    assert_eq!(peer.events(), [Event::Ended(Some(Failure::Timeout(Step::StartTls)))]);
    // Too late.
    peer.session.secured(None, deadline);
    assert!(!peer.session.is_secured());
}
