use dns::Fake;
use sender_auth::{KeyKind, NamedKey, Outcome, Signers};

use crate::setting::{MESSAGE, content, key, now, publish, text, verify};

/// The message sealed by a forwarder, who has verified it.
async fn sealed(zone: &Fake, message: &str, key: &NamedKey) -> String {
    let found = verify(zone, message).await;
    let signers = Signers::new(vec![key.clone()], Some(key.domain.clone()));
    text(&signers.seal(&content(message), &found, "mx.forwarder.example", now()).unwrap().unwrap())
}

#[tokio::test]
async fn a_chain_of_three_holds_and_breaks_where_it_is_changed() {
    for kind in [KeyKind::Rsa, KeyKind::Ed25519] {
        let keys = ["one.example", "two.example", "three.example"].map(|domain| key(domain, "s", kind));
        let zone = publish(Fake::new(), &keys);
        assert_eq!(verify(&zone, MESSAGE).await.arc.outcome, Outcome::None);
        let mut message = MESSAGE.to_owned();
        for (nth, key) in keys.iter().enumerate() {
            message = sealed(&zone, &message, key).await;
            let found = verify(&zone, &message).await;
            assert_eq!(
                (found.arc.outcome, found.arc.sealers.len()),
                (Outcome::Pass, nth + 1),
                "{found:?}\n{message}"
            );
        }
        for (from, to) in [
            ("yours", "theirs"),
            ("Subject: hi", "Subject: ho"),
            ("spf=none", "spf=pass"),
            ("cv=pass", "cv=none"),
        ] {
            let changed = message.replacen(from, to, 1);
            assert_ne!(changed, message, "{from}");
            assert_eq!(verify(&zone, &changed).await.arc.outcome, Outcome::Fail, "{from}");
        }
    }
}

#[tokio::test]
async fn a_chain_that_failed_is_sealed_once_more_and_then_no_more() {
    let keys = ["one.example", "two.example"].map(|domain| key(domain, "s", KeyKind::Ed25519));
    let zone = publish(Fake::new(), &keys);
    let message = sealed(&zone, MESSAGE, &keys[0]).await.replace("yours", "theirs");
    let message = sealed(&zone, &message, &keys[1]).await;
    assert!(message.contains("cv=fail"), "{message}");
    let found = verify(&zone, &message).await;
    assert_eq!((found.arc.outcome, found.arc.is_closed), (Outcome::Fail, true));
    let signers = Signers::new(keys.to_vec(), Some("one.example".to_owned()));
    assert!(signers.seal(&content(&message), &found, "mx", now()).unwrap().is_none());
}

#[tokio::test]
async fn chains_with_holes_and_chains_too_long_fail() {
    let keys = [key("one.example", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    let one = sealed(&zone, MESSAGE, &keys[0]).await;
    let fields = &one[..one.find("From: Ann").unwrap()];
    let seal = &fields[..fields.find("ARC-Message-Signature").unwrap()];
    for broken in [
        one.replace(seal, ""),
        one.replace("ARC-Message-Signature", "X-Message-Signature"),
        one.replace("i=1;", "i=2;"),
        one.replace("i=1;", "i=0;"),
        one.replace("i=1;", "i=99999999999999999999;"),
        format!("{fields}{one}"),
        format!("{}{MESSAGE}", fields.repeat(60)),
    ] {
        assert_eq!(verify(&zone, &broken).await.arc.outcome, Outcome::Fail, "{broken}");
    }
}

#[tokio::test]
async fn a_message_that_begins_with_a_fold_is_sealed_so_that_it_holds() {
    let keys = [key("one.example", "s", KeyKind::Ed25519)];
    let zone = publish(Fake::new(), &keys);
    for first in [" odd\r\n", "\tX: y\r\n", " \r\n"] {
        let message = sealed(&zone, &format!("{first}{MESSAGE}"), &keys[0]).await;
        assert!(message.ends_with(&format!("\r\n\r\n{first}{MESSAGE}")), "{message}");
        assert_eq!(verify(&zone, &message).await.arc.outcome, Outcome::Pass, "{message}");
    }
}
