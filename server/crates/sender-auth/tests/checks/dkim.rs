use dns::{DnsError, Fake};
use model::Timestamp;
use sender_auth::{Evaluation, KeyKind, NamedKey, Outcome, Signers};

use crate::setting::{MESSAGE, content, key, now, publish, signed, text, verify};

fn outcomes(found: &Evaluation) -> Vec<(Outcome, &str)> {
    found.dkim.iter().map(|one| (one.outcome, one.reason.as_deref().unwrap_or(""))).collect()
}

#[tokio::test]
async fn what_we_sign_with_both_kinds_of_keys_verifies() {
    let keys = [key("example.org", "r", KeyKind::Rsa), key("example.org", "e", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let message = signed(MESSAGE, &keys);
    let found = verify(&zone, &message).await;
    assert_eq!(outcomes(&found), [(Outcome::Pass, ""), (Outcome::Pass, "")], "{message}");
    assert_eq!(found.dkim[1].algorithm, "ed25519-sha256");
    assert!(message.split("\r\n").all(|line| line.len() <= 80), "{message}");
}

#[tokio::test]
async fn a_domain_beneath_is_signed_by_the_nearest_key_and_others_are_not() {
    let keys = [key("example.org", "a", KeyKind::Ed25519), key("sub.example.org", "b", KeyKind::Ed25519)];
    let message = MESSAGE.replace("ann@example.org", "ann@deep.sub.example.org");
    assert!(signed(&message, &keys).contains("d=sub.example.org"));
    let signers = Signers::new(keys.to_vec(), None);
    for other in ["ann@notexample.org", "ann@example.org>, <x@example.com", "not an address"] {
        let message = content(&MESSAGE.replace("ann@example.org", other));
        assert!(signers.sign(&message, now()).unwrap().is_none(), "{other}");
    }
}

#[tokio::test]
async fn what_is_changed_fails_and_what_is_added_too() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let message = signed(MESSAGE, &keys);
    let body = verify(&zone, &message.replace("yours", "theirs")).await;
    assert_eq!(outcomes(&body), [(Outcome::Fail, "the body was changed")]);
    for changed in [
        message.replace("Subject: hi", "Subject: ho"),
        message.replace("Subject: hi", "Subject: hi\r\nSubject: again"),
        message.replace("Subject: hi", "Subject: hi\r\nReply-To: x@evil.example"),
        format!("From: x@evil.example\r\n{message}"),
        format!("Content-Type: text/html\r\n{message}"),
    ] {
        let found = verify(&zone, &changed).await;
        assert_eq!(found.dkim[0].outcome, Outcome::Fail, "{changed}");
    }
    // Folds and white space of the header, and fields that nobody signed, may change.
    let harmless =
        message.replace("Subject: hi", "SUBJECT:\r\n  hi  ").replace("From: Ann", "Received: x\r\nFrom: Ann");
    assert_eq!(verify(&zone, &harmless).await.dkim[0].outcome, Outcome::Pass);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_told_apart() {
    let keys = [key("example.org", "s", KeyKind::Rsa)];
    let message = signed(MESSAGE, &keys);
    let name = "s._domainkey.example.org";
    let record = keys[0].key.record();
    for (zone, outcome, why) in [
        (Fake::new(), Outcome::PermError, "there is no key"),
        (
            Fake::new().fails(name, DnsError::TimedOut),
            Outcome::TempError,
            "the name servers did not answer in time",
        ),
        (Fake::new().with_txt(name, "v=DKIM1; p="), Outcome::PermError, "the key was revoked"),
        (Fake::new().with_txt(name, "v=DKIM1; p=!!!"), Outcome::PermError, "there is no key"),
        (
            Fake::new().with_txt(name, &record.replace("v=DKIM1", "v=DKIM2")),
            Outcome::PermError,
            "there is no key",
        ),
        (
            Fake::new().with_txt(name, &format!("{record}; s=tlsrpt")),
            Outcome::PermError,
            "the key is not for mail",
        ),
        (
            Fake::new().with_txt(name, &record.replace("sha256", "sha1")),
            Outcome::PermError,
            "the key is not for SHA-256",
        ),
        (
            Fake::new().with_txt(name, &format!("{record}; k=rsa")),
            Outcome::PermError,
            "the key's record has the same tag twice",
        ),
        (
            Fake::new().with_txt(name, &key("example.org", "s", KeyKind::Ed25519).key.record()),
            Outcome::Fail,
            "the key is of another kind",
        ),
        (
            Fake::new().with_txt(name, &key("example.org", "s", KeyKind::Rsa).key.record()),
            Outcome::Fail,
            "the signature does not fit",
        ),
        (Fake::new().with_txt(name, "junk").with_txt(name, &record), Outcome::Pass, ""),
        (Fake::new().with_txt(name, &format!("{record}; s=email:other; t=y; n=note")), Outcome::Pass, ""),
    ] {
        let found = verify(&zone, &message).await;
        assert_eq!(outcomes(&found), [(outcome, why)], "{zone:?}");
    }
}

/// A signature that names an RSA key of so many bits; it need not hold, as the key is refused before.
async fn with_key_of(bits: usize) -> Evaluation {
    use base64::Engine as _;
    // SEQUENCE { INTEGER modulus, INTEGER exponent }, the length written in two octets.
    let mut modulus = vec![0x00];
    modulus.extend(std::iter::repeat_n(0xC5, bits / 8));
    let integer =
        |octets: &[u8]| [&[2, 0x82, (octets.len() >> 8) as u8, octets.len() as u8][..], octets].concat();
    let inner = [integer(&modulus), vec![2, 3, 1, 0, 1]].concat();
    let der = [&[0x30, 0x82, (inner.len() >> 8) as u8, inner.len() as u8][..], &inner].concat();
    let record = format!("v=DKIM1; p={}", base64::engine::general_purpose::STANDARD.encode(der));
    let keys = [key("example.org", "s", KeyKind::Rsa)];
    verify(&Fake::new().with_txt("s._domainkey.example.org", &record), &signed(MESSAGE, &keys)).await
}

#[tokio::test]
async fn keys_too_short_and_too_long_are_refused_by_name() {
    assert_eq!(outcomes(&with_key_of(512).await), [(Outcome::PermError, "the key has 512 bits")]);
    assert_eq!(outcomes(&with_key_of(16_384).await), [(Outcome::PermError, "the key has 16384 bits")]);
    assert_eq!(outcomes(&with_key_of(1024).await), [(Outcome::Fail, "the signature does not fit")]);
}

#[tokio::test]
async fn of_fifty_signatures_ten_are_verified() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let message = signed(MESSAGE, &keys);
    let field = &message[..message.find("From: Ann").unwrap()];
    let found = verify(&zone, &format!("{}{message}", field.repeat(49))).await;
    let count = |outcome| found.dkim.iter().filter(|one| one.outcome == outcome).count();
    assert_eq!((count(Outcome::Pass), count(Outcome::Policy)), (10, 10));
    assert_eq!(zone.asked().iter().filter(|question| question.contains("_domainkey")).count(), 1);
}

#[tokio::test]
async fn a_signature_that_covers_a_part_of_the_body_does_not_count() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let message = signed(MESSAGE, &keys);
    let with = |tag: &str| message.replace("; t=", &format!("; {tag}; t="));
    assert_eq!(
        outcomes(&verify(&zone, &with("l=5")).await),
        [(Outcome::Policy, "l= leaves part of the body unsigned")]
    );
    assert_eq!(
        outcomes(&verify(&zone, &with("l=0")).await),
        [(Outcome::Policy, "l= leaves part of the body unsigned")]
    );
    assert_eq!(outcomes(&verify(&zone, &with("l=500")).await), [(Outcome::PermError, "l= is not valid")]);
    assert_eq!(outcomes(&verify(&zone, &with("l=many")).await), [(Outcome::PermError, "l= is not valid")]);
    // The whole body, and only the tag was added to what was signed.
    assert_eq!(verify(&zone, &with("l=21")).await.dkim[0].outcome, Outcome::Fail);
}

