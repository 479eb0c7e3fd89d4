//! Files that nobody would mean to put there: each ends in a refusal that names it, and what runs goes on.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use hooks::{Request, Verdict};
use plugin_host::{LoadError, Options, Services};

use crate::guest::{ACCEPT, Guest, PROCEED, REJECT, fixed};
use crate::stage::{Bed, tempfail};

/// What comes of a file in the place of a plugin that runs.
async fn refused(put: impl FnOnce(&Bed)) -> LoadError {
    let bed = Bed::open(
        |options| {
            options.limits.instances = 4;
            options.limits.cpu_for_init = Duration::from_millis(100);
        },
        Services::default(),
    );
    bed.put("x", &fixed(&[("data", ACCEPT)]));
    bed.load().await;
    std::fs::remove_file(bed.file("x")).unwrap();
    put(&bed);
    let reports = bed.load().await;
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Accept, "what runs goes on");
    assert_eq!(bed.plugin("x").unwrap().generation, 1);
    let error = report.outcome.clone().unwrap_err();
    assert_eq!(bed.host.status().refused[0].reason, error.to_string());
    error
}

fn elsewhere() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), fixed(&[("data", REJECT)])).unwrap();
    file
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_nobody_waits_for_it() {
    assert_eq!(refused(|bed| std::fs::create_dir(bed.file("x")).unwrap()).await, LoadError::NoFile);
    let fifo = |bed: &Bed| {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, bed.file("x"), kind, rustix::fs::Mode::RUSR, 0).unwrap();
    };
    // To open it would wait for a writer that never comes.
    assert_eq!(refused(fifo).await, LoadError::NoFile);
}

#[tokio::test]
async fn a_link_that_leads_out_of_the_directory_is_refused_and_one_within_is_followed() {
    let outside = elsewhere();
    let error = refused(|bed| symlink(outside.path(), bed.file("x")).unwrap()).await;
    assert_eq!(error, LoadError::Outside(outside.path().canonicalize().unwrap()));
    // By way of a folder, as well.
    let parent = outside.path().parent().unwrap();
    let error = refused(|bed| {
        symlink(parent, bed.options.dir.join("folder")).unwrap();
        symlink(format!("folder/{}", outside.path().file_name().unwrap().display()), bed.file("x")).unwrap();
    })
    .await;
    assert!(matches!(error, LoadError::Outside(_)), "{error}");
    assert!(matches!(refused(|bed| symlink("x.wasm", bed.file("x")).unwrap()).await, LoadError::Read(_)));
    assert!(matches!(refused(|bed| symlink("nowhere", bed.file("x")).unwrap()).await, LoadError::Read(_)));

    let bed = Bed::with(&[]).await;
    std::fs::create_dir(bed.options.dir.join("..data")).unwrap();
    std::fs::write(bed.options.dir.join("..data/x.wasm"), fixed(&[("data", REJECT)])).unwrap();
    symlink("..data/x.wasm", bed.file("x")).unwrap();
    assert_eq!(bed.load().await[0].outcome, Ok(1));
}

