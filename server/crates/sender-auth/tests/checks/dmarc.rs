use dns::{DnsError, Fake};
use sender_auth::{Disposition, KeyKind, Outcome};

use crate::setting::{MESSAGE, key, publish, signed, verify, verify_from};

const PASS: &str = "v=spf1 ip4:192.0.2.1 -all";

fn zone(record: &str) -> Fake {
    Fake::new().with_txt("_dmarc.example.org", record)
}

async fn dmarc(zone: &Fake, message: &str) -> (Outcome, Disposition) {
    let found = verify(zone, message).await;
    (found.dmarc.outcome, found.dmarc.policy)
}

#[tokio::test]
async fn an_aligned_sender_or_signature_passes_and_nothing_else_does() {
    let reject = "v=DMARC1; p=reject";
    assert_eq!(
        dmarc(&zone(reject).with_txt("example.org", PASS), MESSAGE).await,
        (Outcome::Pass, Disposition::Reject)
    );
    assert_eq!(dmarc(&zone(reject), MESSAGE).await, (Outcome::Fail, Disposition::Reject));
    let keys = [key("mail.example.org", "s", KeyKind::Ed25519)];
    let message = signed(&MESSAGE.replace("ann@example.org", "ann@mail.example.org"), &keys);
    assert_eq!(dmarc(&publish(zone(reject), &keys), &message).await, (Outcome::Pass, Disposition::Reject));
    let strict = publish(zone("v=DMARC1; p=reject; aspf=s; adkim=s"), &keys);
    let found =
        verify_from(&strict.with_txt("sub.example.org", PASS), "192.0.2.1", "ann@sub.example.org", MESSAGE)
            .await;
    assert_eq!((found.spf.outcome, found.dmarc.outcome), (Outcome::Pass, Outcome::Fail));
    let elsewhere = zone(reject).with_txt("evil.example", PASS);
    let found = verify_from(&elsewhere, "192.0.2.1", "x@evil.example", MESSAGE).await;
    assert_eq!((found.spf.outcome, found.dmarc.outcome), (Outcome::Pass, Outcome::Fail));
}

#[tokio::test]
async fn the_policy_is_that_of_the_domain_beneath_or_of_one_that_does_not_exist() {
    let record = "v=DMARC1; p=reject; sp=quarantine; np=none";
    let message = MESSAGE.replace("ann@example.org", "ann@sub.example.org");
    let there = zone(record).with_address("sub.example.org", "192.0.2.9".parse().unwrap());
    assert_eq!(dmarc(&there, &message).await, (Outcome::Fail, Disposition::Quarantine));
    assert_eq!(dmarc(&zone(record), &message).await, (Outcome::Fail, Disposition::None));
    let own = zone(record).with_txt("_dmarc.sub.example.org", "v=DMARC1; p=none");
    assert_eq!(dmarc(&own, &message).await, (Outcome::Fail, Disposition::None));
}

#[tokio::test]
async fn a_policy_under_test_is_one_step_lower() {
    for (record, policy) in [
        ("v=DMARC1; p=reject; t=y", Disposition::Quarantine),
        ("v=DMARC1; p=quarantine; t=y", Disposition::None),
        ("v=DMARC1; p=reject; pct=0", Disposition::Quarantine),
        ("v=DMARC1; rua=mailto:x@example.org", Disposition::None),
    ] {
        assert_eq!(dmarc(&zone(record), MESSAGE).await, (Outcome::Fail, policy), "{record}");
    }
}

#[tokio::test]
async fn records_that_are_none_or_two_are_no_policy() {
    for zone in [
        Fake::new(),
        zone("v=DMARC2; p=reject"),
        zone("p=reject; v=DMARC1"),
        zone("v=DMARC1; p=reject").with_txt("_dmarc.example.org", "v=DMARC1; p=none"),
        zone("v=DMARC1"),
    ] {
        assert_eq!(dmarc(&zone, MESSAGE).await.0, Outcome::None, "{zone:?}");
    }
    let failing = Fake::new().fails("_dmarc.example.org", DnsError::TimedOut);
    assert_eq!(dmarc(&failing, MESSAGE).await.0, Outcome::TempError);
}

#[tokio::test]
async fn several_authors_are_judged_each_and_the_worst_counts() {
    let zone = zone("v=DMARC1; p=reject").with_txt("fine.example", PASS);
    for from in [
        "From: a@fine.example, b@example.org",
        "From: a@fine.example\r\nFrom: b@example.org",
        "From: group: a@fine.example, b@example.org;",
    ] {
        let message = MESSAGE.replace("From: Ann <ann@example.org>", from);
        let found = verify_from(&zone, "192.0.2.1", "a@fine.example", &message).await;
        assert_eq!((found.dmarc.outcome, found.dmarc.policy), (Outcome::Fail, Disposition::Reject), "{from}");
    }
    let none = MESSAGE.replace("From: Ann <ann@example.org>\r\n", "");
    assert_eq!(dmarc(&zone, &none).await.0, Outcome::PermError);
}
