use super::*;
use waxwing_plugin::http::Response;
use waxwing_plugin::testing::{Handled, Server};

const URL: &str = "http://127.0.0.1:11333/checkv2";
const MESSAGE: &str = "Subject: hello\r\nX-Spam: Yes\r\nX-A: 1\r\nX-A: 2\r\n\r\nHi Bob\r\n";

fn server(settings: &str, answer: &str) -> Server {
    let server = Server::new().with_settings(settings).with_answer(URL, Ok(Response::new(200, answer)));
    assert_eq!(server.load::<Rspamd>(), Ok(()));
    server
}

fn send(server: &Server) -> Handled {
    let mut session = server.session::<Rspamd>().from("192.0.2.1").named("mail.example.com");
    session.ehlo("mail.example.com");
    session.send("ann@example.com", "bob@example.org", MESSAGE)
}

fn after(answer: &str) -> Handled {
    send(&server("{}", answer))
}

#[test]
fn rspamd_sees_the_message_and_who_sent_it() {
    let server = server(r#"{"password": "secret"}"#, r#"{"action": "no action", "score": 0.1}"#);
    let handled = send(&server);
    assert_eq!(handled.verdict, Verdict::Proceed);
    assert!(!handled.text().contains("X-Spam"), "what the client wrote itself says nothing");
    let request = server.requests().remove(0);
    assert_eq!(request.body, MESSAGE.as_bytes());
    let field =
        |name: &str| request.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str());
    assert_eq!(field("IP"), Some("192.0.2.1"));
    assert_eq!(field("Helo"), Some("mail.example.com"));
    assert_eq!(field("Hostname"), Some("mail.example.com"));
    assert_eq!(field("From"), Some("ann@example.com"));
    assert_eq!(field("Rcpt"), Some("bob@example.org"));
    assert_eq!(field("Password"), Some("secret"));
    assert_eq!(field("User"), None);
}

#[test]
fn each_action_becomes_a_verdict() {
    let reject = after(r#"{"action": "reject", "score": 20, "required_score": 15}"#).verdict;
    assert!(matches!(reject, Verdict::Reject(reply) if reply.text == "refused as spam"));
    let said = after(r#"{"action": "reject", "messages": {"smtp_message": "Gtube\r\npattern"}}"#).verdict;
    assert!(matches!(said, Verdict::Reject(reply) if reply.text == "Gtube  pattern"));
    for action in ["soft reject", "greylist"] {
        let verdict = after(&format!(r#"{{"action": "{action}"}}"#)).verdict;
        assert!(matches!(verdict, Verdict::Tempfail(reply) if reply.code == 451), "{action}");
    }
    assert!(matches!(after(r#"{"action": "discard"}"#).verdict, Verdict::Discard(_)));
    assert!(matches!(after(r#"{"action": "quarantine"}"#).verdict, Verdict::Quarantine(_)));
    let held = after(r#"{"action": "reject", "milter": {"reject": "quarantine"}}"#).verdict;
    assert!(matches!(held, Verdict::Quarantine(_)));
    assert_eq!(
        send(&server(r#"{"greylist": false}"#, r#"{"action": "greylist"}"#)).verdict,
        Verdict::Proceed
    );
    assert_eq!(after(r#"{"action": "something new"}"#).verdict, Verdict::Proceed);
}

#[test]
fn spam_that_goes_on_is_marked() {
    assert!(after(r#"{"action": "add header"}"#).text().starts_with("X-Spam: Yes\r\nSubject: hello\r\n"));
    assert!(after(r#"{"action": "rewrite subject"}"#).text().contains("Subject: [SPAM] hello\r\n"));
    let said = after(r#"{"action": "rewrite subject", "subject": "bad\r\nEvil: x"}"#);
    assert!(said.text().contains("Subject: bad  Evil: x\r\n"), "{}", said.text());
}

#[test]
fn fields_are_added_and_removed_as_it_says() {
    let handled = after(
        r#"{"action": "no action", "dkim-signature": "v=1;\r\n\tb=x", "milter": {
            "add_headers": {"X-One": "1", "X-Two": [{"value": "a\nb", "order": 1}, {"value": "c", "order": -1}]},
            "remove_headers": {"x-a": 1, "Subject": 0, "X-None": -1}}}"#,
    );
    assert_eq!(
        handled.text(),
        "DKIM-Signature: v=1;\r\n\tb=x\r\nX-Two: a\r\n\tb\r\nX-One: 1\r\nX-A: 2\r\nX-Two: c\r\n\r\nHi Bob\r\n"
    );
}

#[test]
fn when_rspamd_is_of_no_use_the_setting_counts() {
    for answer in ["", "not JSON", r#"{"action": 5}"#] {
        assert!(matches!(after(answer).verdict, Verdict::Tempfail(_)), "{answer:?}");
        assert_eq!(send(&server(r#"{"on-error": "proceed"}"#, answer)).verdict, Verdict::Proceed);
    }
    let server = Server::new().with_answer(URL, Ok(Response::new(500, "")));
    assert!(matches!(send(&server).verdict, Verdict::Tempfail(_)));
    assert_eq!(server.counter("rspamd_failed"), 1);
}

#[test]
fn mail_that_is_not_to_be_looked_at_goes_on() {
    let reject = r#"{"action": "reject"}"#;
    assert_eq!(send(&server(r#"{"max-size": 10}"#, reject)).verdict, Verdict::Proceed);
    assert_eq!(send(&server(r#"{"listeners": ["submission"]}"#, reject)).verdict, Verdict::Proceed);
    let server = server(r#"{"skip-authenticated": true}"#, reject);
    let mut session = server.session::<Rspamd>();
    session.auth("PLAIN", "ann");
    assert_eq!(session.send("ann@example.com", "bob@example.org", MESSAGE).verdict, Verdict::Proceed);
    assert!(server.requests().is_empty());
}

#[test]
fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
    let fault = |json| Server::new().with_settings(json).load::<Rspamd>().unwrap_err();
    assert!(fault(r#"{"url": "rspamd"}"#).contains("http"));
    assert!(fault(r#"{"spam-header": "X Spam"}"#).contains("field name"));
    assert!(fault(r#"{"on-error": "reject"}"#).contains("reject"));
    assert!(fault(r#"{"uri": "http://a"}"#).contains("uri"));
}
