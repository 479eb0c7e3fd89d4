//! What domains are told of mail in their name: a day's sum when it is over, and single failures at once.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use mail_parser::MessageParser;

use crate::harness::{Dns, NextHop, Setup, wait_until};
use crate::sender_auth::from;

fn place(dns: &Dns, hop: &NextHop) -> Setup {
    dns.txt("_dmarc.example.com", "v=DMARC1; p=reject; rua=mailto:d@example.com; ruf=mailto:f@example.com");
    dns.txt("example.com", "v=spf1 -all exp=why.example.com");
    dns.txt("why.example.com", "%{i} is none of ours");
    Setup::new()
        .set("[listener]", "proxy-protocol = [\"127.0.0.0/8\"]")
        .set("dns", &format!("servers = [\"{}\"]", dns.address))
        .set("dns", "dnssec = false")
        .set("sender-auth", "dmarc = \"quarantine\"")
        .set("sender-auth.reports", "enabled = true")
        .set("sender-auth.reports", "contact = \"dmarc@example.org\"")
        .set("sender-auth.reports", "organization = \"Example\"")
        .set("sender-auth.reports", "spread = \"0s\"")
        .smarthost(hop.address)
}

fn by(author: &str, word: &str) -> String {
    format!("From: <{author}>\r\nSubject: {word}\r\nDate: Thu, 26 Nov 2026 01:00:00 +0000\r\n\r\nHello\r\n")
}

/// Makes the counts those of the day before; how many days there were.
fn age(folder: &Path) -> usize {
    let files: Vec<_> =
        std::fs::read_dir(folder).expect("the counts").flatten().map(|entry| entry.path()).collect();
    for file in &files {
        let day: u64 = file.file_stem().and_then(|day| day.to_str()?.parse().ok()).expect("a day");
        std::fs::rename(file, folder.join(format!("{}.json", day - 1))).expect("an earlier day");
    }
    files.len()
}

#[test]
fn a_domain_is_told_of_the_day_after_a_restart_with_the_rows_of_before() {
    let (dns, hop) = (Dns::start(), NextHop::start());
    let setup = place(&dns, &hop);
    let server = setup.start();
    for client in ["203.0.114.9", "203.0.114.9", "203.0.114.10"] {
        let sent =
            from(&server, client).sends("ann@example.com", &["bob@example.org"], by("ann@example.com", "x"));
        assert_eq!(sent.code, 250, "{}", sent.text);
    }
    server.stops();
    assert_eq!(age(&setup.path("data/dmarc-report")), 1);
    let server = setup.start();
    let report = hop.wait(1).remove(0);
    assert_eq!((report.from.as_str(), report.to.as_slice()), ("", &["d@example.com".to_owned()][..]));
    let message = MessageParser::default().parse(report.content.as_bytes()).expect("a message");
    assert!(message.subject().expect("a subject").starts_with("Report Domain: example.com"));
    let mut xml = String::new();
    GzDecoder::new(message.parts[2].contents()).read_to_string(&mut xml).expect("gzip");
    for part in [
        "<org_name>Example</org_name>",
        "<email>dmarc@example.org</email>",
        "<domain>example.com</domain>",
        "<source_ip>203.0.114.9</source_ip>\n\t\t\t<count>2</count>",
        "<source_ip>203.0.114.10</source_ip>\n\t\t\t<count>1</count>",
        "<disposition>quarantine</disposition>",
        "<type>local_policy</type>",
        "<envelope_from>example.com</envelope_from>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    server.stops();
    assert_eq!(std::fs::read_dir(setup.path("data/dmarc-report")).expect("the counts").count(), 0);
    assert_eq!(hop.received().len(), 1, "told once");
}

#[test]
fn a_failure_is_told_at_once_where_that_is_turned_on() {
    let (dns, hop) = (Dns::start(), NextHop::start());
    let setup = place(&dns, &hop).set("sender-auth.reports", "failures-per-hour = 1");
    let server = setup.start();
    for word in ["first", "second"] {
        let mail = by("ann@example.com", word);
        assert_eq!(
            from(&server, "203.0.114.9").sends("ann@example.com", &["bob@example.org"], mail).code,
            250
        );
    }
    let report = hop.wait(1).remove(0);
    assert_eq!(report.to, ["f@example.com"]);
    for part in ["Feedback-Type: auth-failure", "Source-IP: 203.0.114.9", "Subject: first"] {
        assert!(report.content.contains(part), "{part} in {}", report.content);
    }
    assert!(!report.content.contains("Hello"));
    server.stops();
    assert_eq!(hop.received().len(), 1, "one an hour");
}

#[test]
fn nobody_is_told_when_reports_are_not_turned_on() {
    let (dns, hop) = (Dns::start(), NextHop::start());
    let setup = place(&dns, &hop).set("sender-auth.reports", "enabled = false");
    let server = setup.start();
    let mail = by("ann@example.com", "x");
    assert_eq!(from(&server, "203.0.114.9").sends("ann@example.com", &["bob@example.org"], mail).code, 250);
    wait_until("the message to be held", || {
        setup.json(&["queue", "list", "--state", "held"]).to_string().contains("example.com")
    });
    server.stops();
    assert!(!setup.path("data/dmarc-report").exists());
    assert!(hop.received().is_empty());
}

#[test]
fn a_refusal_by_spf_says_what_the_domain_explains() {
    let (dns, hop) = (Dns::start(), NextHop::start());
    let server = place(&dns, &hop).set("sender-auth", "spf = \"reject\"").start();
    let mut client = from(&server, "203.0.114.9");
    client.begins_message("ann@example.com", &["bob@example.org"]);
    let reply = client.ends_message(by("ann@example.net", "x"));
    assert!(reply.begins("550 5.7.23"), "{}", reply.text);
    assert!(reply.text.contains("example.com explains: 203.0.114.9 is none of ours"), "{}", reply.text);
}
