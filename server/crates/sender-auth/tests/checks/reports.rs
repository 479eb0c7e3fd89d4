//! What is counted of messages, and how it is told.

use std::io::Read;
use std::time::Duration;

use dns::Fake;
use flate2::read::GzDecoder;
use mail_auth::report::{ActionDisposition, DmarcResult, PolicyOverride, Report};
use message::HeaderBlock;
use model::{Mailbox, QueueId, Timestamp};
use reporting::{Day, Ledger, Reporter};
use sender_auth::report::{self, FailureReport, Wanted};
use sender_auth::{Action, Evaluation, KeyKind, Policy};

use crate::setting::{CLIENT, MESSAGE, content, key, publish, signed, verify, verify_from};

const NOW: Timestamp = Timestamp(86_400_000);

fn reporter() -> Reporter {
    Reporter {
        organization: "Me&<mine>".to_owned(),
        contact: "postmaster@me.example".to_owned(),
        hostname: "mx.me.example".to_owned(),
        spread: Duration::ZERO,
    }
}

fn ledger(folder: &tempfile::TempDir) -> report::Ledger {
    Ledger::open(folder.path().to_owned(), report::ROOM)
}

fn policy() -> Policy {
    Policy { dmarc: Action::Quarantine, ..Policy::default() }
}

fn count(ledger: &report::Ledger, found: &Evaluation) {
    report::count(ledger, found, policy().applied(found, Action::Reject), NOW);
}

/// The reports on a domain's day, as another host reads them.
fn told(ledger: &report::Ledger, domain: &str) -> Vec<Report> {
    let tallies = ledger.get(Day(1), domain);
    let mut reports = Vec::new();
    for (nth, published) in tallies.0.iter().enumerate() {
        let packed = report::compressed(published, (Day(1), domain), nth, &reporter()).unwrap();
        let mut text = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        reports.push(Report::parse_xml(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")));
    }
    reports
}

#[tokio::test]
async fn messages_that_are_alike_are_one_row_and_each_record_has_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(
        Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject; rua=mailto:d@example.org"),
        &keys,
    );
    let passes = verify(&zone, &signed(MESSAGE, &keys)).await;
    let fails = verify(&zone, MESSAGE).await;
    let elsewhere = verify_from(&zone, "2001:db8::1", "", MESSAGE).await;
    for found in [&passes, &fails, &fails, &elsewhere] {
        count(&ledger, found);
    }
    let tests = Fake::new()
        .with_txt("_dmarc.example.org", "v=DMARC1; p=reject; t=y; rua=mailto:d@example.org; sp=none");
    count(&ledger, &verify(&tests, MESSAGE).await);
    ledger.write().unwrap();
    let reports = told(&self::ledger(&folder), "example.org");
    assert_eq!(reports.len(), 2);
    let first = &reports[0];
    assert_eq!((first.domain(), first.org_name()), ("example.org", "Me&<mine>"));
    assert_eq!((first.date_range_begin(), first.date_range_end()), (86_400, 172_799));
    let rows: Vec<_> = first
        .records()
        .iter()
        .map(|row| (row.count(), row.action_disposition(), row.dmarc_dkim_result()))
        .collect();
    // The domain asks to refuse, and this host holds at most.
    assert_eq!(
        rows,
        [
            (1, ActionDisposition::Pass, DmarcResult::Pass),
            (2, ActionDisposition::Quarantine, DmarcResult::Fail),
            (1, ActionDisposition::Quarantine, DmarcResult::Fail),
        ]
    );
    assert_eq!(first.records()[0].dkim_auth_result()[0].selector(), "s");
    assert_eq!(first.records()[1].policy_override_reason()[0].policy_override(), PolicyOverride::LocalPolicy);
    assert_eq!(first.records()[1].source_ip(), Some(CLIENT.parse().unwrap()));
    assert_eq!(first.records()[2].envelope_from(), "");
    let tested = &reports[1].records()[0];
    assert_eq!(tested.policy_override_reason()[0].policy_override(), PolicyOverride::PolicyTestMode);
    assert_ne!(first.report_id(), reports[1].report_id());
}

#[tokio::test]
async fn nothing_is_counted_for_those_who_do_not_ask_and_what_is_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    for zone in [
        Fake::new(),
        Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject"),
        Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject; rua=https://r.example/"),
        Fake::new().fails("_dmarc.example.org", dns::DnsError::TimedOut),
    ] {
        count(&ledger, &verify(&zone, MESSAGE).await);
    }
    assert!(ledger.get(Day(1), "example.org").0.is_empty());
    assert!(ledger.due(Timestamp(2 * NOW.0), &reporter()).is_empty());
}

