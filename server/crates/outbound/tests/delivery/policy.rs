//! DANE, MTA-STS, REQUIRETLS and `TLS-Required: No`, with next hops that are what the policies want, and others.

use std::net::{IpAddr, Ipv4Addr};

use dns::{DnsError, Fake, Tlsa};
use model::Param;
use outbound::{MtaStsOptions, Options, TlsLevel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::peer::{Act, Peer, Tls};
use crate::{Letter, Post, letter, options};

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn usual(_: &str, _: &str, _: usize) -> Act {
    Act::Usual
}

async fn peer_with(tls: Tls) -> Peer {
    Peer::secured("127.0.0.1:0", tls, usual).await
}

/// `mx.to.example` takes mail for `to.example`; DNSSEC proves both.
pub(crate) fn signed() -> Fake {
    Fake::new()
        .with_mx("to.example", 10, "mx.to.example")
        .with_address("mx.to.example", LOCALHOST)
        .secure("to.example")
        .secure("mx.to.example")
}

pub(crate) fn tlsa_name(peer: &Peer) -> String {
    dns::tlsa_name(peer.address.port(), "mx.to.example")
}

/// A record that trusts the authority, whose certificate it holds whole.
fn trusting(authority: &Authority) -> Tlsa {
    Tlsa { usage: 2, selector: 0, matching: 0, data: authority.certificate() }
}

fn with_tlsa(peer: &Peer, record: Tlsa) -> Fake {
    let name = tlsa_name(peer);
    signed().with_tlsa(&name, record).secure(&name)
}

fn post(peer: &Peer, dns: Fake) -> Post {
    Post::office_with(Options { mx_port: peer.address.port(), ..options() }, dns)
}

fn mail() -> Letter {
    letter(&["a@to.example"])
}

/// What became of one message, with the reply that is shown.
pub(crate) async fn outcome(post: &Post, letter: Letter) -> (&'static str, String) {
    let id = post.takes(letter);
    post.until_tried(id).await;
    (post.states(id)[0], post.reply(id))
}

#[tokio::test]
async fn a_certificate_that_the_records_vouch_for_is_good_without_any_authority() {
    let authority = Authority::new();
    let peer = peer_with(Tls::Offered(authority.server("mx.to.example", false))).await;
    let post = post(&peer, with_tlsa(&peer, trusting(&authority)));
    assert_eq!(outcome(&post, mail()).await.0, "delivered");
    assert!(peer.taken()[0].secured);
    post.closes().await;
}

#[tokio::test]
async fn a_certificate_that_no_record_matches_puts_mail_off_and_says_why() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let peer = peer_with(Tls::Offered(stranger.server("mx.to.example", false))).await;
    // Whatever the configuration asks for beyond, and though an authority vouches for it.
    for tls_level in [TlsLevel::Opportunistic, TlsLevel::Required, TlsLevel::Verified] {
        let told =
            Options { mx_port: peer.address.port(), tls: stranger.connector(), tls_level, ..options() };
        let post = Post::office_with(told, with_tlsa(&peer, trusting(&authority)));
        let (state, reply) = outcome(&post, mail()).await;
        assert_eq!(state, "waiting", "{reply}");
        assert!(reply.contains("4.7.5") && reply.contains("TLSA records (DANE)"), "{reply}");
        post.closes().await;
    }
    assert!(peer.taken().is_empty());
}

#[tokio::test]
async fn nothing_goes_in_the_clear_where_there_are_records() {
    let authority = Authority::new();
    let unusable = Tlsa { usage: 1, selector: 0, matching: 1, data: vec![0; 32] };
    for record in [trusting(&authority), unusable] {
        let peer = Peer::friendly().await;
        let post = post(&peer, with_tlsa(&peer, record));
        let (state, reply) = outcome(&post, mail()).await;
        assert_eq!(state, "waiting", "{reply}");
        assert!(reply.contains("4.7.10") && reply.contains("TLSA"), "{reply}");
        assert!(peer.taken().is_empty());
        post.closes().await;
    }
}

#[tokio::test]
async fn records_none_of_which_is_usable_ask_for_tls_with_anybody() {
    let peer = peer_with(Tls::Offered(Authority::new().server("other.example", true))).await;
    let unusable = Tlsa { usage: 0, selector: 0, matching: 1, data: vec![0; 32] };
    let post = post(&peer, with_tlsa(&peer, unusable));
    assert_eq!(outcome(&post, mail()).await.0, "delivered");
    assert!(peer.taken()[0].secured);
    post.closes().await;
}

