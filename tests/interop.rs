//! Against other people's programs: servers before and behind ours, clients, a proxy. Run by `make interop`, which installs them.

mod authentication;
mod clients;
mod dovecot;
mod exim;
mod haproxy;
mod mail_programs;
mod milters;
mod named;
mod opensmtpd;
mod page;
mod pebble;
mod postfix;
mod prometheus;
mod python_checks;
mod relays;
mod rspamd;
mod senders;
mod trust;

use std::process::Command;

use crate::harness::{NextHop, Setup, message, run, wait_until};
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
