//! What becomes of whole messages.

use super::*;
use waxwing_plugin::testing::{Server, Session};

fn session(settings: &str) -> Session<TagHeaders> {
    let server = Server::new().with_settings(settings);
    assert_eq!(server.load::<TagHeaders>(), Ok(()));
    server.session().from("192.0.2.7").on("mx").with_finding("dmarc", "pass", "example.org")
}

fn sent(settings: &str) -> String {
    let message = "Subject: Your Invoice\nX-Spam-Score: 9\nX-SPAM: yes\n\nbody\n";
    let handled = session(settings).send("alice@mail.example.org", "bob@example.net", message);
    assert_eq!(handled.verdict, Verdict::Proceed);
    handled.text().to_owned()
}

#[test]
fn without_settings_a_message_is_marked() {
    assert!(sent("{}").starts_with("X-Waxwing: passed mx as test-transaction\r\nSubject: Your Invoice\r\n"));
}

#[test]
fn fields_are_removed_set_and_added_in_that_order() {
    let settings = r#"{"rules": [{"remove": ["x-spam*"], "set": {"Subject": "[ext] {sender}"},
        "add": {"X-Peer": "{peer} {peer-name} {unknown} {"}, "place": "bottom"}]}"#;
    assert_eq!(
        sent(settings),
        "Subject: [ext] alice@mail.example.org\r\nX-Peer: 192.0.2.7 - {unknown} {\r\n\r\nbody\r\n"
    );
}

