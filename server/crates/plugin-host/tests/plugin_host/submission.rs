//! What plugins may submit: as much and as often as their limits say, and nothing about what plugins submitted.

use std::sync::Arc;

use hooks::{
    AutoSubmitted, BoxFuture, DeliveryHooks, OutcomeKind, OutcomeReport, PluginMessage, Request, SubmitError,
    Submitter, TransactionFacts, Verdict,
};
use model::{Param, QueueId, ReversePath, SUBMITTED_BY};
use parking_lot::Mutex;
use plugin_host::{Grants, Options, PluginOptions, Services};

use crate::guest::{Guest, PROCEED, REJECT, came_to};
use crate::stage::{Bed, mailbox, transaction};

/// Cases of `types.error`.
const DENIED: u32 = 0;
const QUOTA: u32 = 1;
const BAD_INPUT: u32 = 4;
const UNAVAILABLE: u32 = 5;

/// A queue that says the same of everything, and remembers what it was given.
#[derive(Debug)]
struct Queue {
    answer: Result<QueueId, SubmitError>,
    taken: Mutex<Vec<PluginMessage>>,
}

impl Queue {
    fn new(answer: Result<QueueId, SubmitError>) -> Arc<Self> {
        Arc::new(Self { answer, taken: Mutex::default() })
    }
}

impl Submitter for Queue {
    fn submit(&self, message: PluginMessage) -> BoxFuture<'_, Result<QueueId, SubmitError>> {
        self.taken.lock().push(message);
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

/// Submits the 21 octets at 1300, marked as a reply, from nobody to the recipients at 1216; the result is at 2048.
fn submit(recipients: u32) -> String {
    format!(
        "(call $submit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 1216) (i32.const {recipients}) (i32.const 1300) (i32.const 21)
            (i32.const 1) (i32.const 1) (i32.const 2048))"
    )
}

fn guest() -> Guest {
    Guest::new()
        .import("submission", "submit", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)")
        // bob@example.org, twice.
        .with("(data (i32.const 1024) \"bobexample.org\")")
        .with("(data (i32.const 1216) \"\\00\\04\\00\\00\\03\\00\\00\\00\\03\\04\\00\\00\\0b\\00\\00\\00\")")
        .with("(data (i32.const 1232) \"\\00\\04\\00\\00\\03\\00\\00\\00\\03\\04\\00\\00\\0b\\00\\00\\00\")")
        .with("(data (i32.const 1300) \"From: a@b.example\\0d\\0a\\0d\\0a\")")
}

fn connecting(code: &str) -> Vec<u8> {
    guest().hook("connect", &format!("{code} {REJECT}")).build()
}

/// A host on which this component may submit.
async fn bed(component: &[u8], queue: &Arc<Queue>, change: impl FnOnce(&mut Options)) -> Bed {
    let services = Services { submitter: Some(queue.clone()), ..Services::default() };
    let bed = Bed::open(
        |options| {
            let grants = Grants { submit: true, ..Grants::default() };
            options.plugins.insert("sends".to_owned(), PluginOptions { grants, ..PluginOptions::default() });
            change(options);
        },
        services,
    );
    bed.put("sends", component);
    for report in bed.load().await {
        report.outcome.unwrap();
    }
    bed
}

async fn connect(bed: &Bed) {
    let verdict = bed.session().ask(Request::Connect).await.verdict;
    assert!(matches!(verdict, Verdict::Reject(_)), "{verdict:?}, {:?}", bed.plugin("sends"));
}

#[tokio::test]
async fn a_message_goes_to_the_queue_as_it_was_handed_over() {
    let queue = Queue::new(Ok(QueueId(7)));
    let component = connecting(&format!("{} {}", submit(1), came_to(None)));
    connect(&bed(&component, &queue, |_| {}).await).await;
    let expected = PluginMessage {
        by: "sends".into(),
        sender: ReversePath::Null,
        recipients: vec![mailbox("bob@example.org")],
        content: bytes::Bytes::from_static(b"From: a@b.example\r\n\r\n"),
        auto_submitted: Some(AutoSubmitted::Replied),
    };
    assert_eq!(*queue.taken.lock(), [expected]);
}