#[tokio::test]
async fn a_host_whose_records_cannot_be_had_is_not_used() {
    for error in [DnsError::Bogus, DnsError::TimedOut, DnsError::ServFail("SERVFAIL".to_owned())] {
        let peer = Peer::friendly().await;
        let post = post(&peer, signed().fails(&tlsa_name(&peer), error));
        let (state, reply) = outcome(&post, mail()).await;
        assert_eq!(state, "waiting", "{reply}");
        assert!(reply.contains("4.7.5") && reply.contains("TLSA records cannot be had"), "{reply}");
        assert_eq!(peer.connections(), 0);
        post.closes().await;
    }
}

#[tokio::test]
async fn records_that_nothing_proves_are_not_obeyed() {
    let authority = Authority::new();
    let record = || trusting(&authority);
    let peer = Peer::friendly().await;
    let name = tlsa_name(&peer);
    let unsigned_mx = Fake::new()
        .with_mx("to.example", 10, "mx.to.example")
        .with_address("mx.to.example", LOCALHOST)
        .secure("mx.to.example")
        .with_tlsa(&name, record())
        .secure(&name);
    let unsigned_host = Fake::new()
        .with_mx("to.example", 10, "mx.to.example")
        .secure("to.example")
        .with_address("mx.to.example", LOCALHOST)
        .with_tlsa(&name, record())
        .secure(&name);
    let unsigned_record = signed().with_tlsa(&name, record());
    for dns in [unsigned_mx, unsigned_host, unsigned_record] {
        let post = post(&peer, dns);
        let (state, reply) = outcome(&post, mail()).await;
        assert_eq!(state, "delivered", "{reply}");
        post.closes().await;
    }
    let off = Options { dane: false, mx_port: peer.address.port(), ..options() };
    let post = Post::office_with(off, with_tlsa(&peer, record()));
    assert_eq!(outcome(&post, mail()).await.0, "delivered", "switched off");
    post.closes().await;
}

/// A policy host that serves until the test ends.
async fn policy_host(acceptor: TlsAcceptor, policy: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", policy.len());
    let answer = format!("{head}{policy}");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn policy(mode: &str, mx: &str) -> String {
    format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n")
}

/// A post whose domain has this policy.
async fn post_with_policy(
    peer: &Peer,
    authority: &Authority,
    policy: &str,
    dns: Fake,
) -> (Post, tempfile::TempDir) {
    let port = policy_host(authority.server("mta-sts.to.example", false), policy).await;
    let folder = tempfile::tempdir().unwrap();
    let dns =
        dns.with_txt("_mta-sts.to.example", "v=STSv1; id=1;").with_address("mta-sts.to.example", LOCALHOST);
    let told = Options {
        mx_port: peer.address.port(),
        tls: authority.connector(),
        mta_sts: Some(MtaStsOptions { folder: folder.path().to_owned(), port }),
        ..options()
    };
    (Post::office_with(told, dns), folder)
}

fn unsigned() -> Fake {
    Fake::new().with_mx("to.example", 10, "mx.to.example").with_address("mx.to.example", LOCALHOST)
}

#[tokio::test]
async fn a_policy_in_force_wants_a_listed_host_with_a_verified_certificate() {
    let authority = Authority::new();
    let enforce = policy("enforce", "*.to.example");
    let good = peer_with(Tls::Offered(authority.server("mx.to.example", false))).await;
    let (post, folder) = post_with_policy(&good, &authority, &enforce, unsigned()).await;
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "delivered", "{reply}");
    assert!(good.taken()[0].secured);
    assert!(folder.path().join("to.example.json").exists());
    post.closes().await;

    let wrong = peer_with(Tls::Offered(authority.server("other.example", false))).await;
    let (post, _folder) = post_with_policy(&wrong, &authority, &enforce, unsigned()).await;
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "waiting");
    assert!(reply.contains("4.7.5") && reply.contains("the domain's MTA-STS policy"), "{reply}");
    post.closes().await;

    let plain = Peer::friendly().await;
    let (post, _folder) = post_with_policy(&plain, &authority, &enforce, unsigned()).await;
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "waiting");
    assert!(reply.contains("4.7.10"), "{reply}");
    post.closes().await;

    let unlisted = policy("enforce", "mx.elsewhere.example");
    let (post, _folder) = post_with_policy(&good, &authority, &unlisted, unsigned()).await;
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "waiting");
    assert!(reply.contains("is not listed in the MTA-STS policy"), "{reply}");
    assert!(wrong.taken().is_empty() && plain.taken().is_empty() && good.taken().len() == 1);
    post.closes().await;
}

