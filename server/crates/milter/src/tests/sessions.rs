//! Sessions with milters that behave, and with those that do not.

use std::sync::Arc;
use std::time::Duration;

use hooks::{Answer, OnFailure, Request, SessionFacts, SessionHooks, TransactionFacts, Verdict};
use model::{Mailbox, Reply, ReversePath};

use super::scripted::{Does, Scripted, agrees, says, usual};
use super::{session_facts, transaction_facts};
use crate::{MilterOptions, Milters};

const MESSAGE: &str = "Subject: hello\r\n there\r\nTo:bob\r\n\r\nHi Bob\r\n";

/// A client's session.
pub(super) struct Session {
    pub(super) hooks: Box<dyn SessionHooks>,
    pub(super) facts: Arc<SessionFacts>,
    pub(super) message: Arc<TransactionFacts>,
}

impl Session {
    pub(super) fn of(milters: &Milters) -> Self {
        Self {
            hooks: milters.after_plugins().begin(),
            facts: Arc::new(session_facts()),
            message: Arc::new(transaction_facts(MESSAGE)),
        }
    }

    pub(super) fn with(options: MilterOptions) -> Self {
        Self::of(&Milters::new(vec![options]))
    }

    pub(super) async fn ask(&mut self, request: Request<'_>) -> Answer {
        let in_transaction =
            !matches!(request, Request::Connect | Request::Ehlo { .. } | Request::Disconnect);
        self.hooks.ask(request, &self.facts, in_transaction.then_some(&self.message)).await
    }

    pub(super) async fn greet(&mut self) -> Verdict {
        let connected = self.ask(Request::Connect).await.verdict;
        if connected != Verdict::Proceed {
            return connected;
        }
        let verdict = self.ask(Request::Ehlo { name: "client.example" }).await.verdict;
        Arc::make_mut(&mut self.facts).helo = Some("client.example".to_owned());
        verdict
    }

    pub(super) async fn mail(&mut self) -> Verdict {
        let sender = ReversePath::Mailbox(Mailbox::parse("alice@example.org").unwrap());
        self.ask(Request::Mail { sender: &sender, params: &[] }).await.verdict
    }

    pub(super) async fn rcpt(&mut self) -> Verdict {
        let recipient = Mailbox::parse("bob@example.org").unwrap();
        self.ask(Request::Rcpt { recipient: &recipient, params: &[] }).await.verdict
    }

    /// All of a message, up to the first verdict that is not proceed.
    pub(super) async fn send(&mut self) -> Answer {
        for verdict in [self.mail().await, self.rcpt().await, self.ask(Request::Data).await.verdict] {
            if verdict != Verdict::Proceed {
                return Answer { verdict, ..Answer::default() };
            }
        }
        self.ask(Request::Message).await
    }
}

/// What a milter says to a command, by its code.
type Answers = &'static [(u8, &'static [u8])];

