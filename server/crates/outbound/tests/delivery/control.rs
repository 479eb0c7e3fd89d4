//! The postmaster's orders, at rest and while an attempt is under way.

use std::sync::Arc;
use std::time::Duration;

use model::QueueId;
use outbound::{Applied, Order};
use queue::{Courier, Entry, Selection, State, StoreError};

use crate::peer::{Act, Peer, say};
use crate::{Letter, Post, letter, local, options, relay};

/// A peer that says "later" on its first connections and is friendly afterwards.
async fn at_first(refused: usize) -> Peer {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Peer::with(move |step, _, _| match step {
        "RCPT" if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < refused => {
            say("450 4.7.1 come again")
        }
        _ => Act::Usual,
    })
    .await
}

async fn retried(post: &Post, domain: Option<&str>) -> u64 {
    let selection = Selection { domain: domain.map(str::to_owned), ..Selection::default() };
    post.engine.order_all(Order::Retry, selection).await.unwrap()
}

#[tokio::test]
async fn a_retry_makes_the_next_attempt_now() {
    let peer = at_first(1).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["waiting"]);
    // The attempt may be over a moment before its claim is.
    post.engine.retry(id).await.unwrap();
    post.until_states(id, &["delivered"]).await;
    assert!(matches!(post.engine.retry(QueueId(999)).await, Err(StoreError::NotFound(_))));
    post.closes().await;
}

#[tokio::test]
async fn a_retry_of_all_or_of_a_domain_finds_those_that_wait() {
    let peer = at_first(5).await;
    let options = local(options(), "one.example", relay(&peer));
    let post = Post::office(local(options, "two.example", relay(&peer)));
    let one: Vec<_> = (0..3).map(|_| post.takes(letter(&["a@one.example"]))).collect();
    let two: Vec<_> = (0..2).map(|_| post.takes(letter(&["a@two.example"]))).collect();
    for id in one.iter().chain(&two) {
        post.until_tried(*id).await;
    }
    assert_eq!(retried(&post, Some("two.example")).await, 2);
    for id in &two {
        post.until_states(*id, &["delivered"]).await;
    }
    assert_eq!(post.states(one[0]), ["waiting"]);
    assert_eq!(retried(&post, None).await, 3);
    for id in &one {
        post.until_states(*id, &["delivered"]).await;
    }
    post.closes().await;
}

#[tokio::test]
async fn what_is_held_waits_for_its_release_and_what_is_removed_is_gone() {
    let peer = at_first(4).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let [held, waiting, removed, both] = std::array::from_fn(|_| post.takes(letter(&["a@to.example"])));
    for id in [held, waiting, removed, both] {
        post.until_tried(id).await;
    }
    for id in [held, both] {
        post.engine.hold(id, "looks odd").await.unwrap();
        post.until_states(id, &["held"]).await;
    }
    for id in [removed, both] {
        post.engine.remove(id).await.unwrap();
        post.until_states(id, &["removed"]).await;
    }
    // A retry is for what waits.
    post.engine.retry(held).await.unwrap();
    assert_eq!(retried(&post, None).await, 1);
    post.until_states(waiting, &["delivered"]).await;
    assert_eq!(post.states(held), ["held"]);
    post.engine.release(held).await.unwrap();
    post.until_states(held, &["delivered"]).await;
    post.closes().await;
}

#[tokio::test]
async fn an_order_during_an_attempt_holds_for_what_the_attempt_leaves() {
    for (order, states) in [("hold", ["delivered", "held"]), ("remove", ["delivered", "removed"])] {
        let peer = Peer::with(|step, line, _| match (step, line) {
            ("RCPT", "RCPT TO:<b@to.example>") => say("450 later"),
            (".", _) => Act::Wait(Duration::from_millis(300)),
            _ => Act::Usual,
        })
        .await;
        let post = Post::office(local(options(), "to.example", relay(&peer)));
        let id = post.takes(letter(&["a@to.example", "b@to.example"]));
        peer.until_step(".").await;
        let applied = match order {
            "hold" => post.engine.hold(id, "test").await.unwrap(),
            _ => post.engine.remove(id).await.unwrap(),
        };
        assert_eq!(applied, Applied::AfterAttempt);
        post.until_states(id, &states).await;
        assert_eq!(peer.taken().len(), 1);
        post.closes().await;
    }
}

