//! Guests that compute for ever, trap, recurse, eat memory or wait too long: each costs its own hook and
//! nothing else.

use std::sync::Arc;
use std::time::Duration;

use dns::{BoxFuture, DnsError, Mx, Resolver};
use hooks::{Request, Verdict};
use plugin_host::{Grants, OnFailure, Options, PluginOptions, Services};

use crate::guest::{Guest, PROCEED, fixed};
use crate::stage::{Bed, tempfail};

const SPIN: &str = "(loop $again (br $again)) (unreachable)";

/// What a plugin that fails in this way answers, and what its status says.
async fn failure(guest: &[u8]) -> String {
    let bed = Bed::with(&[("bad", guest)]).await;
    let mut session = bed.session();
    let answer = session.ask(Request::Connect).await;
    assert_eq!(answer.verdict, tempfail());
    assert_eq!(answer.by.as_deref(), Some("bad"));
    let status = bed.plugin("bad").unwrap();
    assert_eq!((status.calls, status.failures), (1, 1));
    assert_eq!(bed.host.status().instances, 0, "a store that trapped is dropped");
    status.last_error.unwrap()
}

#[tokio::test]
async fn each_failure_has_its_reason() {
    assert!(failure(&fixed(&[("connect", SPIN)])).await.starts_with("out of CPU time"));
    assert!(failure(&fixed(&[("connect", "(unreachable)")])).await.contains("unreachable"));
    let recursion = Guest::new().with("(func $f (call $f))").hook("connect", "(call $f) (i32.const 0)");
    assert!(failure(&recursion.build()).await.contains("call stack exhausted"));
    let bomb =
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    assert!(
        failure(&fixed(&[("connect", bomb)])).await.starts_with("out of memory, more than 67108864 octets")
    );
    let outside = fixed(&[("connect", "(i32.const 65535)")]);
    assert!(failure(&outside).await.starts_with("trap: "));
}

#[tokio::test]
async fn memory_is_summed_over_memories_and_tables() {
    // 600 pages and a table of 900,000 elements are 46 MB; neither is too much by itself.
    let (pages, elements) = (600, 900_000);
    let grown = |pages: u32, elements: u32| {
        let code = format!(
            "(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))
             (if (i32.eq (table.grow $more (ref.null func) (i32.const {elements})) (i32.const -1)) (then (unreachable)))
             (i32.const 32)"
        );
        Guest::new().with("(table $more 0 funcref)").hook("connect", &code).build()
    };
    let answer = async |guest: Vec<u8>| {
        let bed = Bed::open(
            |options| {
                options.limits.memory_octets = 42 << 20;
                options.limits.table_elements = 1_000_000;
                options.limits.instances = 4;
            },
            Services::default(),
        );
        bed.put("grows", &guest);
        bed.load().await;
        let verdict = bed.session().ask(Request::Connect).await.verdict;
        (verdict.name(), bed.plugin("grows").unwrap().last_error.unwrap_or_default())
    };
    assert_eq!(answer(grown(pages, 0)).await.0, "accept");
    assert_eq!(answer(grown(0, elements)).await.0, "accept");
    let (verdict, reason) = answer(grown(pages, elements)).await;
    assert_eq!(verdict, "tempfail");
    assert!(reason.starts_with("out of memory, more than 44040192 octets"), "{reason}");
}

#[tokio::test]
async fn growth_that_the_memory_itself_forbids_is_not_accounted_for() {
    let code = "(local $nth i32)
        (loop $again
          (drop (memory.grow $own (i32.const 100)))
          (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $nth) (i32.const 50))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
        (i32.const 32)";
    let guest = Guest::new().with("(memory $own 1 2)").hook("connect", code).build();
    let bed = Bed::with(&[("grows", &guest)]).await;
    let answer = bed.session().ask(Request::Connect).await;
    assert_eq!(answer.verdict, Verdict::Accept, "{:?}", bed.plugin("grows"));
}