fn text(answer: &Answer) -> String {
    let content = answer.content.as_ref().expect("a message that was edited");
    String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_milter_hears_a_whole_session_in_order() {
    let milter = Scripted::start(usual);
    let mut session = Session::with(milter.options());
    assert_eq!(session.greet().await, Verdict::Proceed);
    let answer = session.send().await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    assert!(answer.content.is_none() && answer.envelope.is_none(), "nothing was changed");
    session.mail().await;
    session.ask(Request::Disconnect).await;
    assert_eq!(
        milter.heard(),
        [
            "C[192.0.2.1] 4\u{f}\u{fffd}192.0.2.1",
            "Hclient.example",
            "M<alice@example.org>",
            "R<bob@example.org>",
            "T",
            "LSubject hello\n there",
            "LTo bob",
            "N",
            "BHi Bob~",
            "E",
            "M<alice@example.org>",
        ]
    );
    let macros = milter.macros(b'M');
    assert!(
        macros.starts_with(&format!("i {} {{mail_addr}} alice@example.org ", session.message.id)),
        "{macros}"
    );
    assert!(milter.macros(b'R').contains("{rcpt_addr} bob@example.org"));
}

#[tokio::test]
async fn a_message_that_was_given_up_is_aborted_before_the_next() {
    let milter = Scripted::start(usual);
    let mut session = Session::with(milter.options());
    session.greet().await;
    session.mail().await;
    session.mail().await;
    assert_eq!(milter.heard()[2..], ["M<alice@example.org>", "A", "M<alice@example.org>"]);
}

#[tokio::test]
async fn values_keep_their_white_space_where_the_milter_wants_it() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'O' => agrees(0x1, 0x10_0000),
        b'E' => Does::Says(vec![b"hX-A\0 one\0".to_vec(), b"hX-B\0two\0".to_vec(), b"c".to_vec()]),
        _ => usual(frame),
    });
    let mut session = Session::with(milter.options());
    session.greet().await;
    let answer = session.send().await;
    assert!(milter.heard().contains(&"LSubject  hello\n there".to_owned()), "{:?}", milter.heard());
    assert!(milter.heard().contains(&"LTo bob".to_owned()));
    assert!(text(&answer).contains("X-A: one\r\nX-B: two\r\n\r\n"));
}

#[tokio::test]
async fn what_a_milter_changes_goes_on() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'E' => Does::Says(
            [
                &b"p"[..],
                b"i\0\0\0\x01X-Top\0yes\0",
                b"m\0\0\0\x01To\0\0",
                b"bnew ",
                b"bbody\n",
                b"+<carol@example.org>\0",
                b"-<bob@example.org>\0",
                b"e<>\0",
                b"a",
            ]
            .map(<[u8]>::to_vec)
            .to_vec(),
        ),
        _ => usual(frame),
    });
    let mut session = Session::with(milter.options());
    session.greet().await;
    let answer = session.send().await;
    assert_eq!(text(&answer), "X-Top: yes\r\nSubject: hello\r\n there\r\n\r\nnew body\r\n");
    let envelope = answer.envelope.unwrap();
    assert_eq!(envelope.sender, ReversePath::Null);
    let addresses: Vec<String> = envelope.recipients.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(addresses, ["carol@example.org"]);
}

#[tokio::test]
async fn verdicts_are_understood_where_they_are_said() {
    let refused = Verdict::Reject(Reply::new(550, (5, 7, 1), "refused by a mail filter"));
    let cases: [(Answers, Verdict); 7] = [
        (&[(b'C', b"r")], Verdict::Reject(Reply::new(554, (5, 7, 1), "refused by a mail filter"))),
        (&[(b'M', b"r")], refused.clone()),
        (
            &[(b'R', b"t")],
            Verdict::TempFail(Reply::new(451, (4, 7, 1), "a mail filter asks to try again later")),
        ),
        (&[(b'R', b"d")], Verdict::Discard("the milter scripted discarded it".to_owned())),
        (&[(b'L', b"r")], refused),
        (
            &[(b'B', b"y550 5.6.1 no\r\n550 5.6.1 never\0")],
            Verdict::Reject(Reply::new(550, (5, 6, 1), "no\nnever")),
        ),
        (&[(b'E', b"4")], Verdict::Disconnect(Reply::new(421, (4, 7, 0), "a mail filter ends the session"))),
    ];
    for (answers, wanted) in cases {
        let milter = Scripted::answering(answers);
        let mut session = Session::with(milter.options());
        let greeted = session.greet().await;
        let verdict = if greeted == Verdict::Proceed { session.send().await.verdict } else { greeted };
        assert_eq!(verdict, wanted, "{answers:?}");
    }
}

