//! Each verdict at each stage, with a real client: what it hears, and what becomes of the message.

use crate::harness::{Server, Setup, Smtp, message};

const STAGES: [&str; 6] = ["connect", "ehlo", "mail", "rcpt", "data", "message"];

fn with_verdict(stage: &str, say: &str) -> Setup {
    let settings = format!("settings = {{ at = \"{stage}\", say = \"{say}\", text = \"told so\" }}");
    Setup::new().plugin("verdict", &[&settings])
}

/// Goes through a session up to the stage, whose reply comes back; nothing when the server closed instead.
fn up_to(stage: &str, server: &Server) -> (Smtp, crate::harness::Reply) {
    let mut client = Smtp::connect(server.address());
    let steps: [(&str, &str); 5] = [
        ("connect", "EHLO client.example.com"),
        ("ehlo", "MAIL FROM:<ann@example.com>"),
        ("mail", "RCPT TO:<alice@example.org>"),
        ("rcpt", "DATA"),
        ("data", ""),
    ];
    let mut reply = client.next_reply().expect("a greeting");
    for (after, line) in steps {
        if after == stage {
            return (client, reply);
        }
        assert!(reply.code < 400, "before {stage}: {} {}", reply.code, reply.text);
        reply = match line {
            "" => client.ends_message(message("verdict")),
            line => {
                client.says(line);
                client.next_reply().expect("a reply")
            }
        };
    }
    (client, reply)
}

/// The usual reply of a stage.
fn usual(stage: &str) -> u16 {
    match stage {
        "connect" => 220,
        "data" => 354,
        _ => 250,
    }
}

/// Sends a message whose every command must be taken.
fn send_through(server: &Server) {
    let mut client = Smtp::connect(server.address());
    client.hears("220");
    client.asks("EHLO client.example.com", "250");
    client.sends("ann@example.com", &["alice@example.org"], message("verdict"));
    client.asks("QUIT", "221");
}

#[test]
fn proceed_and_accept_let_the_message_through_at_every_stage() {
    for say in ["proceed", "accept"] {
        for stage in STAGES {
            let setup = with_verdict(stage, say);
            let server = setup.start();
            let (_, reply) = up_to(stage, &server);
            assert_eq!(reply.code, usual(stage), "{say} at {stage}: {}", reply.text);
            send_through(&server);
            setup.mailbox("alice").with("Subject: verdict");
        }
    }
}

#[test]
fn accept_ends_the_stage_for_the_plugins_behind_and_proceed_does_not() {
    for (say, heard) in [("accept", "250"), ("proceed", "550 5.7.1")] {
        let first = format!("settings = {{ at = \"rcpt\", say = \"{say}\" }}");
        let setup = Setup::new()
            .plugin_as("first", "verdict", &[&first])
            .plugin_as("second", "verdict", &["settings = { at = \"rcpt\", say = \"reject\" }"])
            .set("plugins", "order = [\"first\", \"second\"]");
        let server = setup.start();
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", heard);
    }
}

#[test]
fn reject_and_tempfail_refuse_at_every_stage_with_their_reply() {
    for (say, class, status) in [("reject", 5, "5.7.1"), ("tempfail", 4, "4.7.1")] {
        for stage in STAGES {
            let setup = with_verdict(stage, say);
            let server = setup.start();
            let (mut client, reply) = up_to(stage, &server);
            assert_eq!(reply.code / 100, class, "{say} at {stage}: {} {}", reply.code, reply.text);
            assert!(reply.text.contains("told so"), "{say} at {stage}: {}", reply.text);
            // RFC 2034 section 4: no enhanced status in the greeting and in the reply to EHLO.
            let has_status = reply.text.starts_with(status);
            assert!(has_status || matches!(stage, "connect" | "ehlo"), "{say} at {stage}: {}", reply.text);
            // RFC 5321 section 3.1: behind 5xx instead of a greeting QUIT is waited for; behind 4xx the connection is closed.
            let after = match (stage, class) {
                ("connect", 4) => None,
                ("connect", _) => Some("503"),
                _ => Some("250"),
            };
            if let Some(code) = after {
                client.asks("NOOP", code);
                client.asks("QUIT", "221");
            }
            client.hears_the_end();
            server.stops();
            setup.mailbox("alice").wait(0);
        }
    }
}

#[test]
fn the_code_and_status_of_a_refusal_are_the_plugins() {
    let setting =
        r#"settings = { at = "rcpt", say = "reject", code = 553, status = "5.1.3", text = "mine" }"#;
    let server = Setup::new().plugin("verdict", &[setting]).start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "553 5.1.3 mine");
}

#[test]
fn discard_answers_250_at_every_stage_and_nothing_is_delivered_or_queued() {
    for stage in STAGES {
        let setup = with_verdict(stage, "discard");
        let server = setup.start();
        send_through(&server);
        server.logs(&["told so"]);
        assert_eq!(setup.json(&["queue", "list"]).to_string().matches("example.org").count(), 0, "{stage}");
        server.stops();
        setup.mailbox("alice").wait(0);
    }
}

#[test]
fn a_recipient_that_is_discarded_leaves_the_others() {
    let setting = r#"settings = { at = "rcpt", say = "discard", match = "bob@example.org" }"#;
    let setup = Setup::new().plugin("verdict", &[setting]);
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org", "bob@example.org"], message("half"));
    setup.mailbox("alice").with("Subject: half");
    server.stops();
    setup.mailbox("bob").wait(0);
}

#[test]
fn quarantine_answers_250_at_every_stage_and_holds_the_message_in_the_queue_across_a_restart() {
    for stage in STAGES {
        let setup = with_verdict(stage, "quarantine");
        let is_held = || {
            let listed = setup.json(&["queue", "list"]).to_string();
            assert!(listed.contains("held") && listed.contains("told so"), "{stage}: {listed}");
        };
        let server = setup.start();
        send_through(&server);
        is_held();
        server.stops();
        let _again = setup.start();
        is_held();
        setup.mailbox("alice").wait(0);
    }
}

#[test]
fn disconnect_answers_and_closes_at_every_stage() {
    for stage in STAGES {
        let setup = with_verdict(stage, "disconnect");
        let server = setup.start();
        let (mut client, reply) = up_to(stage, &server);
        assert_eq!(reply.code, 421, "{stage}: {}", reply.text);
        assert!(reply.text.contains("told so"), "{stage}: {}", reply.text);
        client.hears_the_end();
        server.stops();
        setup.mailbox("alice").wait(0);
    }
}

#[test]
fn a_verdict_counts_for_the_transaction_and_not_for_the_next_one() {
    for say in ["discard", "quarantine"] {
        let setting = format!("settings = {{ at = \"mail\", say = \"{say}\", match = \"bad@example.com\" }}");
        let setup = Setup::new().plugin("verdict", &[&setting]);
        let server = setup.start();
        let mut client = server.client();
        client.sends("bad@example.com", &["alice@example.org"], message("first"));
        client.asks("MAIL FROM:<bad@example.com>", "250");
        client.asks("RSET", "250");
        client.sends("ann@example.com", &["alice@example.org"], message("second"));
        let arrived = setup.mailbox("alice").one();
        assert!(arrived.contains("Subject: second"), "{say}: {arrived}");
    }
}
