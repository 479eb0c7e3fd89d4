//! How much a destination is given: connections that it bears, rates that its route allows, and rest when it asks for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outbound::{DomainPattern, NextHop, Route};

use crate::peer::{Act, Peer, say};
use crate::{HostPort, Post, letter, local, options, param, relay};

fn route(peer: &Peer) -> Route {
    let host = HostPort { host: peer.address.ip().to_string(), port: peer.address.port() };
    Route { domains: vec![DomainPattern::Any], ..Route::new("all", NextHop::Host(host)) }
}

#[tokio::test]
async fn a_rate_of_messages_is_kept_and_delays_no_other_destination() {
    let (slow, fast) = (Peer::friendly().await, Peer::friendly().await);
    let mut options = local(options(), "fast.example", relay(&fast));
    options.routes.insert(Route { messages_per_minute: Some(1), ..route(&slow) }).unwrap();
    let post = Post::office(options);
    let ids: Vec<_> = (0..3).map(|_| post.takes(letter(&["a@slow.example"]))).collect();
    slow.until_taken(1).await;
    for _ in 0..20 {
        post.takes(letter(&["a@fast.example"]));
    }
    fast.until_taken(20).await;
    assert_eq!(slow.taken().len(), 1);
    let waiting = ids.iter().filter(|id| post.states(**id) == ["waiting"]).count();
    assert!(waiting >= 2);
    assert_eq!(
        post.engine.stats().destinations.iter().map(|destination| destination.queued).sum::<usize>(),
        2
    );
    // Who rests does not hold up the end.
    post.closes().await;
}

#[tokio::test]
async fn what_rests_for_its_rate_goes_when_its_time_has_come() {
    let peer = Peer::friendly().await;
    let mut options = options();
    options.limits.idle_connection = Duration::from_millis(1);
    options.routes.insert(Route { messages_per_minute: Some(600), ..route(&peer) }).unwrap();
    let post = Post::office(options);
    let ids: Vec<_> = (0..5).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    post.closes().await;
}

#[tokio::test]
async fn a_rate_of_connections_is_kept() {
    let peer = Peer::friendly().await;
    let mut options = options();
    options.limits.messages_per_connection = 1;
    options.routes.insert(Route { connections_per_minute: Some(1), ..route(&peer) }).unwrap();
    let post = Post::office(options);
    let ids: Vec<_> = (0..3).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    peer.until_taken(1).await;
    peer.until_step("QUIT").await;
    assert_eq!(peer.connections(), 1);
    let tried = |kept: &crate::shelf::Kept| {
        ids.iter().filter(|id| kept.entry(**id).recipients[0].attempts > 0).count()
    };
    assert_eq!(post.shelf.look(tried), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_route_has_its_own_limit_of_connections() {
    let peer = Peer::at(".", Act::Wait(Duration::from_millis(5))).await;
    let mut options = options();
    options.routes.insert(Route { connections: Some(1), ..route(&peer) }).unwrap();
    let post = Post::office(options);
    let ids: Vec<_> = (0..20).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.log.most_open.load(Ordering::Relaxed), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_destination_that_asks_for_less_is_left_alone_and_no_other() {
    for answer in ["450 4.7.1 slow down", "421 4.7.28 too much from you"] {
        let (busy, other) = (Peer::at("MAIL", say(answer)).await, Peer::friendly().await);
        let mut options = local(options(), "busy.example", relay(&busy));
        options.limits.backoff = Duration::from_secs(60);
        options.limits.backoff_max = Duration::from_secs(60);
        let post = Post::office(local(options, "other.example", relay(&other)));
        let first = post.takes(letter(&["a@busy.example"]));
        post.until_tried(first).await;
        let second = post.takes(letter(&["a@busy.example"]));
        let told = post.shelf.until("the second is put off", |kept| {
            kept.entry(second).recipients[0]
                .last
                .as_ref()
                .is_some_and(|last| last.reply.starts_with(&answer[..9]))
        });
        told.await;
        // It was not this message's failure: no attempt is counted.
        assert_eq!(post.shelf.look(|kept| kept.entry(second).recipients[0].attempts), 0);
        assert_eq!(busy.steps().iter().filter(|step| *step == "MAIL").count(), 1, "{answer}");
        let third = post.takes(letter(&["a@other.example"]));
        post.until_states(third, &["delivered"]).await;
        post.closes().await;
    }
}

#[tokio::test]
async fn greylisting_puts_off_its_recipient_alone() {
    let peer = Peer::with(|step, line, _| match step {
        "RCPT" if line.contains("new@") => say("450 4.7.1 greylisted, come back later"),
        _ => Act::Usual,
    })
    .await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let first = post.takes(letter(&["new@to.example"]));
    post.until_tried(first).await;
    let second = post.takes(letter(&["known@to.example"]));
    post.until_states(second, &["delivered"]).await;
    assert_eq!(post.states(first), ["waiting"]);
    post.closes().await;
}

#[tokio::test]
async fn the_urgent_goes_first() {
    // While the first message is under way, the others line up.
    let arrived = std::sync::Arc::new(AtomicUsize::new(0));
    let gate = std::sync::Arc::clone(&arrived);
    let peer = Peer::with(move |step, _, _| match step {
        "MAIL" if gate.fetch_add(1, Ordering::Relaxed) == 0 => Act::Wait(Duration::from_millis(300)),
        _ => Act::Usual,
    })
    .await;
    let mut options = options();
    options.routes.insert(Route { connections: Some(1), ..route(&peer) }).unwrap();
    let post = Post::office(options);
    post.takes(letter(&["first@to.example"]));
    peer.until_step("MAIL").await;
    for (rcpt, priority) in [
        ("low@to.example", "-4"),
        ("plain@to.example", "0"),
        ("high@to.example", "3"),
        ("higher@to.example", "9"),
    ] {
        let mut letter = letter(&[rcpt]);
        letter.sender_params = vec![param("MT-PRIORITY", priority)];
        post.takes(letter);
    }
    peer.until_taken(5).await;
    let order: Vec<_> = peer.taken().into_iter().map(|taken| taken.rcpts[0].clone()).collect();
    let expected =
        ["first", "higher", "high", "plain", "low"].map(|rcpt| format!("RCPT TO:<{rcpt}@to.example>"));
    assert_eq!(order, expected);
    post.closes().await;
}