#[tokio::test]
async fn a_milter_that_accepts_is_not_asked_again() {
    let milter = Scripted::answering(&[(b'M', b"a")]);
    let mut session = Session::with(milter.options());
    session.greet().await;
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    assert_eq!(milter.heard().len(), 3, "{:?}", milter.heard());
    let milter = Scripted::answering(&[(b'H', b"a")]);
    let mut session = Session::with(milter.options());
    session.greet().await;
    session.send().await;
    session.send().await;
    assert_eq!(milter.heard().len(), 2, "{:?}", milter.heard());
}

#[tokio::test]
async fn a_quarantined_message_keeps_its_changes() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'E' => Does::Says(vec![b"qspam\r\nfound\0".to_vec(), b"hX-Spam\0yes\0".to_vec(), b"c".to_vec()]),
        _ => usual(frame),
    });
    let mut session = Session::with(milter.options());
    session.greet().await;
    let answer = session.send().await;
    assert_eq!(answer.verdict, Verdict::Quarantine("spam  found".to_owned()));
    assert!(text(&answer).contains("X-Spam: yes\r\n"));
}

#[tokio::test]
async fn what_a_milter_does_not_want_it_is_not_told() {
    // No connect, HELO, RCPT, DATA; no answers to header fields; the body is skipped after its first piece.
    let milter = Scripted::start(|frame| match frame[0] {
        b'O' => agrees(0, 0x01 | 0x02 | 0x08 | 0x80 | 0x200 | 0x400),
        b'L' => Does::Says(Vec::new()),
        b'B' => says(b"s"),
        _ => usual(frame),
    });
    let mut session = Session::with(milter.options());
    let body = "0123456789abcdef".repeat(20_000);
    session.message = Arc::new(transaction_facts(&format!("A: b\r\n\r\n{body}\r\n")));
    session.greet().await;
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    let codes: String = milter.heard().iter().filter_map(|line| line.chars().next()).collect();
    assert_eq!(codes, "MLNBE");
}

/// Everything that a milter can do wrong at one command.
fn wrong() -> Vec<Does> {
    vec![
        Does::Closes,
        Does::Raw(b"\0\0\0\0".to_vec()),
        Does::Raw(b"\xff\xff\xff\xffGET / HTTP/1.1\r\n".to_vec()),
        says(b"Z"),
        says(b"O\0\0\0\x06\0\0\0\0\0\0\0\0"),
        says(b"y250 fine\0"),
        says(b"y550 no"),
        says(b"cc"),
    ]
}

#[tokio::test]
async fn whatever_goes_wrong_at_each_command_the_policy_answers() {
    let tempfail = OnFailure::Tempfail.verdict("scripted").unwrap();
    for code in *b"OCHMRTLNBE" {
        for does in wrong() {
            // A negotiation is what is asked for at O.
            if code == b'O' && does == says(b"O\0\0\0\x06\0\0\0\0\0\0\0\0") {
                continue;
            }
            let wrong = does.clone();
            let milter = Scripted::start(move |frame| match frame[0] == code {
                true => wrong.clone(),
                false => usual(frame),
            });
            let mut session = Session::with(milter.options());
            let greeted = session.greet().await;
            let verdict = if greeted == Verdict::Proceed { session.send().await.verdict } else { greeted };
            assert_eq!(verdict, tempfail, "{} {does:?}", code as char);
        }
    }
}

#[tokio::test]
async fn a_milter_that_hangs_is_not_waited_for_longer_than_its_time() {
    for code in *b"OCMLBE" {
        let milter = Scripted::start(move |frame| match frame[0] == code {
            true => Does::Hangs,
            false => usual(frame),
        });
        let mut options = milter.options();
        options.on_failure = OnFailure::Quarantine;
        let soon = Duration::from_millis(30);
        options.timeouts.command = soon;
        (options.timeouts.content, options.timeouts.end_of_message) = (soon, soon);
        let mut session = Session::with(options);
        let greeted = session.greet().await;
        let verdict = if greeted == Verdict::Proceed { session.send().await.verdict } else { greeted };
        assert_eq!(Some(verdict), OnFailure::Quarantine.verdict("scripted"), "{}", code as char);
    }
}

