use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;
use crate::Draft;

const ORIGINAL: &str = "From: ann@example.org\r\nSubject: hello\r\n\r\nHi Bob\r\n";

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn recipient(address: &str, action: Action, status: &str) -> DsnRecipient {
    DsnRecipient {
        address: mailbox(address),
        original: None,
        action,
        status: EnhancedStatus::parse(status).unwrap(),
        remote_mta: None,
        diagnostic: None,
        last_attempt: None,
        will_retry_until: None,
    }
}

fn failed() -> DsnRecipient {
    DsnRecipient {
        original: Some("rfc822;robert+40b.example".to_owned()),
        remote_mta: Some("mx.b.example".to_owned()),
        diagnostic: Some(
            "550 5.1.1 <bob@b.example>: there is no such user here, and there never was one".to_owned(),
        ),
        last_attempt: Some(Timestamp(1_795_343_747_000)),
        ..recipient("bob@b.example", Action::Failed, "5.1.1")
    }
}

fn dsn(recipients: Vec<DsnRecipient>, original: &str) -> Dsn {
    Dsn {
        id: QueueId(8),
        date: Timestamp(1_795_343_748_000),
        reporting_mta: "mx.example.org".to_owned(),
        sender: mailbox("ann@example.org"),
        is_double_bounce: false,
        is_smtputf8: false,
        queue_id: QueueId(7),
        arrival: Timestamp(1_795_340_000_000),
        envelope_id: None,
        recipients,
        original: Bytes::copy_from_slice(original.as_bytes()).into(),
        ret: Ret::Full,
        template: Template::default(),
    }
}

fn text(report: &Report) -> String {
    String::from_utf8(report.content.to_bytes().unwrap().to_vec()).unwrap()
}

/// What every report keeps to.
fn check(report: &Report) {
    let octets = report.content.to_bytes().unwrap();
    assert!(octets.ends_with(b"\r\n"));
    for line in octets.strip_suffix(b"\r\n").unwrap().split(|byte| *byte == b'\n') {
        assert!(line.len() <= crate::MAX_LINE_OCTETS + 1, "{} octets", line.len());
    }
    let bare = octets.windows(2).any(|pair| (pair[1] == b'\n') != (pair[0] == b'\r'));
    assert!(!bare && !octets.contains(&0));
    assert!(report.is_eight_bit || octets.is_ascii());
}

/// The media types of the parts, and what programs read.
fn parts(report: &Report) -> (Vec<String>, String) {
    let draft = Draft::new(report.content.clone()).unwrap();
    let structure = draft.parts().unwrap();
    let status = structure.parts.iter().find(|part| part.media_type.ends_with("delivery-status")).unwrap();
    let status = draft.read_part(status).unwrap();
    let types = structure.parts.into_iter().map(|part| part.media_type).collect();
    (types, String::from_utf8(status.to_vec()).unwrap())
}

#[test]
fn a_failure_is_told_to_people_and_to_programs() {
    let mut dsn = dsn(vec![failed()], ORIGINAL);
    dsn.envelope_id = Some("QQ+2B314".to_owned());
    let report = dsn.render().unwrap();
    check(&report);
    assert!(!report.is_eight_bit && !report.is_utf8);
    insta::assert_snapshot!("failure", text(&report).replace("\r\n", "\n"));
    let stored = report.content.pieces().iter().filter(|piece| matches!(piece, Piece::Stored { .. }));
    assert_eq!(stored.map(Piece::len).sum::<u64>(), ORIGINAL.len() as u64, "the message is not copied");
}

#[test]
fn a_delay_says_how_long_is_tried() {
    let mut delayed = recipient("carol@c.example", Action::Delayed, "4.4.1");
    delayed.diagnostic = Some("no server of c.example answers".to_owned());
    delayed.will_retry_until = Some(Timestamp(1_795_700_000_000));
    let mut dsn = dsn(vec![delayed], ORIGINAL);
    dsn.ret = Ret::Headers;
    let report = dsn.render().unwrap();
    check(&report);
    insta::assert_snapshot!("delay", text(&report).replace("\r\n", "\n"));
}

