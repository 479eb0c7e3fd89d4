//! DMARC reports: whom a day that is over is told to, and that reports are signed.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::{DnsError, Fake};
use flate2::read::GzDecoder;
use mail_parser::{MessageParser, MimeHeaders};
use model::{Content, Mailbox, ReversePath, Timestamp};
use outbound::{DmarcReportOptions, Engine, Options};
use reporting::{Ledger, Reporter};
use sender_auth::report::{self, ROOM};
use sender_auth::{Action, Key, KeyKind, Limits, NamedKey, Origin, Outcome, Policy, Signers, Verifier};

use crate::peer::Peer;
use crate::policy::LOCALHOST;
use crate::shelf::Shelf;
use crate::{Post, letter, local, options, relay};

const DAY: u64 = 86_400_000;
const RUA: &str =
    "v=DMARC1; p=reject; rua=mailto:d@to.example!1k,mailto:d@reports.example,mailto:no@other.example";

/// The domain that is told, the mailbox of another that agreed, and that of a third that did not.
fn zone() -> Fake {
    let zone = Fake::new()
        .with_txt("_dmarc.to.example", RUA)
        .with_txt("to.example._report._dmarc.reports.example", "v=DMARC1")
        .with_address("mx.example", LOCALHOST);
    ["to.example", "reports.example", "other.example"]
        .into_iter()
        .fold(zone, |zone, domain| zone.with_mx(domain, 10, "mx.example"))
}

fn told(peer: &Peer, folder: &tempfile::TempDir) -> Options {
    let reporter = Reporter {
        organization: "Me".to_owned(),
        contact: "postmaster@me.example".to_owned(),
        hostname: "mx.me.example".to_owned(),
        spread: Duration::ZERO,
    };
    Options {
        mx_port: peer.address.port(),
        dmarc_report: Some(DmarcReportOptions { folder: folder.path().to_owned(), reporter }),
        ..options()
    }
}

/// Counts so many messages of yesterday, each from another address.
async fn yesterdays(folder: &tempfile::TempDir, messages: u32) {
    let ledger: report::Ledger = Ledger::open(folder.path().to_owned(), ROOM);
    let content = Content::from(Bytes::from_static(b"From: a@to.example\r\n\r\nhi\r\n"));
    let verifier = Verifier::new("mx.me.example", Limits::default());
    let sender = ReversePath::Mailbox(Mailbox::parse("a@to.example").unwrap());
    for nth in 0..messages {
        let client = std::net::Ipv4Addr::from(0xC000_0200 + nth).into();
        let origin = Origin {
            client,
            client_name: None,
            reverse_dns: Outcome::None,
            helo: "h.example",
            sender: &sender,
        };
        let found = verifier.verify(&zone(), origin, &content).await.unwrap();
        assert_eq!(found.dmarc.outcome, Outcome::Fail);
        let applied = Policy::default().applied(&found, Action::Reject);
        report::count(&ledger, &found, applied, Timestamp(clock::wall().0 - DAY));
    }
    ledger.write().unwrap();
}

fn key() -> NamedKey {
    let key = Arc::new(Key::from_pem(Key::generate(KeyKind::Ed25519).unwrap().as_bytes()).unwrap());
    NamedKey { domain: "me.example".to_owned(), selector: "s".to_owned(), key, from: None, until: None }
}

/// Whether a message has a signature of ours that holds.
async fn verifies(content: &[u8], key: &NamedKey) -> bool {
    let zone = Fake::new().with_txt("s._domainkey.me.example", &key.key.record());
    let verifier = Verifier::new("mx.to.example", Limits::default());
    let origin = Origin {
        client: LOCALHOST,
        client_name: None,
        reverse_dns: Outcome::None,
        helo: "mx.me.example",
        sender: &ReversePath::Null,
    };
    let content = Content::from(Bytes::copy_from_slice(content));
    let found = verifier.verify(&zone, origin, &content).await.unwrap();
    found.dkim.len() == 1 && found.dkim[0].outcome == Outcome::Pass
}

