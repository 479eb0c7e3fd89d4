//! The auto-responder in the real server: who is answered, and that answers never answer each other.

use std::collections::HashSet;

use crate::harness::{Server, Setup, wait_until};

const AWAY: [&str; 2] = ["grants = { kv = true, submit = true }", "isolation = \"session\""];

/// These people of a domain are away.
fn away(addresses: &[&str]) -> String {
    let mailboxes: Vec<String> =
        addresses.iter().map(|address| format!("\"{address}\" = {{ text = \"I am away.\\n\" }}")).collect();
    format!("settings = {{ mailboxes = {{ {} }} }}", mailboxes.join(", "))
}

fn message_id(message: &str) -> String {
    message.lines().find(|line| line.starts_with("Message-ID:")).expect("a Message-ID").to_owned()
}

fn setup(addresses: &[&str]) -> Setup {
    let settings = away(addresses);
    Setup::new().plugin("vacation", &[AWAY[0], AWAY[1], &settings])
}

fn sends(server: &Server, from: &str, to: &str, header: &str) {
    let mut client = server.client();
    client.begins_message(from, &[to]);
    let reply = client.ends_message(format!("From: {from}\r\nTo: {to}\r\n{header}\r\nhello\r\n"));
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// Waits until everything that was delivered before has been told to the plugin: outcomes are told one after the other, and this sender is
/// answered.
fn all_is_told(setup: &Setup, server: &Server, local: &str) {
    sends(server, &format!("{local}@example.org"), "alice@example.org", "Subject: the last\r\n");
    setup.mailbox(local).with("Subject: Auto: the last");
}

#[test]
fn who_is_away_answers_when_the_message_was_delivered() {
    let setup = setup(&["alice@example.org"]);
    let server = setup.start();
    let header = "Subject: lunch?\r\nMessage-ID: <1@example.org>\r\n";
    sends(&server, "bob@example.org", "alice@example.org", header);
    let answer = setup.mailbox("bob").with("I am away.");
    for line in [
        "Return-Path: <>",
        "From: alice@example.org",
        "To: bob@example.org",
        "Subject: Auto: lunch?",
        "In-Reply-To: <1@example.org>",
        "Auto-Submitted: auto-replied",
    ] {
        assert!(answer.lines().any(|other| other == line), "{line}: {answer}");
    }
    assert!(answer.contains("Received: by mx.example.org (plugin vacation) id "), "{answer}");
    assert!(answer.contains("\nMessage-ID: <") && answer.contains("\nDate: "), "{answer}");
    server.logs(&["accepted from a plugin", "vacation"]);
    setup.mailbox("alice").with("Subject: lunch?");

    // Once is enough, also after a restart.
    server.stops();
    let server = setup.start();
    sends(&server, "bob@example.org", "alice@example.org", "Subject: again\r\n");
    all_is_told(&setup, &server, "carol");
    assert_eq!(setup.mailbox("bob").messages().len(), 1);
}

#[test]
fn two_who_are_away_exchange_one_answer_and_no_more() {
    let setup = setup(&["alice@example.org", "bob@example.org"]);
    let server = setup.start();
    sends(&server, "bob@example.org", "alice@example.org", "Subject: hello\r\n");
    setup.mailbox("bob").with("Subject: Auto: hello");
    all_is_told(&setup, &server, "carol");
    all_is_told(&setup, &server, "dave");
    assert_eq!(setup.mailbox("bob").messages().len(), 1);
    assert_eq!(setup.mailbox("alice").messages().len(), 3, "bob's message, carol's and dave's");
}

#[test]
fn two_servers_on_which_everybody_is_away_fall_silent_after_one_answer() {
    let mut there = Setup::without_domains();
    let maildir = there.path("mail/{domain}/{local}");
    let domain =
        format!("[[domain]]\nname = \"example.net\"\ndeliver = {{ maildir = \"{}\" }}", maildir.display());
    there = there.block(&domain).plugin("vacation", &[AWAY[0], &away(&["bob@example.net"])]);
    let other = there.start();
    let here = setup(&["alice@example.org"]).smarthost(other.address());
    let server = here.start();
    there.change("outbound", &format!("smarthost = \"{}\"", server.address()));
    there.write();
    assert_eq!(there.command(&["reload"]).code, 0);

    // Bob's server hands alice's his message, and gets her answer, which it does not answer.
    let mut client = server.client();
    client.begins_message("bob@example.net", &["alice@example.org"]);
    client.ends_message("From: bob@example.net\r\nTo: alice@example.org\r\nSubject: hello\r\n\r\nhello\r\n");
    let bobs = crate::harness::Maildir::at(there.path("mail/example.net/bob"));
    assert!(bobs.one().contains("Subject: Auto: hello"));
    // Whoever is not away is answered, and so by then everything before was told there as well.
    let mut client = other.client();
    client.begins_message("alice+x@example.org", &["bob@example.net"]);
    client.ends_message("From: alice@example.org\r\nTo: bob@example.net\r\nSubject: more\r\n\r\nhello\r\n");
    let alices = here.mailbox("alice");
    alices.with("Subject: Auto: more");
    all_is_told(&here, &server, "carol");
    assert_eq!(bobs.messages().len(), 2, "alice's answer, and the message that asked for another");
    assert_eq!(alices.messages().len(), 3, "bob's message, his answer to the second, and carol's");
}

#[test]
fn a_message_of_a_list_gets_no_answer() {
    let setup = setup(&["alice@example.org"]);
    let server = setup.start();
    for header in
        ["List-Id: <news.example.org>\r\n", "Precedence: bulk\r\n", "Auto-Submitted: auto-generated\r\n"]
    {
        sends(&server, "bob@example.org", "alice@example.org", header);
    }
    all_is_told(&setup, &server, "carol");
    assert!(setup.mailbox("bob").messages().is_empty());
}

#[test]
fn a_server_that_dies_between_delivery_and_answer_loses_answers_at_most() {
    const SENDERS: usize = 20;
    let setup = setup(&["alice@example.org"]);
    let maildir = setup.path("mail/{domain}/{local}");
    let setup = setup.block(&format!(
        "[[domain]]\nname = \"example.net\"\ndeliver = {{ maildir = \"{}\" }}",
        maildir.display()
    ));
    let server = setup.start();
    for nth in 0..SENDERS {
        sends(&server, &format!("u{nth}@example.net"), "alice@example.org", "Subject: hello\r\n");
    }
    server.dies();
    let server = setup.start();
    all_is_told(&setup, &server, "carol");
    wait_until("the queue to be empty", || {
        setup.json(&["queue", "list"]).as_array().is_some_and(Vec::is_empty)
    });
    let mut subjects: Vec<String> = setup.mailbox("alice").messages();
    subjects.retain(|message| message.contains("Subject: hello"));
    assert!(subjects.len() >= SENDERS, "{} of {SENDERS} messages", subjects.len());
    for nth in 0..SENDERS {
        // The crash may have fallen between the delivery of an answer and its record: then that one arrives twice.
        let mailbox = crate::harness::Maildir::at(setup.path("mail/example.net").join(format!("u{nth}")));
        let answers: HashSet<String> = mailbox.messages().iter().map(|answer| message_id(answer)).collect();
        assert!(answers.len() <= 1, "u{nth} was answered {} times: {answers:?}", answers.len());
    }
}

#[test]
fn without_the_grant_to_submit_mail_is_delivered_and_nobody_is_answered() {
    let settings = away(&["alice@example.org"]);
    let setup = Setup::new().plugin("vacation", &["grants = { kv = true }", &settings]);
    let server = setup.start();
    sends(&server, "bob@example.org", "alice@example.org", "Subject: hello\r\n");
    server.logs(&["vacation", "was not answered", "not granted"]);
    setup.mailbox("alice").with("Subject: hello");
}
