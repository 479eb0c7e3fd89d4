//! Many messages, slow and dead hosts, little memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::QueueId;
use queue::{Courier, RetrySchedule};

use crate::peer::{Act, Peer};
use crate::{CONTENT, Post, letter, local, options, relay};

#[tokio::test]
async fn a_slow_host_does_not_delay_a_fast_one() {
    let (slow, fast) = (Peer::at("greeting", Act::Hang).await, Peer::friendly().await);
    let options = local(options(), "slow.example", relay(&slow));
    let mut options = local(options, "fast.example", relay(&fast));
    // The slow one could take up all of this.
    options.limits.active_entries = 2_000;
    let post = Post::office(options);
    let waiting: Vec<_> = (0..1_000).map(|_| post.takes(letter(&["a@slow.example"]))).collect();
    for _ in 0..50 {
        post.takes(letter(&["a@fast.example"]));
    }
    let shared = post.takes(letter(&["a@slow.example", "b@fast.example"]));
    fast.until_taken(51).await;
    post.until_states(shared, &["waiting", "delivered"]).await;
    assert!(waiting.iter().all(|id| post.states(*id) == ["waiting"]));
    // Until it has been reached, a destination is tried with a single connection.
    assert_eq!(slow.connections(), 1);
    post.engine.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_dead_host_is_tried_once_and_what_waits_for_it_is_put_off_at_once() {
    let peer = Peer::friendly().await;
    let deliver = relay(&peer);
    let address = peer.address;
    drop(peer);
    let mut options = local(options(), "to.example", deliver);
    options.limits.backoff = Duration::from_secs(60);
    options.limits.backoff_max = Duration::from_secs(60);
    let post = Post::office(options);
    let ids: Vec<_> = (0..50).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in &ids {
        post.until_tried(*id).await;
        assert_eq!(post.states(*id), ["waiting"]);
        assert!(post.reply(*id).starts_with("451 4.4.1"), "{}", post.reply(*id));
    }
    let stats = post.engine.stats();
    let [destination] = stats.destinations.as_slice() else { panic!("{stats:?}") };
    assert_eq!(destination.name, format!("relay:{address}"));
    assert!(destination.backoff.is_some() && destination.last_error.is_some());

    // It comes up again; the postmaster does not wait for the back-off.
    let _peer = Peer::on(&address.to_string(), |_, _, _| Act::Usual).await;
    post.engine.retry(ids[0]).await.unwrap();
    post.until_states(ids[0], &["delivered"]).await;
    assert_eq!(post.engine.order_all(outbound::Order::Retry, queue::Selection::default()).await.unwrap(), 49);
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    post.closes().await;
}

#[tokio::test]
async fn what_was_put_off_is_delivered_when_the_host_is_back() {
    let peer = Peer::friendly().await;
    let (deliver, address) = (relay(&peer), peer.address);
    drop(peer);
    let mut options = local(options(), "to.example", deliver);
    options.retry = RetrySchedule::new(vec![Duration::from_millis(100)], Duration::from_secs(60)).unwrap();
    options.limits.backoff = Duration::from_millis(20);
    let post = Post::office(options);
    let id = post.takes(letter(&["a@to.example"]));
    post.shelf.until("two attempts", |kept| kept.entry(id).recipients[0].attempts >= 2).await;
    let _peer = Peer::on(&address.to_string(), |_, _, _| Act::Usual).await;
    post.until_states(id, &["delivered"]).await;
    post.closes().await;
}

#[tokio::test]
async fn what_is_in_the_store_at_the_start_is_delivered() {
    let peer = Peer::friendly().await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    post.engine.shutdown(Duration::from_secs(5)).await;
    let ids: Vec<QueueId> = (0..1_200)
        .map(|_| {
            let (entry, content) = post.entry(&letter(&["a@to.example"]));
            post.shelf.put(&entry, &content);
            entry.id
        })
        .collect();
    let options = std::sync::Arc::new(local(options(), "to.example", relay(&peer)));
    let engine = outbound::Engine::start(options, post.shelf.clone(), std::sync::Arc::new(dns::Fake::new()));
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.taken().len(), 1_200);
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_was_found_in_the_store_and_delivered_before_it_is_handed_over_is_not_delivered_again() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.sweep = Duration::from_millis(20);
    let post = Post::office(options);
    let (entry, content) = post.entry(&letter(&["a@to.example"]));
    post.shelf.put(&entry, &content);
    post.until_states(entry.id, &["delivered"]).await;
    post.engine.take(entry, content);
    let last = post.takes(letter(&["b@to.example"]));
    post.until_states(last, &["delivered"]).await;
    assert_eq!(peer.taken().len(), 2);
    post.closes().await;
}

