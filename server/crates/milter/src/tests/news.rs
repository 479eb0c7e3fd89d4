//! What milters are told without a question.

use hooks::{News, OnFailure, Request, Verdict};
use model::{Mailbox, Reply};

use super::scripted::{Does, Scripted, agrees, says, usual};
use super::sessions::Session;
use crate::Milters;

/// `SMFIP_RCPT_REJ`.
const REFUSED_TOO: u32 = 0x800;

async fn tell(session: &mut Session, news: News<'_>) {
    session.hooks.tell(news, &session.facts, Some(&session.message)).await;
}

async fn tell_of_refused(session: &mut Session) {
    let (recipient, reply) =
        (Mailbox::parse("nobody@example.org").unwrap(), Reply::new(550, (5, 1, 1), "no such user"));
    tell(session, News::RefusedRecipient { recipient: &recipient, params: &[], reply: &reply }).await;
}

/// Asks for something that is answered, so that all that was told before has been heard.
async fn settle(session: &mut Session) {
    assert_eq!(session.mail().await, Verdict::Proceed);
}

#[tokio::test]
async fn a_message_that_is_given_up_is_aborted_at_once_and_only_once() {
    let milter = Scripted::start(usual);
    let mut session = Session::with(milter.options());
    session.greet().await;
    session.mail().await;
    tell(&mut session, News::Reset).await;
    tell(&mut session, News::Reset).await;
    // Nothing is asked any more: the milter alone can have heard it.
    while !milter.heard().contains(&"A".to_owned()) {
        tokio::task::yield_now().await;
    }
    settle(&mut session).await;
    assert_eq!(milter.heard()[2..], ["M<alice@example.org>", "A", "M<alice@example.org>"]);
    // The end of a message that was heard to its end is no news.
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    tell(&mut session, News::Reset).await;
    settle(&mut session).await;
    assert_eq!(milter.heard().iter().filter(|line| *line == "A").count(), 2, "{:?}", milter.heard());
}

#[tokio::test]
async fn a_client_that_leaves_in_a_message_aborts_it() {
    let milter = Scripted::start(usual);
    let mut session = Session::with(milter.options());
    session.greet().await;
    session.mail().await;
    session.ask(Request::Disconnect).await;
    while !milter.heard().contains(&"Q".to_owned()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(milter.heard()[2..], ["M<alice@example.org>", "A", "Q"]);
}

#[tokio::test]
async fn refused_recipients_are_told_to_milters_that_want_them_with_the_reason() {
    for (steps, told) in [(0, false), (REFUSED_TOO, true), (REFUSED_TOO | 0x08, false)] {
        // What it says to that changes nothing.
        let milter = Scripted::start(move |frame| match frame[0] {
            b'O' => agrees(0, steps),
            b'R' => says(b"r"),
            _ => usual(frame),
        });
        let mut session = Session::with(milter.options());
        session.greet().await;
        tell_of_refused(&mut session).await;
        session.mail().await;
        tell_of_refused(&mut session).await;
        settle(&mut session).await;
        let heard = milter.heard().iter().filter(|line| *line == "R<nobody@example.org>").count();
        assert_eq!(heard, usize::from(told), "steps {steps:#x}: {:?}", milter.heard());
        if told {
            assert_eq!(
                milter.macros(b'R'),
                "{rcpt_mailer} error {rcpt_addr} no such user {rcpt_host} 5.1.1 "
            );
        }
    }
}

#[tokio::test]
async fn a_recipient_that_one_milter_refuses_is_told_to_those_behind_it() {
    let first = Scripted::answering(&[(b'R', b"r")]);
    let second = Scripted::start(|frame| match frame[0] {
        b'O' => agrees(0, REFUSED_TOO),
        _ => usual(frame),
    });
    let mut options = [first.options(), second.options()];
    options[1].name = "second".into();
    let mut session = Session::of(&Milters::new(options.to_vec()));
    session.greet().await;
    session.mail().await;
    assert!(matches!(session.rcpt().await, Verdict::Reject(_)));
    settle(&mut session).await;
    assert!(second.heard().contains(&"R<bob@example.org>".to_owned()), "{:?}", second.heard());
    assert!(second.macros(b'R').contains("{rcpt_mailer} error"), "{}", second.macros(b'R'));
    assert_eq!(first.heard().iter().filter(|line| line.starts_with('R')).count(), 1);
}

#[tokio::test]
async fn unknown_commands_are_told_unless_the_milter_does_not_want_them() {
    for (steps, heard) in [(0, 1), (0x100, 0), (0x2_0000, 1)] {
        let milter = Scripted::start(move |frame| match frame[0] {
            b'O' => agrees(0, steps),
            b'U' if steps == 0x2_0000 => Does::Says(Vec::new()),
            _ => usual(frame),
        });
        let mut session = Session::with(milter.options());
        session.greet().await;
        tell(&mut session, News::UnknownCommand { line: "EXPN staff" }).await;
        settle(&mut session).await;
        let lines = milter.heard();
        assert_eq!(
            lines.iter().filter(|line| *line == "UEXPN staff").count(),
            heard,
            "steps {steps:#x}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn a_milter_that_breaks_while_it_is_told_something_is_answered_for_by_its_policy() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'U' => Does::Closes,
        _ => usual(frame),
    });
    let mut session = Session::with(milter.options());
    session.greet().await;
    session.mail().await;
    tell(&mut session, News::UnknownCommand { line: "EXPN staff" }).await;
    assert_eq!(Some(session.rcpt().await), OnFailure::Tempfail.verdict("scripted"));
    settle(&mut session).await;
}
