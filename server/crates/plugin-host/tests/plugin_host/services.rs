//! What guests may ask of the server: settings, notes, metrics, the key-value store, DNS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hooks::{KeyValue, KvError, KvPage, KvValue, Request, Verdict};
use model::Timestamp;
use parking_lot::Mutex;
use plugin_host::{Grants, Options, PluginHost, PluginOptions, SeriesValue, Services};

use crate::guest::Guest;
use crate::stage::Bed;

/// Numbers by space and key; enough to see that calls arrive.
#[derive(Debug, Default)]
struct Numbers(Mutex<BTreeMap<(String, String), i64>>);

impl KeyValue for Numbers {
    fn get(&self, _: &str, _: &str, _: Timestamp) -> Result<Option<KvValue>, KvError> {
        Ok(None)
    }
    fn set(&self, _: &str, _: &str, _: &[u8], _: Option<Duration>, _: Timestamp) -> Result<u64, KvError> {
        Err(KvError::Failed("read-only".to_owned()))
    }
    fn delete(&self, _: &str, _: &str, _: Timestamp) -> Result<bool, KvError> {
        Ok(false)
    }
    fn increment(
        &self,
        space: &str,
        key: &str,
        by: i64,
        _: Option<Duration>,
        _: Timestamp,
    ) -> Result<i64, KvError> {
        let mut numbers = self.0.lock();
        let number = numbers.entry((space.to_owned(), key.to_owned())).or_default();
        *number += by;
        Ok(*number)
    }
    fn compare_and_set(
        &self,
        _: &str,
        _: &str,
        _: Option<u64>,
        _: &[u8],
        _: Option<Duration>,
        _: Timestamp,
    ) -> Result<bool, KvError> {
        Ok(false)
    }
    fn scan(&self, _: &str, _: &str, _: Option<&str>, _: u32, _: Timestamp) -> Result<KvPage, KvError> {
        Ok(KvPage::default())
    }
}

/// Adds 1 to the key `k`; rejects at the third time, accepts when the call is denied.
fn counter() -> Vec<u8> {
    Guest::new()
        .import("kv", "increment", "(param i32 i32 i64 i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "k")"#)
        .hook(
            "connect",
            "(call $increment (i32.const 1024) (i32.const 1) (i64.const 1) (i32.const 0) (i32.const 0) (i32.const 2048))
             (if (i32.load8_u (i32.const 2048)) (then
               (if (i32.load8_u (i32.const 2056)) (then (unreachable)))
               (return (i32.const 32))))
             (if (result i32) (i64.eq (i64.load (i32.const 2056)) (i64.const 3)) (then (i32.const 64)) (else (i32.const 0)))",
        )
        .build()
}

fn granted(name: &str, grants: Grants, kv: Option<Arc<dyn KeyValue>>) -> Bed {
    let change = |options: &mut Options| {
        options.plugins.insert(name.to_owned(), PluginOptions { grants, ..PluginOptions::default() });
    };
    Bed::open(change, Services { kv, ..Services::default() })
}

#[tokio::test]
async fn the_key_value_store_is_the_plugins_own_and_outlives_sessions() {
    let numbers = Arc::new(Numbers::default());
    let bed = granted("counter", Grants { kv: true, ..Grants::default() }, Some(numbers.clone()));
    bed.put("counter", &counter());
    bed.load().await;
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        verdicts.push(bed.session().ask(Request::Connect).await.verdict.name());
    }
    assert_eq!(verdicts, ["proceed", "proceed", "reject"], "{:?}", bed.plugin("counter"));
    assert_eq!(numbers.0.lock().get(&("counter".to_owned(), "k".to_owned())), Some(&3));
}

#[tokio::test]
async fn a_service_that_was_not_granted_answers_denied() {
    let numbers = Arc::new(Numbers::default());
    for grants in [Grants::default(), Grants { dns: true, ..Grants::default() }] {
        let bed = granted("counter", grants, Some(numbers.clone()));
        bed.put("counter", &counter());
        bed.load().await;
        assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Accept);
    }
    assert!(numbers.0.lock().is_empty());
}

