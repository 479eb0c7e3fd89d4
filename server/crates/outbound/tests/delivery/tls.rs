//! Next hops that speak TLS, well and badly.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dns::Fake;
use outbound::{Credentials, DomainPattern, HostPort, NextHop, Options, Password, Route, TlsLevel};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::authority::Authority;
use crate::peer::{Act, Peer, Tls, say};
use crate::{CONTENT, Post, letter, options};

const ALL: [TlsLevel; 4] =
    [TlsLevel::Opportunistic, TlsLevel::Required, TlsLevel::Verified, TlsLevel::Implicit];

fn usual(_: &str, _: &str, _: usize) -> Act {
    Act::Usual
}

async fn peer(tls: Tls, manners: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static) -> Peer {
    Peer::secured("127.0.0.1:0", tls, manners).await
}

/// Mail for `to.example` goes to the peer, by the name `mx.to.example`.
fn post(peer: &Peer, level: TlsLevel, authority: &Authority) -> Post {
    post_with(peer, Options { tls_level: level, tls: authority.connector(), ..options() })
}

fn post_with(peer: &Peer, options: Options) -> Post {
    let dns = Fake::new()
        .with_mx("to.example", 10, "mx.to.example")
        .with_address("mx.to.example", IpAddr::V4(Ipv4Addr::LOCALHOST));
    Post::office_with(Options { mx_port: peer.address.port(), ..options }, dns)
}

#[tokio::test]
async fn a_good_certificate_is_good_at_every_level() {
    let authority = Authority::new();
    for level in ALL {
        for version in [&TLS12, &TLS13] {
            let acceptor = authority.server_of("mx.to.example", false, &[version]);
            let tls = match level {
                TlsLevel::Implicit => Tls::AtOnce(acceptor),
                _ => Tls::Offered(acceptor),
            };
            let peer = peer(tls, usual).await;
            let post = post(&peer, level, &authority);
            let id = post.takes(letter(&["a@to.example"]));
            post.until_tried(id).await;
            assert_eq!(post.states(id), ["delivered"], "{level:?} {}", post.reply(id));
            let taken = peer.taken();
            assert!(taken[0].secured && taken[0].content == CONTENT.as_bytes());
            // Over one connection, which ends as it should.
            assert_eq!(peer.connections(), 1);
            post.closes().await;
            assert_eq!(peer.steps().last().unwrap(), "QUIT");
        }
    }
}

#[tokio::test]
async fn large_messages_and_many_of_them_arrive_whole_over_tls() {
    let authority = Authority::new();
    let peer = peer(Tls::Offered(authority.server("mx.to.example", false)), usual).await;
    let post = post(&peer, TlsLevel::Verified, &authority);
    for lines in [1, 40_000, 3] {
        let mut large = letter(&["a@to.example"]);
        large.content = format!("Subject: large\r\n\r\n{}", ".a line with a dot\r\n".repeat(lines)).into();
        let content = large.content.clone();
        let id = post.takes(large);
        post.until_states(id, &["delivered"]).await;
        assert!(peer.taken().last().unwrap().content == content);
    }
    assert_eq!(peer.connections(), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_bad_certificate_is_taken_where_any_will_do_and_puts_mail_off_where_not() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let bad = [
        (authority.server("mx.to.example", true), "expired"),
        (authority.server("other.example", false), "mx.to.example"),
        (stranger.server("mx.to.example", false), "UnknownIssuer"),
    ];
    for (acceptor, why) in bad {
        for level in ALL {
            let tls = match level {
                TlsLevel::Implicit => Tls::AtOnce(acceptor.clone()),
                _ => Tls::Offered(acceptor.clone()),
            };
            let peer = peer(tls, usual).await;
            let post = post(&peer, level, &authority);
            let id = post.takes(letter(&["a@to.example"]));
            post.until_tried(id).await;
            let reply = post.reply(id);
            if matches!(level, TlsLevel::Opportunistic | TlsLevel::Required) {
                assert_eq!(post.states(id), ["delivered"], "{level:?} {why}: {reply}");
                assert!(peer.taken()[0].secured);
            } else {
                assert_eq!(post.states(id), ["waiting"], "{level:?} {why}: {reply}");
                assert!(reply.starts_with("451 4.7.5 mx.to.example [127.0.0.1]:"), "{reply}");
                assert!(reply.contains(why), "{why}: {reply}");
                assert!(peer.taken().is_empty());
            }
            post.closes().await;
        }
    }
}

#[tokio::test]
async fn without_starttls_mail_goes_in_plain_text_where_it_may_and_waits_where_not() {
    let authority = Authority::new();
    for (level, state) in [
        (TlsLevel::Off, "delivered"),
        (TlsLevel::Opportunistic, "delivered"),
        (TlsLevel::Required, "waiting"),
        (TlsLevel::Verified, "waiting"),
    ] {
        let peer = Peer::friendly().await;
        let post = post(&peer, level, &authority);
        let id = post.takes(letter(&["a@to.example"]));
        post.until_tried(id).await;
        assert_eq!(post.states(id), [state], "{level:?} {}", post.reply(id));
        if state == "waiting" {
            let reply = post.reply(id);
            assert!(reply.starts_with("451 4.7.10") && reply.contains("STARTTLS"), "{reply}");
        }
        assert_eq!(peer.connections(), 1);
        post.closes().await;
    }
}

#[tokio::test]
async fn a_host_that_offers_starttls_is_not_asked_for_it_where_tls_is_off() {
    let authority = Authority::new();
    let peer = peer(Tls::Offered(authority.server("mx.to.example", false)), usual).await;
    let post = post(&peer, TlsLevel::Off, &authority);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert!(!peer.taken()[0].secured && !peer.steps().contains(&"STARTTLS".to_owned()));
    post.closes().await;
}

#[tokio::test]
async fn tls_that_fails_is_given_up_on_a_second_connection_where_that_may_be() {
    let authority = Authority::new();
    let fails = [
        (say("454 4.7.0 not now"), "4.7.10"),
        (say("554 5.7.0 never"), "4.7.10"),
        (Act::Close, "4.4.2"),
        (Act::Hang, "4.4.2"),
        (Act::SayAndClose("220 go\r\n".to_owned()), "4.7.5"),
        (Act::SayInstead("250-mx\r\n250 AUTH PLAIN\r\n".to_owned()), "4.7.5"),
        (Act::SayInstead("\u{16}\u{3}\u{1}\0\u{2}\u{2}\u{28}".to_owned()), "4.7.5"),
    ];
    for (act, status) in fails {
        for level in [TlsLevel::Opportunistic, TlsLevel::Required] {
            let act_now = act.clone();
            let manners = move |step: &str, _: &str, _: usize| match step {
                "STARTTLS" => act_now.clone(),
                _ => Act::Usual,
            };
            let peer = peer(Tls::Offered(authority.server("mx.to.example", false)), manners).await;
            let mut options = Options { tls_level: level, tls: authority.connector(), ..options() };
            options.timeouts.tls = Duration::from_millis(200);
            let post = post_with(&peer, options);
            let id = post.takes(letter(&["a@to.example"]));
            post.until_tried(id).await;
            let reply = post.reply(id);
            if level == TlsLevel::Opportunistic {
                assert_eq!(post.states(id), ["delivered"], "{act:?}: {reply}");
                assert_eq!(peer.connections(), 2, "{act:?}");
                assert!(!peer.taken()[0].secured);
            } else {
                assert_eq!(post.states(id), ["waiting"], "{act:?}: {reply}");
                assert!(reply.contains(status), "{act:?}: {reply}");
                assert_eq!(peer.connections(), 1, "{act:?}");
            }
            post.closes().await;
        }
    }
}

#[tokio::test]
async fn a_peer_that_takes_the_connection_and_makes_no_handshake_is_not_waited_for() {
    let authority = Authority::new();
    let peer = Peer::at("greeting", Act::Hang).await;
    let mut options = Options { tls_level: TlsLevel::Implicit, tls: authority.connector(), ..options() };
    options.timeouts.tls = Duration::from_millis(100);
    let post = post_with(&peer, options);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["waiting"]);
    assert!(post.reply(id).contains("the TLS handshake timed out"), "{}", post.reply(id));
    post.closes().await;
}