#[tokio::test]
async fn a_plugin_without_the_grant_submits_nothing() {
    let queue = Queue::new(Ok(QueueId(7)));
    let component = connecting(&format!("{} {}", submit(1), came_to(Some(DENIED))));
    connect(&bed(&component, &queue, |options| options.plugins.clear()).await).await;
    assert!(queue.taken.lock().is_empty());
}

#[tokio::test]
async fn a_hook_and_an_hour_have_so_many() {
    let queue = Queue::new(Ok(QueueId(7)));
    let twice = connecting(&format!("{0} {1} {0} {2}", submit(1), came_to(None), came_to(Some(QUOTA))));
    connect(&bed(&twice, &queue, |options| options.limits.submissions_per_hook = 1).await).await;
    assert_eq!(queue.taken.lock().len(), 1);

    // Sessions, and generations, share the hour.
    let once = connecting(&submit(1));
    let bed = bed(&once, &queue, |options| options.limits.submissions_per_hour = 3).await;
    for _ in 0..3 {
        connect(&bed).await;
        bed.host.reload(None).await;
    }
    connect(&bed).await;
    assert_eq!(queue.taken.lock().len(), 1 + 3);
}

#[tokio::test]
async fn a_message_that_is_too_large_or_has_too_many_recipients_is_refused() {
    let queue = Queue::new(Ok(QueueId(7)));
    let component = connecting(&format!("{} {}", submit(2), came_to(Some(QUOTA))));
    connect(&bed(&component, &queue, |options| options.limits.submission_recipients = 1).await).await;
    connect(&bed(&component, &queue, |options| options.limits.submission_octets = 20).await).await;
    assert!(queue.taken.lock().is_empty());
}

#[tokio::test]
async fn each_failure_has_its_name() {
    for (error, case) in [
        (SubmitError::BadInput("no".to_owned()), BAD_INPUT),
        (SubmitError::Unavailable("no".to_owned()), UNAVAILABLE),
    ] {
        let queue = Queue::new(Err(error));
        let component = connecting(&format!("{} {}", submit(1), came_to(Some(case))));
        connect(&bed(&component, &queue, |_| {}).await).await;
    }
}

#[tokio::test]
async fn nothing_is_submitted_while_a_plugin_is_loaded() {
    let queue = Queue::new(Ok(QueueId(7)));
    let code = format!(
        "{} {} (i32.store8 (i32.const 4096) (i32.const 0)) (i32.const 4096)",
        submit(1),
        came_to(Some(UNAVAILABLE))
    );
    let component = guest().hook("init", &code).hook("connect", PROCEED).build();
    bed(&component, &queue, |_| {}).await;
    assert!(queue.taken.lock().is_empty());
}

/// Tells the plugin of the delivery of a message with these parameters of MAIL.
async fn tell(bed: &Bed, params: Vec<Param>) {
    let mut facts = TransactionFacts::clone(&transaction(""));
    facts.envelope.sender_params = params;
    let report = OutcomeReport {
        recipient: mailbox("bob@example.net"),
        kind: OutcomeKind::Delivered,
        host: None,
        reply: "250 ok".to_owned(),
        attempt: 1,
    };
    bed.host.outcome(&Arc::new(facts), &[report]).await;
}

#[tokio::test]
async fn the_delivery_of_what_plugins_submitted_brings_nothing_more_about() {
    let queue = Queue::new(Ok(QueueId(7)));
    let component = guest().hook("outcome", &submit(1)).build();
    let bed = bed(&component, &queue, |_| {}).await;
    tell(&bed, Vec::new()).await;
    assert_eq!(queue.taken.lock().len(), 1);
    let submitted = Param { keyword: SUBMITTED_BY.to_owned(), value: Some("another".to_owned()) };
    tell(&bed, vec![submitted]).await;
    assert_eq!(queue.taken.lock().len(), 1);
}
