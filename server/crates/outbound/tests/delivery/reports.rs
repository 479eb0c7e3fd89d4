//! What senders are told, and when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders};
use model::{QueueId, ReversePath, Timestamp};
use outbound::{DeliverTo, HostPort};
use queue::{RetrySchedule, State};

use crate::peer::{Act, Peer, say};
use crate::shelf::Step;
use crate::{Letter, Post, letter, local, options, param, relay};

/// A relay that refuses `bad*`, and a home for reports to the sender.
async fn refusing() -> (Peer, Peer, Post) {
    let peer = Peer::with(|step, line, _| match step {
        "RCPT" if line.contains("<bad") => say("550 5.1.1 no such user"),
        _ => Act::Usual,
    })
    .await;
    let home = Peer::friendly().await;
    let options = local(options(), "to.example", relay(&peer));
    let post = Post::office(local(options, "from.example", relay(&home)));
    (peer, home, post)
}

async fn is_reported(letter: Letter) -> bool {
    let (_peer, home, post) = refusing().await;
    let id = post.takes(letter);
    post.until_tried(id).await;
    assert!(post.states(id).contains(&"bounced"));
    let reports = post.engine.stats().reports;
    home.until_taken(usize::try_from(reports).unwrap()).await;
    post.closes().await;
    reports == 1
}

#[tokio::test]
async fn one_report_tells_of_all_that_failed_and_is_queued_before_the_failure_is_recorded() {
    let (_peer, home, post) = refusing().await;
    let mut all = letter(&["bad1@to.example", "good@to.example", "bad2@to.example", "bad@to.example"]);
    all.sender_params = vec![param("ENVID", "QQ314")];
    let id = post.takes(all);
    home.until_taken(1).await;
    post.until_states(id, &["bounced", "delivered", "bounced", "bounced"]).await;

    let taken = home.taken().remove(0);
    assert!(taken.mail.starts_with("MAIL FROM:<>"), "{}", taken.mail);
    assert_eq!(taken.rcpts, ["RCPT TO:<sender@from.example>"]);
    let message = MessageParser::default().parse(&taken.content).unwrap();
    let kind = message.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    let text = String::from_utf8(taken.content.clone()).unwrap();
    for expected in [
        "Original-Envelope-Id: QQ314\r\n",
        "Final-Recipient: rfc822; bad1@to.example\r\n",
        "Final-Recipient: rfc822; bad2@to.example\r\n",
        "Final-Recipient: rfc822; bad@to.example\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Subject: hello\r\n",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("Final-Recipient: rfc822; good@to.example"));

    let order = post.shelf.look(|kept| {
        let report =
            kept.journal.iter().position(|step| matches!(step, Step::Committed(other) if *other != id));
        let fails = |state: &State| *state == State::Bounced;
        let failure = kept.journal.iter().position(|step| {
            matches!(step, Step::Updated(update) if update.recipients.iter().any(|one| fails(&one.state)))
        });
        (report.unwrap(), failure.unwrap())
    });
    assert!(order.0 < order.1, "{order:?}");
    post.closes().await;
}

#[tokio::test]
async fn notify_decides_who_is_told() {
    assert!(is_reported(letter(&["bad@to.example"])).await);
    for (notify, expected) in
        [("NEVER", false), ("SUCCESS", false), ("DELAY,SUCCESS", false), ("SUCCESS,FAILURE", true)]
    {
        let mut silent = letter(&["bad@to.example"]);
        silent.rcpt_params = vec![param("NOTIFY", notify)];
        assert_eq!(is_reported(silent).await, expected, "{notify}");
    }
}

#[tokio::test]
async fn nobody_is_told_of_a_report_that_fails() {
    let mut report = letter(&["bad@to.example"]);
    report.sender = "";
    assert!(!is_reported(report).await);
}

#[tokio::test]
async fn a_report_to_a_sender_who_does_not_exist_ends_there() {
    let peer = Peer::at("RCPT", say("550 5.1.1 no such user")).await;
    let options = local(options(), "to.example", relay(&peer));
    let post = Post::office(local(options, "from.example", relay(&peer)));
    let id = post.takes(letter(&["bad@to.example"]));
    let is_over = |kept: &crate::shelf::Kept| kept.entries.is_empty() && kept.finished.len() == 2;
    post.shelf.until("message and report are finished", is_over).await;
    assert_eq!(post.states(id), ["bounced"]);
    post.shelf.look(|kept| {
        let report = kept.finished.values().find(|entry| entry.id != id).unwrap();
        assert_eq!(report.sender, ReversePath::Null);
        assert_eq!(report.recipients[0].state, State::Bounced);
    });
    post.closes().await;
}

