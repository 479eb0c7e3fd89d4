//! How long a guest's variables live: for a session, for a transaction, or for so many sessions.

use std::num::NonZeroU32;

use hooks::{Request, Verdict};
use model::{QueueId, ReversePath};
use plugin_host::{Isolation, Options, PluginOptions, Services};

use crate::guest::{Guest, fixed};
use crate::stage::{Bed, Session, tempfail, transaction};

/// Counts the hooks that it was asked and takes the memory of the first nth of them: proceeds, then accepts, then rejects, and
/// from the fourth time on traps.
fn counts() -> Guest {
    let code = "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
        (if (i32.gt_u (global.get $asked) (i32.const 3)) (then (unreachable)))
        (i32.mul (i32.sub (global.get $asked) (i32.const 1)) (i32.const 32))";
    let guest = Guest::new().with("(global $asked (mut i32) (i32.const 0))");
    ["connect", "mail", "data", "message"].into_iter().fold(guest, |guest, hook| guest.hook(hook, code))
}

async fn bed(isolation: Isolation, guest: &[u8], change: impl FnOnce(&mut Options)) -> Bed {
    let named = |options: &mut Options| {
        options.plugins.insert("it".to_owned(), PluginOptions { isolation, ..PluginOptions::default() });
        change(options);
    };
    let bed = Bed::open(named, Services::default());
    bed.put("it", guest);
    for report in bed.load().await {
        report.outcome.unwrap();
    }
    bed
}

fn reuse(max_uses: u32, max_idle: u32) -> Isolation {
    Isolation::Reuse { max_uses: NonZeroU32::new(max_uses).unwrap(), max_idle }
}

/// What the guest says to DATA in this transaction; nothing: outside of any.
async fn says(session: &mut Session, id: Option<u64>) -> &'static str {
    asks(session, Request::Data, id).await
}

