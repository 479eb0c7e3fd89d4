//! Destinations with much to do, dead ones and slow ones, beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns::Fake;
use outbound::{DeliverTo, HostPort, Options};
use tokio::net::{TcpSocket, TcpStream};

use crate::peer::{Act, Peer};
use crate::routing::loopback;
use crate::{Post, letter, local, options, relay};

#[tokio::test]
async fn a_destination_with_much_to_do_lets_others_have_their_turn() {
    let big = Arc::new(Peer::friendly().await);
    let (seen, counted) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::clone(&big));
    let note = Arc::clone(&seen);
    let small = Peer::with(move |step, _, _| {
        if step == "MAIL" {
            note.store(counted.taken().len(), Ordering::Relaxed);
        }
        Act::Usual
    })
    .await;
    let mut options = local(options(), "big.example", relay(&big));
    // One connection for both.
    options.limits.deliveries = 1;
    let post = Post::office(local(options, "small.example", relay(&small)));
    for _ in 0..400 {
        post.takes(letter(&["a@big.example"]));
    }
    let id = post.takes(letter(&["a@small.example"]));
    post.until_states(id, &["delivered"]).await;
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen <= 100, "it was made to wait for {seen} messages");
    big.until_taken(400).await;
    post.closes().await;
}

/// A hundred domains at a hundred addresses of one peer, but for two: one where nobody listens, and one that takes no message.
fn hundred(peer: &Peer, slow: &Peer, dead: u16) -> Options {
    (0..100).fold(options(), |options, nth| {
        let (host, port) = match nth {
            0 => ("127.0.0.1".to_owned(), dead),
            1 => ("127.0.0.1".to_owned(), slow.address.port()),
            _ => (format!("127.0.2.{nth}"), peer.address.port()),
        };
        local(options, &format!("d{nth}.example"), DeliverTo::Relay(HostPort { host, port }))
    })
}

#[tokio::test]
async fn ten_thousand_messages_reach_a_hundred_destinations_beside_a_dead_and_a_slow_one() {
    let peer = Peer::on("0.0.0.0:0", |_, _, _| Act::Usual).await;
    let slow = Peer::at(".", Act::Hang).await;
    let gone = Peer::friendly().await;
    let dead = gone.address.port();
    drop(gone);
    let mut options = hundred(&peer, &slow, dead);
    options.limits.backoff = Duration::from_secs(600);
    options.limits.backoff_max = Duration::from_secs(600);
    options.limits.deliveries = 50;
    options.limits.active_entries = 2_000;
    options.limits.queued_per_destination = 200;
    let post = Post::office(options);
    for nth in 0..10_000 {
        post.takes(letter(&[&format!("a@d{}.example", nth % 100)]));
        assert!(post.engine.stats().active <= 2_000);
        if nth % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let most = Duration::from_secs(120);
    tokio::time::timeout(most, async {
        while peer.taken_count() < 9_800 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("a dead or a slow destination stood in the way of others");
    assert!(slow.taken().is_empty());
    // All that is memory stays within its limit, and the slow one has no more than its share of it.
    let stats = post.engine.stats();
    assert!(stats.active <= 2_000, "{}", stats.active);
    post.engine.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_a_moment() {
    let peer = Peer::on("127.0.0.3:0", |_, _, _| Act::Usual).await;
    // A listener with a full backlog: who calls hears nothing.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(format!("127.0.0.2:{}", peer.address.port()).parse().unwrap()).unwrap();
    let deaf = socket.listen(1).unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(deaf.local_addr().unwrap())).await
    {
        held.push(stream);
    }
    let mut options = options();
    options.mx_port = peer.address.port();
    options.limits.connect_timeout = Duration::from_secs(600);
    options.limits.address_delay = Duration::from_millis(20);
    let dns = Fake::new()
        .with_mx("to.example", 10, "mx.example")
        .with_address("mx.example", loopback(2))
        .with_address("mx.example", loopback(3));
    let post = Post::office_with(options, dns);
    // Whichever address comes first by chance.
    for _ in 0..8 {
        let id = post.takes(letter(&["a@to.example"]));
        post.until_states(id, &["delivered"]).await;
    }
    assert!(!held.is_empty());
    post.closes().await;
}

#[tokio::test]
async fn a_host_that_is_preferred_less_is_not_called_before_the_others_have_failed() {
    let first = Peer::at("greeting", Act::Wait(Duration::from_millis(200))).await;
    let backup = Peer::on(&format!("127.0.0.3:{}", first.address.port()), |_, _, _| Act::Usual).await;
    let mut options = options();
    options.mx_port = first.address.port();
    options.limits.address_delay = Duration::from_millis(10);
    let dns = Fake::new()
        .with_mx("to.example", 10, "first.example")
        .with_mx("to.example", 20, "backup.example")
        .with_address("first.example", loopback(1))
        .with_address("backup.example", loopback(3));
    let post = Post::office_with(options, dns);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!((first.taken().len(), backup.connections()), (1, 0));
    post.closes().await;
}

#[tokio::test]
async fn to_get_a_session_takes_no_longer_than_its_limit() {
    let peer = Peer::at("greeting", Act::Hang).await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.session_timeout = Duration::from_millis(100);
    let post = Post::office(options);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_tried(id).await;
    assert!(post.reply(id).starts_with("451 4.4.1 no host had a session"), "{}", post.reply(id));
    post.closes().await;
}
