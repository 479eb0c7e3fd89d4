use dns::{DnsError, Fake};
use hooks::Verdict;
use sender_auth::{Action, KeyKind, Outcome, Policy, Signers};

use crate::setting::{CLIENT, MESSAGE, content, key, now, publish, signed, text, verify, verify_from};

fn all(action: Action) -> Policy {
    Policy {
        dmarc: action,
        spf: action,
        dkim: action,
        reverse_dns: Action::Report,
        trusted_sealers: Vec::new(),
    }
}

fn code(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Reject(reply) | Verdict::TempFail(reply) => {
            let status = reply.status.unwrap();
            format!("{} {}.{}.{}", reply.code, status.class, status.subject, status.detail)
        }
        other => other.name().to_owned(),
    }
}

#[tokio::test]
async fn each_failure_has_its_own_code() {
    let signed = signed(MESSAGE, &[key("example.org", "s", KeyKind::Ed25519)]);
    let only = |dmarc, spf, dkim| Policy { dmarc, spf, dkim, ..Policy::default() };
    let (yes, no) = (Action::Reject, Action::Report);
    let reject = || Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject");
    for (zone, policy, expected) in [
        (reject(), only(yes, no, no), "550 5.7.26"),
        (
            Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=quarantine"),
            only(yes, no, no),
            "quarantine",
        ),
        (Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=none"), only(yes, no, no), "proceed"),
        (reject(), only(Action::Quarantine, no, no), "quarantine"),
        (reject(), only(no, no, no), "proceed"),
        (Fake::new().fails("_dmarc.example.org", DnsError::TimedOut), only(yes, no, no), "451 4.4.3"),
        (Fake::new().with_txt("example.org", "v=spf1 -all"), only(no, yes, no), "550 5.7.23"),
        (Fake::new().with_txt("example.org", "v=spf1 !"), only(no, yes, no), "550 5.7.24"),
        (Fake::new().fails("example.org", DnsError::TimedOut), only(no, yes, no), "451 4.7.24"),
        (Fake::new().with_txt("example.org", "v=spf1 ~all"), only(no, yes, no), "proceed"),
        (Fake::new(), only(no, no, yes), "550 5.7.20"),
        (Fake::new().with_txt("example.org", "v=spf1 -all"), only(no, yes, yes), "550 5.7.26"),
        (Fake::new().with_txt("example.org", "v=spf1 !"), only(no, yes, yes), "550 5.7.26"),
        (Fake::new().with_txt("example.org", "v=spf1 -all"), only(no, yes, Action::Quarantine), "550 5.7.23"),
        (
            Fake::new()
                .with_txt("example.org", "v=spf1 -all")
                .fails("s._domainkey.example.org", DnsError::TimedOut),
            only(no, yes, yes),
            "550 5.7.23",
        ),
        (Fake::new().fails("s._domainkey.example.org", DnsError::TimedOut), only(no, no, yes), "451 4.7.20"),
    ] {
        let found = verify(&zone, &signed).await;
        assert_eq!(code(&policy.verdict(&found, Action::Reject)), expected, "{zone:?}");
    }
    let zone = Fake::new().with_txt("example.org", "v=spf1 -all");
    let Verdict::Reject(reply) = only(no, yes, yes).verdict(&verify(&zone, MESSAGE).await, Action::Reject)
    else {
        panic!("it is not refused");
    };
    assert_eq!(
        reply.text, "example.org says that 192.0.2.1 does not send its mail; no signature (DKIM) holds",
        "all that fails is named"
    );
    let partly = verify(&Fake::new(), &signed.replace("; t=", "; l=1; t=")).await;
    assert_eq!(code(&only(no, no, yes).verdict(&partly, Action::Reject)), "550 5.7.21");
    let found = verify(&reject(), MESSAGE).await;
    assert_eq!(code(&all(yes).verdict(&found, Action::Quarantine)), "quarantine", "the listener's limit");
}

#[tokio::test]
async fn a_forwarder_who_is_trusted_is_believed_while_his_chain_holds() {
    let forwarder = key("lists.example", "s", KeyKind::Ed25519);
    let zone = publish(
        Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject"),
        std::slice::from_ref(&forwarder),
    );
    let signers = Signers::new(vec![forwarder.clone()], Some(forwarder.domain));
    let found = verify(&zone, MESSAGE).await;
    let forwarded =
        text(&signers.seal(&content(MESSAGE), &found, "mx.lists.example", now()).unwrap().unwrap());
    let trusting = Policy { trusted_sealers: vec!["Lists.Example".to_owned()], ..all(Action::Reject) };
    let verdict = |policy: &Policy, found| code(&policy.verdict(found, Action::Reject));
    let found = verify_from(&zone, CLIENT, "bounce@lists.example", &forwarded).await;
    assert_eq!(verdict(&trusting, &found), "proceed");
    assert_eq!(verdict(&all(Action::Reject), &found), "550 5.7.26");
    let broken = verify(&zone, &forwarded.replace("yours", "theirs")).await;
    assert_eq!(verdict(&trusting, &broken), "550 5.7.26");
}

#[tokio::test]
async fn what_was_found_is_written_as_the_standard_has_it() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(
        Fake::new()
            .with_txt("_dmarc.example.org", "v=DMARC1; p=reject")
            .with_txt("example.org", "v=spf1 -all"),
        &keys,
    );
    let found = verify(&zone, &signed(MESSAGE, &keys)).await;
    let field = found.to_field("mx.example.net");
    for part in [
        "Authentication-Results: mx.example.net;\r\n\t",
        "spf=none smtp.helo=mail.example.org",
        "spf=fail smtp.mailfrom=ann@example.org",
        "dkim=pass header.d=example.org header.s=s header.a=ed25519-sha256 header.b=",
        "dmarc=pass header.from=example.org policy.dmarc=reject\r\n",
    ] {
        assert!(field.contains(part), "{part} in {field}");
    }
    let findings = found.findings();
    let methods: Vec<_> =
        findings.iter().map(|finding| (finding.method.as_str(), finding.result.as_str())).collect();
    assert_eq!(methods, [("spf", "none"), ("spf", "fail"), ("dkim", "pass"), ("dmarc", "pass")]);
    assert_eq!(findings[2].domain.as_deref(), Some("example.org"));
}

#[tokio::test]
async fn a_client_without_a_name_is_refused_where_that_is_asked_for() {
    let policy = Policy { reverse_dns: Action::Reject, ..Policy::default() };
    let mut found = verify(&Fake::new(), MESSAGE).await;
    for (outcome, expected) in [
        (Outcome::None, "proceed"),
        (Outcome::Pass, "proceed"),
        (Outcome::Fail, "550 5.7.25"),
        (Outcome::TempError, "451 4.7.25"),
    ] {
        found.reverse_dns = outcome;
        assert_eq!(code(&policy.verdict(&found, Action::Reject)), expected);
        assert_eq!(code(&Policy::default().verdict(&found, Action::Reject)), "proceed");
        assert_eq!(found.to_field("mx").contains("iprev="), outcome != Outcome::None);
    }
}