#[tokio::test]
async fn a_policy_that_is_tested_and_one_that_is_none_stop_nothing() {
    let authority = Authority::new();
    for text in [policy("testing", "mx.elsewhere.example"), policy("none", "a.example"), "<html>".to_owned()]
    {
        let peer = Peer::friendly().await;
        let (post, _folder) = post_with_policy(&peer, &authority, &text, unsigned()).await;
        let (state, reply) = outcome(&post, mail()).await;
        assert_eq!(state, "delivered", "{reply}");
        post.closes().await;
    }
}

#[tokio::test]
async fn records_come_before_a_policy() {
    let (known, private) = (Authority::new(), Authority::named("private"));
    let peer = peer_with(Tls::Offered(private.server("mx.to.example", false))).await;
    let dns = with_tlsa(&peer, trusting(&private));
    let (post, _folder) =
        post_with_policy(&peer, &known, &policy("enforce", "mx.elsewhere.example"), dns).await;
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "delivered", "{reply}");
    post.closes().await;
}

fn requiring() -> Letter {
    let mut letter = mail();
    letter.sender_params = vec![Param { keyword: "REQUIRETLS".to_owned(), value: None }];
    letter
}

/// Says that it knows REQUIRETLS, once it speaks TLS.
fn obliging(step: &str, _: &str, _: usize) -> Act {
    match step {
        "EHLO" => Act::Say("250-peer.example\r\n250-STARTTLS\r\n250 REQUIRETLS\r\n".to_owned()),
        _ => Act::Usual,
    }
}

#[tokio::test]
async fn requiretls_goes_to_known_hosts_that_offer_it_and_comes_back_from_others() {
    let authority = Authority::new();
    let acceptor = || Tls::Offered(authority.server("mx.to.example", false));
    let told =
        |peer: &Peer| Options { mx_port: peer.address.port(), tls: authority.connector(), ..options() };

    let peer = Peer::secured("127.0.0.1:0", acceptor(), obliging).await;
    let post = Post::office_with(told(&peer), signed());
    let (state, reply) = outcome(&post, requiring()).await;
    assert_eq!(state, "delivered", "{reply}");
    assert!(peer.taken()[0].secured && peer.taken()[0].mail.ends_with(" REQUIRETLS"));
    post.closes().await;

    let post = Post::office_with(told(&peer), unsigned());
    let (state, reply) = outcome(&post, requiring()).await;
    assert_eq!(state, "bounced");
    assert!(reply.contains("5.7.30") && reply.contains("neither DNSSEC nor MTA-STS"), "{reply}");
    assert_eq!(peer.taken().len(), 1);
    post.closes().await;

    let lacking = Peer::secured("127.0.0.1:0", acceptor(), usual).await;
    let post = Post::office_with(told(&lacking), signed());
    let (state, reply) = outcome(&post, requiring()).await;
    assert_eq!(state, "bounced");
    assert!(reply.contains("5.7.30"), "{reply}");
    assert!(lacking.taken().is_empty());
    post.closes().await;

    let stranger = Authority::named("a stranger").server("mx.to.example", false);
    let unknown = Peer::secured("127.0.0.1:0", Tls::Offered(stranger), obliging).await;
    let post = Post::office_with(told(&unknown), signed());
    let (state, reply) = outcome(&post, requiring()).await;
    assert_eq!(state, "waiting");
    assert!(reply.contains("4.7.5") && reply.contains("REQUIRETLS of the message"), "{reply}");
    assert!(unknown.taken().is_empty());
    // It says nothing about mail that does not ask for it.
    let (state, reply) = outcome(&post, mail()).await;
    assert_eq!(state, "delivered", "{reply}");
    post.closes().await;
}

#[tokio::test]
async fn a_message_may_do_without_the_policies_unless_it_also_requires_tls() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let peer =
        Peer::secured("127.0.0.1:0", Tls::Offered(stranger.server("mx.to.example", false)), obliging).await;
    let post = post(&peer, with_tlsa(&peer, trusting(&authority)));
    let optional = |mut letter: Letter| {
        letter.content = "TLS-Required: No\r\nSubject: x\r\n\r\nx\r\n".into();
        letter
    };
    let (state, reply) = outcome(&post, optional(mail())).await;
    assert_eq!(state, "delivered", "{reply}");
    assert_eq!(outcome(&post, optional(requiring())).await.0, "waiting");
    assert_eq!(peer.taken().len(), 1);
    post.closes().await;
}
