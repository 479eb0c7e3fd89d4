//! What plugins may have scanned: the message as it stands, by the clamd that they were granted.

use std::sync::Arc;
use std::time::Duration;

use hooks::{BoxFuture, FilterAddress, Request, ScanError, Scanner, Verdict};
use model::Content;
use parking_lot::Mutex;
use plugin_host::{Grants, Options, PluginOptions, Services};

use crate::guest::{Guest, PROCEED, REJECT};
use crate::stage::{Bed, Session};

/// Cases of `types.error`.
const DENIED: u32 = 0;
const QUOTA: u32 = 1;
const TIMED_OUT: u32 = 3;
const UNAVAILABLE: u32 = 5;

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";

/// A scanner that says the same of everything, and remembers what it saw.
#[derive(Debug)]
struct Says {
    answer: Result<Option<String>, ScanError>,
    seen: Mutex<Vec<(String, String, Duration)>>,
}

impl Says {
    fn new(answer: Result<Option<String>, ScanError>) -> Arc<Self> {
        Arc::new(Self { answer, seen: Mutex::default() })
    }
}

impl Scanner for Says {
    fn scan<'a>(
        &'a self,
        address: &'a FilterAddress,
        content: &'a Content,
        time: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, ScanError>> {
        let text = String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap();
        self.seen.lock().push((address.to_string(), text, time));
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

const SCAN: &str = "(call $scan (i32.const 2048))";
/// Refuses the message when the last scan found something.
const REFUSE_WHAT_WAS_FOUND: &str =
    "(if (result i32) (i32.load8_u (i32.const 2052)) (then (i32.const 64)) (else (i32.const 0)))";

/// Traps unless the last scan came to this error.
fn failed_with(case: u32) -> String {
    format!(
        "(if (i32.eqz (i32.load8_u (i32.const 2048))) (then (unreachable)))
         (if (i32.ne (i32.load8_u (i32.const 2052)) (i32.const {case})) (then (unreachable)))"
    )
}

fn guest(hook: &str, code: &str) -> Vec<u8> {
    Guest::new()
        .import("scanner", "scan", "(param i32)")
        .import("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)")
        .with("(data (i32.const 1024) \"X-Seen\") (data (i32.const 1040) \"yes\")")
        .hook(hook, code)
        .build()
}

/// A host on which this component has a clamd.
async fn bed(component: &[u8], scanner: &Arc<Says>, change: impl FnOnce(&mut Options)) -> Bed {
    let services = Services { scanner: Some(scanner.clone()), ..Services::default() };
    let bed = Bed::open(
        |options| {
            let clamd = Some(FilterAddress::parse("unix:/run/clamd").unwrap());
            let grants = Grants { clamd, ..Grants::default() };
            options.plugins.insert("scans".to_owned(), PluginOptions { grants, ..PluginOptions::default() });
            change(options);
        },
        services,
    );
    bed.put("scans", component);
    for report in bed.load().await {
        report.outcome.unwrap();
    }
    bed
}

async fn verdict(component: &[u8], scanner: &Arc<Says>, change: impl FnOnce(&mut Options)) -> Verdict {
    bed(component, scanner, change).await.session().message(MESSAGE).await.verdict
}

#[tokio::test]
async fn what_is_found_is_told_by_name_and_what_is_not_is_not() {
    let (found, clean) = (Says::new(Ok(Some("Test.Evil-1".to_owned()))), Says::new(Ok(None)));
    let name = "(if (i32.ne (i32.load (i32.const 2060)) (i32.const 11)) (then (unreachable)))
        (if (i32.ne (i32.load8_u (i32.load (i32.const 2056))) (i32.const 84)) (then (unreachable)))";
    let component = guest("message", &format!("{SCAN} {name} {REFUSE_WHAT_WAS_FOUND}"));
    assert!(matches!(verdict(&component, &found, |_| {}).await, Verdict::Reject(_)));
    let component = guest("message", &format!("{SCAN} {REFUSE_WHAT_WAS_FOUND}"));
    assert_eq!(verdict(&component, &clean, |_| {}).await, Verdict::Proceed);
}

#[tokio::test]
async fn the_message_is_scanned_as_it_was_edited_so_far() {
    let scanner = Says::new(Ok(None));
    let add = "(call $add-header (i32.const 1024) (i32.const 6) (i32.const 1040) (i32.const 3)
        (i32.const 1) (i32.const 0) (i32.const 4096))";
    let component = guest("message", &format!("{SCAN} {add} {SCAN} {PROCEED}"));
    let bed = bed(&component, &scanner, |_| {}).await;
    let answer = bed.session().message(MESSAGE).await;
    assert_eq!(crate::stage::text(&answer), format!("X-Seen: yes\r\n{MESSAGE}"));
    let seen = scanner.seen.lock();
    let texts: Vec<&str> = seen.iter().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!(texts, [MESSAGE, &format!("X-Seen: yes\r\n{MESSAGE}")]);
    assert!(seen.iter().all(|(address, _, _)| address == "unix:/run/clamd"));
}

#[tokio::test]
async fn a_plugin_without_the_grant_scans_nothing() {
    let scanner = Says::new(Ok(None));
    let component = guest("message", &format!("{SCAN} {} {REJECT}", failed_with(DENIED)));
    let withheld = |options: &mut Options| options.plugins.clear();
    assert!(matches!(verdict(&component, &scanner, withheld).await, Verdict::Reject(_)));
    assert!(scanner.seen.lock().is_empty());
}

#[tokio::test]
async fn before_the_message_is_there_nothing_can_be_scanned() {
    let scanner = Says::new(Ok(None));
    let component = guest("connect", &format!("{SCAN} {} {REJECT}", failed_with(UNAVAILABLE)));
    let bed = bed(&component, &scanner, |_| {}).await;
    let mut session: Session = bed.session();
    assert!(matches!(session.ask(Request::Connect).await.verdict, Verdict::Reject(_)));
    assert!(scanner.seen.lock().is_empty());
}

#[tokio::test]
async fn each_failure_has_its_name() {
    for (error, case) in [
        (ScanError::TimedOut(Duration::from_secs(1)), TIMED_OUT),
        (ScanError::TooLarge, QUOTA),
        (ScanError::Connect("no".to_owned()), UNAVAILABLE),
        (ScanError::Failed("no".to_owned()), UNAVAILABLE),
    ] {
        let scanner = Says::new(Err(error));
        let component = guest("message", &format!("{SCAN} {} {REJECT}", failed_with(case)));
        assert!(matches!(verdict(&component, &scanner, |_| {}).await, Verdict::Reject(_)), "{case}");
    }
}

#[tokio::test]
async fn a_hook_has_so_many_scans_and_no_more_time_than_its_own() {
    let scanner = Says::new(Ok(None));
    let component = guest("message", &format!("{SCAN} {SCAN} {SCAN} {} {REJECT}", failed_with(QUOTA)));
    let two = |options: &mut Options| {
        options.limits.scans_per_hook = 2;
        options.limits.wall_per_hook = Duration::from_secs(5);
    };
    assert!(matches!(verdict(&component, &scanner, two).await, Verdict::Reject(_)));
    let seen = scanner.seen.lock();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, _, time)| *time < Duration::from_secs(5)));
}
