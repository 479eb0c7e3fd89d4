//! Against other people's programs: Postfix, haproxy, swaks, nodemailer. Run by `make interop`, which installs them.

mod haproxy;
mod postfix;

use std::process::Command;

use crate::harness::{NextHop, Setup, message, run, target_dir, unique, wait_until};
use postfix::Postfix;

#[test]
#[ignore = "needs Postfix: make interop"]
fn postfix_takes_our_mail_as_next_hop_and_delivers_it_byte_for_byte() {
    // Waxwing, then Postfix, then a next hop that keeps what it gets.
    let hop = NextHop::start();
    let postfix = Postfix::relaying_to(hop.address);
    let setup = Setup::new().relays().smarthost(postfix.address()).hurries();
    let server = setup.start();
    let body =
        "..two dots\r\n.one dot\r\nGrüße\r\n\r\n".to_owned() + &"a longer line of text\r\n".repeat(20_000);
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org> BODY=8BITMIME", "250");
    client.asks("RCPT TO:<carl@elsewhere.example>", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message(format!("Subject: through both\r\n\r\n{body}")).code, 250);
    let received = hop.wait(1).remove(0);
    assert!(received.content.ends_with(&format!("\r\n\r\n{body}")), "{} octets", received.content.len());
    assert_eq!(received.content.matches("Received: ").count(), 2, "a trace field of each");
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn a_queue_for_a_postfix_that_was_down_empties_when_it_is_up() {
    let hop = NextHop::start();
    let postfix = Postfix::relaying_to(hop.address);
    let setup = Setup::new().relays().smarthost(postfix.address()).hurries();
    let stopped = postfix.stop();
    let server = setup.start();
    for nth in 0..200 {
        server.client().sends(
            "alice@example.org",
            &["carl@elsewhere.example"],
            message(&format!("number-{nth}")),
        );
    }
    server.logs(&["deferred"]);
    let _postfix = stopped.start();
    hop.wait(200);
    wait_until("the queue to be empty", || {
        !setup.json(&["queue", "list"]).to_string().contains("elsewhere.example")
    });
    assert_eq!(hop.received().len(), 200);
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn a_recipient_that_postfix_refuses_is_reported() {
    let hop = NextHop::start();
    let postfix = Postfix::relaying_to(hop.address);
    let setup = Setup::new().relays().smarthost(postfix.address()).hurries();
    let server = setup.start();
    server.client().sends("alice@example.org", &["refused@elsewhere.example"], message("refused"));
    let report = setup.mailbox("alice").one();
    assert!(report.contains("Final-Recipient: rfc822; refused@elsewhere.example"), "{report}");
    assert!(report.contains("Status: 5.7.1"), "{report}");
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn postfix_relays_to_us() {
    let setup = Setup::new();
    let server = setup.start();
    let postfix = Postfix::relaying_to(server.address());
    crate::harness::deliver(
        postfix.address(),
        "ann@example.com",
        &["alice@example.org", "bob@example.org"],
        message("from Postfix"),
    );
    for local in ["alice", "bob"] {
        assert!(setup.mailbox(local).one().contains("Subject: from Postfix"));
    }
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn two_thousand_messages_of_smtp_source_are_all_delivered() {
    let setup = Setup::new();
    let server = setup.start();
    for extra in [&["-d"][..], &[]] {
        let mut source = Command::new("/usr/sbin/smtp-source");
        source.args(extra).args([
            "-s",
            "20",
            "-l",
            "5120",
            "-m",
            "1000",
            "-f",
            "ann@example.com",
            "-t",
            "alice@example.org",
        ]);
        let sent = run(source.arg(server.address().to_string()));
        assert_eq!(sent.code, 0, "{}", sent.err);
    }
    wait_until("all of them in the Maildir", || setup.mailbox("alice").messages().len() == 2000);
}

#[test]
#[ignore = "needs swaks: make interop"]
fn swaks_sends_and_is_refused() {
    let setup = Setup::new();
    let server = setup.start();
    let swaks = |to: &str, extra: &[&str]| {
        let mut command = Command::new("swaks");
        command.args([
            "--server",
            &server.address().to_string(),
            "--from",
            "ann@example.com",
            "--to",
            to,
            "--ehlo",
            "client.example.com",
        ]);
        run(command.args(extra))
    };
    let sent = swaks(
        "alice@example.org",
        &["--pipeline", "--attach-body", "hello", "--header", "Subject: by swaks"],
    );
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    assert!(setup.mailbox("alice").one().contains("Subject: by swaks"));
    let refused = swaks("nobody@example.org", &[]);
    assert_eq!(refused.code, 24, "{}{}", refused.out, refused.err);
    let relay = swaks("victim@elsewhere.example", &[]);
    assert_eq!(relay.code, 24, "{}{}", relay.out, relay.err);
}

#[test]
#[ignore = "needs nodemailer: make interop"]
fn nodemailer_sends_many_messages_over_a_pool() {
    let setup = Setup::new();
    let server = setup.start();
    let word = unique("nodemailer");
    let script = format!(
        r#"
const nodemailer = require("nodemailer");
const t = nodemailer.createTransport({{ host: "127.0.0.1", port: {}, pool: true, maxConnections: 3, ignoreTLS: true }});
(async () => {{
  await Promise.all([...Array(30).keys()].map((n) => t.sendMail({{
    from: "ann@example.com", to: "alice@example.org", subject: "{word} " + n, text: "Grüße\n.dot\n", html: "<p>x</p>",
    attachments: [{{ filename: "ü.txt", content: "attached" }}] }})));
  t.close();
}})().catch((e) => {{ console.error(e); process.exit(1); }});
"#,
        server.address().port()
    );
    let sent = run(Command::new("node").args(["-e", &script]).current_dir(target_dir().join("interop")));
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    let messages = setup.mailbox("alice").wait(30);
    assert!(messages.iter().all(|message| message.contains(&word)));
}