#[tokio::test]
async fn fields_that_break_a_rule_are_permerror() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let message = signed(MESSAGE, &keys);
    for (from, to, why) in [
        ("v=1; ", "", "a tag that must be there is missing"),
        ("v=1", "v=2", "Unsupported version in DKIM Signature"),
        ("a=ed25519-sha256", "a=rsa-sha1", "SHA-1 is not trusted"),
        ("a=ed25519-sha256", "a=rot13", "Unsupported algorithm in DKIM Signature"),
        ("c=relaxed/simple", "c=loose", "Unsupported canonicalization method in DKIM Signature"),
        ("h=From:From:", "h=", "From is not signed"),
        ("; t=", "; s=s; t=", "the field is not a list of tags"),
        ("; t=", "; i=@other.example; t=", "i= is not of d="),
        ("; t=", "; q=http; t=", "the key is not in DNS"),
        ("d=example.org", "d=", "Missing parameters"),
    ] {
        let changed = message.replacen(from, to, 1);
        assert_ne!(changed, message, "{from}");
        assert_eq!(outcomes(&verify(&zone, &changed).await), [(Outcome::PermError, why)], "{to}");
    }
    let expired = message.replace("; t=", "; x=1; t=");
    assert_eq!(outcomes(&verify(&zone, &expired).await), [(Outcome::Fail, "the signature has expired")]);
}

