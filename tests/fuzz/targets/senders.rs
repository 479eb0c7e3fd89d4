//! Zones and messages as strangers make them: every check comes to an end with few questions, what is found can be written and read, and
//! what we sign and seal verifies.
//!
//! The input is lines of a zone (`T name text`, `A name address`, `M name host`, `P name` for the client), an empty line, and a message.
#![no_main]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use dns::Fake;
use libfuzzer_sys::fuzz_target;
use message::HeaderBlock;
use model::{Content, Mailbox, ReversePath, Timestamp};
use reporting::{Day, Ledger, Reporter};
use sender_auth::report::{self, FailureReport, ROOM, Wanted};
use sender_auth::{
    Action, Evaluation, Key, KeyKind, Limits, NamedKey, Origin, Outcome, Policy, Signers, Verifier, on_top,
    without_forged,
};
use tokio::runtime::Runtime;

/// Questions that one message may cost.
const LOOKUPS: usize = 60;
const ID: &str = "mx.example.net";
const NOW: Timestamp = Timestamp(1_795_651_200_000);

struct Lab {
    runtime: Runtime,
    verifier: Verifier,
    signers: Signers,
    key: NamedKey,
}

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let key = Key::from_pem(Key::generate(KeyKind::Ed25519).expect("a key").as_bytes()).expect("a key");
    let (domain, selector) = ("example.org".to_owned(), "own".to_owned());
    let key = NamedKey { domain, selector, key: Arc::new(key), from: None, until: None };
    Lab {
        runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
        verifier: Verifier::new(ID, Limits { lookups: LOOKUPS, ..Limits::default() }),
        signers: Signers::new(vec![key.clone()], Some("example.org".to_owned())),
        key,
    }
});

fuzz_target!(|octets: &[u8]| {
    let cut = octets.windows(2).position(|two| two == b"\n\n").unwrap_or(octets.len());
    let zone = zone(&octets[..cut]);
    let message = octets.get(cut + 2..).unwrap_or_default();
    let content = Content::from(Bytes::copy_from_slice(message));
    let found = verify(&zone, &content);
    look_at_findings(&found, &content);
    tell(&found, &content);
    vouch(zone, &content, &found);
});

fn zone(text: &[u8]) -> Fake {
    let client: IpAddr = "192.0.2.1".parse().expect("an address");
    let text = String::from_utf8_lossy(text);
    text.lines().take(50).fold(Fake::new(), |zone, line| {
        let mut words = line.splitn(3, ' ');
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        match (kind, rest.parse()) {
            // The one name that is ours.
            ("T", _) if name.to_ascii_lowercase().starts_with("own.") => zone,
            ("T", _) => zone.with_txt(name, rest),
            ("A", Ok(address)) => zone.with_address(name, address),
            ("M", _) => zone.with_mx(name, 10, rest),
            ("P", _) => zone.with_ptr(client, name),
            _ => zone,
        }
    })
}

fn verify(zone: &Fake, content: &Content) -> Evaluation {
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@example.org").expect("a mailbox"));
    let client = "192.0.2.1".parse().expect("an address");
    let origin = Origin {
        client,
        client_name: None,
        reverse_dns: Outcome::None,
        helo: "mail.example.org",
        sender: &sender,
    };
    let asked = zone.asked().len();
    let found = LAB.runtime.block_on(LAB.verifier.verify(zone, origin, content)).expect("memory");
    assert!(zone.asked().len() - asked <= LOOKUPS, "{:?}", zone.asked());
    found
}

/// What was found is one field, which is ours and nobody else's.
fn look_at_findings(found: &Evaluation, content: &Content) {
    let field = found.to_field(ID);
    assert!(field.ends_with("\r\n"));
    for line in field.trim_end().split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
    assert!(field.trim_end().split("\r\n").skip(1).all(|line| line.starts_with('\t')), "{field:?}");
    let cleaned = without_forged(content.clone(), ID).expect("memory");
    let marked = on_top(&cleaned, field).expect("memory");
    let block = HeaderBlock::read(&marked).expect("memory");
    assert!(block.all("Authentication-Results").next().is_some());
    let again = without_forged(marked, ID).expect("memory").to_bytes().expect("memory");
    let cleaned = cleaned.to_bytes().expect("memory");
    // A message that was all header, or all body, may have been given its empty line.
    let is_kept = [again.strip_suffix(b"\r\n"), again.strip_prefix(b"\r\n")].contains(&Some(&cleaned[..]));
    assert!(again == cleaned || is_kept, "{again:?}");
    for action in [Action::Report, Action::Quarantine, Action::Reject] {
        let policy = Policy {
            dmarc: action,
            spf: action,
            dkim: action,
            reverse_dns: action,
            trusted_sealers: Vec::new(),
        };
        let _ = (policy.verdict(found, Action::Reject), policy.applied(found, Action::Reject));
    }
    assert!(!found.findings().is_empty());
}

/// What is told of it can be written.
fn tell(found: &Evaluation, content: &Content) {
    let reporter = Reporter {
        organization: "Example".to_owned(),
        contact: "postmaster@example.net".to_owned(),
        hostname: ID.to_owned(),
        spread: std::time::Duration::ZERO,
    };
    let ledger: report::Ledger = Ledger::open(PathBuf::from("/nowhere"), ROOM);
    let applied = Policy::default().applied(found, Action::Reject);
    report::count(&ledger, found, applied, NOW);
    if let Some((domain, _)) = &found.dmarc.record {
        let (day, tallies) = (Day::of(NOW), ledger.get(Day::of(NOW), domain));
        for (nth, published) in tallies.0.iter().enumerate() {
            assert!(report::compressed(published, (day, domain), nth, &reporter).is_some());
        }
    }
    if Wanted::of(found).is_some() {
        let header = HeaderBlock::read(content).expect("memory");
        let report = FailureReport::new(found, &header, applied, &reporter, NOW);
        let to = Mailbox::parse("f@example.org").expect("a mailbox");
        let letter = report.letter(model::QueueId(1), &to, &reporter);
        assert!(letter.is_ascii() && letter.split("\r\n").all(|line| line.len() <= 998));
    }
}

/// What is signed and sealed here verifies elsewhere.
fn vouch(zone: Fake, content: &Content, found: &Evaluation) {
    let zone = zone.with_txt("own._domainkey.example.org", &LAB.key.key.record());
    // With too many questions for one message nothing is certain.
    let holds = |outcome| matches!(outcome, Outcome::Pass | Outcome::TempError);
    let is_ours =
        |found: &Evaluation| found.dkim.iter().any(|one| one.selector == "own" && holds(one.outcome));
    if let Some(signed) = LAB.signers.sign(content, NOW).expect("memory") {
        let (found, text) = (verify(&zone, &signed), signed.to_bytes().expect("memory"));
        assert!(is_ours(&found), "{found:?}\n{}", String::from_utf8_lossy(&text));
    }
    if !matches!(found.arc.outcome, Outcome::None | Outcome::Pass) {
        return;
    }
    if let Some(sealed) = LAB.signers.seal(content, found, ID, NOW).expect("memory") {
        let found = verify(&zone, &sealed);
        let text = sealed.to_bytes().expect("memory");
        assert!(holds(found.arc.outcome), "{found:?}\n{}", String::from_utf8_lossy(&text));
    }
}
