//! Domains that share their mail hosts, and domains whose DNS takes its time.

use dns::{DnsError, Fake};

use crate::peer::{Act, Peer};
use crate::routing::loopback;
use crate::{Post, letter, options};

/// Two domains of one hoster, and one that has its own host.
fn hosted() -> Fake {
    Fake::new()
        .with_mx("one.example", 10, "mx.hoster.example")
        .with_mx("two.example", 5, "MX.hoster.example")
        .with_mx("own.example", 10, "mx.own.example")
        .with_address("mx.hoster.example", loopback(2))
        .with_address("mx.own.example", loopback(2))
}

async fn hoster() -> (Peer, outbound::Options) {
    let peer = Peer::on("127.0.0.2:0", |_, _, _| Act::Usual).await;
    let mut options = options();
    options.mx_port = peer.address.port();
    (peer, options)
}

#[tokio::test]
async fn recipients_of_domains_with_the_same_mail_hosts_share_a_transaction() {
    let (peer, options) = hoster().await;
    let post = Post::office_with(options, hosted());
    let id = post.takes(letter(&["a@one.example", "b@two.example", "c@own.example"]));
    post.until_states(id, &["delivered"; 3]).await;
    let mut rcpts: Vec<_> = peer.taken().into_iter().map(|taken| taken.rcpts).collect();
    rcpts.sort();
    let shared = vec!["RCPT TO:<a@one.example>".to_owned(), "RCPT TO:<b@two.example>".to_owned()];
    assert_eq!(rcpts, [shared, vec!["RCPT TO:<c@own.example>".to_owned()]]);
    let names: Vec<_> =
        post.engine.stats().destinations.into_iter().map(|destination| destination.name).collect();
    assert_eq!(names, ["mx.hoster.example", "mx.own.example"]);
    post.closes().await;
}

#[tokio::test]
async fn messages_to_domains_with_the_same_mail_hosts_share_a_connection() {
    let (peer, options) = hoster().await;
    let post = Post::office_with(options, hosted());
    for rcpt in ["a@one.example", "b@two.example", "c@one.example"] {
        let id = post.takes(letter(&[rcpt]));
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.connections(), 1);
    post.closes().await;
}

#[tokio::test]
async fn dns_that_does_not_answer_delays_nobody_else() {
    let (peer, options) = hoster().await;
    let post = Post::office_with(options, hosted().hangs("silent.example"));
    let waiting: Vec<_> = (0..50).map(|_| post.takes(letter(&["a@silent.example"]))).collect();
    let shared = post.takes(letter(&["a@silent.example", "b@one.example"]));
    let other = post.takes(letter(&["c@own.example"]));
    post.until_states(other, &["delivered"]).await;
    post.until_states(shared, &["waiting", "delivered"]).await;
    assert_eq!(peer.taken().len(), 2);
    assert!(waiting.iter().all(|id| post.states(*id) == ["waiting"]));
    post.closes().await;
}

#[tokio::test]
async fn when_dns_has_no_room_for_more_the_others_rest_and_are_not_counted_as_tried() {
    let (_peer, mut options) = hoster().await;
    options.limits.active_entries = 20;
    let post = Post::office_with(options, hosted().hangs("silent.example"));
    for _ in 0..40 {
        post.takes(letter(&["a@silent.example"]));
    }
    let other = post.takes(letter(&["b@one.example"]));
    // It is found in the store, should there have been no room at first.
    let delivered = post.until_states(other, &["delivered"]);
    delivered.await;
    assert!(post.engine.stats().active <= 20);
    let tried = post.shelf.look(|kept| {
        kept.entries
            .values()
            .flat_map(|(entry, _)| &entry.recipients)
            .filter(|queued| queued.attempts > 0)
            .count()
    });
    assert_eq!(tried, 0);
    post.closes().await;
}

#[tokio::test]
async fn what_dns_could_not_say_is_asked_again_when_the_postmaster_wants_it() {
    let (_peer, options) = hoster().await;
    let dns = std::sync::Arc::new(hosted().fails("one.example", DnsError::TimedOut));
    let shelf: std::sync::Arc<crate::shelf::Shelf> = std::sync::Arc::default();
    let engine = outbound::Engine::start(std::sync::Arc::new(options), shelf.clone(), dns.clone());
    let post = Post { engine, shelf };
    let id = post.takes(letter(&["a@one.example"]));
    post.until_tried(id).await;
    let asked = dns.asked().len();
    post.engine.retry(id).await.unwrap();
    post.shelf.until("a second attempt", |kept| kept.entry(id).recipients[0].attempts == 2).await;
    assert_eq!(dns.asked().len(), asked + 1);
    assert!(post.reply(id).starts_with("451 4.4.3"), "{}", post.reply(id));
    post.closes().await;
}
