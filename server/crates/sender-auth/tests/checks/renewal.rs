//! What is encoded for a host of 7 bits leaves with signatures that hold.

use dns::Fake;
use sender_auth::{KeyKind, NamedKey, Outcome, Signers};

use crate::setting::{MESSAGE, content, key, now, publish, signed, text, verify};

const UMLAUT: &str = "From: Ann <ann@example.org>\r\nSubject: hi\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n";

fn encoded(signers: &Signers, message: &str) -> String {
    let after = message::to_seven_bit(content(message)).unwrap();
    let renewed = text(&signers.renewed(&content(message), after).unwrap());
    assert!(renewed.is_ascii(), "{renewed}");
    renewed
}

fn keys() -> [NamedKey; 2] {
    [key("example.org", "r", KeyKind::Rsa), key("example.org", "e", KeyKind::Ed25519)]
}

#[tokio::test]
async fn our_signatures_are_made_again_over_what_is_sent() {
    let keys = keys();
    let zone = publish(Fake::new(), &keys);
    let sent = encoded(&Signers::new(keys.to_vec(), None), &signed(UMLAUT, &keys));
    let found = verify(&zone, &sent).await;
    assert_eq!(found.dkim.iter().map(|one| one.outcome).collect::<Vec<_>>(), [Outcome::Pass; 2], "{sent}");
}

#[tokio::test]
async fn what_only_looks_like_ours_is_not_signed() {
    let keys = keys();
    let signers = Signers::new(keys.to_vec(), None);
    let zone = publish(Fake::new(), &keys);
    let forged = signed(UMLAUT, &keys).replace("Subject: hi", "Subject: pay");
    let by_others = signed(UMLAUT, &[key("example.org", "r", KeyKind::Rsa)]);
    for message in [forged, by_others] {
        let sent = encoded(&signers, &message);
        let found = verify(&zone, &sent).await;
        assert!(found.dkim.iter().all(|one| one.outcome == Outcome::Fail), "{found:?}");
    }
    let plain = content(MESSAGE);
    assert_eq!(text(&signers.renewed(&plain, plain.clone()).unwrap()), MESSAGE);
}

#[tokio::test]
async fn a_chain_is_sealed_again_on_top_of_the_sets_before() {
    let (first, own) = (key("one.example", "s", KeyKind::Ed25519), key("two.example", "s", KeyKind::Rsa));
    let zone = publish(Fake::new(), &[first.clone(), own.clone()]);
    let seal = async |message: &str, key: &NamedKey| {
        let found = verify(&zone, message).await;
        let signers = Signers::new(vec![key.clone()], Some(key.domain.clone()));
        text(&signers.seal(&content(message), &found, "mx", now()).unwrap().unwrap())
    };
    let twice = seal(&seal(UMLAUT, &first).await, &own).await;
    assert_eq!(verify(&zone, &twice).await.arc.outcome, Outcome::Pass);
    let sent = encoded(&Signers::new(vec![own], None), &twice);
    let found = verify(&zone, &sent).await;
    let sealers = ["one.example".to_owned(), "two.example".to_owned()];
    assert_eq!((found.arc.outcome, found.arc.sealers), (Outcome::Pass, sealers.to_vec()), "{sent}");
}
