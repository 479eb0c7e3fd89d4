//! Plugins that decide of single recipients when the message is whole: what clients hear by LMTP, PRDR and plain SMTP, what
//! senders are told, and what becomes of each recipient.

use crate::harness::{Server, Setup, Smtp, message, wait_until};

const DECIDES: &str = r#"settings = { refuse = { "bob@example.org" = "550 5.2.2 bob is full", "dave@example.org" = "450 4.2.1 dave is busy" }, hold = { "carol@example.org" = "carol wants to see it first" } }"#;
const ALL_FOUR: [&str; 4] = ["alice@example.org", "bob@example.org", "carol@example.org", "dave@example.org"];

fn lmtp(setup: Setup) -> Setup {
    setup.set("[listener]", "kind = \"lmtp\"")
}

fn lmtp_client(server: &Server) -> Smtp {
    let mut client = Smtp::connect(server.address());
    client.hears("220");
    client.asks("LHLO client.example.com", "250");
    client
}

fn refuses(address: &str, reply: &str) -> String {
    format!("settings = {{ refuse = {{ \"{address}\" = \"{reply}\" }} }}")
}

/// What the queue says of a recipient, once it says that.
fn queued(setup: &Setup, address: &str, words: &[&str]) {
    wait_until(&format!("{address} to be in the queue with {words:?}"), || {
        let list = setup.json(&["queue", "list"]);
        let ids = list.as_array().into_iter().flatten().filter_map(|entry| entry["id"].as_str());
        ids.map(|id| setup.json(&["queue", "show", id])).any(|entry| {
            let recipients = entry["recipients"].as_array().cloned().unwrap_or_default();
            let is_it = |text: &str| text.contains(address) && words.iter().all(|word| text.contains(word));
            recipients.iter().any(|recipient| is_it(&recipient.to_string()))
        })
    });
}

#[test]
fn by_lmtp_each_recipient_hears_its_own_reply() {
    let setup = lmtp(Setup::new().plugin("recipients", &[DECIDES]));
    let server = setup.start();
    let mut client = lmtp_client(&server);
    client.begins_message("ann@example.com", &ALL_FOUR);
    let first = client.ends_message(message("lmtp"));
    assert!(first.begins("250 2.0.0"), "{first:?}");
    client.hears("550 5.2.2 bob is full");
    client.hears("250 2.0.0");
    client.hears("450 4.2.1 dave is busy");
    // The next transaction is not confused with this one.
    client.begins_message("ann@example.com", &["alice@example.org"]);
    assert!(client.ends_message(message("second")).begins("250 2.0.0"));
    client.asks("QUIT", "221");
    setup.mailbox("alice").wait(2);
    queued(&setup, "carol@example.org", &["held", "carol wants to see it first"]);
    let list = setup.json(&["queue", "list"]).to_string();
    assert!(!list.contains("bob@") && !list.contains("dave@"), "{list}");
    server.stops();
    setup.mailbox("bob").wait(0);
    setup.mailbox("dave").wait(0);
}

#[test]
fn by_prdr_each_recipient_hears_its_own_reply_and_the_last_one_is_the_messages() {
    let setup = Setup::new().plugin("recipients", &[DECIDES]);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com> PRDR", "250");
    for to in ALL_FOUR {
        client.asks(&format!("RCPT TO:<{to}>"), "250");
    }
    client.asks("DATA", "354");
    assert_eq!(client.ends_message(message("prdr")).code, 353);
    for reply in ["250 2.0.0", "550 5.2.2 bob is full", "250 2.0.0", "450 4.2.1 dave is busy", "250 2.0.0"] {
        client.hears(reply);
    }
    client.asks("NOOP", "250");
    setup.mailbox("alice").with("Subject: prdr");
    queued(&setup, "carol@example.org", &["held"]);
    server.stops();
    setup.mailbox("bob").wait(0);
}