#[tokio::test]
async fn progress_is_no_way_to_hang_for_ever() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'E' => Does::Says(vec![b"p".to_vec(); 3]),
        _ => usual(frame),
    });
    let mut options = milter.options();
    options.timeouts.message = Duration::from_millis(100);
    let mut session = Session::with(options);
    session.greet().await;
    assert_eq!(Some(session.send().await.verdict), OnFailure::Tempfail.verdict("scripted"));
}

#[tokio::test]
async fn a_change_that_was_not_agreed_on_or_cannot_be_fails_the_milter() {
    let tempfail = OnFailure::Tempfail.verdict("scripted");
    for (actions, change) in [
        (0, &b"hX\0y\0"[..]),
        (0x1ff, b"hX:\0y\0"),
        (0x1ff, b"+nobody\0"),
        (0x1ff, b"e<a b>\0"),
        (0x1ff, b"+<a@b>\r\nDATA\0"),
    ] {
        let milter = Scripted::start(move |frame| match frame[0] {
            b'O' => agrees(actions, 0),
            b'E' => Does::Says(vec![change.to_vec(), b"c".to_vec()]),
            _ => usual(frame),
        });
        let mut session = Session::with(milter.options());
        session.greet().await;
        let answer = session.send().await;
        assert_eq!(Some(answer.verdict), tempfail, "{change:?}");
        assert!(answer.content.is_none() && answer.envelope.is_none(), "{change:?}");
    }
}

#[tokio::test]
async fn a_milter_that_is_not_there_is_tried_again_with_the_next_message() {
    let milter = Scripted::start(|frame| match frame[0] {
        b'R' => Does::Closes,
        _ => usual(frame),
    });
    let mut options = milter.options();
    options.on_failure = OnFailure::Proceed;
    let milters = Milters::new(vec![options]);
    let mut session = Session::of(&milters);
    session.greet().await;
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    let codes: String = milter.heard().iter().filter_map(|line| line.chars().next()).collect();
    assert_eq!(codes, "CHMRCHMR", "connection and HELO are told anew");
    let status = &milters.status()[0];
    assert_eq!((status.failures, status.breaker), (2, "closed"));
    for _ in 0..3 {
        session.send().await;
    }
    let heard = milter.heard().len();
    assert_eq!(milters.status()[0].breaker, "open");
    assert_eq!(session.send().await.verdict, Verdict::Proceed);
    assert_eq!(milter.heard().len(), heard, "an open breaker asks nobody");
    assert!(milters.status()[0].not_asked > 0);
}

#[tokio::test]
async fn milters_are_asked_in_order_and_only_for_their_listeners() {
    let change = |name: &'static [u8]| {
        Scripted::start(move |frame| match frame[0] {
            b'E' => Does::Says(vec![[b"hX\0", name, b"\0"].concat(), b"c".to_vec()]),
            _ => usual(frame),
        })
    };
    let (first, second, other) = (change(b"one"), change(b"two"), change(b"three"));
    let mut options = [first.options(), second.options(), other.options()];
    for (nth, options) in options.iter_mut().enumerate() {
        options.name = format!("m{nth}").into();
    }
    options[2].listeners = vec!["submission".to_owned()];
    let milters = Milters::new(options.to_vec());
    let mut session = Session::of(&milters);
    session.greet().await;
    assert!(text(&session.send().await).contains("X: one\r\nX: two\r\n\r\n"));
    assert!(second.heard().contains(&"LX one".to_owned()), "the second saw what the first had added");
    assert_eq!(other.heard(), [""; 0]);
    // A session keeps what it began with; the next one has what the configuration says by then.
    milters.replace(options[..1].to_vec());
    assert!(text(&session.send().await).contains("X: two\r\n"));
    let mut session = Session::of(&milters);
    session.greet().await;
    assert!(!text(&session.send().await).contains("X: two\r\n"));
}
