//! What was released stays as it was: the files of the interface, and plugins that were built from them.
//!
//! `wit/README.md` says how the interface grows, and what is added here when a state of it is released.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hooks::{
    DeliveryHooks, OutcomeKind, OutcomeReport, RecipientVerdict, Request, RouteRequest, Stage, Verdict, Way,
};
use model::{Param, Reply, ReversePath};
use plugin_host::SeriesValue;
use sha2::{Digest, Sha256};
use wit_component::semver_check;
use wit_parser::Resolve;

use crate::stage::{Bed, mailbox, text, transaction};

/// The released states of `wit/since-0.1`, with the SHA-256 of their files: none is ever changed.
const RELEASED: [(&str, &str); 3] = [
    ("0.1-1", "33ca1842830e7075b52a2ad8328a130ff153000673fcd2237207a04259b2ae0f"),
    ("0.1-2", "684d36abf075c402f098a9a528f1ff214b7b7f2f2a5599beb05a3c4098930eeb"),
    ("0.1-3", "eeec0a70ea9b6c30caea7404873e63c75ebf9c8dace77fec5891cd4117146a2f"),
];

fn wit(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit").join(below)
}

fn released(state: &str) -> String {
    std::fs::read_to_string(wit(&format!("released/{state}.wit"))).unwrap()
}

/// The text of a file of the interface, as a package of this version.
fn as_version(text: &str, version: &str) -> String {
    let (before, after) =
        text.split_once("package waxwing:mail@0.1.0;").expect("the package's name and version");
    format!("{before}package waxwing:mail@{version};{after}")
}

/// Whether a component for any world of the one is a component for that world of the other.
fn is_compatible(old: &str, new: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let mut push = |text: &str, version: &str| {
        let pushed = resolve.push_str(format!("{version}.wit"), &as_version(text, version));
        pushed.map_err(|error| format!("{error:#}"))
    };
    let (old, new) = (push(old, "0.0.1")?, push(new, "0.0.2")?);
    let worlds: Vec<String> = resolve.packages[old].worlds.keys().cloned().collect();
    assert!(worlds.len() > 10, "{worlds:?}");
    for world in worlds {
        let select =
            |package| resolve.select_world(&[package], Some(&world)).map_err(|error| format!("{error:#}"));
        let (before, after) = (select(old)?, select(new)?);
        // A hook that a world has lost would never be asked again.
        let exports = |world| resolve.worlds[world].exports.len();
        if exports(before) != exports(after) {
            return Err(format!("the world {world} does not export what it did"));
        }
        semver_check(resolve.clone(), before, after).map_err(|error| format!("{world}: {error:#}"))?;
    }
    Ok(())
}

#[test]
fn a_released_file_is_never_changed() {
    for (state, expected) in RELEASED {
        let hash =
            Sha256::digest(released(state)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hash, expected, "wit/released/{state}.wit was changed; what was released stays as it is");
    }
}

#[test]
fn the_interface_of_today_takes_every_plugin_that_was_built_for_a_released_one() {
    let today = std::fs::read_to_string(wit("since-0.1/mail.wit")).unwrap();
    for (state, _) in RELEASED {
        if let Err(error) = is_compatible(&released(state), &today) {
            panic!("plugins that were built for {state} do not fit wit/since-0.1 any more: {error}");
        }
    }
}

#[test]
fn a_change_that_breaks_plugins_is_noticed() {
    let today = std::fs::read_to_string(wit("since-0.1/mail.wit")).unwrap();
    for (from, to) in [
        ("variant error { denied,", "variant error { refused, denied,"),
        ("    proceed,               // no opinion", "    proceed, wait,            // no opinion"),
        ("record param { keyword: string,", "record param { flag: bool, keyword: string,"),
        ("  helo: func() -> option<string>;", ""),
        ("connect: func() -> verdict;", "connect: func(again: bool) -> verdict;"),
        (
            "interface lifecycle { init: func() -> result<_, string>; }",
            "interface lifecycle { init: func(); }",
        ),
        (
            "remove-recipient: func(id: u32) -> result<_, error>;",
            "remove-recipient: func(id: u64) -> result<_, error>;",
        ),
        (
            "world hook-ehlo    { include imports; export on-ehlo; }",
            "world hook-ehlo    { include imports; }",
        ),
    ] {
        let broken = today.replacen(from, to, 1);
        assert_ne!(broken, today, "{from}");
        assert!(is_compatible(&released("0.1-1"), &broken).is_err(), "nobody noticed: {to}");
    }
    let grown =
        today.replacen("interface session {", "interface session {\n  added: func(x: u32) -> string;", 1);
    assert_eq!(is_compatible(&released("0.1-1"), &grown), Ok(()));
}

async fn bed(state: &str) -> Bed {
    let component = std::fs::read(wit(&format!("released/{state}.wasm"))).unwrap();
    Bed::with(&[("released", &component)]).await
}

