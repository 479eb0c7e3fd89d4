//! Users: TLS, authentication, submission, and a server beside this one that hands mail over by LMTP.

use crate::harness::Users;

#[test]
fn a_user_submits_mail_under_tls_with_a_password() {
    let users = Users::start();
    let heard = users.python(
        r#"
s = smtplib.SMTP("127.0.0.1", ports["submission"])
s.ehlo("[127.0.0.1]")
print("before", s.esmtp_features.get("auth"), s.docmd("MAIL FROM:<alice@example.org>")[0], s.docmd("AUTH PLAIN AGEAYg==")[0])
s.starttls(context=context)
s.ehlo("laptop.example")
print("after", "PLAIN" in s.esmtp_features["auth"], s.has_extn("starttls"), s.docmd("MAIL FROM:<alice@example.org>")[0])
try:
    s.login("alice@example.org", "wrong")
except smtplib.SMTPAuthenticationError as e:
    print("wrong", e.smtp_code)
s.login("alice@example.org", "correct horse")
print("another", s.docmd("MAIL FROM:<bob@example.org>")[0])
for sender in ["alice@example.org", "sales@example.org"]:
    s.sendmail(sender, ["carol@elsewhere.example"], "Subject: hi\r\nBcc: secret@example.org\r\n\r\nHello.\r\n")
s.quit()
s = smtplib.SMTP_SSL("127.0.0.1", ports["submissions"], context=context)
s.login("alice@example.org", "correct horse")
s.sendmail("alice@example.org", ["bob@example.org"], "Subject: implicit\r\n\r\nHello.\r\n")
print("version", s.sock.version())
"#,
    );
    assert!(heard.contains("before  SCRAM-SHA-256 530 538"), "{heard}");
    assert!(heard.contains("after True False 530"), "{heard}");
    assert!(heard.contains("wrong 535") && heard.contains("another 553"), "{heard}");
    assert!(heard.contains("version TLSv1.3"), "{heard}");
    let sent = users.hop.wait(2);
    let message = sent[0].content.clone();
    assert!(message.contains("\r\nDate: ") && message.contains("\r\nMessage-ID: <"), "{message}");
    assert!(!message.contains("secret@example.org") && !message.contains("127.0.0.1"), "{message}");
    assert!(message.contains("with ESMTPSA id "), "{message}");
    assert!(users.setup.mailbox("bob").one().contains("Subject: implicit"));
}

#[test]
fn what_is_sent_in_the_clear_behind_starttls_is_forgotten() {
    let users = Users::start();
    let heard = users.python(
        r#"
s = socket.create_connection(("127.0.0.1", ports["mx"]))
f = s.makefile("rb")
f.readline()
s.sendall(b"EHLO x\r\n")
while f.readline()[3:4] == b"-": pass
s.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.com>\r\nRCPT TO:<alice@example.org>\r\n")
print(f.readline())
t = context.wrap_socket(s)
t.sendall(b"NOOP\r\nRCPT TO:<alice@example.org>\r\nQUIT\r\n")
print(t.makefile("rb").read())
"#,
    );
    assert!(
        heard.contains("b'220 2.0.0") && heard.contains("250 2.0.0 ok") && heard.contains("503 5.5.1"),
        "{heard}"
    );
}

#[test]
fn a_server_beside_this_one_hands_mail_over_by_lmtp() {
    let users = Users::start();
    let heard = users.python(
        r#"
s = smtplib.LMTP("127.0.0.1", ports["lmtp"])
s.ehlo_or_helo_if_needed()
s.mail("ann@example.com"); s.rcpt("alice@example.org"); s.rcpt("bob@example.org")
print("unknown", s.rcpt("nobody@example.org")[0])
print("data", s.docmd("DATA")[0])
s.send(b"Subject: handed over\r\n\r\nHello.\r\n.\r\n")
print("each", s.getreply()[0], s.getreply()[0], s.docmd("NOOP")[0])
print("relays", s.docmd("MAIL FROM:<ann@example.com>")[0], s.docmd("RCPT TO:<x@elsewhere.example>")[0])
"#,
    );
    assert!(heard.contains("unknown 550") && heard.contains("each 250 250 250"), "{heard}");
    assert!(heard.contains("relays 250 550"), "{heard}");
    for local in ["alice", "bob"] {
        let message = users.setup.mailbox(local).one();
        assert!(message.contains("with LMTP id"), "{message}");
    }
}

#[test]
fn chunks_carry_a_message_and_a_message_may_be_asked_to_wait() {
    let users = Users::start();
    let heard = users.python(
        r#"
s = smtplib.SMTP("127.0.0.1", ports["mx"])
s.ehlo()
s.mail("ann@example.com", ["BODY=8BITMIME"]); s.rcpt("alice@example.org")
s.send(b"BDAT 19\r\nSubject: chunks\r\n\r\nBDAT 9 LAST\r\na\r\n.\r\nb\r\n")
print("chunks", s.getreply()[0], s.getreply()[0])
s.mail("ann@example.com"); s.rcpt("alice@example.org")
s.send(b"BDAT 4 LAST\r\na\n\r\n")
print("bare", s.getreply()[0])
s = smtplib.SMTP_SSL("127.0.0.1", ports["submissions"], context=context)
s.login("alice@example.org", "correct horse")
print("waits", s.mail("alice@example.org", ["HOLDFOR=3600"])[0], s.rcpt("bob@example.org")[0])
print("taken", s.data(b"Subject: later\r\n\r\nHello.\r\n")[0])
"#,
    );
    assert!(heard.contains("chunks 250 250") && heard.contains("bare 554"), "{heard}");
    assert!(heard.contains("waits 250 250") && heard.contains("taken 250"), "{heard}");
    let arrived = users.setup.mailbox("alice").one().replace("\r\n", "\n");
    assert!(arrived.ends_with("\nSubject: chunks\n\na\n.\nb\n"), "{arrived}");
    let list = users.setup.json(&["queue", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(users.setup.mailbox("bob").messages().len(), 0);
}