#[test]
fn by_plain_smtp_the_sender_is_told_of_a_refusal_in_a_report_of_that_recipient_alone() {
    let setup = Setup::new().plugin("recipients", &[&refuses("bob@example.org", "550 5.2.2 bob is full")]);
    let server = setup.start();
    server.client().sends("carol@example.org", &["alice@example.org", "bob@example.org"], message("plain"));
    setup.mailbox("alice").with("Subject: plain");
    let report = setup.mailbox("carol").one();
    assert!(report.starts_with("Return-Path: <>\n"), "{report}");
    for line in ["Final-Recipient: rfc822; bob@example.org", "Action: failed", "Status: 5.2.2"] {
        assert!(report.contains(line), "{line} in {report}");
    }
    assert!(
        report.contains("550 5.2.2 bob is full") && !report.contains("alice@example.org\nAction"),
        "{report}"
    );
    server.logs(&["recipient refused", "bob@example.org", "plugin=\"recipients\""]);
    server.stops();
    setup.mailbox("bob").wait(0);
    setup.mailbox("carol").wait(1);
}

#[test]
fn nobody_is_told_who_is_not_there_or_does_not_want_to_hear() {
    let setup = Setup::new().plugin("recipients", &[&refuses("bob@example.org", "550 5.2.2 bob is full")]);
    let server = setup.start();
    let mut client = server.client();
    client.sends("", &["alice@example.org", "bob@example.org"], message("null"));
    client.asks("MAIL FROM:<carol@example.org>", "250");
    client.asks("RCPT TO:<alice@example.org>", "250");
    client.asks("RCPT TO:<bob@example.org> NOTIFY=NEVER", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message(message("never")).code, 250);
    setup.mailbox("alice").wait(2);
    wait_until("two ends in the log", || server.logged(&["bounced", "bob@example.org"]).len() == 2);
    wait_until("the queue to be empty", || {
        setup.json(&["queue", "list"]).as_array().is_some_and(Vec::is_empty)
    });
    server.stops();
    setup.mailbox("carol").wait(0);
    setup.mailbox("bob").wait(0);
}

#[test]
fn by_plain_smtp_who_is_refused_for_now_waits_in_the_queue_and_then_has_the_message() {
    let refused = refuses("bob@example.org", "450 4.2.1 bob is busy");
    let setup = Setup::new().plugin("recipients", &[&refused]).set("queue", "retry = [\"1h\"]");
    let server = setup.start();
    server.client().sends("carol@example.org", &["alice@example.org", "bob@example.org"], message("later"));
    setup.mailbox("alice").with("Subject: later");
    queued(&setup, "bob@example.org", &["waiting", "450 4.2.1 bob is busy"]);
    server.logs(&["deferred", "bob@example.org", "bob is busy"]);
    assert_eq!(setup.command(&["queue", "retry", "--all"]).code, 0);
    setup.mailbox("bob").with("Subject: later");
    server.stops();
    setup.mailbox("carol").wait(0);
}

