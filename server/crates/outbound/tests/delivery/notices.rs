//! Of what senders are told beside failures: success, delays, their own time, reports that fail.

use std::time::Duration;

use model::Timestamp;
use outbound::DeliverTo;

use crate::peer::{Act, Peer, say};
use crate::{Letter, Post, letter, local, options, param, relay};

/// The report that comes home for one letter to a friendly peer with these offers, which takes it or refuses `bad*`.
async fn report_of(letter: Letter, offers: &'static str) -> Option<String> {
    let peer = Peer::with(move |step, line, _| match step {
        "EHLO" => Act::Say(format!("250-peer.example\r\n{offers}250 8BITMIME\r\n")),
        "RCPT" if line.contains("<bad") => say("550 5.1.1 no such user"),
        _ => Act::Usual,
    })
    .await;
    let home = Peer::friendly().await;
    let options = local(options(), "to.example", relay(&peer));
    let post = Post::office(local(options, "from.example", relay(&home)));
    let id = post.takes(letter);
    let is_over = |kept: &crate::shelf::Kept| kept.entry(id).is_finished();
    post.shelf.until("all is final", is_over).await;
    let reports = post.engine.stats().reports;
    home.until_taken(usize::try_from(reports).unwrap()).await;
    post.closes().await;
    home.taken().pop().map(|taken| String::from_utf8(taken.content).unwrap())
}

fn notified(rcpts: &[&str], notify: &str) -> Letter {
    Letter { rcpt_params: vec![param("NOTIFY", notify)], ..letter(rcpts) }
}

#[tokio::test]
async fn success_is_reported_unless_the_next_hop_takes_that_over() {
    let relayed = report_of(notified(&["a@to.example"], "SUCCESS"), "").await.unwrap();
    assert!(relayed.contains("Action: relayed\r\nStatus: 2.1.9\r\n"), "{relayed}");
    assert_eq!(report_of(notified(&["a@to.example"], "SUCCESS"), "250-DSN\r\n").await, None);
    assert_eq!(report_of(letter(&["a@to.example"]), "").await, None);

    let root = tempfile::tempdir().unwrap();
    let maildir = format!("{}/{{local}}", root.path().display()).parse().unwrap();
    let home = Peer::friendly().await;
    let options = local(options(), "to.example", DeliverTo::Maildir(maildir));
    let post = Post::office(local(options, "from.example", relay(&home)));
    post.takes(notified(&["a@to.example", "b@to.example"], "SUCCESS,DELAY"));
    home.until_taken(1).await;
    let delivered = String::from_utf8(home.taken().remove(0).content).unwrap();
    assert_eq!(delivered.matches("Action: delivered\r\nStatus: 2.0.0\r\n").count(), 2, "{delivered}");
    post.closes().await;
}

#[tokio::test]
async fn success_and_failure_of_one_message_are_one_report() {
    let report =
        report_of(notified(&["a@to.example", "bad@to.example"], "SUCCESS,FAILURE"), "").await.unwrap();
    assert!(report.contains("Action: relayed\r\n") && report.contains("Action: failed\r\n"), "{report}");
    assert!(report.contains("Subject: Your message could not be delivered\r\n"), "{report}");
}

#[tokio::test]
async fn a_delay_is_told_once_for_each_recipient() {
    let peer = Peer::with(|step, line, _| match step {
        "RCPT" if line.contains("<late") => say("451 4.2.1 later"),
        _ => Act::Usual,
    })
    .await;
    let home = Peer::friendly().await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.reports.delay_warning = Some(Duration::from_secs(3600));
    let post = Post::office(local(options, "from.example", relay(&home)));
    let mut slow = letter(&["late1@to.example", "late2@to.example", "a@to.example"]);
    slow.arrived = Timestamp(clock::wall().0 - 2 * 3_600_000);
    let id = post.takes(slow);
    home.until_taken(1).await;
    post.until_states(id, &["waiting", "waiting", "delivered"]).await;
    let report = String::from_utf8(home.taken().remove(0).content).unwrap();
    assert_eq!(report.matches("Action: delayed\r\nStatus: 4.2.1\r\n").count(), 2, "{report}");
    assert_eq!(report.matches("Will-Retry-Until: ").count(), 2, "{report}");
    post.engine.retry(id).await.unwrap();
    post.shelf.until("a second attempt", |kept| kept.entry(id).recipients[1].attempts == 2).await;
    assert_eq!((post.engine.stats().reports, home.taken().len()), (1, 1));
    post.closes().await;
}