#[tokio::test]
async fn a_guest_that_spins_does_not_hold_up_the_others() {
    let change = |options: &mut Options| options.limits.cpu_per_hook = Duration::from_secs(1);
    let bed = Bed::open(change, Services::default());
    bed.put("spin", &fixed(&[("connect", SPIN)]));
    bed.put("fine", &fixed(&[("data", PROCEED)]));
    bed.load().await;
    let mut spinning = bed.session();
    let spinning = tokio::spawn(async move { spinning.ask(Request::Connect).await.verdict });
    let mut answers = 0;
    // One thread drives both: the fine sessions get their turn between the slices of the spinning one.
    while !spinning.is_finished() {
        assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Proceed);
        answers += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(spinning.await.unwrap(), tempfail());
    assert!(answers > 20, "{answers}");
}

#[tokio::test]
async fn the_failure_policy_answers() {
    for (on_failure, verdict) in [
        (OnFailure::Tempfail, tempfail()),
        (OnFailure::Proceed, Verdict::Proceed),
        (OnFailure::Quarantine, Verdict::Quarantine("the mail filter bad failed".to_owned())),
    ] {
        let change = |options: &mut Options| {
            let plugin = PluginOptions { on_failure, ..PluginOptions::default() };
            options.plugins.insert("bad".to_owned(), plugin);
        };
        let bed = Bed::open(change, Services::default());
        bed.put("bad", &fixed(&[("connect", "(unreachable)")]));
        bed.load().await;
        assert_eq!(bed.session().ask(Request::Connect).await.verdict, verdict);
    }
}

#[tokio::test]
async fn the_next_hook_of_the_session_gets_a_fresh_instance() {
    let bed = Bed::with(&[("bad", &fixed(&[("connect", "(unreachable)"), ("data", PROCEED)]))]).await;
    let mut session = bed.session();
    assert_eq!(session.ask(Request::Connect).await.verdict, tempfail());
    assert_eq!(session.ask(Request::Data).await.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn a_failure_at_disconnect_is_only_logged() {
    let bed = Bed::with(&[("bad", &fixed(&[("disconnect", "(unreachable)")]))]).await;
    let answer = bed.session().ask(Request::Disconnect).await;
    assert_eq!((answer.verdict, answer.by), (Verdict::Proceed, None));
    assert_eq!(bed.plugin("bad").unwrap().failures, 1);
}

#[tokio::test]
async fn five_failures_open_the_breaker() {
    let bed = Bed::with(&[("bad", &fixed(&[("connect", "(unreachable)")]))]).await;
    for _ in 0..8 {
        assert_eq!(bed.session().ask(Request::Connect).await.verdict, tempfail());
    }
    let status = bed.plugin("bad").unwrap();
    assert_eq!((status.calls, status.not_asked, status.breaker), (5, 3, "open"));
}

/// A resolver that never answers.
#[derive(Debug)]
struct Silent;

impl Resolver for Silent {
    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(std::future::pending())
    }
    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<std::net::IpAddr>, DnsError>> {
        Box::pin(std::future::pending())
    }
    fn txt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(std::future::pending())
    }
    fn ptr(&self, _: std::net::IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(std::future::pending())
    }
}

fn waits() -> Vec<u8> {
    Guest::new()
        .import("dns", "txt", "(param i32 i32 i32)")
        .hook("connect", "(call $txt (i32.const 0) (i32.const 0) (i32.const 2048)) (i32.const 0)")
        .build()
}

fn silent(wall: Duration, instances: u32) -> Bed {
    let change = |options: &mut Options| {
        let grants = Grants { dns: true, ..Grants::default() };
        options.plugins.insert("waits".to_owned(), PluginOptions { grants, ..PluginOptions::default() });
        options.limits.wall_per_hook = wall;
        options.limits.instances = instances;
    };
    Bed::open(change, Services { dns: Some(Arc::new(Silent)), ..Services::default() })
}

