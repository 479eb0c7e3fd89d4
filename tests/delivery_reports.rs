//! What senders are told of mail that could not be delivered: RFC 3464, read back with a parser that is not ours.

use mail_parser::{MessageParser, MimeHeaders};

use crate::harness::{Act, NextHop, Setup, message, wait_until};

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