async fn asks(session: &mut Session, request: Request<'_>, id: Option<u64>) -> &'static str {
    let facts = id.map(|id| {
        let mut facts = transaction("A: b\r\n\r\n");
        std::sync::Arc::make_mut(&mut facts).id = QueueId(id);
        facts
    });
    session.hooks.ask(request, &session.facts, facts.as_ref()).await.verdict.name()
}

#[tokio::test]
async fn by_default_variables_live_for_a_session() {
    let bed = bed(Isolation::default(), &counts().build(), |_| {}).await;
    let (mut one, mut other) = (bed.session(), bed.session());
    assert_eq!(says(&mut one, Some(1)).await, "proceed");
    assert_eq!(says(&mut other, Some(2)).await, "proceed");
    assert_eq!(says(&mut one, Some(3)).await, "accept");
    assert_eq!(says(&mut one, None).await, "reject");
    assert_eq!(says(&mut other, Some(2)).await, "accept");
}

#[tokio::test]
async fn with_isolation_transaction_variables_live_for_a_transaction_and_outside_of_one_for_a_hook() {
    let bed = bed(Isolation::Transaction, &counts().build(), |_| {}).await;
    let mut session = bed.session();
    let sender = ReversePath::Null;
    let mail = Request::Mail { sender: &sender, params: &[] };
    assert_eq!(asks(&mut session, Request::Connect, None).await, "proceed");
    assert_eq!(bed.host.status().instances, 0, "nothing is kept between transactions");
    assert_eq!(asks(&mut session, Request::Connect, None).await, "proceed");
    assert_eq!(asks(&mut session, mail, Some(1)).await, "proceed");
    assert_eq!(says(&mut session, Some(1)).await, "accept");
    assert_eq!(asks(&mut session, Request::Message, Some(1)).await, "reject");
    assert_eq!(bed.host.status().instances, 0, "the end of data ends it");
    // RSET is not heard of: the next MAIL has another transaction.
    assert_eq!(asks(&mut session, mail, Some(2)).await, "proceed");
    assert_eq!(asks(&mut session, mail, Some(3)).await, "proceed");
    assert_eq!(says(&mut session, Some(3)).await, "accept");
    assert_eq!(bed.host.status().instances, 1);
}

#[tokio::test]
async fn with_isolation_reuse_variables_live_for_so_many_sessions() {
    let bed = bed(reuse(2, 4), &counts().build(), |_| {}).await;
    for _ in 0..3 {
        assert_eq!(says(&mut bed.session(), Some(1)).await, "proceed", "the first use of an instance");
        assert_eq!(bed.host.status().instances, 1, "it waits");
        assert_eq!(bed.plugin("it").unwrap().idle_instances, 1);
        assert_eq!(says(&mut bed.session(), Some(1)).await, "accept", "its second use");
        assert_eq!(bed.host.status().instances, 0, "and its last");
    }
    // Two sessions at once never share one.
    let (mut one, mut other) = (bed.session(), bed.session());
    assert_eq!(says(&mut one, Some(1)).await, "proceed");
    assert_eq!(says(&mut other, Some(1)).await, "proceed");
}

#[tokio::test]
async fn a_failed_hook_ends_a_reused_instance() {
    let bed = bed(reuse(100, 4), &counts().build(), |_| {}).await;
    for expected in ["proceed", "accept", "reject"] {
        assert_eq!(says(&mut bed.session(), Some(1)).await, expected);
    }
    assert_eq!(says(&mut bed.session(), Some(1)).await, tempfail().name());
    assert_eq!(bed.host.status().instances, 0);
    assert_eq!(says(&mut bed.session(), Some(1)).await, "proceed");
}

#[tokio::test]
async fn another_generation_ends_reused_instances_those_in_use_too() {
    let bed = bed(reuse(100, 4), &counts().build(), |_| {}).await;
    let mut old = bed.session();
    assert_eq!(says(&mut bed.session(), Some(1)).await, "proceed");
    assert_eq!(says(&mut old, Some(1)).await, "accept");
    let newer = counts().with("(data (i32.const 9000) \"newer\")").build();
    bed.put("it", &newer);
    bed.load().await;
    assert_eq!(says(&mut old, Some(1)).await, "reject", "a session keeps what it began with");
    drop(old);
    assert_eq!(bed.host.status().instances, 0);
    assert_eq!(says(&mut bed.session(), Some(1)).await, "proceed");
    std::fs::remove_file(bed.file("it")).unwrap();
    bed.load().await;
    assert_eq!(bed.host.status().instances, 0, "nor do they outlive the plugin");
}

#[tokio::test]
async fn a_reused_instance_that_grows_is_dropped_before_it_is_out_of_memory() {
    // Every hook takes 6 MB for good, of 16 MiB.
    let code =
        "(if (i32.eq (memory.grow (i32.const 92)) (i32.const -1)) (then (unreachable))) (i32.const 32)";
    let bed =
        bed(reuse(1_000, 4), &fixed(&[("data", code)]), |options| options.limits.memory_octets = 16 << 20)
            .await;
    for _ in 0..50 {
        assert_eq!(says(&mut bed.session(), Some(1)).await, "accept", "{:?}", bed.plugin("it"));
    }
    assert!(bed.plugin("it").unwrap().peak_memory_octets < 16 << 20);
}

#[tokio::test]
async fn waiting_instances_are_bounded_and_make_room_for_others() {
    let bed = bed(reuse(100, 2), &counts().build(), |options| options.limits.instances = 4).await;
    bed.put("other", &fixed(&[("ehlo", "(i32.const 32)")]));
    bed.load().await;
    let mut sessions: Vec<_> = (0..3).map(|_| bed.session()).collect();
    for session in &mut sessions {
        assert_eq!(asks(session, Request::Connect, None).await, "proceed");
    }
    assert_eq!(bed.host.status().instances, 3);
    drop(sessions);
    assert_eq!(bed.plugin("it").unwrap().idle_instances, 2);
    // Three more are wanted where four fit and two wait.
    let mut sessions: Vec<_> = (0..3).map(|_| bed.session()).collect();
    for session in &mut sessions {
        assert_eq!(asks(session, Request::Ehlo { name: "x" }, None).await, "accept");
    }
    assert_eq!(bed.host.status().instances, 4);
    assert_eq!(bed.plugin("it").unwrap().idle_instances, 1);
}

#[tokio::test]
async fn a_host_that_ends_takes_its_waiting_instances_with_it() {
    #[derive(Debug)]
    struct Witness(std::sync::Arc<()>);
    impl hooks::HttpClient for Witness {
        fn ask(
            &self,
            _: hooks::HttpRequest,
            _: hooks::HttpTerms,
        ) -> hooks::BoxFuture<'_, Result<hooks::HttpAnswer, hooks::HttpError>> {
            let _ = &self.0;
            Box::pin(std::future::pending())
        }
    }
    let alive = std::sync::Arc::new(());
    let services =
        Services { http: Some(std::sync::Arc::new(Witness(alive.clone()))), ..Services::default() };
    let named = |options: &mut Options| {
        options
            .plugins
            .insert("it".to_owned(), PluginOptions { isolation: reuse(9, 9), ..PluginOptions::default() });
    };
    let bed = Bed::open(named, services);
    bed.put("it", &counts().build());
    bed.load().await;
    says(&mut bed.session(), Some(1)).await;
    assert_eq!(bed.plugin("it").unwrap().idle_instances, 1);
    drop(bed);
    assert_eq!(
        std::sync::Arc::strong_count(&alive),
        1,
        "instances hold their host, and nobody lets go of it"
    );
}

#[tokio::test]
async fn what_a_session_may_compute_in_all_is_bounded_whatever_lives_how_long() {
    // About 60 ms of computing in a hook that may have 100.
    let code = "(local $nth i64)
        (loop $again
          (local.set $nth (i64.add (local.get $nth) (i64.const 1)))
          (br_if $again (i64.lt_u (local.get $nth) (i64.const 100000000))))
        (i32.const 32)";
    for isolation in [Isolation::Session, Isolation::Transaction] {
        let bed = bed(isolation, &fixed(&[("data", code)]), |options| {
            options.limits.cpu_per_hook = std::time::Duration::from_secs(60);
            options.limits.wall_per_hook = std::time::Duration::from_secs(120);
            options.limits.cpu_per_session = std::time::Duration::from_millis(200);
        })
        .await;
        let mut session = bed.session();
        let mut answered = 0;
        while says(&mut session, Some(answered)).await == "accept" {
            answered += 1;
            assert!(answered < 1_000, "it goes on for ever");
        }
        let status = bed.plugin("it").unwrap();
        let reason = status.last_error.unwrap();
        assert!(reason.starts_with("out of CPU time in this session, more than 200ms"), "{reason}");
        assert_eq!(status.breaker, "closed");
        assert_eq!(says(&mut session, Some(7)).await, tempfail().name(), "for the rest of the session");
        assert_eq!(says(&mut bed.session(), Some(8)).await, "accept", "and of no other");
        assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Proceed);
    }
}