#[tokio::test]
async fn waiting_is_bounded_and_costs_no_cpu_time() {
    let bed = silent(Duration::from_millis(300), 10);
    bed.put("waits", &waits());
    bed.load().await;
    assert_eq!(bed.session().ask(Request::Connect).await.verdict, tempfail());
    let reason = bed.plugin("waits").unwrap().last_error.unwrap();
    assert!(reason.starts_with("out of time, more than 300ms"), "{reason}");
    assert_eq!(bed.host.status().instances, 0);
}

#[tokio::test]
async fn a_full_pool_holds_sessions_back_and_skips_no_hook() {
    let bed = silent(Duration::from_millis(300), 1);
    let mut options = bed.options.clone();
    let proceeds = PluginOptions { on_failure: OnFailure::Proceed, ..PluginOptions::default() };
    options.plugins.insert("fine".to_owned(), proceeds);
    bed.host.replace_options(options).await;
    bed.put("fine", &fixed(&[("connect", PROCEED)]));
    bed.load().await;
    let mut first = bed.session();
    assert_eq!(first.ask(Request::Connect).await.verdict, Verdict::Proceed);
    let mut second = bed.session();
    // Whatever the failure policy: a plugin that there is no place for has not failed, and must not be left out.
    let Verdict::TempFail(reply) = second.ask(Request::Connect).await.verdict else { panic!("no reply") };
    assert_eq!((reply.code, reply.status.map(|status| status.detail)), (451, Some(2)), "{reply}");
    assert!(bed.plugin("fine").unwrap().last_error.unwrap().starts_with("no free instance"));
    let waiting = tokio::spawn(async move { second.ask(Request::Connect).await.verdict });
    tokio::task::yield_now().await;
    drop(first);
    assert_eq!(waiting.await.unwrap(), Verdict::Proceed);
}

#[tokio::test]
async fn a_question_that_was_dropped_is_not_asked_again_in_that_session() {
    let bed = silent(Duration::from_secs(60), 10);
    bed.put("waits", &waits());
    bed.load().await;
    let mut session = bed.session();
    let asking = tokio::time::timeout(Duration::from_millis(50), session.ask(Request::Connect));
    assert!(asking.await.is_err());
    assert_eq!(bed.host.status().instances, 0);
    assert_eq!(session.ask(Request::Connect).await.verdict, tempfail());
    assert_eq!(bed.plugin("waits").unwrap().breaker, "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_two_answers_every_hook_of_twenty_sessions() {
    let change = |options: &mut Options| options.limits.instances = 2;
    let bed = Bed::open(change, Services::default());
    bed.put("a", &fixed(&[("connect", PROCEED), ("data", PROCEED)]));
    bed.put("b", &fixed(&[("data", "(i32.const 64)")]));
    bed.load().await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let host = bed.host.clone();
        sessions.spawn(async move {
            // Each needs two instances: two sessions that had one each would wait for each other.
            let mut session = crate::stage::Session::of(&host);
            session.ask(Request::Data).await.verdict
        });
    }
    while let Some(verdict) = sessions.join_next().await {
        assert_eq!(verdict.unwrap().name(), "reject");
    }
    assert_eq!((bed.plugin("a").unwrap().calls, bed.plugin("b").unwrap().calls), (20, 20));
    assert_eq!(bed.plugin("a").unwrap().failures + bed.plugin("b").unwrap().failures, 0);
}

#[test]
fn guests_that_hold_every_thread_of_the_runtime_are_stopped_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bed = Bed::with(&[("spin", &fixed(&[("connect", SPIN)]))]).await;
        // The one thread blocks in here: no timer of the runtime can fire, no other task is polled.
        let mut session = bed.session();
        let mut asking = session.hooks.ask(Request::Connect, &session.facts, None);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let verdict = loop {
            if let std::task::Poll::Ready(answer) = asking.as_mut().poll(&mut context) {
                break answer.verdict;
            }
        };
        assert_eq!(verdict, tempfail());
        drop(asking);
        assert!(bed.plugin("spin").unwrap().last_error.unwrap().starts_with("out of CPU time"));
    });
}