#[tokio::test]
async fn what_is_too_old_expires_after_its_last_attempt_and_is_reported() {
    let peer = Peer::at("RCPT", say("450 4.2.0 later")).await;
    let home = Peer::friendly().await;
    let options = local(options(), "to.example", relay(&peer));
    let post = Post::office(local(options, "from.example", relay(&home)));
    let mut old = letter(&["a@to.example"]);
    old.arrived = Timestamp(clock::wall().0 - 2 * 86_400_000);
    let id = post.takes(old);
    home.until_taken(1).await;
    post.until_states(id, &["expired"]).await;
    let text = String::from_utf8(home.taken().remove(0).content).unwrap();
    assert!(text.contains("Status: 4.4.7\r\n") && text.contains("450 4.2.0 later"), "{text}");
    assert_eq!(post.engine.stats().expired, 1);
    post.closes().await;
}

/// A port of loopback that nobody listens on.
fn nowhere() -> DeliverTo {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    DeliverTo::Relay(HostPort { host: address.ip().to_string(), port: address.port() })
}

#[tokio::test]
async fn a_back_off_is_no_attempt_and_mail_that_was_not_tried_does_not_expire() {
    let mut options = local(options(), "to.example", nowhere());
    options.limits.backoff = Duration::from_secs(600);
    options.limits.backoff_max = Duration::from_secs(600);
    options.retry = RetrySchedule::new(vec![Duration::from_millis(1)], Duration::from_secs(86_400)).unwrap();
    let post = Post::office(options);
    let first = post.takes(letter(&["a@to.example"]));
    post.until_tried(first).await;
    // One that is fresh and one that is too old already: both come while the destination is left alone.
    let mut old = letter(&["c@to.example"]);
    old.arrived = Timestamp(clock::wall().0 - 2 * 86_400_000);
    for letter in [letter(&["b@to.example"]), old] {
        let id = post.takes(letter);
        let is_judged = move |kept: &crate::shelf::Kept| kept.entry(id).recipients[0].last.is_some();
        post.shelf.until("the back-off is noted", is_judged).await;
        let queued = post.shelf.look(|kept| kept.entry(id).recipients[0].clone());
        assert_eq!(queued.attempts, 0, "{queued:?}");
        let State::Waiting { due } = queued.state else { panic!("{queued:?}") };
        let wait = due.since(clock::wall()).as_secs();
        assert!((500..=600).contains(&wait), "{wait} s");
        assert!(queued.last.unwrap().reply.contains("could not connect"));
    }
    assert_eq!(post.engine.stats().expired, 0);
    post.closes().await;
}

#[tokio::test]
async fn what_is_too_old_expires_behind_an_attempt_that_failed_for_another() {
    let mut options = local(options(), "to.example", nowhere());
    options.limits.backoff = Duration::from_millis(20);
    options.limits.backoff_max = Duration::from_millis(20);
    let post = Post::office(options);
    let ids: Vec<QueueId> = (0..20)
        .map(|_| {
            let mut old = letter(&["a@to.example"]);
            (old.sender, old.arrived) = ("", Timestamp(clock::wall().0 - 2 * 86_400_000));
            post.takes(old)
        })
        .collect();
    let mut untried = 0;
    for id in ids {
        post.until_states(id, &["expired"]).await;
        untried += usize::from(post.shelf.look(|kept| kept.entry(id).recipients[0].attempts == 0));
    }
    assert!((1..20).contains(&untried), "{untried} of 20");
    post.closes().await;
}

#[tokio::test]
async fn while_a_report_cannot_be_queued_the_failure_waits() {
    let (_peer, home, post) = refusing().await;
    post.shelf.is_full.store(true, Ordering::Relaxed);
    let id = post.takes(letter(&["bad@to.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["waiting"]);
    post.shelf.is_full.store(false, Ordering::Relaxed);
    post.engine.retry(id).await.unwrap();
    home.until_taken(1).await;
    post.until_states(id, &["bounced"]).await;
    post.closes().await;
}

#[tokio::test]
async fn pauses_are_jittered_so_that_not_all_come_back_at_once() {
    let peer = Peer::at("RCPT", say("450 later")).await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.retry = RetrySchedule::new(vec![Duration::from_secs(1000)], Duration::from_secs(86_400)).unwrap();
    let post = Post::office(options);
    let ids: Vec<QueueId> = (0..20).map(|_| post.takes(letter(&["a@to.example"]))).collect();
    let mut pauses = Vec::new();
    for id in ids {
        post.until_tried(id).await;
        let (due, at) = post.shelf.look(|kept| {
            let queued = &kept.entry(id).recipients[0];
            match queued.state {
                State::Waiting { due } => (due, queued.last.as_ref().unwrap().at),
                ref other => panic!("{other:?}"),
            }
        });
        pauses.push(due.since(at).as_secs());
    }
    assert!(pauses.iter().all(|pause| (900..=1100).contains(pause)), "{pauses:?}");
    pauses.sort();
    pauses.dedup();
    assert!(pauses.len() > 5, "{pauses:?}");
    post.closes().await;
}