/// Accepts when the setting `a.b` is `len` octets long.
fn reads_setting(len: u32) -> Vec<u8> {
    let code = format!(
        "(call $get (i32.const 1024) (i32.const 3) (i32.const 2048))
         (if (result i32) (i32.and (i32.load8_u (i32.const 2048)) (i32.eq (i32.load (i32.const 2056)) (i32.const {len})))
           (then (i32.const 32)) (else (i32.const 0)))"
    );
    Guest::new()
        .import("config", "get", "(param i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "a.b")"#)
        .hook("connect", &code)
        .build()
}

#[tokio::test]
async fn settings_reach_the_plugin_and_change_with_the_configuration() {
    let bed = Bed::open(|_| {}, Services::default());
    bed.put("setting", &reads_setting(4));
    bed.load().await;
    assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Proceed);
    let mut old_session = bed.session();
    let mut options = bed.options.clone();
    for (settings, verdict) in [
        (serde_json::json!({"a": {"b": "text"}}), Verdict::Accept),
        (serde_json::json!({"a": {"b": true}}), Verdict::Accept),
        (serde_json::json!({"a": {"b": false}}), Verdict::Proceed),
    ] {
        let plugin = PluginOptions { settings, ..PluginOptions::default() };
        options.plugins.insert("setting".to_owned(), plugin);
        bed.host.replace_options(options.clone()).await;
        assert_eq!(bed.session().ask(Request::Connect).await.verdict, verdict);
    }
    assert_eq!(bed.plugin("setting").unwrap().generation, 4);
    assert_eq!(
        old_session.ask(Request::Connect).await.verdict,
        Verdict::Proceed,
        "it keeps what it began with"
    );
}

#[tokio::test]
async fn notes_are_shared_by_the_plugins_of_a_session_only() {
    let writes = Guest::new()
        .import("session", "set-note", "(param i32 i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "key")"#)
        .hook(
            "data",
            "(call $set-note (i32.const 1024) (i32.const 3) (i32.const 1024) (i32.const 2)) (i32.const 0)",
        );
    let reads = Guest::new()
        .import("session", "note", "(param i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "key")"#)
        .hook(
            "connect",
            "(call $note (i32.const 1024) (i32.const 3) (i32.const 2048))
             (if (result i32) (i32.eq (i32.load (i32.const 2056)) (i32.const 2)) (then (i32.const 32)) (else (i32.const 0)))",
        );
    let bed = Bed::with(&[("a", &reads.build()), ("b", &writes.build())]).await;
    let (mut one, mut other) = (bed.session(), bed.session());
    one.ask(Request::Data).await;
    assert_eq!(one.ask(Request::Connect).await.verdict, Verdict::Accept);
    assert_eq!(other.ask(Request::Connect).await.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn plugins_count_and_the_host_tells() {
    let counts = Guest::new()
        .import("metrics", "count", "(param i32 i32 i64 i32 i32)")
        .with(r#"(data (i32.const 1024) "seen")"#)
        .hook(
            "connect",
            "(call $count (i32.const 1024) (i32.const 4) (i64.const 2) (i32.const 0) (i32.const 0)) (i32.const 0)",
        );
    let bed = Bed::with(&[("counts", &counts.build())]).await;
    for _ in 0..3 {
        bed.session().ask(Request::Connect).await;
    }
    let series = bed.host.metrics();
    assert_eq!((series[0].plugin.as_str(), series[0].name.as_str()), ("counts", "seen"));
    assert_eq!(series[0].value, SeriesValue::Count { total: 6 });
}

#[tokio::test]
async fn one_file_can_be_tried_without_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("any name.wasm");
    std::fs::write(&file, counter()).unwrap();
    let options =
        PluginOptions { grants: Grants { kv: true, ..Grants::default() }, ..PluginOptions::default() };
    let numbers: Arc<dyn KeyValue> = Arc::new(Numbers::default());
    let services = Services { kv: Some(numbers), ..Services::default() };
    let host =
        PluginHost::of_file(&file, "tried", options, Default::default(), services).await.unwrap().unwrap();
    let mut session = hooks::Hooks::begin(&host);
    let answer = session.ask(Request::Connect, &crate::stage::facts(), None).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    assert_eq!(host.status().plugins[0].calls, 1);
}

#[tokio::test]
async fn lines_over_the_limit_are_not_logged_and_harm_nobody() {
    let chatty = Guest::new()
        .import("log", "log", "(param i32 i32 i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "again") (global $n (mut i32) (i32.const 0))"#)
        .hook(
            "connect",
            "(loop $again
               (call $log (i32.const 2) (i32.const 1024) (i32.const 5) (i32.const 0) (i32.const 0))
               (global.set $n (i32.add (global.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (global.get $n) (i32.const 5000))))
             (i32.const 0)",
        );
    let bed = Bed::with(&[("chatty", &chatty.build())]).await;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || Lines(written.clone())).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Proceed);
    let text = String::from_utf8(lines.lock().clone()).unwrap();
    assert_eq!(text.matches("again").count(), 100, "{text}");
    assert!(text.contains("lost=4900"), "{text}");
    assert_eq!(
        text.matches("plugin=\"chatty\" hook=\"connect\" session=0000000000007").count(),
        100,
        "{text}"
    );
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