#[tokio::test]
async fn a_file_of_a_gigabyte_is_refused_before_it_is_read() {
    let sparse = |bed: &Bed| std::fs::File::create(bed.file("x")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(refused(sparse).await, LoadError::TooLarge(64 << 20));
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = fixed(&[("data", REJECT), ("connect", PROCEED)]);
    for len in [0, 3, 4, 8, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let error = refused(|bed| bed.put("x", &whole[..len])).await;
        assert!(
            matches!(error, LoadError::NotWasm | LoadError::Invalid(_) | LoadError::NoHook),
            "{len} of {}: {error}",
            whole.len()
        );
    }
}

#[tokio::test]
async fn components_of_another_version_and_of_another_package_are_refused_by_what_they_want() {
    let of = |interface: &str| {
        let text = format!(r#"(component (instance $e) (export "{interface}" (instance $e)))"#);
        wat::parse_str(text).unwrap()
    };
    for interface in ["waxwing:mail/on-connect@0.2.0", "waxwing:mail/on-connect@1.0.0"] {
        let error = refused(|bed| bed.put("x", &of(interface))).await;
        assert!(matches!(&error, LoadError::Version { wanted, .. } if wanted == interface), "{error}");
    }
    let error = refused(|bed| bed.put("x", &of("other:mail/on-connect@0.1.0"))).await;
    assert_eq!(error, LoadError::NoHook);
    let newer = r#"(component (import "waxwing:mail/session@0.2.0" (instance)) (instance $e)
        (export "waxwing:mail/on-connect@0.1.0" (instance $e)))"#;
    let error = refused(|bed| bed.put("x", &wat::parse_str(newer).unwrap())).await;
    assert!(error.to_string().contains("waxwing:mail/session@0.2.0"), "{error}");
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!(refused(|bed| bed.put("x", &module)).await, LoadError::CoreModule);
}

#[tokio::test]
async fn an_init_that_never_ends_or_recurses_and_a_start_that_traps_refuse_the_file() {
    let with_init =
        |code: &str, more: &str| Guest::new().with(more).hook("init", code).hook("data", REJECT).build();
    let spins = with_init("(loop $again (br $again)) (unreachable)", "");
    let error = refused(|bed| bed.put("x", &spins)).await;
    assert!(error.to_string().starts_with("its init failed: out of CPU time"), "{error}");
    let recurses = with_init("(call $f) (i32.const 0)", "(func $f (call $f))");
    let error = refused(|bed| bed.put("x", &recurses)).await;
    assert!(error.to_string().contains("call stack exhausted"), "{error}");
    for start in ["(unreachable)", "(loop $again (br $again))", "(call $start)"] {
        let guest =
            Guest::new().with(&format!("(func $start {start}) (start $start)")).hook("data", REJECT).build();
        let error = refused(|bed| bed.put("x", &guest)).await;
        assert!(matches!(error, LoadError::InitFailed(_)), "{start}: {error}");
    }
}

#[tokio::test]
async fn names_that_no_key_and_no_label_can_have_are_refused_under_the_name_that_they_have() {
    let bed = Bed::open(|options| options.limits.instances = 4, Services::default());
    let component = fixed(&[("data", REJECT)]);
    let long = "x".repeat(65);
    for name in ["two words", "a\nb", "ä", "quo\"te", "-rf;", &long] {
        std::fs::write(bed.file(name), &component).unwrap();
    }
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"no\xffutf8.wasm");
    std::fs::write(bed.options.dir.join(odd), &component).unwrap();
    let reports = bed.load().await;
    assert_eq!(reports.len(), 7);
    assert!(reports.iter().all(|report| report.outcome == Err(LoadError::Name)), "{reports:?}");
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Proceed);
    assert_eq!(bed.load().await, [], "and not again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_files_that_change_places_at_once_are_each_what_they_are_called() {
    let bed = Bed::with(&[("a", &fixed(&[("data", ACCEPT)])), ("b", &fixed(&[("connect", REJECT)]))]).await;
    let _watch = bed.host.watch().unwrap();
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, bed.file("a"), rustix::fs::CWD, bed.file("b"), flags).unwrap();
    bed.until("both changed", |bed| {
        ["a", "b"].into_iter().all(|name| bed.plugin(name).is_some_and(|plugin| plugin.generation == 2))
    })
    .await;
    assert_eq!(bed.session().ask(Request::Connect).await.by.as_deref(), Some("a"));
    assert_eq!(bed.session().ask(Request::Data).await.by.as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_could_not_be_read_is_tried_again_though_nothing_of_it_changes() {
    let bed = Bed::with(&[]).await;
    let _watch = bed.host.watch().unwrap();
    let outside = elsewhere();
    // A link whose target comes later: neither the directory nor its entry changes then.
    let hidden = bed.options.dir.join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    symlink("hidden/x.wasm", bed.file("x")).unwrap();
    bed.until("refused", |bed| bed.host.status().refused.iter().any(|refusal| refusal.name == "x")).await;
    std::fs::copy(outside.path(), hidden.join("x.wasm")).unwrap();
    bed.until("loaded", |bed| bed.plugin("x").is_some()).await;
    assert_eq!(bed.host.status().refused, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_takes_long_holds_up_neither_another_nor_a_reload() {
    let change = |options: &mut Options| {
        options.limits.cpu_for_init = Duration::from_secs(600);
        options.limits.wall_for_init = Duration::from_secs(3);
    };
    let bed = Arc::new(Bed::open(change, Services::default()));
    let spins = "(loop $again (br $again)) (unreachable)";
    bed.put("slow", &Guest::new().hook("init", spins).hook("data", REJECT).build());
    let loading = tokio::spawn({
        let bed = bed.clone();
        async move { bed.load().await }
    });
    bed.until("it takes its time", |bed| bed.host.status().instances == 1 || loading.is_finished()).await;
    bed.put("quick", &fixed(&[("connect", REJECT)]));
    assert_eq!(bed.load().await[0].outcome, Ok(1));
    let mut options = bed.options.clone();
    options.order = vec!["quick".to_owned()];
    bed.host.replace_options(options).await;
    assert!(!loading.is_finished(), "somebody waited for it");
    // Its file is gone: what comes of it counts for nothing.
    std::fs::remove_file(bed.file("slow")).unwrap();
    bed.load().await;
    loading.await.unwrap();
    assert_eq!((bed.plugin("slow").is_none(), bed.host.status().missing.len()), (true, 0));
}

#[tokio::test]
async fn recursion_in_a_hook_costs_that_hook() {
    let guest = Guest::new().with("(func $f (param i64) (call $f (i64.add (local.get 0) (i64.const 1))))");
    let guest = guest.hook("connect", "(call $f (i64.const 0)) (i32.const 0)").hook("data", ACCEPT).build();
    let bed = Bed::with(&[("x", &guest)]).await;
    let mut session = bed.session();
    assert_eq!(session.ask(Request::Connect).await.verdict, tempfail());
    assert_eq!(session.ask(Request::Data).await.verdict, Verdict::Accept);
}
