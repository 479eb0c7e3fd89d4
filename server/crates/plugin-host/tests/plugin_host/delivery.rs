//! Plugins that are asked for a way, and told of outcomes: what they choose, what they hear, and who answers when they fail.

use std::sync::Arc;
use std::time::Duration;

use hooks::{
    DeliveryHooks, OutcomeKind, OutcomeReport, RouteChoice, RouteRequest, Stage, TransactionFacts, Way,
};
use model::{Envelope, Mailbox, QueueId, ReversePath};
use plugin_host::{OnFailure, Options, PluginHost, PluginOptions, Services};

use crate::guest::{Guest, PROCEED, fixed};
use crate::stage::Bed;

/// At 4096 the choice of "mx.example:25" from 127.0.0.9, at 4160 that of another text; at 4224 to hold as "look"; at 4288 to wait an hour.
const CHOICES: &str = r#"
  (data (i32.const 4000) "mx.example:25127.0.0.9a blook")
  (data (i32.const 4096) "\01\00\00\00\01\00\00\00\a0\0f\00\00\0d\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\ad\0f\00\00\09\00\00\00")
  (data (i32.const 4160) "\01\00\00\00\01\00\00\00\b6\0f\00\00\03\00\00\00")
  (data (i32.const 4224) "\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\b9\0f\00\00\04\00\00\00")
  (data (i32.const 4288) "\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\10\0e\00\00")
"#;
const NOTHING: &str = "(i32.const 8192)";

fn chooses(code: &str) -> Vec<u8> {
    Guest::new().with(CHOICES).hook("route", code).build()
}

fn message() -> Arc<TransactionFacts> {
    let sender = ReversePath::Mailbox(Mailbox::parse("sender@from.example").unwrap());
    Arc::new(TransactionFacts {
        id: QueueId(1),
        envelope: Envelope::new(sender, Vec::new()),
        content: None,
        findings: Vec::new(),
    })
}

/// What is chosen for a recipient at these attempts.
async fn ways(host: &PluginHost, attempts: &[u32]) -> Vec<Option<RouteChoice>> {
    let recipient = Mailbox::parse("a@to.example").unwrap();
    let request = |attempt: &u32| RouteRequest { recipient: &recipient, attempt: *attempt };
    let requests: Vec<_> = attempts.iter().map(request).collect();
    host.route(&message(), &requests).await
}

fn chosen(by: &str, way: Way) -> Option<RouteChoice> {
    Some(RouteChoice { by: by.into(), way })
}

#[tokio::test]
async fn the_first_plugin_with_an_opinion_decides() {
    let second_attempt = "(if (result i32) (i32.eq (local.get 4) (i32.const 2))
        (then (i32.const 4224)) (else (i32.const 8192)))";
    let bed = Bed::with(&[
        ("a", &chooses(second_attempt)),
        ("b", &chooses("(i32.const 4096)")),
        ("c", &chooses("(unreachable)")),
        ("d", &fixed(&[("connect", PROCEED)])),
    ])
    .await;
    assert!(bed.host.delivery_stages().contains(Stage::Route));
    let source = Some("127.0.0.9".parse().unwrap());
    let taken = chosen("b", Way::Take { next_hop: Some("mx.example:25".to_owned()), source });
    let held = chosen("a", Way::Hold("look".to_owned()));
    assert_eq!(ways(&bed.host, &[1, 2, 3]).await, [taken.clone(), held, taken]);
    assert_eq!((bed.plugin("a").unwrap().calls, bed.plugin("b").unwrap().calls), (3, 2));
    assert_eq!(bed.plugin("c").unwrap().calls, 0);
    assert_eq!(bed.host.status().instances, 0, "an instance lasts as long as its message's question");
}

#[tokio::test]
async fn a_plugin_may_want_mail_to_wait_or_have_no_opinion() {
    let bed = Bed::with(&[("wait", &chooses("(i32.const 4288)"))]).await;
    let hour = Way::Delay(Duration::from_secs(3600));
    assert_eq!(ways(&bed.host, &[1]).await, [chosen("wait", hour)]);
    let bed = Bed::with(&[("none", &chooses(NOTHING))]).await;
    assert_eq!(ways(&bed.host, &[1]).await, [None]);
}