#[test]
fn a_rule_applies_when_all_its_conditions_hold() {
    for (when, holds) in [
        (r#"{}"#, true),
        (r#"{"sender-domain": ["example.org"]}"#, true),
        (r#"{"sender-domain": ["example.com", ""]}"#, false),
        (r#"{"recipient-domain": ["example.net"]}"#, true),
        (r#"{"recipient-domain": ["example.org"]}"#, false),
        (r#"{"listener": ["mx", "other"]}"#, true),
        (r#"{"listener": ["other"]}"#, false),
        (r#"{"peer-network": ["192.0.2.0/24"]}"#, true),
        (r#"{"peer-network": ["192.0.3.0/24"]}"#, false),
        (r#"{"authenticated": true}"#, false),
        (r#"{"tls": false}"#, true),
        (r#"{"header": {"subject": "*invoice*"}}"#, true),
        (r#"{"header": {"subject": "invoice"}}"#, false),
        (r#"{"not-header": {"X-Spam": "yes"}}"#, false),
        (r#"{"listener": ["mx"], "tls": true}"#, false),
        (r#"{"sender": ["alice@*.example.org"]}"#, true),
        (r#"{"sender": ["bob@*", ""]}"#, false),
        (r#"{"recipient": ["BOB@example.net"]}"#, true),
        (r#"{"recipient": ["carol@*"]}"#, false),
        (r#"{"direction": "incoming"}"#, true),
        (r#"{"direction": "outgoing"}"#, false),
        (r#"{"user": ["alice*"]}"#, false),
        (r#"{"larger-than": 40, "smaller-than": 1000}"#, true),
        (r#"{"larger-than": 1000}"#, false),
        (r#"{"authentication": {"dmarc": "pass"}}"#, true),
        (r#"{"authentication": {"dmarc": "pass", "spf": "pass"}}"#, false),
    ] {
        let text = sent(&format!(r#"{{"rules": [{{"when": {when}, "add": {{"X-Tag": "1"}}}}]}}"#));
        assert_eq!(text.starts_with("X-Tag: 1\r\n"), holds, "{when}");
    }
}

#[test]
fn a_later_rule_sees_what_an_earlier_one_did() {
    let settings =
        r#"{"rules": [{"add": {"X-A": "1"}}, {"when": {"header": {"X-A": "1"}}, "add": {"X-B": "2"}}]}"#;
    assert!(sent(settings).starts_with("X-B: 2\r\nX-A: 1\r\n"));
}

#[test]
fn what_the_client_says_cannot_break_out_of_its_field() {
    let mut session = session(r#"{"rules": [{"add": {"X-Helo": "{helo}"}}]}"#);
    session.ehlo("evil\r\nX-Injected: {peer}");
    let handled = session.send("a@example.org", "b@example.org", "Subject: x\n\nbody\n");
    assert!(handled.text().starts_with("X-Helo: evilX-Injected: {peer}\r\nSubject: x\r\n"));
}

#[test]
fn who_has_authenticated_is_known_by_name() {
    let settings = r#"{"rules": [{"when": {"user": ["ann*"], "direction": "outgoing"}, "add": {"X-User": "{user} {size}"}}]}"#;
    let mut session = session(settings);
    session.auth("PLAIN", "ann");
    let handled = session.send("ann@example.org", "b@example.org", "Subject: x\n\nbody\n");
    assert!(handled.text().starts_with("X-User: ann 20\r\n"), "{}", handled.text());
}

#[test]
fn a_null_sender_is_named_by_nothing() {
    let mut session = session(r#"{"rules": [{"when": {"sender": [""]}, "add": {"X-Null": "{sender}"}}]}"#);
    let handled = session.send("", "b@example.org", "Subject: x\n\nbody\n");
    assert!(handled.text().starts_with("X-Null: <>\r\n"));
}

#[test]
fn fields_are_renamed_in_their_place() {
    let settings = r#"{"rules": [{"rename": {"x-spam": "X-Old-Spam", "subject": "X-Spam"}}]}"#;
    let message = "X-Spam: one\nA: b\nSubject: s\n folded\nX-SPAM: two\n\nbody\n";
    let handled = session(settings).send("a@example.org", "b@example.org", message);
    assert_eq!(
        handled.text(),
        "X-Old-Spam: one\r\nA: b\r\nX-Spam: s\r\n folded\r\nX-Old-Spam: two\r\n\r\nbody\r\n"
    );
}

#[test]
fn encoded_words_are_read_and_a_field_can_be_named_in_a_value() {
    let settings = r#"{"rules": [{"when": {"header": {"Subject": "*größe*"}}, "set": {"Subject": "[x] {header:subject} {header:None}"}}]}"#;
    let message = "Subject: =?utf-8?Q?die_Gr=C3=B6=C3=9Fe?=\n\nbody\n";
    let handled = session(settings).send("a@example.org", "b@example.org", message);
    assert_eq!(handled.text(), "Subject: [x] =?utf-8?Q?die_Gr=C3=B6=C3=9Fe?= -\r\n\r\nbody\r\n");
}

#[test]
fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
    let fault = |json: &str| Server::new().with_settings(json).load::<TagHeaders>().unwrap_err();
    let rule = |json: &str| fault(&format!("{{\"rules\": [{{\"remove\": [\"x\"]}}, {json}]}}"));
    assert!(rule(r#"{"add": {"X A": "1"}}"#).contains("rule 2: add: \"X A\" is no header field name"));
    assert!(rule(r#"{"rename": {"A": "B:"}}"#).contains("rename: \"B:\""));
    assert!(rule(r#"{"set": {"A": "b\nc"}}"#).contains("the value of A has more than one line"));
    assert!(rule(r#"{"wen": {}}"#).contains("wen"));
    assert!(rule(r#"{"when": {"tls": true}}"#).contains("it changes nothing"));
    assert!(rule(r#"{"remove": [""]}"#).contains("remove"));
    let when = |json: &str| rule(&format!("{{\"remove\": [\"x\"], \"when\": {json}}}"));
    assert!(when(r#"{"sender": []}"#).contains("when.sender names nothing"));
    assert!(when(r#"{"authentication": {"dmrc": "pass"}}"#).contains("dmrc"));
    assert!(when(r#"{"larger-than": 10, "smaller-than": 11}"#).contains("no message is larger than 10"));
    assert!(when(r#"{"peer-network": ["10.0.0.0/40"]}"#).contains("10.0.0.0/40"));
    assert!(when(r#"{"direction": "up"}"#).contains("up"));
}