#[tokio::test]
async fn what_there_is_no_room_for_is_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let zone = Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=none; rua=mailto:d@example.org");
    let mut found = verify(&zone, MESSAGE).await;
    for nth in 0..1_005_u32 {
        found.client = std::net::Ipv4Addr::from(0xC000_0200 + nth).into();
        count(&ledger, &found);
    }
    let reports = told(&ledger, "example.org");
    assert_eq!(reports[0].records().len(), 1_000);
    assert_eq!(reports[0].error(), ["5 messages are left out: there was no room"]);
}

#[tokio::test]
async fn names_that_a_stranger_chose_do_not_break_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let zone = Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=none; rua=mailto:d@example.org");
    let bad = "DKIM-Signature: v=1; a=rsa-sha256; d=a<b>&\u{1}\"']]>; s=\u{fc}\u{2028}; h=from; bh=AA==; b=AA==\r\n";
    count(&ledger, &verify(&zone, &format!("{bad}{MESSAGE}")).await);
    let reports = told(&ledger, "example.org");
    assert_eq!(reports[0].records().len(), 1);
}

#[tokio::test]
async fn a_letter_is_named_as_the_standard_has_it() {
    let to = Mailbox::parse("d@example.org").unwrap();
    let letter =
        |nth| report::letter((QueueId(7), NOW), &to, ((Day(1), "example.org"), nth), b"zipped", &reporter());
    let text = letter(0);
    for part in [
        "Subject: Report Domain: example.org\r\n\tSubmitter: mx.me.example\r\n\tReport-ID: <1.example.org@mx.me.example>\r\n",
        "filename=\"mx.me.example!example.org!86400!172799.xml.gz\"",
        "Content-Type: application/gzip\r\n",
        "From: <postmaster@me.example>\r\nTo: <d@example.org>\r\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(letter(2).contains("!172799!2.xml.gz"));
}

#[tokio::test]
async fn reports_that_pass_are_not_reported_and_forged_ones_are() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(
        Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=none; rua=mailto:d@example.org"),
        &keys,
    );
    let report = MESSAGE.replace("Subject: hi", "Subject: Report domain: example.net Submitter: x");
    let is_report = |message: &str, found: &Evaluation| {
        report::is_report(&HeaderBlock::read(&content(message)).unwrap(), found)
    };
    let genuine = verify(&zone, &signed(&report, &keys)).await;
    assert!(is_report(&report, &genuine) && !is_report(MESSAGE, &genuine));
    assert!(!is_report(&report, &verify(&zone, &report).await));
}

#[tokio::test]
async fn a_failure_is_told_where_the_record_asks_for_it_with_the_header_alone() {
    let found = |options: &'static str| async move {
        let record = format!("v=DMARC1; p=reject; {options}");
        verify(&Fake::new().with_txt("_dmarc.example.org", &record), MESSAGE).await
    };
    for (options, is_wanted) in [
        ("rua=mailto:d@example.org", false),
        ("ruf=mailto:d@example.org", true),
        ("ruf=mailto:d@example.org; fo=1", true),
        // Nothing was signed, and nobody says who may send.
        ("ruf=mailto:d@example.org; fo=d:s", false),
        ("ruf=https://r.example/", false),
    ] {
        assert_eq!(Wanted::of(&found(options).await).is_some(), is_wanted, "{options}");
    }
    let found = found("ruf=mailto:d@example.org").await;
    let header = HeaderBlock::read(&content(MESSAGE)).unwrap();
    let applied = policy().applied(&found, Action::Reject);
    let report = FailureReport::new(&found, &header, applied, &reporter(), NOW);
    let text = report.letter(QueueId(1), &Mailbox::parse("d@example.org").unwrap(), &reporter());
    for part in [
        "report-type=\"feedback-report\"",
        "Feedback-Type: auth-failure\r\n",
        "Auth-Failure: dmarc\r\n",
        "Identity-Alignment: none\r\n",
        "Delivery-Result: policy\r\n",
        "Source-IP: 192.0.2.1\r\n",
        "Reported-Domain: example.org\r\n",
        "Original-Mail-From: <ann@example.org>\r\n",
        "Content-Type: text/rfc822-headers\r\n\r\nFrom: Ann <ann@example.org>\r\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("Hello Bob"), "{text}");
}
