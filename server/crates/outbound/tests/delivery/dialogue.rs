//! One next hop and all that it may say.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Reply;
use smtp::client::Timeouts;

use crate::peer::{Act, Peer, say};
use crate::{CONTENT, Post, letter, local, options, param, relay};

#[tokio::test]
async fn a_message_reaches_all_its_recipients_in_one_transaction() {
    let peer = Peer::friendly().await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example", "b@to.example"]));
    post.until_states(id, &["delivered", "delivered"]).await;
    let taken = peer.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].content, CONTENT.as_bytes());
    assert_eq!(taken[0].mail, format!("MAIL FROM:<sender@from.example> SIZE={}", CONTENT.len()));
    assert_eq!(taken[0].rcpts, ["RCPT TO:<a@to.example>", "RCPT TO:<b@to.example>"]);
    // It was in memory all the time.
    assert_eq!(post.shelf.reads.load(Ordering::Relaxed), 0);
    assert_eq!(post.reply(id), "250 2.0.0 taken");
    let stats = post.engine.stats();
    assert_eq!((stats.delivered, stats.active, stats.memory_octets), (2, 0, 0));
    post.closes().await;
    assert_eq!(peer.steps().last().unwrap(), "QUIT");
}

#[tokio::test]
async fn many_messages_go_over_one_connection() {
    let peer = Peer::friendly().await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    for _ in 0..20 {
        let id = post.takes(letter(&["a@to.example"]));
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.connections(), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_refusal_for_now_defers_and_one_for_good_bounces_at_every_step() {
    for step in ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        for (code, state) in [(451, "waiting"), (550, "bounced")] {
            let peer = Peer::at(step, say(&format!("{code} the peer said so"))).await;
            let post = Post::office(local(options(), "to.example", relay(&peer)));
            let id = post.takes(letter(&["a@to.example"]));
            post.until_tried(id).await;
            // A relay that the configuration names does not make mail bounce before it has seen any.
            let is_before_mail = step == "greeting" || step == "EHLO";
            let state = if is_before_mail { "waiting" } else { state };
            assert_eq!(post.states(id), [state], "{code} at {step}");
            assert!(post.reply(id).contains("the peer said so"), "{}", post.reply(id));
            assert!(peer.taken().is_empty());
            post.closes().await;
        }
    }
}

#[tokio::test]
async fn a_421_or_a_cut_at_any_step_defers() {
    for step in ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        for act in [Act::Close, Act::SayAndClose("421 4.3.2 going down\r\n".to_owned())] {
            let peer = Peer::at(step, act.clone()).await;
            let post = Post::office(local(options(), "to.example", relay(&peer)));
            let id = post.takes(letter(&["a@to.example"]));
            post.until_tried(id).await;
            assert_eq!(post.states(id), ["waiting"], "{act:?} at {step}");
            let said = post.reply(id);
            let expected = if matches!(act, Act::Close) { "4.4.2" } else { "421 4.3.2" };
            assert!(said.contains(expected), "{act:?} at {step}: {said}");
            post.closes().await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_after_250_has_delivered() {
    let peer = Peer::at(".", Act::SayAndClose("250 2.0.0 got it\r\n".to_owned())).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!(post.reply(id), "250 2.0.0 got it");
    post.closes().await;
}

#[tokio::test]
async fn each_recipient_has_a_fate_of_its_own() {
    let peer = Peer::with(|step, line, _| match (step, line) {
        ("RCPT", "RCPT TO:<b@to.example>") => say("550 5.1.1 who is b"),
        ("RCPT", "RCPT TO:<c@to.example>") => say("452 4.2.2 c is full"),
        _ => Act::Usual,
    })
    .await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example", "b@to.example", "c@to.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["delivered", "bounced", "waiting"]);
    assert_eq!(peer.taken()[0].rcpts, ["RCPT TO:<a@to.example>"]);
    post.closes().await;
}

#[tokio::test]
async fn silence_is_not_waited_for_longer_than_its_timeout() {
    for step in ["greeting", "MAIL", "DATA", "."] {
        let peer = Peer::at(step, Act::Hang).await;
        let mut options = local(options(), "to.example", relay(&peer));
        let short = Duration::from_millis(100);
        options.timeouts =
            Timeouts { greeting: short, mail: short, data: short, termination: short, ..Timeouts::default() };
        let post = Post::office(options);
        let id = post.takes(letter(&["a@to.example"]));
        post.until_tried(id).await;
        assert_eq!(post.states(id), ["waiting"], "{step}");
        assert!(post.reply(id).contains("timed out"), "{step}: {}", post.reply(id));
        post.closes().await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_attempt() {
    // The first connection takes one message and is closed at the next MAIL, without or with a word.
    for farewell in [Act::Close, Act::SayAndClose("421 4.4.2 idle\r\n".to_owned())] {
        let mails = std::sync::atomic::AtomicUsize::new(0);
        let peer = Peer::with(move |step, _, connection| match (step, connection) {
            ("MAIL", 0) if mails.fetch_add(1, Ordering::Relaxed) > 0 => farewell.clone(),
            _ => Act::Usual,
        })
        .await;
        let post = Post::office(local(options(), "to.example", relay(&peer)));
        let first = post.takes(letter(&["a@to.example"]));
        post.until_states(first, &["delivered"]).await;
        let second = post.takes(letter(&["a@to.example"]));
        post.until_tried(second).await;
        assert_eq!(post.states(second), ["delivered"]);
        assert_eq!(peer.connections(), 2);
        post.closes().await;
    }
}

#[tokio::test]
async fn a_connection_has_its_share_of_messages_and_no_more() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.messages_per_connection = 2;
    let post = Post::office(options);
    for _ in 0..5 {
        let id = post.takes(letter(&["a@to.example"]));
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.connections(), 3);
    post.closes().await;
}

#[tokio::test]
async fn many_recipients_are_shared_out_over_transactions() {
    let peer = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.limits.recipients_per_transaction = 2;
    let post = Post::office(options);
    let id =
        post.takes(letter(&["a@to.example", "b@to.example", "c@to.example", "d@to.example", "e@to.example"]));
    post.until_states(id, &["delivered"; 5]).await;
    let mut sizes: Vec<_> = peer.taken().iter().map(|taken| taken.rcpts.len()).collect();
    sizes.sort();
    assert_eq!(sizes, [1, 2, 2]);
    post.closes().await;
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let peer = Peer::friendly().await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let mut large = letter(&["a@to.example"]);
    large.content =
        format!("Subject: large\r\n\r\n{}", ".a line that begins with a dot\r\n".repeat(40_000)).into();
    let content = large.content.clone();
    let id = post.takes(large);
    post.until_states(id, &["delivered"]).await;
    assert!(peer.taken()[0].content == content);
    post.closes().await;
}

#[tokio::test]
async fn eight_bit_content_goes_as_it_is_to_peers_that_take_it_and_encoded_to_the_others() {
    let peer = Peer::friendly().await;
    let seven_bit = Peer::at("EHLO", say("250 mx")).await;
    let options = local(options(), "eight.example", relay(&peer));
    let post = Post::office(local(options, "seven.example", relay(&seven_bit)));
    let mut umlaut = letter(&["a@eight.example", "a@seven.example"]);
    umlaut.content = "Subject: x\r\n\r\nWe say gr\u{fc}n to it.\r\n".to_owned().into();
    umlaut.sender_params = vec![param("BODY", "8BITMIME")];
    let content = umlaut.content.clone();
    let id = post.takes(umlaut);
    post.until_states(id, &["delivered", "delivered"]).await;
    assert!(peer.taken()[0].mail.ends_with(" BODY=8BITMIME") && peer.taken()[0].content == content);
    let taken = &seven_bit.taken()[0];
    assert!(!taken.mail.contains("BODY"), "{}", taken.mail);
    let encoded = b"quoted-printable\r\n\r\nWe say gr=C3=BCn to it.\r\n";
    assert!(taken.content.is_ascii() && taken.content.ends_with(encoded));
    post.closes().await;
}

#[tokio::test]
async fn content_that_cannot_be_encoded_comes_back_with_its_reason() {
    let seven_bit = Peer::at("EHLO", say("250 mx")).await;
    let post = Post::office(local(options(), "to.example", relay(&seven_bit)));
    for (head, why) in
        [("Subject: \u{fc}", "a header field"), ("Content-Type: message/rfc822", "a message within it")]
    {
        let mut odd = letter(&["a@to.example"]);
        odd.content = format!("{head}\r\n\r\nSubject: y\r\n\r\n\u{fc}\r\n").into();
        let id = post.takes(odd);
        post.until_states(id, &["bounced"]).await;
        let reply = post.reply(id);
        assert!(
            reply.starts_with(&Reply::new(554, (5, 6, 3), "").to_string()) && reply.contains(why),
            "{reply}"
        );
    }
    assert!(seven_bit.taken().is_empty());
    post.closes().await;
}

#[tokio::test]
async fn recipients_that_a_peer_has_no_room_for_follow_at_once() {
    // No more than two in a transaction, of which it tells by LIMITS or not at all.
    for offers in ["250 PIPELINING", "250 LIMITS RCPTMAX=2", "250 LIMITS MAILMAX=3"] {
        let room = std::sync::atomic::AtomicUsize::new(0);
        let peer = Peer::with(move |step, _, _| match step {
            "EHLO" => say(&format!("250-mx\r\n{offers}")),
            "MAIL" => {
                room.store(2, Ordering::Relaxed);
                Act::Usual
            }
            "RCPT" if room.load(Ordering::Relaxed) == 0 => say("452 4.5.3 too many recipients"),
            "RCPT" => {
                room.fetch_sub(1, Ordering::Relaxed);
                Act::Usual
            }
            _ => Act::Usual,
        })
        .await;
        let post = Post::office(local(options(), "to.example", relay(&peer)));
        let rcpts = ["a", "b", "c", "d", "e"].map(|local| format!("{local}@to.example"));
        let id = post.takes(letter(&rcpts.each_ref().map(String::as_str)));
        post.until_states(id, &["delivered"; 5]).await;
        let sizes: Vec<_> = peer.taken().iter().map(|taken| taken.rcpts.len()).collect();
        assert_eq!((sizes, peer.connections()), (vec![2, 2, 1], 1), "{offers}");
        post.closes().await;
    }
}

#[tokio::test]
async fn a_connection_takes_as_many_messages_as_the_peer_announces() {
    let peer = Peer::at("EHLO", say("250-mx\r\n250 LIMITS MAILMAX=2")).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    for _ in 0..5 {
        let id = post.takes(letter(&["a@to.example"]));
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(peer.connections(), 3);
    post.closes().await;
}
