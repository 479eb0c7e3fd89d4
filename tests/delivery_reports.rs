//! What senders are told of mail that could not be delivered: RFC 3464, read back with a parser that is not ours.

use std::process::Command;

use mail_parser::{MessageParser, MimeHeaders};

use crate::harness::{Act, NextHop, Server, Setup, message, run_with_input, wait_until};

/// The server, with a smarthost that refuses everybody at bad.example.
fn with_refusals(hop: &NextHop) -> Setup {
    hop.does(|line| match line {
        line if line.starts_with("RCPT") && line.contains("bad.example") => {
            Act::Say("550 5.1.1 nobody of that name")
        }
        _ => Act::Usual,
    });
    Setup::new().smarthost(hop.address).relays().hurries()
}

/// The fields of the message/delivery-status part: first those of the message, then those of each recipient.
fn status_groups(report: &str) -> Vec<Vec<(String, String)>> {
    let parsed = MessageParser::default().parse(report.as_bytes()).expect("a message");
    let part = parsed
        .parts
        .iter()
        .find(|part| {
            part.content_type().is_some_and(|t| {
                t.c_type.eq_ignore_ascii_case("message") && t.subtype() == Some("delivery-status")
            })
        })
        .expect("a delivery-status part");
    let text = String::from_utf8(part.contents().to_vec()).expect("text").replace("\r\n", "\n");
    let unfolded = text.replace("\n ", " ").replace("\n\t", " ");
    let fields = |group: &str| {
        let field = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        group.lines().filter_map(field).collect::<Vec<_>>()
    };
    unfolded.split("\n\n").map(fields).filter(|group| !group.is_empty()).collect()
}

fn field<'a>(group: &'a [(String, String)], name: &str) -> &'a str {
    group.iter().find(|(n, _)| n == name).map_or_else(|| panic!("no {name} in {group:?}"), |(_, value)| value)
}

#[test]
fn a_refused_recipient_is_reported_to_the_sender_in_the_form_of_rfc_3464() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop);
    let server = setup.start();
    server.client().sends(
        "alice@example.org",
        &["carl@bad.example", "dora@good.example"],
        message("first attempt"),
    );
    let report = setup.mailbox("alice").one();
    assert!(report.starts_with("Return-Path: <>\n"), "{report}");

    let parsed = MessageParser::default().parse(report.as_bytes()).expect("a message");
    let kind = parsed.content_type().expect("a content type");
    assert_eq!((kind.c_type.as_ref(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    assert_eq!(parsed.to().and_then(|to| to.first()).and_then(|to| to.address()), Some("alice@example.org"));
    let from = parsed.from().and_then(|from| from.first()).and_then(|from| from.address()).expect("a sender");
    assert!(from.to_ascii_lowercase().starts_with("mailer-daemon@"), "{from}");
    assert!(parsed.message_id().is_some() && parsed.date().is_some(), "{report}");
    let text = parsed.body_text(0).expect("a text for people");
    assert!(text.contains("carl@bad.example") && text.contains("nobody of that name"), "{text}");

    let groups = status_groups(&report);
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert_eq!(field(&groups[0], "reporting-mta"), "dns; mx.example.org");
    assert!(groups[0].iter().any(|(name, _)| name == "arrival-date"), "{groups:?}");
    assert_eq!(field(&groups[1], "final-recipient"), "rfc822; carl@bad.example");
    assert_eq!(field(&groups[1], "action"), "failed");
    assert_eq!(field(&groups[1], "status"), "5.1.1");
    assert_eq!(field(&groups[1], "diagnostic-code"), "smtp; 550 5.1.1 nobody of that name");
    assert!(field(&groups[1], "remote-mta").starts_with("dns; "));

    // The message itself, or its header, comes back.
    assert!(report.contains("Subject: first attempt"), "{report}");
    let last = parsed.parts.last().and_then(|part| part.content_type()).expect("a last part");
    assert!(matches!(last.subtype(), Some("rfc822" | "rfc822-headers" | "plain")), "{last:?}");
    // The other recipient's copy went its way.
    assert_eq!(hop.wait(1)[0].to, ["dora@good.example"]);
}

#[test]
fn people_read_the_words_of_the_administrators_template_and_a_faulty_one_is_not_taken() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop).set("reports", "template = \"words.txt\"");
    let words = "Subject: Retour à l'envoyeur\n\n{% for r in failed %}Pas remis à {{ r.address }} : {{ r.diagnostic }}\n{% endfor %}";
    std::fs::write(setup.path("words.txt"), words).expect("the template");
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@bad.example"], message("first attempt"));
    let report = setup.mailbox("alice").one();
    let parsed = MessageParser::default().parse(report.as_bytes()).expect("a message");
    assert_eq!(parsed.subject(), Some("Retour à l'envoyeur"));
    let text = parsed.body_text(0).expect("a text for people");
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>().join(" "),
        "Pas remis à carl@bad.example : 550 5.1.1 nobody of that name"
    );
    assert_eq!(field(&status_groups(&report)[1], "status"), "5.1.1");

    std::fs::write(setup.path("words.txt"), "{{ hots }}").expect("the template");
    let checked = setup.checked();
    assert!(
        checked.code == 1 && checked.err.contains("words.txt line 1: undefined value"),
        "{}",
        checked.err
    );
}

