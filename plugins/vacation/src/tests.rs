//! The plugin on the test double: what is answered, what is not, and what the answer says.

use super::*;
use waxwing_plugin::submission::{AutoSubmitted, Message};
use waxwing_plugin::testing::{Server, Service};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.net";
const PLAIN: &str = "From: Bob <bob@example.net>\nTo: Alice <Alice@Example.org>\nSubject: lunch?\nMessage-ID: <1@example.net>\n\nHi\n";

fn server(more: &str) -> Server {
    let settings = format!("{{\"mailboxes\": {{\"{ALICE}\": {{\"text\": \"I am away.\\n\"{more}}}}}}}");
    with(&settings)
}

fn with(settings: &str) -> Server {
    let server = Server::new().with_settings(settings);
    assert_eq!(server.load::<Vacation>(), Ok(()));
    server
}

/// Takes a message and delivers it.
fn comes_from(server: &Server, sender: &str, message: &str) {
    assert_eq!(takes(server, sender, message), Verdict::Proceed);
    ends(server, ALICE, OutcomeKind::Delivered);
}

fn takes(server: &Server, sender: &str, message: &str) -> Verdict {
    server.session::<Vacation>().send(sender, ALICE, message).verdict
}

fn ends(server: &Server, recipient: &str, kind: OutcomeKind) {
    server.session::<Vacation>().outcome(&Outcome {
        queue_id: "test-transaction".to_owned(),
        recipient: Mailbox::new(recipient),
        kind,
        host: None,
        reply: "250 2.0.0 ok".to_owned(),
        attempt: 1,
    });
}

fn text(message: &Message) -> String {
    String::from_utf8(message.content.clone()).unwrap()
}

/// Whether a message with this header is answered.
fn is_answered(sender: &str, header: &str) -> bool {
    let server = server("");
    comes_from(&server, sender, &format!("From: x@y.example\n{header}\n\nHi\n"));
    assert!(server.submitted().len() < 2);
    !server.submitted().is_empty()
}