#[test]
fn a_message_whose_every_recipient_is_refused_is_refused() {
    let both = r#"settings = { refuse = { "alice@example.org" = "550 5.7.1 alice says no", "bob@example.org" = "452 4.2.2 bob is full" }, add = ["dave@example.org"] }"#;
    let setup = Setup::new().plugin("recipients", &[both]);
    let server = setup.start();
    let mut client = server.client();
    for (to, reply) in [
        (&["alice@example.org"][..], "550 5.7.1 alice says no"),
        (&["alice@example.org", "bob@example.org"][..], "452 4.2.2 bob is full"),
    ] {
        client.begins_message("carol@example.org", to);
        let heard = client.ends_message(message("none"));
        assert!(heard.begins(reply), "{heard:?}");
    }
    let list = setup.json(&["queue", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(0), "{list}");
    server.stops();
    // Not even those that a plugin added have a message that was refused.
    for nobody in ["alice", "bob", "carol", "dave"] {
        setup.mailbox(nobody).wait(0);
    }
    let setup = lmtp(Setup::new().plugin("recipients", &[both]));
    let server = setup.start();
    let mut client = lmtp_client(&server);
    client.begins_message("carol@example.org", &["alice@example.org", "bob@example.org"]);
    assert!(client.ends_message(message("none")).begins("550 5.7.1 alice says no"));
    client.hears("452 4.2.2 bob is full");
    client.asks("NOOP", "250");
}

#[test]
fn several_plugins_decide_one_after_the_other() {
    let order = "order = [\"first\", \"second\", \"third\"]";
    let holds = r#"settings = { hold = { "bob@example.org" = "late", "carol@example.org" = "odd" } }"#;
    let setup = lmtp(Setup::new())
        .plugin_as("first", "recipients", &[&refuses("bob@example.org", "550 5.2.2 bob is full")])
        .plugin_as("second", "recipients", &[holds])
        .plugin_as("third", "recipients", &["settings = { shows = true }"])
        .set("plugins", order);
    let server = setup.start();
    let mut client = lmtp_client(&server);
    client.begins_message("ann@example.com", &ALL_FOUR);
    assert!(client.ends_message(message("several")).begins("250 2.0.0"));
    for reply in ["550 5.2.2 bob is full", "250 2.0.0", "250 2.0.0"] {
        client.hears(reply);
    }
    // Whoever was refused is not there for those that come later.
    setup.mailbox("alice").with("X-Shown: alice@example.org carol@example.org dave@example.org");
    setup.mailbox("dave").with("Subject: several");
    queued(&setup, "carol@example.org", &["held", "odd"]);
}

#[test]
fn a_verdict_on_the_whole_message_covers_every_recipient() {
    let refused = refuses("bob@example.org", "550 5.2.2 bob is full");
    for (say, heard) in [("reject", "550 5.7.1"), ("quarantine", "250"), ("discard", "250")] {
        let verdict = format!("settings = {{ at = \"message\", say = \"{say}\" }}");
        let setup = Setup::new()
            .plugin_as("first", "recipients", &[&refused])
            .plugin_as("second", "verdict", &[&verdict])
            .set("plugins", "order = [\"first\", \"second\"]");
        let server = setup.start();
        let mut client = server.client();
        client.begins_message("carol@example.org", &["alice@example.org", "bob@example.org"]);
        let reply = client.ends_message(message("whole"));
        assert!(reply.begins(heard), "{say}: {reply:?}");
        match say {
            "quarantine" => {
                for address in ["alice@example.org", "bob@example.org"] {
                    queued(&setup, address, &["held"]);
                }
                // Released, bob's copy comes to the end that it had.
                assert_eq!(setup.command(&["queue", "release", "--all"]).code, 0);
                setup.mailbox("alice").with("Subject: whole");
                setup.mailbox("carol").with("550 5.2.2 bob is full");
            }
            _ => {
                server.stops();
                setup.mailbox("alice").wait(0);
                setup.mailbox("carol").wait(0);
            }
        }
    }
}

#[test]
fn a_report_names_what_the_sender_named_and_nothing_behind_it() {
    let maildir = "deliver = { maildir = \"other/{local}\" }";
    let other = format!(
        "[[domain]]\nname = \"lists.example\"\n{maildir}\nmailboxes = [\"secret\"]\naliases = {{ sales = [\"secret\", \"alice@example.org\"] }}"
    );
    let setup = Setup::new()
        .plugin("recipients", &[&refuses("sales@lists.example", "550 5.7.2 not for you")])
        .block(&other);
    let server = setup.start();
    server.client().sends("carol@example.org", &["bob@example.org", "sales@lists.example"], message("alias"));
    let report = setup.mailbox("carol").one();
    assert!(report.contains("Final-Recipient: rfc822; sales@lists.example"), "{report}");
    assert!(!report.contains("secret"), "{report}");
    setup.mailbox("bob").with("Subject: alias");
    server.stops();
    setup.mailbox("alice").wait(0);
}