#[tokio::test]
async fn a_plugin_that_was_built_for_a_released_interface_hears_and_says_what_it_did() {
    for (state, _) in RELEASED {
        let bed = bed(state).await;
        assert_eq!(bed.plugin("released").unwrap().hooks.len(), 11, "{state}");
        let mut session = bed.session();
        assert_eq!(session.ask(Request::Connect).await.verdict, Verdict::Proceed);
        assert_eq!(session.ask(Request::Ehlo { name: "good" }).await.verdict, Verdict::Accept);
        let bad = session.ask(Request::Ehlo { name: "bad" }).await.verdict;
        assert_eq!(bad, Verdict::Reject(Reply::new(550, (5, 7, 1), "bad name")));
        let auth = session.ask(Request::Auth { mechanism: "PLAIN", user: "ann" }).await.verdict;
        assert_eq!(auth, Verdict::TempFail(Reply::new(450, (4, 7, 1), "PLAIN ann")));
        let params = [Param { keyword: "SIZE".to_owned(), value: Some("1".to_owned()) }];
        let null = session.ask(Request::Mail { sender: &ReversePath::Null, params: &[] }).await.verdict;
        assert_eq!(null, Verdict::Disconnect(Reply::new(421, (4, 7, 1), "nobody")));
        let sender = ReversePath::Mailbox(mailbox("ann@example.org"));
        let mail = session.ask(Request::Mail { sender: &sender, params: &params }).await.verdict;
        assert_eq!(mail, Verdict::Quarantine("ann 1".to_owned()));
        let recipient = mailbox("bob@example.net");
        let rcpt = session.ask(Request::Rcpt { recipient: &recipient, params: &params }).await.verdict;
        assert_eq!(rcpt, Verdict::Discard("bob@example.net 1".to_owned()));
        assert_eq!(session.ask(Request::Data).await.verdict, Verdict::Proceed);
        session.ask(Request::Disconnect).await;
        assert!(counted(&bed, "disconnected", 1), "{state}");
    }
}

#[tokio::test]
async fn every_function_that_a_released_plugin_imports_does_what_it_did() {
    for (state, _) in RELEASED {
        let bed = bed(state).await;
        let mut session = bed.session();
        session.ask(Request::Connect).await;
        let answer = session.message("X-Gone: 1\r\nSubject: x\r\n\r\nbody\r\n").await;
        assert_eq!(answer.verdict, Verdict::Proceed);
        assert_eq!(
            answer.envelope.as_ref().unwrap().sender,
            ReversePath::Mailbox(mailbox("released@example.org"))
        );
        let message = text(&answer);
        let facts = r#"connect false mx 192.0.2.1:4711 Some("client.example.net") Some("client") false None"#;
        let services = r#"true 3 true (None, "{}")"#;
        let edited = r#"message false 0 Some("released") true 2 1 1 Some(2) 6 32 6 0"#;
        let found = format!("X-Found: {facts} {services};{edited};");
        let head = "X-Added: yes\r\nSubject: changed\r\n";
        assert!(message.starts_with(&format!("{head}{found}")), "{state}: {message}");
        assert!(message.ends_with("\r\n\r\nbody\r\nmore\r\n"), "{state}: {message}");
        if state == "0.1-1" {
            continue;
        }
        let second = r#"true None false ESMTP mx.example.org 192.0.2.25:25 None [];"#;
        assert!(message.contains(second), "{state}: {message}");
        let third = "Err(Error::Denied) Err(Error::Denied);";
        assert_eq!(message.contains(third), state != "0.1-2", "{state}: {message}");
        let envelope = answer.envelope.unwrap();
        assert_eq!(envelope.recipients[0].address, mailbox("bobby@example.net"));
        assert_eq!(answer.recipients[&0].verdict, RecipientVerdict::Hold("held".to_owned()));
        let refused = RecipientVerdict::Refuse(Reply::new(550, (5, 7, 1), "no"));
        assert!(answer.recipients.values().any(|one| one.verdict == refused));
    }
}

#[tokio::test]
async fn a_released_plugin_is_asked_about_deliveries() {
    for (state, _) in RELEASED {
        let bed = bed(state).await;
        assert!(bed.host.delivery_stages().contains(Stage::Route));
        let (message, recipient) = (Arc::clone(&transaction("")), mailbox("bob@example.net"));
        let choices = bed.host.route(&message, &[RouteRequest { recipient: &recipient, attempt: 3 }]).await;
        assert_eq!(choices[0].as_ref().unwrap().way, Way::Hold("bob 3".to_owned()), "{state}");
        let report = OutcomeReport {
            recipient,
            kind: OutcomeKind::Delivered,
            host: None,
            reply: "250 ok".to_owned(),
            attempt: 3,
        };
        bed.host.outcome(&message, &[report]).await;
        assert!(counted(&bed, "outcomes", 1), "{state}");
    }
}

fn counted(bed: &Bed, name: &str, count: u64) -> bool {
    bed.host
        .metrics()
        .iter()
        .any(|series| series.name == name && series.value == SeriesValue::Count { total: count })
}
