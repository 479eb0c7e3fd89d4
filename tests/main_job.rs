//! The main job: a message comes in over SMTP, a plugin changes it, and it lies in a Maildir.

use std::process::Command;

use crate::harness::{Setup, python, run_with_input};

const TAGGED: &str = r#"settings = { rules = [{ add = { X-Waxwing = "seen" } }] }"#;

#[test]
fn a_message_sent_with_curl_lies_in_the_maildir_with_the_field_that_a_plugin_added() {
    let setup = Setup::new().plugin("tag-headers", &[TAGGED]);
    let server = setup.start();
    let mut curl = Command::new("curl");
    curl.args(["-sS", &format!("smtp://{}", server.address()), "--mail-from", "ann@example.com"]);
    curl.args(["--mail-rcpt", "alice@example.org", "--upload-file", "-"]);
    let sent = run_with_input(&mut curl, b"Subject: by curl\r\n\r\nHello.\r\n.leading dot\r\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    let message = setup.mailbox("alice").one();
    assert!(
        message.contains("\r\nSubject: by curl\r\n") || message.contains("\nSubject: by curl\n"),
        "{message}"
    );
    assert!(message.contains("X-Waxwing: seen"), "{message}");
    assert!(message.lines().any(|line| line == ".leading dot"), "{message}");
    assert!(message.starts_with("Return-Path: <ann@example.com>"), "{message}");
    assert_eq!(setup.mailbox("alice").unfinished(), 0);
}

#[test]
fn a_message_sent_with_smtplib_reaches_each_of_its_recipients() {
    let setup = Setup::new().plugin("tag-headers", &[TAGGED]);
    let server = setup.start();
    let script = r#"
import smtplib, sys
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "ann@example.com", "alice@example.org, bob@example.org", "by smtplib"
m.set_content("Hello.\n")
m.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream", filename="all.bin")
with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as s:
    refused = s.send_message(m, to_addrs=["alice@example.org", "bob@example.org", "nobody@example.org"])
print(sorted(refused.items()))
"#;
    let refused = python(script, &[&server.address().port().to_string()]);
    assert!(refused.contains("nobody@example.org") && refused.contains("550"), "{refused}");
    assert!(!refused.contains("alice"), "{refused}");
    for local in ["alice", "bob"] {
        let message = setup.mailbox(local).one();
        assert!(message.contains("X-Waxwing: seen"), "{message}");
        assert!(message.contains("Subject: by smtplib"), "{message}");
        let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).expect("a message");
        let attached = parsed.attachment(0).expect("the attachment").contents().to_vec();
        assert_eq!(attached, (0..=255).collect::<Vec<u8>>());
    }
}

#[test]
fn a_received_field_says_where_the_message_came_from() {
    let setup = Setup::new();
    let server = setup.start();
    let reply = server.client().sends("ann@example.com", &["alice@example.org"], "Subject: x\r\n\r\nx\r\n");
    let message = setup.mailbox("alice").one();
    let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).expect("a message");
    let received = parsed.received().expect("a Received field");
    assert_eq!(received.by().map(ToString::to_string).as_deref(), Some("mx.example.org"));
    assert_eq!(received.from_ip(), Some("127.0.0.1".parse().expect("an address")));
    assert!(message.contains("client.example.com"), "{message}");
    // The queue id that the client was told is the one in the trace.
    let id = received.id().expect("an id").to_owned();
    assert!(reply.text.contains(&id), "{} in {}", id, reply.text);
}

#[test]
fn a_recipient_that_a_plugin_refuses_is_refused_and_the_others_get_the_message() {
    let refuse = r#"settings = { at = "rcpt", say = "reject", match = "bob@example.org", text = "not bob" }"#;
    let setup = Setup::new().plugin("verdict", &[refuse]);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "250");
    let refused = client.asks("RCPT TO:<bob@example.org>", "550 5.7.1");
    assert!(refused.text.contains("not bob"));
    client.asks("DATA", "354");
    assert_eq!(client.ends_message("Subject: x\r\n\r\nx\r\n").code, 250);
    setup.mailbox("alice").wait(1);
    setup.mailbox("bob").wait(0);
}

#[test]
fn details_and_aliases_lead_to_the_mailbox() {
    let base = Setup::without_domains();
    let maildir = base.path("mail/{domain}/{local}");
    let setup = base.block(&format!(
        "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}\" }}\nmailboxes = [\"alice\", \"bob\"]\naliases = {{ sales = [\"alice\", \"bob\"] }}",
        maildir.display()
    ));
    let server = setup.start();
    server.client().sends("ann@example.com", &["Alice+news@Example.ORG"], "Subject: detail\r\n\r\nx\r\n");
    setup.mailbox("alice").with("Subject: detail");
    server.client().sends("ann@example.com", &["sales@example.org"], "Subject: to sales\r\n\r\nx\r\n");
    for local in ["alice", "bob"] {
        setup.mailbox(local).with("Subject: to sales");
    }
}