#[tokio::test]
async fn who_hooks_no_route_is_not_asked_for_one() {
    let bed = Bed::with(&[("other", &fixed(&[("connect", PROCEED)]))]).await;
    assert!(!bed.host.delivery_stages().contains(Stage::Route));
    assert_eq!(ways(&bed.host, &[1, 2]).await, [None, None]);
    assert_eq!(bed.plugin("other").unwrap().calls, 0);
}

#[tokio::test]
async fn a_failure_is_answered_for_by_the_policy() {
    for (on_failure, expected) in [
        (OnFailure::Proceed, None),
        (OnFailure::Quarantine, Some("Hold(\"the mail filter bad failed\")")),
        (OnFailure::Tempfail, Some("Defer(")),
    ] {
        let spin = "(loop $again (br $again)) (unreachable)";
        for (code, says) in [
            ("(unreachable)", "unreachable"),
            ("(i32.const 4160)", "\"a b\" is no domain"),
            (spin, "out of CPU time"),
        ] {
            let change = |options: &mut Options| {
                let plugin = PluginOptions { on_failure, ..PluginOptions::default() };
                options.plugins.insert("bad".to_owned(), plugin);
            };
            let bed = Bed::open(change, Services::default());
            bed.put("bad", &chooses(code));
            bed.load().await;
            let [choice] = ways(&bed.host, &[1]).await.try_into().unwrap();
            match expected {
                None => assert_eq!(choice, None),
                Some(way) => assert!(format!("{:?}", choice.unwrap().way).starts_with(way)),
            }
            let status = bed.plugin("bad").unwrap();
            assert_eq!(status.failures, 1);
            assert!(status.last_error.as_ref().unwrap().contains(says), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_keeps_failing_is_not_asked_for_a_while() {
    let bed = Bed::with(&[("bad", &chooses("(unreachable)"))]).await;
    ways(&bed.host, &[1; 50]).await;
    let status = bed.plugin("bad").unwrap();
    assert_eq!(status.breaker, "open");
    assert!(status.not_asked > 0 && status.failures < 50, "{status:?}");
}

fn report(kind: OutcomeKind, host: Option<&str>, attempt: u32) -> OutcomeReport {
    let recipient = Mailbox::parse("a@to.example").unwrap();
    OutcomeReport { recipient, kind, host: host.map(str::to_owned), reply: "250 ok".to_owned(), attempt }
}

#[tokio::test]
async fn a_plugin_hears_how_attempts_ended_and_a_failure_costs_nothing() {
    // It traps unless the attempt has the number of the kind, and a host stands there for all but the last.
    let checks = "(if (i32.ne (local.get 12) (i32.add (local.get 6) (i32.const 1))) (then (unreachable)))
        (if (i32.ne (local.get 7) (i32.lt_u (local.get 6) (i32.const 3))) (then (unreachable)))";
    let bed = Bed::with(&[
        ("bad", &Guest::new().hook("outcome", "(unreachable)").build()),
        ("good", &Guest::new().hook("outcome", checks).build()),
        ("other", &fixed(&[("connect", PROCEED)])),
    ])
    .await;
    assert!(bed.host.delivery_stages().contains(Stage::Outcome));
    let reports = [
        report(OutcomeKind::Delivered, Some("mx.example"), 1),
        report(OutcomeKind::Deferred, Some("mx.example"), 2),
        report(OutcomeKind::Bounced, Some("mx.example"), 3),
        report(OutcomeKind::Expired, None, 4),
    ];
    bed.host.outcome(&message(), &reports).await;
    let [good, bad, other] = ["good", "bad", "other"].map(|name| bed.plugin(name).unwrap());
    assert_eq!((good.calls, good.failures), (4, 0), "{good:?}");
    assert_eq!((bad.calls, bad.failures), (4, 4), "{bad:?}");
    assert_eq!(other.calls, 0);
    assert_eq!(bed.host.status().instances, 0);
}
