//! What signing and verifying cost: CPU a message, for a body of 5 KiB and one of 1 MiB.
//!
//! `cargo run --release -p sender-auth --example cost`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for measuring")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::Fake;
use model::{Content, Mailbox, ReversePath};
use sender_auth::{Key, KeyKind, Limits, NamedKey, Origin, Outcome, Signers, Verifier};

/// CPU time of this thread, as Linux counts it.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn message(octets: usize) -> Content {
    let line = "The quick brown fox jumps over the lazy dog, and back again.\r\n";
    let head = "From: <ann@example.org>\r\nTo: <bob@example.net>\r\nSubject: cost\r\nDate: Thu, 26 Nov 2026 01:00:00 +0000\r\n\
                Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
    Bytes::from(format!("{head}{}", line.repeat(octets / line.len()))).into()
}

/// Microseconds of CPU a round.
fn each(rounds: u32, mut work: impl FnMut()) -> f64 {
    let before = cpu();
    (0..rounds).for_each(|_| work());
    (cpu() - before).as_secs_f64() * 1e6 / f64::from(rounds)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verifier = Verifier::new("mx.example.net", Limits::default());
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@example.org").unwrap());
    for (kinds, what) in [
        (&[][..], "unsigned"),
        (&[KeyKind::Rsa][..], "RSA-2048"),
        (&[KeyKind::Ed25519][..], "Ed25519"),
        (&[KeyKind::Rsa, KeyKind::Ed25519][..], "both"),
    ] {
        let keys: Vec<NamedKey> = kinds
            .iter()
            .enumerate()
            .map(|(nth, kind)| NamedKey {
                domain: "example.org".to_owned(),
                selector: format!("s{nth}"),
                key: Arc::new(Key::from_pem(Key::generate(*kind).unwrap().as_bytes()).unwrap()),
                from: None,
                until: None,
            })
            .collect();
        let zone = keys.iter().fold(
            Fake::new()
                .with_txt("example.org", "v=spf1 ip4:192.0.2.1 -all")
                .with_txt("_dmarc.example.org", "v=DMARC1; p=reject"),
            |zone, key| zone.with_txt(&format!("{}._domainkey.example.org", key.selector), &key.key.record()),
        );
        let signers = Signers::new(keys, None);
        for (octets, rounds) in [(5 << 10, 2_000), (1 << 20, 200)] {
            let plain = message(octets);
            let sign = each(rounds, || drop(signers.sign(&plain, clock::wall()).unwrap()));
            let signed = signers.sign(&plain, clock::wall()).unwrap().unwrap_or(plain);
            let signed = Content::from(signed.to_bytes().unwrap());
            let verify = each(rounds, || {
                let origin = Origin {
                    client: "192.0.2.1".parse().unwrap(),
                    client_name: None,
                    reverse_dns: Outcome::None,
                    helo: "mail.example.org",
                    sender: &sender,
                };
                let found = runtime.block_on(verifier.verify(&zone, origin, &signed)).unwrap();
                assert!(found.dmarc.outcome == Outcome::Pass);
            });
            println!("{what:9} {octets:8} octets: sign {sign:7.0} us, verify {verify:7.0} us of CPU");
        }
    }
}