#[tokio::test]
async fn what_is_removed_before_its_turn_is_never_sent() {
    let peer = Peer::at("greeting", Act::Wait(Duration::from_millis(300))).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let first = post.takes(letter(&["a@to.example"]));
    let second = post.takes(letter(&["b@to.example"]));
    peer.until_step("greeting").await;
    assert_eq!(post.engine.remove(second).await.unwrap(), Applied::AfterAttempt);
    post.until_states(first, &["delivered"]).await;
    post.until_states(second, &["removed"]).await;
    assert_eq!(peer.taken().len(), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_shutdown_lets_attempts_end_and_leaves_the_rest_in_the_queue() {
    let peer = Peer::at(".", Act::Wait(Duration::from_millis(300))).await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.connections_per_destination = 1;
    let post = Post::office(options);
    let first = post.takes(letter(&["a@to.example"]));
    let second = post.takes(letter(&["b@to.example"]));
    peer.until_step(".").await;
    post.engine.shutdown(Duration::from_secs(10)).await;
    assert_eq!((post.states(first), post.states(second)), (vec!["delivered"], vec!["waiting"]));
    assert_eq!(post.shelf.look(|kept| kept.entry(second).recipients[0].attempts), 0);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_longer_than_it_may() {
    let peer = Peer::at(".", Act::Hang).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example"]));
    peer.until_step(".").await;
    post.engine.shutdown(Duration::from_millis(50)).await;
    assert_eq!(post.states(id), ["waiting"]);
}

#[tokio::test]
async fn an_order_to_many_is_for_the_recipients_that_are_meant_only() {
    let peer = at_first(4).await;
    let options = local(options(), "one.example", relay(&peer));
    let post = Post::office(local(options, "two.example", relay(&peer)));
    let both: Vec<_> = (0..2).map(|_| post.takes(letter(&["a@one.example", "b@two.example"]))).collect();
    for id in &both {
        post.until_states(*id, &["waiting", "waiting"]).await;
        post.until_tried(*id).await;
    }
    let two = || Selection { domain: Some("two.example".to_owned()), ..Selection::default() };
    let hold = Order::Hold { reason: "test".to_owned() };
    assert_eq!(post.engine.order_all(hold, two()).await.unwrap(), 2);
    for id in &both {
        post.until_states(*id, &["waiting", "held"]).await;
    }
    assert_eq!(post.engine.order_all(Order::Remove, two()).await.unwrap(), 2);
    for id in &both {
        post.until_states(*id, &["waiting", "removed"]).await;
    }
    assert_eq!(post.engine.order_all(Order::Release, Selection::default()).await.unwrap(), 0);
    post.closes().await;
}

#[tokio::test]
async fn what_a_clock_dated_that_was_set_back_is_tried_and_what_shall_wait_waits() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.sweep = Duration::from_millis(50);
    let post = Post::office(options);
    let month = Duration::from_secs(30 * 86_400);
    let (entry, content) = post.entry(&letter(&["a@to.example"]));
    let mut waits = Entry::clone(&entry);
    waits.recipients[0].state = State::Waiting { due: clock::wall() + month };
    let waits = Arc::new(waits);
    post.shelf.put(&waits, &content);
    post.engine.take(Arc::clone(&waits), content);
    let misdated = post.takes(Letter { arrived: clock::wall() + month, ..letter(&["b@to.example"]) });
    post.until_states(misdated, &["delivered"]).await;
    assert_eq!((post.states(waits.id), peer.taken().len()), (vec!["waiting"], 1));
    post.closes().await;
}