#[tokio::test]
async fn bodies_without_an_end_of_line_and_empty_ones_are_signed_and_verified() {
    let keys = [key("example.org", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let (header, _) = MESSAGE.split_once("\r\n\r\n").unwrap();
    for body in ["", "x", "x\r\n", "x \t\r\n \r\n\r\n", " \r\n", "\r\n\r\n", "caf\u{e9} \u{2713}\r\n"] {
        let message = signed(&format!("{header}\r\n\r\n{body}"), &keys);
        assert_eq!(verify(&zone, &message).await.dkim[0].outcome, Outcome::Pass, "{body:?}");
    }
    let long = format!("{header}\r\n\r\n{}\r\n", "long line ".repeat(99).trim_end());
    assert_eq!(verify(&zone, &signed(&long, &keys)).await.dkim[0].outcome, Outcome::Pass);
    let bare = signed(&format!("{header}\r\n"), &keys);
    assert_eq!(verify(&zone, &bare).await.dkim[0].outcome, Outcome::Pass, "a message that is all header");
}

#[tokio::test]
async fn keys_sign_in_their_time() {
    let moment = now();
    let later = Timestamp(moment.0 + 1_000);
    let old = NamedKey { until: Some(later), ..key("example.org", "old", KeyKind::Ed25519) };
    let new = NamedKey { from: Some(later), ..key("example.org", "new", KeyKind::Ed25519) };
    let above = key("org", "above", KeyKind::Ed25519);
    let signers = Signers::new(vec![old, new.clone(), above], None);
    let signed_at =
        |signers: &Signers, at| text(&signers.sign(&content(MESSAGE), at).unwrap().expect("a signature"));
    for (at, selector) in [(moment, "s=old;"), (later, "s=new;")] {
        let message = signed_at(&signers, at);
        assert!(message.contains(selector) && message.matches("DKIM-Signature").count() == 1, "{message}");
    }
    // A domain whose keys are all out of their time has none: the next one above signs, or nobody.
    let later = Signers::new(vec![new, key("org", "above", KeyKind::Ed25519)], None);
    assert!(signed_at(&later, moment).contains("s=above;"));
}

#[tokio::test]
async fn folded_and_repeated_fields_verify_as_they_were_signed() {
    let keys = [key("example.org", "s", KeyKind::Rsa)];
    let zone = publish(Fake::new(), &keys);
    for head in [
        "From: Ann\r\n\t<ann@example.org>\r\nSubject: a\r\n b\r\n\t c  \r\n",
        "From: ann@example.org\r\nReceived: 1\r\nReceived: 2\r\nTo: a@b.example\r\nTo: c@d.example\r\n",
        "From: ann@example.org\r\nSubject: one\r\nSubject: two\r\nSubject:\r\n",
        "From:ann@example.org\r\nSubject:\r\n \r\n x\r\n",
        "from: ann@example.org\r\nSUBJECT : spaced\r\n",
    ] {
        let message = signed(&format!("{head}\r\nbody\r\n"), &keys);
        assert_eq!(verify(&zone, &message).await.dkim[0].outcome, Outcome::Pass, "{message}");
    }
    // Two From fields are two authors: neither is ours alone, and nothing is signed.
    let twice = content("From: ann@example.org\r\nFrom: x@evil.example\r\n\r\nhi\r\n");
    assert!(Signers::new(keys.to_vec(), None).sign(&twice, now()).unwrap().is_none());
}

#[tokio::test]
async fn a_key_in_pieces_of_a_record_is_one_key() {
    let keys = [key("example.org", "s", KeyKind::Rsa)];
    let record = keys[0].key.record();
    // White space inside of p= is allowed, as it comes of a record that was folded by hand.
    let spaced = record.replace("p=", "p= ").replacen("IDAQAB", "ID AQ\tAB", 1);
    for record in [record.as_str(), &spaced] {
        let zone = Fake::new().with_txt("s._domainkey.example.org", record);
        assert_eq!(verify(&zone, &signed(MESSAGE, &keys)).await.dkim[0].outcome, Outcome::Pass, "{record}");
    }
}

#[tokio::test]
async fn a_broken_field_of_another_kind_lends_no_signature_the_result_of_its_neighbour() {
    let (own, victim) =
        (key("evil.example", "s", KeyKind::Ed25519), key("example.org", "s", KeyKind::Ed25519));
    let zone = publish(Fake::new(), &[own.clone(), victim.clone()]);
    let forged = signed(MESSAGE, std::slice::from_ref(&victim)).replace("yours", "theirs");
    let author = forged.replace("From: Ann <ann@example.org>", "From: x@evil.example");
    let signature = signed(&author, std::slice::from_ref(&own));
    let end = signature
        .find("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/simple;\r\n\td=example.org")
        .unwrap();
    let by_evil = &signature[..end];
    for broken in
        ["ARC-Seal: i=1; a=rot13; d=x; s=x; cv=none; b=AAAA", "ARC-Message-Signature: i=1; a=rot13; d=x", ""]
    {
        let broken = if broken.is_empty() { String::new() } else { format!("{broken}\r\n") };
        let found = verify(&zone, &format!("{broken}{by_evil}{author}")).await;
        let of = |domain: &str| found.dkim.iter().find(|one| one.domain == domain).map(|one| one.outcome);
        assert_eq!(
            (of("evil.example"), of("example.org")),
            (Some(Outcome::Pass), Some(Outcome::Fail)),
            "{found:?}"
        );
    }
}