#[tokio::test]
async fn a_day_that_is_over_is_told_once_to_those_that_agreed_and_signed() {
    let (folder, peer, key) = (tempfile::tempdir().unwrap(), Peer::friendly().await, key());
    yesterdays(&folder, 1).await;
    let options = Options { signers: Signers::new(vec![key.clone()], None), ..told(&peer, &folder) };
    let post = Post::office_with(options, zone());
    post.shelf.until("two reports are delivered", |kept| kept.finished.len() == 2).await;
    post.closes().await;
    let taken = peer.taken();
    let mut recipients: Vec<_> = taken.iter().flat_map(|one| one.rcpts.clone()).collect();
    recipients.sort();
    assert_eq!(recipients, ["RCPT TO:<d@reports.example>", "RCPT TO:<d@to.example>"]);
    for report in taken {
        assert!(report.mail.starts_with("MAIL FROM:<>"), "{}", report.mail);
        assert!(verifies(&report.content, &key).await, "{}", String::from_utf8_lossy(&report.content));
        let message = MessageParser::default().parse(&report.content).unwrap();
        let file = &message.parts[2];
        assert!(file.attachment_name().unwrap().starts_with("mx.me.example!to.example!"));
        let mut xml = String::new();
        GzDecoder::new(file.contents()).read_to_string(&mut xml).unwrap();
        assert!(xml.contains("<source_ip>192.0.2.0</source_ip>"), "{xml}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing more is to be told");
}

#[tokio::test]
async fn a_report_that_is_too_large_for_one_address_goes_to_the_other() {
    let (folder, peer) = (tempfile::tempdir().unwrap(), Peer::friendly().await);
    yesterdays(&folder, 400).await;
    let post = Post::office_with(told(&peer, &folder), zone());
    post.shelf.until("a report is delivered", |kept| kept.finished.len() == 1).await;
    post.closes().await;
    assert_eq!(peer.taken()[0].rcpts, ["RCPT TO:<d@reports.example>"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_be_asked_yet_waits_on_the_disk() {
    let (folder, peer) = (tempfile::tempdir().unwrap(), Peer::friendly().await);
    yesterdays(&folder, 1).await;
    let zone = Arc::new(Fake::new().fails("_dmarc.to.example", DnsError::TimedOut));
    let shelf: Arc<Shelf> = Arc::default();
    let engine = Engine::start(Arc::new(told(&peer, &folder)), shelf.clone(), zone.clone());
    let post = Post { engine, shelf };
    let asked = async {
        while zone.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    post.closes().await;
    assert!(peer.taken().is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn bounces_are_signed_too() {
    let key = key();
    let (refusing, home) = (Peer::at("RCPT", crate::peer::say("550 5.1.1 no")).await, Peer::friendly().await);
    let options = Options { signers: Signers::new(vec![key.clone()], None), ..options() };
    let options = local(options, "to.example", relay(&refusing));
    let post = Post::office(local(options, "from.example", relay(&home)));
    let mut mail = letter(&["a@to.example"]);
    mail.content = "Subject: x\r\n\r\nWe say gr\u{fc}n to it.\r\n".to_owned().into();
    post.takes(mail);
    home.until_taken(1).await;
    assert!(verifies(&home.taken()[0].content, &key).await);
    post.closes().await;
}

#[tokio::test]
async fn what_is_encoded_for_a_host_of_seven_bits_is_signed_as_it_is_sent() {
    let key = key();
    let seven_bit = Peer::at("EHLO", crate::peer::say("250 mx")).await;
    let signers = Signers::new(vec![key.clone()], None);
    let options = Options { signers: signers.clone(), ..options() };
    let post = Post::office(local(options, "to.example", relay(&seven_bit)));
    let mut mail = letter(&["a@to.example"]);
    let text = "From: a@me.example\r\nSubject: x\r\n\r\nWe say gr\u{fc}n to it.\r\n";
    let signed = signers.sign(&Content::from(Bytes::from(text)), clock::wall()).unwrap().unwrap();
    mail.content = signed.to_bytes().unwrap();
    let id = post.takes(mail);
    post.until_states(id, &["delivered"]).await;
    let sent = seven_bit.taken()[0].content.clone();
    assert!(sent.is_ascii() && verifies(&sent, &key).await, "{}", String::from_utf8_lossy(&sent));
    post.closes().await;
}