#[test]
fn a_template_of_ones_own_may_speak_another_language() {
    let template = Template::parse(
        "Subject: Ihre Nachricht ({{ queue_id }}) wurde nicht zugestellt: schade, aber nicht zu ändern\n\n\n\nLeider nicht möglich:\n\
         {% for recipient in failed %}  * {{ recipient.address }} wegen {{ recipient.diagnostic }}, was {{ recipient.host }} sagt\n{% endfor %}",
    );
    let report = Dsn { template: template.unwrap(), ..dsn(vec![failed()], ORIGINAL) }.render().unwrap();
    check(&report);
    assert!(!report.is_eight_bit && !report.is_utf8);
    let octets = report.content.to_bytes().unwrap();
    let parsed = MessageParser::new().parse(&octets[..]).unwrap();
    assert_eq!(
        parsed.subject().unwrap(),
        "Ihre Nachricht (0000000000007) wurde nicht zugestellt: schade, aber nicht zu ändern"
    );
    insta::assert_snapshot!("own_template", parsed.body_text(0).unwrap().replace('\r', ""));
}

#[test]
fn several_recipients_have_their_own_news() {
    let others = [(Action::Delivered, "2.1.5"), (Action::Relayed, "2.1.9"), (Action::Expanded, "2.1.5")];
    let mut recipients: Vec<_> = others
        .iter()
        .map(|(action, status)| recipient(&format!("{}@d.example", action.name()), *action, status))
        .collect();
    recipients.push(failed());
    let report = dsn(recipients, ORIGINAL).render().unwrap();
    check(&report);
    insta::assert_snapshot!("several", text(&report).replace("\r\n", "\n"));
}

#[test]
fn addresses_beyond_ascii_make_a_global_report() {
    let umlaut = DsnRecipient {
        diagnostic: Some("550 5.1.1 grüß dich".to_owned()),
        remote_mta: Some("mx.b.example".to_owned()),
        original: Some("utf-8;j\u{fc}rgen@b\u{fc}cher.example".to_owned()),
        ..recipient("jürgen@bücher.example", Action::Failed, "5.1.1")
    };
    let report = dsn(vec![umlaut], ORIGINAL).render().unwrap();
    check(&report);
    assert!(report.is_utf8 && report.is_eight_bit);
    let (types, status) = parts(&report);
    assert_eq!(types, ["multipart/report", "text/plain", "message/global-delivery-status", "message/global"]);
    assert!(status.contains("Final-Recipient: utf-8; jürgen@bücher.example\r\n"), "{status}");
    assert!(status.contains("Original-Recipient: utf-8; jürgen@bücher.example\r\n"), "{status}");
    assert!(status.contains("Diagnostic-Code: smtp; 550 5.1.1 grüß dich\r\n"), "{status}");
}

#[test]
fn a_header_beyond_ascii_of_a_message_with_smtputf8_makes_a_global_report() {
    for (ret, returned) in [(Ret::Full, "message/global"), (Ret::Headers, "message/global-headers")] {
        let mut dsn = dsn(vec![failed()], "Subject: grüß dich\r\n\r\nHi\r\n");
        (dsn.is_smtputf8, dsn.ret) = (true, ret);
        let report = dsn.render().unwrap();
        check(&report);
        assert!(report.is_utf8);
        assert_eq!(parts(&report).0[2..], ["message/global-delivery-status", returned]);
        dsn.original = Bytes::from_static(ORIGINAL.as_bytes()).into();
        assert!(!dsn.render().unwrap().is_utf8, "nothing in it needs it");
    }
}

#[test]
fn a_report_between_ascii_addresses_is_ascii() {
    let mut rude = failed();
    rude.diagnostic = Some(format!("550 grüß\r\nX-Evil: \u{1}{}", "ö".repeat(3000)));
    let report = dsn(vec![rude], ORIGINAL).render().unwrap();
    check(&report);
    let (_, status) = parts(&report);
    assert!(status.contains("550 gr??") && !status.contains("\nX-Evil"), "{status}");
}

