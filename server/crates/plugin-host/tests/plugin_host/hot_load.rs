//! Files come, change and go while sessions are under way.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks::{Request, Verdict};
use plugin_host::Services;

use crate::guest::{ACCEPT, Guest, PROCEED, REJECT, fixed};
use crate::stage::Bed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_the_generation_that_it_began_with() {
    let bed = Bed::with(&[("x", &fixed(&[("data", ACCEPT)]))]).await;
    let _watch = bed.host.watch().unwrap();
    let mut old = bed.session();
    assert_eq!(old.ask(Request::Data).await.verdict, Verdict::Accept);
    bed.put("x", &fixed(&[("data", REJECT)]));
    bed.until("generation 2", |bed| bed.plugin("x").unwrap().generation == 2).await;
    assert_eq!(old.ask(Request::Data).await.verdict, Verdict::Accept);
    assert_eq!(bed.session().ask(Request::Data).await.verdict.name(), "reject");
    assert_eq!(bed.plugin("x").unwrap().calls, 3, "counted over generations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_files_load_and_removed_ones_go() {
    let bed = Bed::open(|_| {}, Services::default());
    let _watch = bed.host.watch().unwrap();
    bed.put("x", &fixed(&[("data", ACCEPT)]));
    bed.until("loaded", |bed| bed.plugin("x").is_some()).await;
    std::fs::remove_file(bed.file("x")).unwrap();
    bed.until("unloaded", |bed| bed.plugin("x").is_none()).await;
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Proceed);
    bed.put("x", &fixed(&[("data", REJECT)]));
    bed.until("loaded again", |bed| bed.plugin("x").is_some_and(|x| x.generation == 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_and_the_old_generation_keeps_running() {
    let bed = Bed::with(&[("x", &fixed(&[("data", ACCEPT)]))]).await;
    let _watch = bed.host.watch().unwrap();
    bed.put("x", b"\0asm garbage");
    bed.until("refused", |bed| !bed.host.status().refused.is_empty()).await;
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Accept);
    assert_eq!(bed.plugin("x").unwrap().generation, 1);
    bed.put("x", &fixed(&[("data", REJECT)]));
    bed.until("accepted", |bed| bed.host.status().refused.is_empty()).await;
    assert_eq!(bed.session().ask(Request::Data).await.verdict.name(), "reject");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_read_unloads_nothing() {
    let bed = Bed::with(&[("x", &fixed(&[("data", REJECT)]))]).await;
    let aside = bed.options.dir.with_extension("aside");
    std::fs::rename(&bed.options.dir, &aside).unwrap();
    std::fs::write(&bed.options.dir, b"no directory").unwrap();
    let reports = bed.load().await;
    assert!(matches!(&reports[..], [report] if report.outcome.is_err()), "{reports:?}");
    assert_eq!(bed.session().ask(Request::Data).await.verdict.name(), "reject");

    std::fs::remove_file(&bed.options.dir).unwrap();
    std::fs::rename(&aside, &bed.options.dir).unwrap();
    assert_eq!(bed.load().await, []);
    assert_eq!(bed.plugin("x").unwrap().generation, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_looked_at_is_refused_and_unloads_nothing() {
    let bed = Bed::with(&[("x", &fixed(&[("data", REJECT)]))]).await;
    std::fs::remove_file(bed.file("x")).unwrap();
    // A link that leads to itself.
    std::os::unix::fs::symlink(bed.file("x"), bed.file("x")).unwrap();
    let reports = bed.load().await;
    assert!(matches!(&reports[..], [report] if report.outcome.is_err()), "{reports:?}");
    assert_eq!(bed.session().ask(Request::Data).await.verdict.name(), "reject");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_slowly_is_loaded_once_it_is_whole() {
    let bed = Bed::open(|_| {}, Services::default());
    let _watch = bed.host.watch().unwrap();
    let component = fixed(&[("data", ACCEPT)]);
    let mut file = std::fs::File::create(bed.file("slow")).unwrap();
    for piece in component.chunks(component.len().div_ceil(8)) {
        file.write_all(piece).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        assert_eq!(bed.host.status().refused, [], "it was read while it was being written");
    }
    drop(file);
    bed.until("loaded", |bed| bed.plugin("slow").is_some()).await;
    assert_eq!(bed.plugin("slow").unwrap().generation, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verdict_is_skipped_while_generations_are_swapped() {
    let bed = Arc::new(Bed::with(&[("x", &fixed(&[("data", ACCEPT)]))]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn({
        let (bed, stop) = (bed.clone(), stop.clone());
        async move {
            let mut asked = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let answer = bed.session().ask(Request::Data).await;
                assert_ne!(answer.verdict, Verdict::Proceed, "skipped after {asked}");
                assert_ne!(answer.verdict.name(), "tempfail", "failed after {asked}");
                asked += 1;
                tokio::task::yield_now().await;
            }
            asked
        }
    });
    let both = [fixed(&[("data", REJECT)]), fixed(&[("data", ACCEPT)])];
    for nth in 0..100 {
        bed.put("x", &both[nth % 2]);
        for report in bed.load().await {
            assert_eq!(report.outcome, Ok(nth as u64 + 2));
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
    assert_eq!(bed.plugin("x").unwrap().generation, 101);
}

#[tokio::test]
async fn compiled_plugins_are_kept_and_damaged_ones_compiled_again() {
    let bed = Bed::with(&[("x", &fixed(&[("data", ACCEPT)]))]).await;
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&bed.options.cache_dir).unwrap());
    assert_eq!(mode & 0o777, 0o700);
    let files: Vec<_> =
        std::fs::read_dir(&bed.options.cache_dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let whole = std::fs::read(&files[0]).unwrap();
    // Machine code that somebody changed must not run.
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&files[0], &damaged).unwrap();
        let again = plugin_host::PluginHost::open(bed.options.clone(), Services::default()).unwrap();
        assert_eq!(again.load_all().await[0].outcome, Ok(1));
        let mut session = hooks::Hooks::begin(&again);
        let answer = session.ask(Request::Data, &crate::stage::facts(), None).await;
        assert_eq!(answer.verdict, Verdict::Accept);
        assert_ne!(std::fs::read(&files[0]).unwrap(), damaged, "it was not written again");
    }
}

#[tokio::test]
async fn settings_that_init_refuses_leave_the_old_ones_in_place() {
    // Refuses when there is a setting `bad`.
    let picky = Guest::new()
        .import("config", "get", "(param i32 i32 i32)")
        .with(
            r#"(data (i32.const 1024) "bad") (data (i32.const 1032) "\01\00\00\00\00\04\00\00\03\00\00\00")"#,
        )
        .hook(
            "init",
            "(call $get (i32.const 1024) (i32.const 3) (i32.const 2048))
             (if (result i32) (i32.load8_u (i32.const 2048)) (then (i32.const 1032)) (else (i32.const 0)))",
        )
        .hook("data", PROCEED);
    let bed = Bed::with(&[("picky", &picky.build())]).await;
    let mut options = bed.options.clone();
    let settings = serde_json::json!({"bad": 1});
    options.plugins.insert("picky".to_owned(), plugin_host::PluginOptions { settings, ..Default::default() });
    let reports = bed.host.replace_options(options).await;
    assert_eq!(reports[0].outcome, Err(plugin_host::LoadError::Init("bad".to_owned())));
    assert_eq!(bed.plugin("picky").unwrap().generation, 1);
    assert_eq!(bed.host.status().refused.len(), 1);
}