#[test]
fn a_report_goes_to_a_sender_elsewhere_from_nobody() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop);
    let server = setup.start();
    server.client().sends("ann@good.example", &["carl@bad.example"], message("x"));
    let report = hop.wait(1).remove(0);
    assert_eq!((report.from.as_str(), report.to), ("", vec!["ann@good.example".to_owned()]));
    assert_eq!(field(&status_groups(&report.content)[1], "status"), "5.1.1");
}

#[test]
fn a_message_from_nobody_is_never_reported_nor_is_a_report() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop);
    let server = setup.start();
    // Its report would go to nobody.
    server.client().sends("", &["carl@bad.example"], message("null"));
    server.logs(&["bounced", "carl@bad.example"]);
    // This one's report is refused in its turn.
    server.client().sends("eve@bad.example", &["carl@bad.example"], message("loop"));
    server.logs(&["bounced", "eve@bad.example"]);
    wait_until("the queue to be empty", || {
        !setup.json(&["queue", "list"]).to_string().contains("bad.example")
    });
    server.stops();
    assert!(hop.received().is_empty(), "{:?}", hop.received());
    setup.mailbox("alice").wait(0);
}

#[test]
fn mail_that_expires_is_reported_with_the_last_reply() {
    let hop = NextHop::start();
    hop.does(|line| if line.starts_with("RCPT") { Act::Say("450 4.2.2 mailbox full") } else { Act::Usual });
    let setup = Setup::new().smarthost(hop.address).relays().hurries().set("queue", "expire = \"1s\"");
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("too late"));
    let report = setup.mailbox("alice").one();
    let groups = status_groups(&report);
    assert_eq!(field(&groups[1], "action"), "failed");
    assert_eq!(field(&groups[1], "diagnostic-code"), "smtp; 450 4.2.2 mailbox full");
    assert!(matches!(field(&groups[1], "status"), "4.4.7" | "5.4.7" | "4.2.2"), "{groups:?}");
    server.logs(&["expired", "carl@elsewhere.example"]);
    let attempts = server.logged(&["deferred", "carl@elsewhere.example"]).len();
    assert!(attempts >= 2, "tried only {attempts} times before the last");
}

#[test]
fn a_report_of_a_large_message_does_not_carry_it_back_whole() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop);
    let server = setup.start();
    let body = "a line of a large message that was refused\r\n".repeat(50_000);
    server.client().sends(
        "alice@example.org",
        &["carl@bad.example"],
        format!("Subject: large\r\n\r\n{body}"),
    );
    let report = setup.mailbox("alice").one();
    assert!(report.contains("Subject: large"));
    assert!(report.len() < body.len() / 2, "{} octets", report.len());
}

/// What Python's own parser makes of a report: its type, the types of its parts, and the fields of the status part.
const READS: &str = r#"
import email, email.policy, json, sys
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
parts = list(m.iter_parts())
print(json.dumps({
    "type": [m.get_content_type(), m.get_param("report-type")],
    "subject": m["Subject"], "auto": m["Auto-Submitted"], "defects": [str(d) for d in m.defects],
    "parts": [p.get_content_type() for p in parts],
    "text": parts[0].get_content(),
    "status": [[[k.lower(), " ".join(str(v).split())] for k, v in group.items()]
               for group in (parts[1].get_payload() if parts[1].is_multipart() else [])],
}))
"#;

/// A report as Python reads it.
fn read_by_python(report: &str) -> serde_json::Value {
    let output = run_with_input(Command::new("python3").args(["-c", READS]), report.as_bytes());
    assert_eq!(output.code, 0, "{}\n{report}", output.err);
    serde_json::from_str(&output.out).expect("JSON")
}

/// A message with parameters of MAIL and RCPT.
fn sends_with(server: &Server, mail: &str, rcpts: &[(&str, &str)], content: &str) {
    let mut client = server.client();
    client.asks(&format!("MAIL FROM:<alice@example.org> {mail}"), "250");
    for (rcpt, params) in rcpts {
        client.asks(&format!("RCPT TO:<{rcpt}> {params}"), "250");
    }
    client.asks("DATA", "354");
    client.raw(format!("{content}.\r\n"));
    client.hears("250");
}

