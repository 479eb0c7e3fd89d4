use std::io::Read;

use flate2::read::GzDecoder;
use model::{Mailbox, QueueId, Timestamp};
use reporting::{Day, Reporter};

use super::*;

const DAY: u64 = 86_400_000;

fn policy(domain: &str) -> Applied {
    Applied {
        policy_type: Kind::Sts,
        policy_string: vec!["version: STSv1".to_owned()],
        policy_domain: domain.to_owned(),
        mx_host: vec!["*.example.org".to_owned()],
    }
}

fn failure(result_type: ResultType) -> Failure {
    Failure {
        result_type,
        receiving_mx_hostname: Some("mx.example.org".to_owned()),
        receiving_ip: Some("192.0.2.1".to_owned()),
    }
}

fn reporter() -> Reporter {
    Reporter {
        organization: "Example".to_owned(),
        contact: "postmaster@me.example".to_owned(),
        hostname: "me.example".to_owned(),
        spread: std::time::Duration::ZERO,
    }
}

/// Two successes and three failures on the second day of 1970.
fn counted(folder: &tempfile::TempDir) -> Ledger {
    let ledger = Ledger::open(folder.path().join("tls-report"), ROOM);
    let now = Timestamp(DAY + 5_000);
    for failure in [
        None,
        Some(failure(ResultType::CertificateExpired)),
        None,
        Some(failure(ResultType::StarttlsNotSupported)),
        Some(failure(ResultType::CertificateExpired)),
    ] {
        count(&ledger, policy("example.org"), failure, now);
    }
    ledger
}

#[test]
fn sessions_are_counted_by_day_domain_and_policy_and_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = counted(&folder);
    assert!(ledger.due(Timestamp(2 * DAY - 1), &reporter()).is_empty(), "the day is not over");
    ledger.write().unwrap();
    let again = Ledger::open(folder.path().join("tls-report"), ROOM);
    assert_eq!(again.get(Day(1), "example.org"), ledger.get(Day(1), "example.org"));
    assert_eq!(again.due(Timestamp(2 * DAY), &reporter()), [(Day(1), "example.org".to_owned())]);
    again.done(Day(1), "example.org");
    again.write().unwrap();
    assert!(
        Ledger::open(folder.path().join("tls-report"), ROOM).due(Timestamp(2 * DAY), &reporter()).is_empty()
    );
    assert!(ledger.due(Timestamp(5 * DAY), &reporter()).is_empty(), "too old to be of use");
}

#[test]
fn a_report_is_what_the_standard_shows() {
    let folder = tempfile::tempdir().unwrap();
    let report =
        compressed(&counted(&folder).get(Day(1), "example.org"), Day(1), "example.org", &reporter()).unwrap();
    let mut text = String::new();
    GzDecoder::new(report.as_slice()).read_to_string(&mut text).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "organization-name": "Example",
        "date-range": {"start-datetime": "1970-01-02T00:00:00Z", "end-datetime": "1970-01-02T23:59:59Z"},
        "contact-info": "postmaster@me.example",
        "report-id": "1.example.org@me.example",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1"],
                "policy-domain": "example.org",
                "mx-host": ["*.example.org"],
            },
            "summary": {"total-successful-session-count": 2, "total-failure-session-count": 3},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "receiving-mx-hostname": "mx.example.org",
                    "receiving-ip": "192.0.2.1",
                    "failed-session-count": 2,
                },
                {
                    "result-type": "starttls-not-supported",
                    "receiving-mx-hostname": "mx.example.org",
                    "receiving-ip": "192.0.2.1",
                    "failed-session-count": 1,
                },
            ],
        }],
    });
    assert_eq!(report, expected);
}

#[test]
fn a_letter_has_the_report_as_its_attachment() {
    let to = Mailbox::parse("tls@example.org").unwrap();
    let report = vec![0x5a; 200];
    let text = letter((QueueId(7), Timestamp(2 * DAY)), &to, (Day(1), "example.org"), &report, &reporter());
    for line in [
        "TLS-Report-Domain: example.org\r\n",
        "TLS-Report-Submitter: me.example\r\n",
        "TLS-Required: No\r\n",
        "Content-Type: multipart/report; report-type=\"tlsrpt\";",
        "Content-Type: application/tlsrpt+gzip\r\n",
        "filename=\"me.example!example.org!86400!172799.json.gz\"",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.split("\r\n").all(|line| line.len() <= 78 || line.starts_with("Message-ID")), "{text}");
    assert_eq!(text.matches(&format!("{}\r\n", "Wlpa".repeat(19))).count(), 3);
}

#[test]
fn one_record_names_mailboxes_and_addresses() {
    let of = |records: &[&str]| addresses(records.iter().copied());
    let mail = Rua::Mail("tls@example.org".to_owned());
    assert_eq!(of(&["v=spf1", "v=TLSRPTv1; rua=mailto:tls@example.org"]), std::slice::from_ref(&mail));
    assert_eq!(
        of(&["v=TLSRPTv1;rua=mailto:tls@example.org?subject=x, https://r.example/a, https://r.example/b"]),
        [mail, Rua::Https("https://r.example/a".to_owned())]
    );
    for bad in ["v=TLSRPTv1", "v=TLSRPTv2; rua=mailto:a@b.example", "v=TLSRPTv1; rua=http://r.example/"] {
        assert!(of(&[bad]).is_empty(), "{bad}");
    }
    assert!(of(&["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@d.example"]).is_empty());
}
