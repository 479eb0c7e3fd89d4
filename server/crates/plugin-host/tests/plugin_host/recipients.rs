//! What plugins decide of single recipients at the message stage.

use std::sync::Arc;

use hooks::{Answer, RecipientVerdict, Request, TransactionFacts, Verdict};
use model::Reply;

use crate::guest::{DISCARD, Guest, PROCEED, REJECT, came_to};
use crate::stage::{Bed, mailbox, transaction};

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";
/// Cases of `types.error`, after the 1 of `result.err`.
const NOT_FOUND: u32 = 2;
const BAD_INPUT: u32 = 4;
const UNAVAILABLE: u32 = 5;

/// A call that refuses recipient `id` with this code and the text "full", and traps unless it comes to this error, or to none.
fn refuses(id: u32, code: u32, error: Option<u32>) -> String {
    let call = format!(
        "(call $refuse-recipient (i32.const {id}) (i32.const {code}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 1024) (i32.const 4) (i32.const 2048))"
    );
    format!("{call} {}", came_to(error))
}

/// The same for a hold with the reason "full".
fn holds(id: u32, error: Option<u32>) -> String {
    let call =
        format!("(call $hold-recipient (i32.const {id}) (i32.const 1024) (i32.const 4) (i32.const 2048))");
    format!("{call} {}", came_to(error))
}

fn guest(hook: &str, code: &str) -> Vec<u8> {
    Guest::new()
        .import("transaction", "refuse-recipient", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)")
        .import("transaction", "hold-recipient", "(param i32 i32 i32 i32)")
        .import("transaction", "remove-recipient", "(param i32 i32)")
        .import("transaction", "recipients", "(param i32 i32 i32)")
        .with("(data (i32.const 1024) \"full\")")
        .hook(hook, code)
        .build()
}

async fn message(plugins: &[(&str, &[u8])]) -> Answer {
    let bed = Bed::with(plugins).await;
    let facts = transaction(MESSAGE);
    let mut two = TransactionFacts::clone(&facts);
    two.envelope.add_recipient(mailbox("eve@example.net"), mailbox("eve@example.net"), Vec::new());
    let mut session = bed.session();
    session.hooks.ask(Request::Message, &session.facts, Some(&Arc::new(two))).await
}

fn full() -> RecipientVerdict {
    RecipientVerdict::Refuse(Reply::new(552, (5, 7, 1), "full"))
}

#[tokio::test]
async fn one_recipient_is_refused_another_is_held_and_it_is_said_by_whom() {
    let code = format!("{} {} {PROCEED}", refuses(0, 552, None), holds(1, None));
    let answer = message(&[("judge", &guest("message", &code))]).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    let decided: Vec<_> = answer.recipients.iter().map(|(id, one)| (*id, &one.verdict, &*one.by)).collect();
    let held = RecipientVerdict::Hold("full".to_owned());
    assert_eq!(decided, [(0, &full(), "judge"), (1, &held, "judge")]);
}

#[tokio::test]
async fn who_was_refused_is_there_no_more_for_this_plugin_and_the_later_ones() {
    let gone = "(call $recipients (i32.const 0) (i32.const 10) (i32.const 2048))
        (if (i32.ne (i32.load (i32.const 2052)) (i32.const 1)) (then (unreachable)))
        (call $remove-recipient (i32.const 0) (i32.const 2048))";
    let gone = format!("{gone} {} {}", came_to(Some(NOT_FOUND)), holds(0, Some(NOT_FOUND)));
    let first = format!("{} {gone} {} {PROCEED}", refuses(0, 552, None), refuses(0, 450, Some(NOT_FOUND)));
    let second = format!("{gone} {PROCEED}");
    let answer = message(&[("a", &guest("message", &first)), ("b", &guest("message", &second))]).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    assert_eq!(answer.recipients.len(), 1);
    assert_eq!(answer.recipients[&0].verdict, full());
}

#[tokio::test]
async fn what_makes_no_sense_is_named() {
    let code = [
        refuses(7, 550, Some(NOT_FOUND)),
        refuses(0, 250, Some(BAD_INPUT)),
        refuses(0, 0, Some(BAD_INPUT)),
        refuses(0, 600, Some(BAD_INPUT)),
        holds(u32::MAX, Some(NOT_FOUND)),
    ];
    let answer = message(&[("odd", &guest("message", &format!("{} {PROCEED}", code.join(" "))))]).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    assert!(answer.recipients.is_empty());
}

#[tokio::test]
async fn before_the_message_is_whole_single_recipients_are_for_the_verdict_of_rcpt() {
    let code = format!("{} {} {PROCEED}", refuses(0, 550, Some(UNAVAILABLE)), holds(0, Some(UNAVAILABLE)));
    let bed = Bed::with(&[("early", &guest("data", &code))]).await;
    let mut facts = TransactionFacts::clone(&transaction(MESSAGE));
    facts.content = None;
    let mut session = bed.session();
    let answer = session.hooks.ask(Request::Data, &session.facts, Some(&Arc::new(facts))).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn decisions_of_a_plugin_that_refuses_traps_or_drops_the_message_are_thrown_away() {
    for (ending, verdict) in [(REJECT, "reject"), (DISCARD, "discard"), ("(unreachable)", "tempfail")] {
        let kept = guest("message", &format!("{} {PROCEED}", holds(1, None)));
        let lost = guest("message", &format!("{} {ending}", refuses(0, 552, None)));
        let answer = message(&[("a", &kept), ("b", &lost)]).await;
        assert_eq!(answer.recipients.keys().collect::<Vec<_>>(), [&1], "{ending}");
        assert_eq!((answer.verdict.name(), answer.by.as_deref()), (verdict, Some("b")));
    }
}
