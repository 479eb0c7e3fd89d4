//! Plugins that the configuration names and that do not run: mail does not pass as if nothing were amiss.

use hooks::{DeliveryHooks, Request, RouteRequest, Stage, Verdict, Way};
use model::ReversePath;
use plugin_host::{LoadError, OnFailure, Options, PluginHost, PluginOptions, Services};

use crate::guest::{ACCEPT, PROCEED, fixed};
use crate::stage::{Bed, mailbox, tempfail, transaction};

const NULL: ReversePath = ReversePath::Null;
const MAIL: Request<'_> = Request::Mail { sender: &NULL, params: &[] };

fn named(options: PluginOptions) -> Bed {
    let change = |all: &mut Options| {
        all.limits.instances = 4;
        all.plugins.insert("x".to_owned(), options);
        all.history_dir = all.dir.with_file_name("history");
    };
    Bed::open(change, Services::default())
}

#[tokio::test]
async fn a_plugin_that_is_named_and_not_there_puts_mail_off_until_it_is() {
    let bed = named(PluginOptions::default());
    let reports = bed.load().await;
    assert!(
        matches!(&reports[0].outcome, Err(LoadError::Missing { name, .. }) if name == "x"),
        "{reports:?}"
    );
    let mut before = bed.session();
    assert!(before.hooks.stages().contains(Stage::Mail));
    assert_eq!(
        before.ask(Request::Connect).await.verdict,
        Verdict::Proceed,
        "the session is there to be told"
    );
    let answer = before.ask(MAIL).await;
    assert_eq!((answer.verdict, answer.by.as_deref()), (tempfail(), Some("x")));
    assert!(bed.host.status().missing[0].reason.contains("there is no x.wasm"), "{:?}", bed.host.status());
    bed.put("x", &fixed(&[("data", ACCEPT)]));
    bed.load().await;
    assert_eq!(bed.session().ask(MAIL).await.verdict, Verdict::Proceed);
    assert_eq!(bed.host.status().missing, []);
}

#[tokio::test]
async fn one_that_is_refused_at_the_start_puts_mail_off_with_its_reason() {
    let bed = named(PluginOptions::default());
    bed.put("x", b"rubbish");
    bed.load().await;
    assert_eq!(bed.session().ask(MAIL).await.verdict, tempfail());
    assert_eq!(bed.host.status().missing[0].reason, "is no WebAssembly file");
}

#[tokio::test]
async fn nobody_who_is_not_required_is_missed() {
    let bed = named(PluginOptions { required: false, ..PluginOptions::default() });
    assert_eq!(bed.load().await, []);
    assert_eq!(bed.session().ask(MAIL).await.verdict, Verdict::Proceed);
    let bed = named(PluginOptions { enabled: false, ..PluginOptions::default() });
    assert_eq!(bed.load().await, []);
    assert_eq!(bed.session().ask(MAIL).await.verdict, Verdict::Proceed);
    // A file that nobody names is nobody's promise.
    let bed = Bed::with(&[]).await;
    bed.put("y", b"rubbish");
    bed.load().await;
    assert_eq!(bed.session().ask(MAIL).await.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn the_failure_policy_says_what_is_answered_meanwhile() {
    for (on_failure, verdict) in [
        (OnFailure::Proceed, Verdict::Proceed),
        (OnFailure::Quarantine, Verdict::Quarantine("the mail filter x failed".to_owned())),
    ] {
        let bed = named(PluginOptions { on_failure, ..PluginOptions::default() });
        bed.load().await;
        assert_eq!(bed.session().ask(MAIL).await.verdict, verdict);
        assert_eq!(bed.host.status().missing.len(), 1, "it is said all the same");
    }
}

#[tokio::test]
async fn what_picked_next_hops_before_is_answered_for_there_too() {
    let bed = named(PluginOptions::default());
    bed.put("x", &fixed(&[("data", PROCEED), ("route", "(i32.const 0)"), ("disconnect", "")]));
    bed.load().await;
    std::fs::remove_file(bed.file("x")).unwrap();
    bed.load().await;
    let mut session = bed.session();
    assert_eq!(session.ask(MAIL).await.verdict, tempfail());
    assert_eq!(session.ask(Request::Disconnect).await.verdict, Verdict::Proceed);
    let (facts, recipient) = (transaction("A: b\r\n\r\n"), mailbox("bob@example.net"));
    let choice = bed.host.route(&facts, &[RouteRequest { recipient: &recipient, attempt: 1 }]).await;
    assert!(matches!(&choice[0], Some(choice) if matches!(choice.way, Way::Defer(_))), "{choice:?}");
}

#[tokio::test]
async fn a_bad_file_at_a_start_leaves_what_ran_last_running() {
    let bed = named(PluginOptions::default());
    bed.put("x", &fixed(&[("data", ACCEPT)]));
    bed.load().await;
    bed.put("x", b"rubbish");
    let again = PluginHost::open(bed.options.clone(), Services::default()).unwrap();
    assert_eq!(again.load_all().await[0].outcome, Err(LoadError::NotWasm));
    let status = again.status();
    assert_eq!((status.refused.len(), status.missing.len(), status.plugins[0].generation), (1, 0, 2));
    let answer = crate::stage::Session::of(&again).ask(Request::Data).await;
    assert_eq!(answer.verdict, Verdict::Accept);
}