#[test]
fn one_report_tells_of_success_failure_and_an_alias_as_python_reads_it() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop).block(
        "[[domain]]\nname = \"lists.example\"\nmailboxes = []\naliases = { all = [\"bob@example.org\", \"dora@good.example\"] }\n\
         deliver = { maildir = \"unused/{local}\" }",
    );
    let server = setup.start();
    sends_with(
        &server,
        "RET=HDRS ENVID=QQ+2B314",
        &[
            ("bob+x@example.org", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;robert+40old.example"),
            ("carl@bad.example", "NOTIFY=FAILURE,DELAY"),
            ("dora@good.example", "NOTIFY=SUCCESS"),
            ("all@lists.example", "NOTIFY=SUCCESS"),
            ("eve@bad.example", "NOTIFY=NEVER"),
        ],
        &message("told at once"),
    );
    let report = read_by_python(&setup.mailbox("alice").one());
    assert_eq!(report["type"], serde_json::json!(["multipart/report", "delivery-status"]));
    let parts = ["text/plain", "message/delivery-status", "text/rfc822-headers"];
    assert_eq!((&report["parts"], &report["defects"]), (&serde_json::json!(parts), &serde_json::json!([])));
    let value = |group: usize, name: &str| {
        let fields = report["status"][group].as_array().expect("fields");
        let found = fields.iter().find(|field| field[0] == name);
        found.map_or(String::new(), |field| field[1].as_str().expect("text").to_owned())
    };
    assert_eq!(value(0, "original-envelope-id"), "QQ+314");
    let mut told: Vec<[String; 4]> = (1..report["status"].as_array().expect("groups").len())
        .map(|nth| ["final-recipient", "action", "status", "original-recipient"].map(|name| value(nth, name)))
        .collect();
    told.sort();
    let expected = [
        ["rfc822; all@lists.example", "expanded", "2.1.5", ""],
        ["rfc822; bob@example.org", "delivered", "2.0.0", "rfc822; robert@old.example"],
        ["rfc822; carl@bad.example", "failed", "5.1.1", ""],
        ["rfc822; dora@good.example", "relayed", "2.1.9", ""],
    ];
    assert_eq!(told, expected.map(|row| row.map(str::to_owned)));
    let text = report["text"].as_str().expect("text");
    assert!(!text.contains("eve@") && text.contains("carl@bad.example"), "{text}");
}

#[test]
fn a_delayed_message_is_told_of_once() {
    let hop = NextHop::start();
    hop.does(|line| if line.starts_with("RCPT") { Act::Say("450 4.2.2 mailbox full") } else { Act::Usual });
    let setup = Setup::new().smarthost(hop.address).relays().hurries().set("queue", "delay-warning = \"1s\"");
    let server = setup.start();
    sends_with(&server, "", &[("carl@elsewhere.example", "NOTIFY=DELAY")], &message("slow"));
    let report = read_by_python(&setup.mailbox("alice").one());
    let fields = report["status"][1].to_string();
    for expected in [r#"["action","delayed"]"#, r#"["status","4.2.2"]"#, r#"["will-retry-until""#] {
        assert!(fields.contains(expected), "{expected} in {fields}");
    }
    let deferred = || server.logged(&["deferred", "carl@elsewhere.example"]).len();
    let before = deferred();
    wait_until("two more attempts", || deferred() >= before + 2);
    setup.mailbox("alice").wait(1);
}

#[test]
fn a_message_beyond_ascii_comes_back_in_a_global_report() {
    let hop = NextHop::start();
    let setup = with_refusals(&hop);
    let server = setup.start();
    sends_with(
        &server,
        "SMTPUTF8 BODY=8BITMIME RET=FULL",
        &[("jürgen@bad.example", "NOTIFY=FAILURE ORCPT=utf-8;j\\x{FC}rgen@bad.example")],
        "Subject: grüß dich\r\n\r\nHallo.\r\n",
    );
    let report = setup.mailbox("alice").one();
    let parsed = read_by_python(&report);
    assert_eq!(parsed["type"], serde_json::json!(["multipart/report", "global-delivery-status"]));
    assert_eq!(
        parsed["parts"],
        serde_json::json!(["text/plain", "message/global-delivery-status", "message/global"])
    );
    assert!(report.contains("Final-Recipient: utf-8; jürgen@bad.example"), "{report}");
    assert!(report.contains("Subject: grüß dich"), "{report}");
}