#[tokio::test]
async fn a_message_with_a_time_comes_back_when_that_is_over_or_cannot_be_kept() {
    let by = |value: &str, hours_ago: u64| {
        let mut timed = letter(&["a@to.example"]);
        timed.sender_params = vec![param("BY", value)];
        timed.arrived = Timestamp(clock::wall().0 - hours_ago * 3_600_000);
        timed
    };
    let late = report_of(by("60;R", 1), "250-DELIVERBY\r\n").await.unwrap();
    assert!(late.contains("Action: failed\r\nStatus: 5.4.7\r\n"), "{late}");
    let unable = report_of(by("60;R", 0), "").await.unwrap();
    assert!(unable.contains("Action: failed\r\nStatus: 5.3.3\r\n"), "{unable}");
    assert_eq!(report_of(by("60;R", 0), "250-DELIVERBY\r\n").await, None);
    let traced = report_of(by("60;NT", 0), "250-DSN\r\n250-DELIVERBY\r\n").await.unwrap();
    assert!(traced.contains("Action: relayed\r\n"), "{traced}");
}

#[tokio::test]
async fn the_next_hop_hears_how_much_of_the_time_is_left() {
    let offers = "250-peer.example\r\n250-DELIVERBY\r\n250 8BITMIME\r\n";
    let peer = Peer::at("EHLO", Act::Say(offers.to_owned())).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let mut timed = letter(&["a@to.example"]);
    timed.sender_params = vec![param("BY", "7200;R")];
    timed.arrived = Timestamp(clock::wall().0 - 3_600_000);
    post.takes(timed);
    peer.until_taken(1).await;
    let mail = peer.taken().remove(0).mail;
    let left: u64 = mail.split("BY=").nth(1).unwrap().strip_suffix(";R").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&left), "{mail}");
    post.closes().await;
}

#[tokio::test]
async fn a_report_that_fails_is_told_to_the_postmaster_who_wants_to_know_once() {
    let peer = Peer::with(|step, line, _| match step {
        "RCPT" if !line.contains("<postmaster") => say("550 5.1.1 no such user"),
        _ => Act::Usual,
    })
    .await;
    let mut options = local(options(), "to.example", relay(&peer));
    options.reports.double_bounces_to = Some(model::Mailbox::parse("postmaster@from.example").unwrap());
    let post = Post::office(local(options, "from.example", relay(&peer)));
    post.takes(letter(&["bad@to.example"]));
    peer.until_taken(1).await;
    let taken = peer.taken().remove(0);
    assert!(taken.mail.starts_with("MAIL FROM:<>"), "{}", taken.mail);
    let report = String::from_utf8(taken.content).unwrap();
    assert!(report.contains("To: <postmaster@from.example>\r\nSubject: A report could not be delivered\r\n"));
    assert!(report.contains("Final-Recipient: rfc822; sender@from.example\r\n"), "{report}");
    assert!(report.contains("Final-Recipient: rfc822; bad@to.example\r\n"), "the report itself: {report}");
    post.closes().await;
    assert_eq!(peer.taken().len(), 1);
}

#[tokio::test]
async fn a_report_to_an_alias_goes_where_the_alias_leads_and_none_to_nobody() {
    let peer = Peer::at("RCPT", say("550 5.1.1 no such user")).await;
    let home = Peer::friendly().await;
    let mut domain = accounts::DomainOptions::new(model::Domain::parse("from.example").unwrap());
    domain.mailboxes = Some(vec!["ann".to_owned(), "bob".to_owned()]);
    domain.aliases = vec![("sender".to_owned(), vec!["ann".to_owned(), "bob+x".to_owned()])];
    let hostname = model::Domain::parse("me.example").unwrap();
    let accounts =
        accounts::LocalDomains::new(accounts::Options { hostname, domains: vec![domain] }).unwrap();
    let mut options = local(options(), "to.example", relay(&peer));
    options.reports.accounts = Some(std::sync::Arc::new(accounts));
    let post = Post::office(local(options, "from.example", relay(&home)));
    let mut unknown = letter(&["bad@to.example"]);
    unknown.sender = "nobody@from.example";
    let id = post.takes(unknown);
    post.until_states(id, &["bounced"]).await;
    post.takes(letter(&["bad@to.example"]));
    home.until_taken(1).await;
    let taken = home.taken();
    assert_eq!(taken[0].rcpts, ["RCPT TO:<ann@from.example>", "RCPT TO:<bob@from.example>"]);
    assert!(String::from_utf8_lossy(&taken[0].content).contains("\r\nTo: <sender@from.example>\r\n"));
    assert_eq!((taken.len(), post.engine.stats().reports), (1, 1));
    post.closes().await;
}
