//! Mail servers that send to us: with TLS, in chunks, beyond ASCII, and with reports asked for.

use crate::harness::{Setup, Users, message};

use super::exim::Exim;
use super::postfix::Postfix;

#[test]
#[ignore = "needs Exim: make interop"]
fn exim_sends_to_us_in_chunks_under_tls_and_beyond_ascii() {
    let users = Users::start();
    let exim = Exim::relaying_to(
        users.server.address(),
        "hosts_require_tls = *\n  tls_verify_certificates = \n  hosts_try_chunking = *\n  hosts_try_fastopen = ",
    );
    let body = "..dots\n.\nGrüße\n".to_owned() + &"a longer line of text\n".repeat(20_000);
    exim.sends(
        &["-f", "ann@example.com", "alice@example.org", "bob@example.org"],
        &format!("From: ann@example.com\nSubject: in chunks\n\n{body}"),
    );
    for local in ["alice", "bob"] {
        let got = users.setup.mailbox(local).one();
        assert!(got.replace("\r\n", "\n").ends_with(&body), "{} octets", got.len());
        assert!(got.contains("with ESMTPS"), "{}", &got[..2000]);
    }
    // K: Exim's word for a message that left by BDAT. X: under TLS.
    let log = exim.log();
    let sent: Vec<&str> = log.lines().filter(|line| line.contains(" => ") || line.contains(" -> ")).collect();
    assert_eq!(sent.len(), 2, "{log}");
    assert!(sent.iter().all(|line| line.contains(" K ") && line.contains("X=TLS1.3")), "{log}");
}

#[test]
#[ignore = "needs Exim: make interop"]
fn exim_hands_over_what_its_sender_asked_to_hear() {
    let users = Users::start();
    let exim =
        Exim::relaying_to(users.server.listener("mx"), "hosts_require_tls = *\n  tls_verify_certificates = ");
    let exim = exim.listening();
    let mut client = crate::harness::Smtp::greeted(exim.address());
    client.asks("MAIL FROM:<alice@example.org> RET=HDRS ENVID=order-17 SMTPUTF8 BODY=8BITMIME", "250");
    client.asks("RCPT TO:<nobody@example.org> NOTIFY=FAILURE ORCPT=rfc822;first@example.net", "250");
    client.asks("RCPT TO:<alice@example.org> NOTIFY=NEVER", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message("Subject: Grüße\r\n\r\nHello.\r\n").code, 250);
    // One is delivered; the other is refused by us at RCPT, and it is Exim who says so to alice.
    let messages = users.setup.mailbox("alice").wait(2);
    let report = messages.iter().find(|one| one.contains("nobody@example.org")).expect("a report");
    assert!(report.contains("550 5.1.1"), "{report}");
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn postfix_sends_to_us_under_tls_beyond_ascii_and_with_reports_asked_for() {
    let users = Users::start();
    let postfix = Postfix::relaying_with(
        users.server.address(),
        &format!(
            "smtp_tls_security_level = verify\nsmtp_tls_CAfile = {}\nsmtp_tls_verify_cert_match = mx.example.org\n\
             smtp_tls_loglevel = 1\nsmtputf8_enable = yes\n",
            users.certificate.display()
        ),
    );
    let mut client = crate::harness::Smtp::greeted(postfix.address());
    client.asks("MAIL FROM:<jörg@example.com> SMTPUTF8 RET=HDRS ENVID=order-17", "250");
    client.asks("RCPT TO:<alice@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@example.net", "250");
    client.asks("RCPT TO:<bob@example.org> NOTIFY=NEVER", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message("Subject: Grüße\r\n\r\n..Grüße\r\n").code, 250);
    for local in ["alice", "bob"] {
        let got = users.setup.mailbox(local).one();
        assert!(got.contains("Subject: Grüße") && got.contains("with UTF8SMTPS"), "{got}");
    }
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn postfix_meets_a_listener_that_offers_nothing_beyond_rfc_5321() {
    let setup = Setup::new().set("[listener]", "extensions = []");
    let server = setup.start();
    let postfix = Postfix::relaying_to(server.address());
    crate::harness::deliver(postfix.address(), "ann@example.com", &["alice@example.org"], message("plain"));
    assert!(setup.mailbox("alice").one().contains("Subject: plain"));
}
