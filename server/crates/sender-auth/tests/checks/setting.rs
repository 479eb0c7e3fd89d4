//! Messages, keys and zones of the tests.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use dns::Fake;
use model::{Content, Mailbox, ReversePath, Timestamp};
use sender_auth::{Evaluation, Key, KeyKind, Limits, NamedKey, Origin, Outcome, Signers, Verifier};

pub(crate) const CLIENT: &str = "192.0.2.1";
pub(crate) const MESSAGE: &str = "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hi\r\n\
     Date: Thu, 26 Nov 2026 01:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello Bob,\r\n\r\nyours\r\n";

pub(crate) fn content(text: &str) -> Content {
    Bytes::copy_from_slice(text.as_bytes()).into()
}

pub(crate) fn text(content: &Content) -> String {
    String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap()
}

pub(crate) fn key(domain: &str, selector: &str, kind: KeyKind) -> NamedKey {
    let key = Key::from_pem(Key::generate(kind).unwrap().as_bytes()).unwrap();
    NamedKey {
        domain: domain.to_owned(),
        selector: selector.to_owned(),
        key: Arc::new(key),
        from: None,
        until: None,
    }
}

/// A zone with the keys published.
pub(crate) fn publish(zone: Fake, keys: &[NamedKey]) -> Fake {
    keys.iter().fold(zone, |zone, key| {
        zone.with_txt(&format!("{}._domainkey.{}", key.selector, key.domain), &key.key.record())
    })
}

pub(crate) fn now() -> Timestamp {
    clock::wall()
}

/// The message with signatures.
pub(crate) fn signed(message: &str, keys: &[NamedKey]) -> String {
    let signers = Signers::new(keys.to_vec(), None);
    text(&signers.sign(&content(message), now()).unwrap().unwrap())
}

pub(crate) async fn verify_from(zone: &Fake, client: &str, sender: &str, message: &str) -> Evaluation {
    let client: IpAddr = client.parse().unwrap();
    let sender = match sender {
        "" => ReversePath::Null,
        sender => ReversePath::Mailbox(Mailbox::parse(sender).unwrap()),
    };
    let origin = Origin {
        client,
        client_name: None,
        reverse_dns: Outcome::None,
        helo: "mail.example.org",
        sender: &sender,
    };
    let verifier = Verifier::new("mx.example.net", Limits::default());
    verifier.verify(zone, origin, &content(message)).await.unwrap()
}

pub(crate) async fn verify(zone: &Fake, message: &str) -> Evaluation {
    verify_from(zone, CLIENT, "ann@example.org", message).await
}
