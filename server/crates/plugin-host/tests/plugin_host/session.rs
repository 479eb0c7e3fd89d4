//! Who is asked, in which order, and what a session's instance remembers.

use hooks::{Request, Stage, Verdict};
use model::{Reply, ReversePath};

use crate::guest::{ACCEPT, DISCARD, Guest, PROCEED, QUARANTINE, REJECT, fixed};
use crate::stage::{Bed, mailbox, transaction};

#[tokio::test]
async fn a_verdict_comes_back_with_its_plugins_name() {
    let bed = Bed::with(&[("no", &fixed(&[("connect", REJECT)]))]).await;
    let mut session = bed.session();
    assert!(session.hooks.stages().contains(Stage::Connect));
    assert!(!session.hooks.stages().contains(Stage::Rcpt));
    let answer = session.ask(Request::Connect).await;
    assert_eq!(answer.verdict, Verdict::Reject(Reply::new(550, (5, 7, 1), "no thanks")));
    assert_eq!(answer.by.as_deref(), Some("no"));
}

#[tokio::test]
async fn every_hook_is_asked_with_its_arguments() {
    // Each proceeds only when the length of its first text is what the test hands in.
    let first_is = |len: u32, local: u32| {
        format!(
            "(if (result i32) (i32.eq (local.get {local}) (i32.const {len})) (then (i32.const 32)) (else (unreachable)))"
        )
    };
    let guest = Guest::new()
        .hook("connect", ACCEPT)
        .hook("ehlo", &first_is(6, 1))
        .hook("auth", &first_is(5, 1))
        .hook("mail", &first_is(3, 2))
        .hook("rcpt", &first_is(5, 1))
        .hook("data", ACCEPT)
        .hook("message", ACCEPT)
        .hook("disconnect", "");
    let bed = Bed::with(&[("all", &guest.build())]).await;
    let mut session = bed.session();
    let sender = ReversePath::Mailbox(mailbox("ann@example.org"));
    let (recipient, facts) = (mailbox("bobby@example.net"), transaction("A: b\r\n\r\n"));
    let requests = [
        Request::Connect,
        Request::Ehlo { name: "client" },
        Request::Auth { mechanism: "PLAIN", user: "ann" },
        Request::Mail { sender: &sender, params: &[] },
        Request::Rcpt { recipient: &recipient, params: &[] },
        Request::Data,
        Request::Message,
    ];
    for request in requests {
        let answer = session.hooks.ask(request, &session.facts, Some(&facts)).await;
        assert_eq!(answer.verdict, Verdict::Accept, "{request:?}: {:?}", bed.plugin("all"));
    }
    assert_eq!(session.ask(Request::Disconnect).await.verdict, Verdict::Proceed);
    let status = bed.plugin("all").unwrap();
    assert_eq!((status.calls, status.failures, status.verdicts["accept"]), (8, 0, 7));
    assert_eq!(status.hooks, ["connect", "ehlo", "auth", "mail", "rcpt", "data", "message", "disconnect"]);
}

#[tokio::test]
async fn a_stage_that_nobody_hooks_makes_no_instance() {
    let bed = Bed::with(&[("no", &fixed(&[("connect", REJECT)]))]).await;
    let mut session = bed.session();
    let answer = session.ask(Request::Data).await;
    assert_eq!((answer.verdict, answer.by), (Verdict::Proceed, None));
    assert_eq!(bed.host.status().instances, 0);
    session.ask(Request::Connect).await;
    assert_eq!(bed.host.status().instances, 1);
    drop(session);
    assert_eq!(bed.host.status().instances, 0);
}

#[tokio::test]
async fn the_first_that_does_not_proceed_ends_the_stage() {
    let plugins = [
        ("a", fixed(&[("data", PROCEED), ("connect", PROCEED)])),
        ("b", fixed(&[("data", DISCARD), ("connect", PROCEED)])),
        ("c", fixed(&[("data", QUARANTINE), ("connect", PROCEED)])),
    ];
    let bed = Bed::open(|options| options.order = vec!["c".to_owned()], Default::default());
    for (name, component) in &plugins {
        bed.put(name, component);
    }
    bed.load().await;
    let mut session = bed.session();
    let answer = session.ask(Request::Data).await;
    assert_eq!((answer.verdict, answer.by.as_deref()), (Verdict::Quarantine("junk".to_owned()), Some("c")));
    assert_eq!(session.ask(Request::Connect).await.by, None);
    let order: Vec<_> =
        bed.host.status().plugins.into_iter().map(|plugin| (plugin.name, plugin.calls)).collect();
    assert_eq!(order, [("c".to_owned(), 2), ("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

/// Rejects when it is asked for the second time.
fn remembers() -> Vec<u8> {
    let code = "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
         (if (result i32) (i32.eq (global.get $asked) (i32.const 2)) (then (i32.const 64)) (else (i32.const 0)))";
    Guest::new().with("(global $asked (mut i32) (i32.const 0))").hook("data", code).build()
}

#[tokio::test]
async fn a_session_has_an_instance_of_its_own() {
    let bed = Bed::with(&[("memory", &remembers())]).await;
    let (mut one, mut other) = (bed.session(), bed.session());
    assert_eq!(one.ask(Request::Data).await.verdict.name(), "proceed");
    assert_eq!(other.ask(Request::Data).await.verdict.name(), "proceed");
    assert_eq!(one.ask(Request::Data).await.verdict.name(), "reject");
}

#[tokio::test]
async fn many_sessions_at_once_each_get_their_answers() {
    let bed = Bed::with(&[("memory", &remembers()), ("no", &fixed(&[("message", REJECT)]))]).await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut session = bed.session();
        sessions.spawn(async move {
            let first = session.ask(Request::Data).await.verdict.name();
            tokio::task::yield_now().await;
            (first, session.ask(Request::Data).await.verdict.name())
        });
    }
    // Four times as many as there may be instances: the others wait.
    while let Some(answers) = sessions.join_next().await {
        assert_eq!(answers.unwrap(), ("proceed", "reject"));
    }
    assert_eq!(bed.host.status().instances, 0);
}