#[test]
fn eight_bit_messages_are_labelled() {
    let report = dsn(vec![failed()], "Subject: x\r\n\r\ngrün\r\n").render().unwrap();
    check(&report);
    assert!(report.is_eight_bit && !report.is_utf8);
    let octets = report.content.to_bytes().unwrap();
    let parsed = MessageParser::default().parse(&octets[..]).unwrap();
    assert_eq!(parsed.parts[0].content_transfer_encoding(), Some("8bit"));
    assert_eq!(parsed.parts[3].content_transfer_encoding(), Some("8bit"));
    assert_eq!(parsed.parts[2].content_transfer_encoding(), Some("7bit"));
}

#[test]
fn what_may_not_be_returned_whole_is_returned_by_its_header() {
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(MAX_RETURNED_OCTETS as usize / 3 + 1));
    let long_line = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(2000));
    for original in [large.as_str(), long_line.as_str(), "Subject: bare\r\n\r\na\nb\r\n"] {
        let report = dsn(vec![failed()], original).render().unwrap();
        check(&report);
        assert_eq!(parts(&report).0[3], "text/rfc822-headers");
        assert!(report.content.len() < 10_000);
    }
    let odd_header = format!("Subject: gr\u{fc}n {}\r\n\r\nbody\r\n", "y".repeat(2000));
    let report = dsn(vec![failed()], &odd_header).render().unwrap();
    check(&report);
    assert!(!report.is_eight_bit);
    let draft = Draft::new(report.content.clone()).unwrap();
    let part = draft.parts().unwrap().parts.remove(3);
    assert_eq!(
        (part.media_type.as_str(), part.encoding.as_str()),
        ("text/rfc822-headers", "quoted-printable")
    );
    assert!(draft.read_part(&part).unwrap().starts_with("Subject: grün yyy".as_bytes()));

    let no_header = dsn(vec![failed()], &format!("{}\r\n", "z".repeat(2000))).render().unwrap();
    check(&no_header);
    assert_eq!(parts(&no_header).0.len(), 3, "nothing is returned");
}

#[test]
fn a_returned_report_cannot_end_the_report_around_it() {
    let inner = dsn(vec![failed()], ORIGINAL).render().unwrap();
    let outer = dsn(vec![failed()], &text(&inner)).render().unwrap();
    check(&outer);
    let (types, _) = parts(&outer);
    assert_eq!(types, ["multipart/report", "text/plain", "message/delivery-status", "message/rfc822"]);
    let draft = Draft::new(outer.content.clone()).unwrap();
    let returned = draft.parts().unwrap().parts.remove(3);
    assert_eq!(draft.read_part(&returned).unwrap(), text(&inner).as_bytes());
}

#[test]
fn a_report_is_read_as_what_it_is() {
    let report = dsn(vec![failed()], ORIGINAL).render().unwrap();
    let octets = report.content.to_bytes().unwrap();
    let parsed = MessageParser::default().parse(&octets[..]).unwrap();
    let content_type = parsed.parts[0].content_type().unwrap();
    assert_eq!(content_type.attribute("report-type"), Some("delivery-status"));
    assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("ann@example.org"));
    assert_eq!(parsed.header_raw("Auto-Submitted").map(str::trim), Some("auto-replied"));
    assert_eq!(parsed.message_id(), Some("0000000000008@mx.example.org"));
    assert_eq!(parsed.attachment(1).unwrap().message().unwrap().subject(), Some("hello"));
}

proptest! {
    #[test]
    fn no_message_and_no_reply_break_a_report(
        original in "(([A-Za-z]{1,5}: )?[a-z\u{fc}]{0,5}(\r\n|\n|\r|\u{0})){0,8}",
        diagnostic in "\\PC{0,200}|[\r\n\\x00-\\xff]{0,50}",
        host in "\\PC{0,50}",
        orcpt in "\\PC{0,50}",
        full in any::<bool>(),
    ) {
        let recipient = DsnRecipient {
            diagnostic: Some(diagnostic),
            remote_mta: Some(host),
            original: Some(orcpt.clone()),
            ..failed()
        };
        let mut dsn = dsn(vec![recipient], &original);
        dsn.envelope_id = Some(orcpt);
        dsn.ret = if full { Ret::Full } else { Ret::Headers };
        let report = dsn.render().unwrap();
        check(&report);
        let (types, status) = parts(&report);
        prop_assert!((3..=4).contains(&types.len()));
        prop_assert!(status.contains("\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
    }
}