#[tokio::test]
async fn once_the_queue_records_nothing_more_nothing_more_is_delivered() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.sweep = Duration::from_millis(20);
    let post = Post::office(options);
    post.shelf.is_closed.store(true, Ordering::Relaxed);
    post.takes(letter(&["a@to.example"]));
    let halted = async {
        while !post.engine.has_halted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), halted).await.expect("deliveries to end");
    post.takes(letter(&["b@to.example"]));
    // It has tried whatever it would try once this has returned.
    let taken = peer.taken().len();
    post.closes().await;
    assert_eq!((taken, peer.taken().len()), (1, 1));
}

#[tokio::test]
async fn little_memory_costs_reads_but_no_message() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.active_entries = 10;
    options.limits.queued_per_destination = 4;
    options.limits.memory_octets = 3 * CONTENT.len() as u64;
    let post = Post::office(options);
    let ids: Vec<_> = (0..300).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.taken().len(), 300);
    assert!(post.shelf.reads.load(Ordering::Relaxed) > 0);
    let stats = post.engine.stats();
    assert_eq!((stats.delivered, stats.active, stats.memory_octets), (300, 0, 0));
    post.closes().await;
}

#[tokio::test]
async fn connections_to_a_host_are_limited() {
    let peer = Peer::at(".", Act::Wait(Duration::from_millis(5))).await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.connections_per_destination = 3;
    let post = Post::office(options);
    let ids: Vec<_> = (0..100).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    let most = peer.log.most_open.load(Ordering::Relaxed);
    assert!((2..=3).contains(&most), "{most}");
    post.closes().await;
}

#[tokio::test]
async fn a_host_that_allows_few_connections_gets_no_more() {
    // The third connection and those after it are turned away; what the first two can take is delivered all the same.
    let peer = Peer::with(|step, _, connection| match step {
        "greeting" if connection >= 2 => Act::SayAndClose("421 4.7.0 too many connections\r\n".to_owned()),
        "." => Act::Wait(Duration::from_millis(5)),
        _ => Act::Usual,
    })
    .await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.backoff = Duration::from_secs(60);
    let post = Post::office(options);
    let ids: Vec<_> = (0..60).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    post.closes().await;
}

#[tokio::test]
async fn permits_are_shared_by_many_destinations() {
    let peer = Peer::friendly().await;
    let mut options = options();
    options.limits.deliveries = 2;
    let names: Vec<String> = (0..20).map(|nth| format!("d{nth}.example")).collect();
    // Twenty sites at twenty addresses of one peer.
    let listener = Peer::on("0.0.0.0:0", |_, _, _| Act::Usual).await;
    drop(peer);
    for (nth, name) in names.iter().enumerate() {
        let host = format!("127.0.1.{}", nth + 1);
        let deliver = outbound::DeliverTo::Relay(outbound::HostPort { host, port: listener.address.port() });
        options = local(options, name, deliver);
    }
    let post = Post::office(options);
    let rcpts: Vec<String> = names.iter().map(|name| format!("a@{name}")).collect();
    let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
    let id = post.takes(letter(&rcpts));
    post.until_states(id, &["delivered"; 20]).await;
    assert!(listener.log.most_open.load(Ordering::Relaxed) <= 4);
    post.closes().await;
}