/// A smarthost that offers AUTH, and what it said to it and to mail.
async fn submits(tls: Tls, level: TlsLevel, auth: Act) -> (Vec<&'static str>, String, Peer) {
    let authority = Authority::new();
    let manners = move |step: &str, _: &str, _: usize| match step {
        "EHLO" => say("250-smart.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"),
        "AUTH" => auth.clone(),
        _ => Act::Usual,
    };
    let tls = match tls {
        Tls::No => Tls::No,
        _ => Tls::Offered(authority.server("127.0.0.1", false)),
    };
    let peer = peer(tls, manners).await;
    let host = HostPort { host: "127.0.0.1".to_owned(), port: peer.address.port() };
    let password = Password("correct horse".to_owned());
    let auth = Some(Credentials { username: "alice".to_owned(), password });
    let domains = vec![DomainPattern::Any];
    let route = Route { domains, auth, tls: Some(level), ..Route::new("smart", NextHop::Host(host)) };
    let mut options = Options { tls: authority.connector(), ..options() };
    options.routes.insert(route).unwrap();
    let post = Post::office(options);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_tried(id).await;
    let (states, reply) = (post.states(id), post.reply(id));
    post.closes().await;
    (states, reply, peer)
}

fn offered() -> Tls {
    Tls::Offered(Authority::new().server("127.0.0.1", false))
}

#[tokio::test]
async fn a_smarthost_is_told_who_we_are_before_it_has_mail() {
    let (states, reply, peer) = submits(offered(), TlsLevel::Verified, Act::Usual).await;
    assert_eq!(states, ["delivered"], "{reply}");
    assert!(peer.taken()[0].secured);
    let steps = peer.steps();
    let place = |step: &str| steps.iter().position(|at| at == step).unwrap();
    assert!(place("STARTTLS") < place("AUTH") && place("AUTH") < place("MAIL"), "{steps:?}");
}

#[tokio::test]
async fn credentials_that_are_refused_put_mail_off_and_never_bounce_it() {
    for refusal in ["535 5.7.8 wrong", "534 5.7.9 too weak", "550 5.7.1 go away", "454 4.7.0 later"] {
        let (states, reply, peer) = submits(offered(), TlsLevel::Verified, say(refusal)).await;
        assert_eq!(states, ["waiting"], "{reply}");
        assert!(reply.starts_with("451 4.7.8 127.0.0.1") && reply.contains(refusal), "{reply}");
        assert!(!peer.steps().contains(&"MAIL".to_owned()));
    }
}

#[tokio::test]
async fn a_password_is_not_shown_without_tls() {
    for level in [TlsLevel::Off, TlsLevel::Opportunistic] {
        let (states, reply, peer) = submits(Tls::No, level, Act::Usual).await;
        assert_eq!(states, ["waiting"], "{reply}");
        assert!(reply.starts_with("451 4.7.4"), "{reply}");
        let steps = peer.steps();
        assert!(!steps.iter().any(|step| step == "AUTH" || step == "MAIL"), "{steps:?}");
    }
}