#[test]
fn a_message_is_answered_when_it_was_delivered() {
    let server = server(r#", "name": "Alice Example""#);
    assert_eq!(takes(&server, BOB, PLAIN), Verdict::Proceed);
    assert!(server.submitted().is_empty(), "nobody knows yet whether it is delivered");
    ends(&server, ALICE, OutcomeKind::Deferred);
    assert!(server.submitted().is_empty());
    ends(&server, ALICE, OutcomeKind::Delivered);
    let answer = server.submitted().remove(0);
    assert_eq!((&answer.sender, &answer.recipients), (&None, &vec![Mailbox::new(BOB)]));
    assert_eq!(answer.auto_submitted, Some(AutoSubmitted::Replied));
    let text = text(&answer);
    for line in [
        "From: Alice Example <alice@example.org>",
        "To: bob@example.net",
        "Subject: Auto: lunch?",
        "In-Reply-To: <1@example.net>",
        "References: <1@example.net>",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert!(text.ends_with("\r\n\r\nI am away.\r\n"), "{text}");
}

#[test]
fn what_is_not_delivered_is_not_answered() {
    for kind in [OutcomeKind::Deferred, OutcomeKind::Bounced, OutcomeKind::Expired] {
        let server = server("");
        takes(&server, BOB, PLAIN);
        ends(&server, ALICE, kind);
        assert!(server.submitted().is_empty(), "{kind:?}");
    }
}

#[test]
fn a_sender_is_answered_once_within_the_days() {
    let server = server(r#", "days": 3"#);
    comes_from(&server, BOB, PLAIN);
    comes_from(&server, "BOB@example.net", PLAIN);
    comes_from(&server, "carol@example.net", PLAIN);
    assert_eq!(server.submitted().len(), 2, "bob and carol");
    server.advance(days(3));
    comes_from(&server, BOB, PLAIN);
    assert_eq!(server.submitted().len(), 3);
}

#[test]
fn another_text_begins_anew() {
    let first = server("");
    comes_from(&first, BOB, PLAIN);
    let changed =
        first.with_settings(&format!("{{\"mailboxes\": {{\"{ALICE}\": {{\"text\": \"Still away.\"}}}}}}"));
    comes_from(&changed, BOB, PLAIN);
    assert_eq!(changed.submitted().len(), 2);
}

#[test]
fn one_delivery_that_is_told_twice_is_answered_once() {
    let server = server("");
    takes(&server, BOB, PLAIN);
    ends(&server, ALICE, OutcomeKind::Delivered);
    ends(&server, ALICE, OutcomeKind::Delivered);
    assert_eq!(server.submitted().len(), 1);
}

#[test]
fn nobody_answers_lists_programs_and_the_null_reverse_path() {
    let to = "To: alice@example.org";
    assert!(is_answered(BOB, to));
    for sender in [
        "",
        "MAILER-DAEMON@example.net",
        "postmaster@example.net",
        "owner-news@example.net",
        "news-owner@example.net",
        "news-request@example.net",
        "news-bounces+alice=example.org@example.net",
        "no-reply@example.net",
        "noreply+17@example.net",
        "listserv@example.net",
        "alice@example.org",
        "Alice+x@example.org",
    ] {
        assert!(!is_answered(sender, to), "{sender}");
    }
    for field in [
        "Auto-Submitted: auto-generated",
        "Auto-Submitted: auto-replied; owner-email=\"x@y.example\"",
        "Auto-Submitted: (a comment) yes",
        "Precedence: bulk",
        "Precedence: List",
        "Precedence: junk",
        "List-Id: <news.example.net>",
        "List-Unsubscribe: <mailto:x@y.example>",
        "list-anything: x",
        "X-Auto-Response-Suppress: DR, OOF, AutoReply",
        "X-Spam-Flag: YES",
        "Return-Path: <>",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    ] {
        assert!(!is_answered(BOB, &format!("{to}\n{field}")), "{field}");
    }
    for field in [
        "Auto-Submitted: no",
        "Auto-Submitted: No (really)",
        "Precedence: first-class",
        "X-Spam-Flag: NO",
        "Listen: up",
    ] {
        assert!(is_answered(BOB, &format!("{to}\n{field}")), "{field}");
    }
}

#[test]
fn only_who_is_named_in_the_header_answers() {
    for header in [
        "To: alice@example.org",
        "To: \"Alice, A.\" <ALICE@example.ORG>, bob@example.net",
        "Cc: x@y.example,\n alice+news@example.org",
        "To: friends: x@y.example, alice@example.org;",
        "To: x@y.example\nResent-To: alice@example.org",
        "Bcc: alice@example.org",
    ] {
        assert!(is_answered(BOB, header), "{header}");
    }
    for header in [
        "",
        "To: undisclosed-recipients:;",
        "To: malice@example.org",
        "To: \"alice@example.org\" <x@y.example>",
        "Subject: alice@example.org",
    ] {
        assert!(!is_answered(BOB, header), "{header}");
    }
}

#[test]
fn an_alias_that_leads_here_counts_when_the_settings_name_it() {
    for (more, answers) in [("", 0), (r#", "addresses": ["sales@example.org"]"#, 1)] {
        let server = server(more);
        comes_from(&server, BOB, "From: b@example.net\nTo: sales@example.org\n\nHi\n");
        assert_eq!(server.submitted().len(), answers);
    }
}

#[test]
fn each_of_several_who_are_away_answers() {
    let server = with(
        r#"{"mailboxes": {"alice@example.org": {"text": "A"}, "carol@example.org": {"text": "C"}, "dave@example.org": {"text": "D"}}}"#,
    );
    takes(&server, BOB, "From: b@example.net\nTo: alice@example.org\nCc: carol@example.org\n\nHi\n");
    for recipient in [ALICE, "carol@example.org", "dave@example.org"] {
        ends(&server, recipient, OutcomeKind::Delivered);
    }
    let texts: Vec<String> = server.submitted().iter().map(text).collect();
    assert_eq!(texts.len(), 2, "dave is not named");
    assert!(texts[0].contains("From: alice@") && texts[1].contains("From: carol@"), "{texts:?}");
}

#[test]
fn nobody_answers_before_the_first_day_and_after_the_last() {
    // The double's clock stands at the beginning of 2026.
    for (more, answers) in [
        (r#", "begin": "2026-01-01", "end": "2026-01-01""#, 1),
        (r#", "begin": "2026-01-02""#, 0),
        (r#", "end": "2025-12-31""#, 0),
        (r#", "begin": "2026-01-01T01:00:00+02:00", "end": "2026-01-01T00:00:01Z""#, 1),
    ] {
        let server = server(more);
        comes_from(&server, BOB, PLAIN);
        assert_eq!(server.submitted().len(), answers, "{more}");
    }
}

#[test]
fn a_forged_sender_is_not_bothered() {
    for (method, result, settings, answers) in [
        ("dmarc", "fail", "", 0),
        ("spf", "fail", "", 0),
        ("dmarc", "pass", "", 1),
        ("spf", "softfail", "", 1),
        ("dmarc", "fail", r#""forged": true, "#, 1),
    ] {
        let server = with(&format!("{{{settings}\"mailboxes\": {{\"{ALICE}\": {{\"text\": \"A\"}}}}}}"));
        let mut session = server.session::<Vacation>().with_finding(method, result, "example.net");
        session.send(BOB, ALICE, PLAIN);
        ends(&server, ALICE, OutcomeKind::Delivered);
        assert_eq!(server.submitted().len(), answers, "{method} {result}");
    }
}

#[test]
fn the_answer_belongs_to_the_thread_and_says_the_subject_in_any_script() {
    let server = server("");
    comes_from(
        &server,
        BOB,
        "From: b@example.net\nTo: alice@example.org\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\n aus Wien\nMessage-ID: <3@x>\n\
         References: <1@x>\n <2@x> junk <no id> <ü@x>\n\nHi\n",
    );
    let text = text(&server.submitted()[0]);
    assert!(text.contains("References: <1@x> <2@x> <3@x>\r\n"), "{text}");
    let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("Auto: Grüße aus Wien"));
}

#[test]
fn a_subject_of_ones_own_stands_in_the_place_of_the_usual() {
    let server = server(r#", "subject": "Away (was: {subject})""#);
    comes_from(&server, BOB, PLAIN);
    assert!(text(&server.submitted()[0]).contains("Subject: Away (was: lunch?)\r\n"));
}

#[test]
fn without_its_grants_mail_goes_on_and_nobody_is_answered() {
    // Without a store it is said when the message comes, and when it is delivered.
    for (service, times) in [(Service::Kv, 2), (Service::Submission, 1)] {
        let server = server("").without(service);
        comes_from(&server, BOB, PLAIN);
        assert!(server.submitted().is_empty());
        assert_eq!(server.counter("vacation_failed"), times, "{service:?}");
    }
}

#[test]
fn what_could_not_be_queued_is_made_good_with_the_next_message() {
    let broken = server("").with_submission_failure(Error::Quota);
    comes_from(&broken, BOB, PLAIN);
    assert!(broken.keys().is_empty(), "{:?}", broken.keys());
}

#[test]
fn nothing_is_kept_of_messages_that_nobody_answers_and_nothing_stays() {
    let server = server("");
    takes(&server, BOB, "From: b@example.net\nTo: alice@example.org\nPrecedence: bulk\n\nHi\n");
    assert!(server.keys().is_empty());
    takes(&server, BOB, PLAIN);
    assert_eq!(server.keys(), ["message test-transaction"]);
    server.advance(days(7));
    assert!(server.keys().is_empty());
}

#[test]
fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
    let fault = |json: &str| Server::new().with_settings(json).load::<Vacation>().unwrap_err();
    let mailbox = |rest: &str| fault(&format!("{{\"mailboxes\": {{\"{ALICE}\": {{{rest}}}}}}}"));
    assert!(mailbox("").contains("text"));
    assert!(mailbox(r#""text": " ""#).contains("text is empty"));
    assert!(mailbox(r#""text": "A", "begin": "tomorrow""#).contains("tomorrow"));
    assert!(
        mailbox(r#""text": "A", "begin": "2026-02-02", "end": "2026-02-01""#)
            .contains("ends before it begins")
    );
    assert!(mailbox(r#""text": "A", "days": 0"#).contains("days is 1 to 365"));
    assert!(mailbox(r#""text": "A", "addresses": ["sales"]"#).contains("\"sales\" is no address"));
    assert!(mailbox(r#""text": "A", "txt": """#).contains("txt"));
    assert!(fault(r#"{"mailboxes": {"alice": {"text": "A"}}}"#).contains("\"alice\" is no address"));
    assert!(fault(r#"{"day": 3}"#).contains("day"));
}
