//! The bundled plugins that ask others over HTTP, in the real server.

use crate::harness::{Setup, Web, wait_until};

fn granted(web: &Web, also: &str) -> String {
    format!("grants = {{ http = [\"{}\"]{also} }}", web.address)
}

#[test]
fn recipient_check_refuses_whom_the_service_does_not_know() {
    let web = Web::answering(|asked| match asked.line.as_str() {
        "GET /is?a=alice%40example.org" => (204, String::new()),
        "GET /is?a=carol%40example.org" => (404, "carol has left".to_owned()),
        _ => (500, String::new()),
    });
    let settings = format!("settings = {{ url = \"http://{}/is?a={{address}}\" }}", web.address);
    let server = Setup::new().plugin("recipient-check", &[&granted(&web, ", kv = true"), &settings]).start();
    for _ in 0..2 {
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", "250");
        client.asks("RCPT TO:<carol@example.org>", "550 5.1.1 carol has left");
        client.asks("RCPT TO:<bob@example.org>", "451 4.4.3");
        client.asks("RCPT TO:<postmaster@example.org>", "250");
    }
    let asked = web.asked().iter().filter(|asked| !asked.line.contains("bob")).count();
    assert_eq!(asked, 2, "what was found is remembered");
}

#[test]
fn recipient_check_without_its_grant_puts_mail_off_and_says_so() {
    let web = Web::answering(|_| (204, String::new()));
    let settings = format!("settings = {{ url = \"http://{}/is?a={{address}}\" }}", web.address);
    let server = Setup::new().plugin("recipient-check", &[&settings]).start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "451 4.4.3");
    server.logs(&["recipient-check", "could not be asked", "not granted"]);
    assert!(web.asked().is_empty());
}

#[test]
fn webhook_tells_of_deliveries_signed_and_again_when_nobody_listened() {
    let closed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_closed = closed.clone();
    let web = Web::answering(move |_| match is_closed.load(std::sync::atomic::Ordering::Relaxed) {
        true => (503, String::new()),
        false => (200, String::new()),
    });
    let settings =
        format!("settings = {{ url = \"http://{}/hook\", secret = \"0123456789abcdef\" }}", web.address);
    let server = Setup::new().plugin("webhook", &[&granted(&web, ", kv = true"), &settings]).start();
    let send = |subject: &str| {
        let mut client = server.client();
        client.begins_message("ann@example.com", &["alice@example.org"]);
        assert_eq!(client.ends_message(format!("Subject: {subject}\r\n\r\nhello\r\n")).code, 250);
    };
    send("first");
    let first = web.wait(1).remove(0);
    assert_eq!(first.line, "POST /hook");
    let event: serde_json::Value = serde_json::from_str(&first.body).expect("JSON");
    assert_eq!(event["event"], "delivered");
    assert_eq!(
        (&event["recipient"], &event["sender"]),
        (&"alice@example.org".into(), &"ann@example.com".into())
    );
    assert!(
        first
            .header("x-waxwing-signature")
            .is_some_and(|value| value.starts_with("sha256=") && value.len() == 71)
    );
    // Nobody took it: it comes again behind the next.
    server.logs(&["webhook", "was not taken"]);
    closed.store(false, std::sync::atomic::Ordering::Relaxed);
    send("second");
    let all = web.wait(3);
    assert_eq!(all[2].body, first.body);
    assert_ne!(all[1].body, first.body);
}

#[test]
fn rspamd_is_asked_about_each_message_and_its_answer_counts() {
    let web = Web::answering(|asked| {
        let action = match asked.body.as_str() {
            body if body.contains("spam spam") => {
                r#"{"action": "reject", "messages": {"smtp_message": "spam it is"}}"#
            }
            body if body.contains("odd") => r#"{"action": "quarantine", "score": 7.5, "required_score": 15}"#,
            _ => {
                r#"{"action": "add header", "milter": {"add_headers": {"X-Spamd-Bar": "+++"}, "remove_headers": {"X-Old": 0}}}"#
            }
        };
        (200, action.to_owned())
    });
    let settings = format!("settings = {{ url = \"http://{}\" }}", web.address);
    let setup = Setup::new().plugin("rspamd", &[&granted(&web, ""), &settings]);
    let server = setup.start();
    let send = |content: &str| {
        let mut client = server.client();
        client.begins_message("ann@example.com", &["alice@example.org", "bob@example.org"]);
        client.ends_message(content)
    };
    assert_eq!(send("Subject: ham\r\nX-Old: 1\r\nX-Spam: No\r\n\r\nhello\r\n").code, 250);
    let arrived = setup.mailbox("alice").with("Subject: ham");
    assert!(arrived.contains("X-Spam: Yes\n") && arrived.contains("X-Spamd-Bar: +++\n"), "{arrived}");
    assert!(!arrived.contains("X-Old") && !arrived.contains("X-Spam: No"), "{arrived}");
    let asked = web.asked().remove(0);
    assert_eq!(asked.line, "POST /checkv2");
    assert_eq!(asked.header("ip"), Some("127.0.0.1"));
    assert_eq!(asked.headers.iter().filter(|(name, _)| name == "rcpt").count(), 2);
    assert!(asked.body.ends_with("\r\n\r\nhello\r\n"), "{}", asked.body);
    assert!(send("Subject: x\r\n\r\nspam spam\r\n").begins("550 5.7.1 spam it is"));
    assert_eq!(send("Subject: x\r\n\r\nodd\r\n").code, 250);
    wait_until("the message to be held", || {
        setup.json(&["queue", "list"]).to_string().contains("rspamd: 7.50 of 15.00")
    });
}
