//! Dialogues with the session, as a client would hear them.

mod every_code;
mod extensions;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{BareNewline, Limits, Paths};

/// A client's side of a session whose driver says yes to everything but what a test tells it to refuse.
struct Dialogue {
    session: Session,
    now: Instant,
    heard: String,
    events: Vec<Event>,
    committed: Vec<Vec<u8>>,
    content: Vec<u8>,
    /// Answers by the name of the event.
    answers: fn(&Event) -> Answer,
}

impl Dialogue {
    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new("mx.example.org");
        change(&mut options);
        #[expect(clippy::disallowed_methods, reason = "a test needs a point in time to start from")]
        let now = Instant::now();
        let mut dialogue = Self {
            session: Session::new(Arc::new(options), Channel::default(), now, Timestamp(0)),
            now,
            heard: String::new(),
            events: Vec::new(),
            committed: Vec::new(),
            content: Vec::new(),
            answers: |_| Answer::Proceed,
        };
        dialogue.pump();
        dialogue
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    /// A session that has heard the reply to EHLO.
    fn greeted() -> Self {
        let mut dialogue = Self::new();
        dialogue.says("EHLO client.example\r\n");
        dialogue.hears(220);
        dialogue.hears(250);
        dialogue
    }

    /// A session that is behind 354.
    fn receiving() -> Self {
        Self::greeted().into_data()
    }

    fn into_data(mut self) -> Self {
        self.says("MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
        self.hears(250);
        self.hears(250);
        self.hears(354);
        self
    }

    fn says(&mut self, text: impl AsRef<[u8]>) {
        self.session.receive(text.as_ref(), self.now);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(event) = self.next_event() {
            match &event {
                Event::Content(piece) => self.content.extend_from_slice(piece),
                Event::Message => self.committed.push(std::mem::take(&mut self.content)),
                Event::Reset(_) => self.content.clear(),
                _ => {}
            }
            if event.asks() {
                self.session.answer((self.answers)(&event), self.now);
            }
            self.events.push(event);
        }
        self.heard.push_str(&String::from_utf8(self.session.take_output()).unwrap());
    }

    /// The next event; pauses are waited for.
    fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.session.poll_event();
            match self.session.paused_until() {
                Some(until) if event.is_none() => {
                    self.now = until;
                    self.session.resume(until);
                }
                _ => return event,
            }
        }
    }

    /// The next reply has this code; its text comes back.
    #[track_caller]
    fn hears(&mut self, code: u16) -> String {
        let mut reply = String::new();
        loop {
            let Some(end) = self.heard.find("\r\n") else {
                panic!("no reply, wanted {code}; heard {reply:?}")
            };
            let line: String = self.heard.drain(..end + 2).collect();
            reply.push_str(&line);
            if line.as_bytes()[3] == b' ' {
                assert!(line.starts_with(&code.to_string()), "wanted {code}: {reply}");
                return reply;
            }
        }
    }

    #[track_caller]
    fn hears_nothing_more(&self) {
        assert_eq!(self.heard, "");
    }
}

#[test]
fn a_message_is_taken_on() {
    let mut peer = Dialogue::receiving();
    peer.says("Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    peer.hears(250);
    peer.hears(221);
    assert_eq!(peer.committed, [b"Subject: x\r\n\r\n.dot\r\n"]);
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::Quit)));
}

#[test]
fn content_that_was_handed_on_leaves_no_buffer_behind() {
    let mut peer = Dialogue::receiving();
    let line = "a line of a message\r\n".repeat(1_000);
    peer.says(&line);
    assert_eq!((peer.content.len(), peer.session.input.capacity()), (line.len(), 0));
    peer.says(".\r\n");
    assert_eq!((peer.heard.get(..3), peer.session.input.capacity()), (Some("250"), 0));
}

#[test]
fn ehlo_announces_what_is_obeyed() {
    let mut peer = Dialogue::new();
    assert_eq!(peer.hears(220), "220 mx.example.org ESMTP\r\n");
    peer.says("EHLO client.example\r\n");
    let reply = peer.hears(250);
    for extension in ["PIPELINING", "SIZE 26214400", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"] {
        assert!(reply.contains(extension), "{reply}");
    }
    peer.says("HELO client.example\r\n");
    assert_eq!(peer.hears(250), "250 mx.example.org\r\n");
}

#[test]
fn a_dot_between_bare_line_feeds_does_not_end_the_message() {
    for smuggled in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"] {
        let mut peer = Dialogue::receiving();
        peer.says(format!("Subject: x\r\n\r\nbody{smuggled}MAIL FROM:<evil@example.org>\r\nx\r\n.\r\n"));
        assert!(peer.hears(554).starts_with("554 5.6.0 "), "{smuggled:?}");
        peer.hears_nothing_more();
        assert!(peer.committed.is_empty());
    }
}

#[test]
fn bare_newlines_become_crlf_where_the_configuration_says_so() {
    let mut peer = Dialogue::with(|options| options.bare_newline = BareNewline::Convert);
    peer.says("EHLO x\r\n");
    peer.hears(220);
    peer.hears(250);
    let mut peer = peer.into_data();
    peer.says("Subject: x\n\nbody\n.\nstill\r\n.\r\n");
    peer.hears(250);
    assert_eq!(peer.committed, [b"Subject: x\r\n\r\nbody\r\n.\r\nstill\r\n"]);
}

#[test]
fn a_command_that_ends_with_a_bare_line_feed_is_refused_and_nothing_of_its_line_is_obeyed() {
    let mut peer = Dialogue::greeted();
    peer.says("NOOP\nMAIL FROM:<a@example.org>\r\nRSET\r\n");
    peer.hears(500);
    peer.hears(250);
    peer.hears_nothing_more();
    assert!(!peer.events.iter().any(|event| matches!(event, Event::Mail { .. })));
}

#[test]
fn malformed_commands_get_their_code_and_too_many_end_the_session() {
    let mut peer = Dialogue::greeted();
    for (line, wanted) in [
        ("XYZZY", "500 5.5.2 "),
        ("MAIL", "501 5.5.4 "),
        ("MAIL FROM:<a b@c>", "501 5.1.7 "),
        ("VRFY", "501 5.5.4 "),
        ("EXPN x", "502 5.5.1 "),
        ("RCPT TO:<a@b>", "503 5.5.1 "),
        ("DATA", "503 5.5.1 "),
        ("DATA x", "501 5.5.4 "),
        ("MAIL FROM:<a@b> WHAT=ever", "555 5.5.4 "),
        ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4 "),
        ("MAIL FROM:<a@b> SIZE=26214401", "552 5.3.4 "),
        ("MAIL FROM:<a@b> SIZE=99999999999999999999", "552 5.3.4 "),
        ("MAIL FROM:<a@b> BODY=9BIT", "501 5.5.4 "),
        ("MAIL FROM:<ä@b>", "553 5.6.7 "),
    ] {
        peer.says(format!("{line}\r\n"));
        let code = wanted[..3].parse().unwrap();
        let reply = peer.hears(code);
        assert!(reply.starts_with(wanted), "{line}: {reply}");
    }
    peer.says("X\r\n".repeat(20));
    for _ in 14..19 {
        peer.hears(500);
    }
    assert!(peer.hears(421).starts_with("421 4.7.0 "));
    peer.hears_nothing_more();
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::Limit)));
}

#[test]
fn an_over_long_line_is_refused_and_the_rest_of_it_discarded() {
    let mut peer = Dialogue::greeted();
    for _ in 0..3 {
        peer.says("x".repeat(2_000));
    }
    peer.says("MAIL FROM:<a@b>\r\nNOOP\r\n");
    assert!(peer.hears(500).starts_with("500 5.5.6 "));
    peer.hears(250);
    peer.hears_nothing_more();
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_end() {
    let mut peer = Dialogue::with(|options| options.limits.message_size = 1_000);
    peer.says("EHLO x\r\n");
    peer.hears(220);
    peer.hears(250);
    let mut peer = peer.into_data();
    for _ in 0..300 {
        peer.says("0123456789\r\n");
    }
    peer.hears_nothing_more();
    assert!(peer.events.contains(&Event::Reset(ResetReason::Content)));
    peer.says(".\r\n");
    assert!(peer.hears(552).starts_with("552 5.3.4 "));
    let mut peer = peer.into_data();
    peer.says("x\r\n.\r\n");
    peer.hears(250);
    assert_eq!(peer.committed, [b"x\r\n"]);
}

#[test]
fn what_a_message_is_refused_for_does_not_depend_on_where_its_octets_were_cut() {
    let content = format!("bare\nnewline\r\n{}\r\n.\r\n", "x".repeat(200));
    for cut in 0..content.len() {
        let mut peer = Dialogue::with(|options| options.limits.message_size = 120);
        peer.says("EHLO client.example\r\n");
        peer.hears(220);
        peer.hears(250);
        let mut peer = peer.into_data();
        peer.says(&content[..cut]);
        peer.says(&content[cut..]);
        peer.hears(552);
    }
}

#[test]
fn recipients_beyond_the_limit_are_452_and_the_earlier_ones_stand() {
    let mut peer = Dialogue::with(|options| options.limits.recipients = 2);
    peer.says("EHLO x\r\nMAIL FROM:<a@b>\r\n");
    for code in [220, 250, 250] {
        peer.hears(code);
    }
    peer.says("RCPT TO:<a@b>\r\nRCPT TO:<b@b>\r\nRCPT TO:<c@b>\r\nDATA\r\n");
    peer.hears(250);
    peer.hears(250);
    assert!(peer.hears(452).starts_with("452 4.5.3 "));
    peer.hears(354);
}

#[test]
fn a_person_at_a_terminal_is_understood_unless_paths_are_strict() {
    let mut peer = Dialogue::greeted();
    peer.says("mail from: ann@example.org\r\nrcpt to: bob@example.org\r\n");
    peer.hears(250);
    peer.hears(250);
    let mut peer = Dialogue::with(|options| options.paths = Paths::Strict);
    peer.says("EHLO x\r\nMAIL FROM: <ann@example.org>\r\n");
    peer.hears(220);
    peer.hears(250);
    peer.hears(501);
}

#[test]
fn a_refused_command_leaves_the_session_where_it_was() {
    let mut peer = Dialogue::greeted();
    peer.answers = |event| match event {
        Event::Rcpt { path: model::ForwardPath::Mailbox(mailbox), .. } if mailbox.local() == "nobody" => {
            Answer::Say(Reply::new(550, (5, 1, 1), "no such mailbox"))
        }
        _ => Answer::Proceed,
    };
    peer.says(
        "MAIL FROM:<>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n",
    );
    for code in [250, 550, 554, 250, 354] {
        peer.hears(code);
    }
}

#[test]
fn a_refused_hello_leaves_the_transaction_under_way() {
    let mut peer = Dialogue::greeted();
    peer.answers = |event| match event {
        Event::Hello { name, .. } if name == "bad" => Reply::new(550, (5, 7, 1), "not you").into(),
        _ => Answer::Proceed,
    };
    peer.says("MAIL FROM:<a@b>\r\nEHLO bad\r\nRCPT TO:<bob@example.org>\r\nEHLO good\r\nRCPT TO:<bob@example.org>\r\n");
    for code in [250, 550, 250, 250, 503] {
        peer.hears(code);
    }
    let resets = peer.events.iter().filter(|event| **event == Event::Reset(ResetReason::Client));
    assert_eq!(resets.count(), 1);
}

#[test]
fn behind_a_greeting_that_refuses_quit_is_waited_for() {
    let mut peer = Dialogue::new();
    peer.session.state = State::Connected;
    peer.answers = |_| Reply::plain(554, "no service").into();
    peer.pump();
    peer.says("EHLO client.example\r\nSTARTTLS\r\nBDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b>\r\nFOO\r\nQUIT\r\n");
    for code in [220, 554, 503, 503, 503, 503, 500, 221] {
        peer.hears(code);
    }
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::Quit)));
    let mut peer = Dialogue::new();
    peer.session.state = State::Connected;
    peer.answers = |_| Reply::plain(450, "later").into();
    peer.pump();
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::Refused)));
}

#[test]
fn a_refused_message_ends_its_transaction() {
    let mut peer = Dialogue::receiving();
    peer.answers = |event| match event {
        Event::Message => Answer::Say(Reply::new(451, (4, 3, 0), "later")),
        _ => Answer::Proceed,
    };
    peer.says("x\r\n.\r\nMAIL FROM:<a@b>\r\n");
    peer.hears(451);
    peer.hears(250);
}

#[test]
fn an_answer_that_closes_is_the_last_thing_heard() {
    let mut peer = Dialogue::greeted();
    peer.answers = |_| Answer::Close(Reply::new(421, (4, 7, 0), "go away"));
    peer.says("MAIL FROM:<a@b>\r\nNOOP\r\n");
    peer.hears(421);
    peer.hears_nothing_more();
    assert!(peer.session.is_closed());
}

#[test]
fn slow_octets_do_not_move_the_deadline() {
    let mut peer = Dialogue::greeted();
    let limit = Limits::default().command_timeout;
    for _ in 0..3 {
        peer.now += limit / 4;
        peer.says("N");
    }
    peer.now += limit / 4;
    assert!(peer.session.poll_timeout().is_some_and(|deadline| deadline <= peer.now));
    peer.session.handle_timeout(peer.now);
    peer.pump();
    assert!(peer.hears(421).starts_with("421 4.4.2 "));
}

#[test]
fn content_must_make_progress_but_may_take_long() {
    let mut peer = Dialogue::receiving();
    let limits = Limits::default();
    for _ in 0..10 {
        peer.now += limits.data_timeout - Duration::from_secs(1);
        peer.says(vec![b'x'; 70_000]);
        peer.session.handle_timeout(peer.now);
        assert!(!peer.session.is_closed());
    }
    for _ in 0..4 {
        peer.now += limits.data_timeout / 4;
        peer.says("x");
    }
    peer.session.handle_timeout(peer.now);
    peer.pump();
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::TimedOut)));
    assert!(peer.events.contains(&Event::Reset(ResetReason::Closed)));
}

#[test]
fn a_client_that_vanishes_resets_its_transaction() {
    let mut peer = Dialogue::receiving();
    peer.says("half a mess");
    peer.session.receive_end(peer.now);
    peer.pump();
    let last_two = &peer.events[peer.events.len() - 2..];
    assert_eq!(last_two, [Event::Reset(ResetReason::Closed), Event::Closed(CloseReason::Gone)]);
    assert!(peer.committed.is_empty());
}

#[test]
fn a_request_of_http_ends_the_session() {
    let mut peer = Dialogue::new();
    peer.says("POST / HTTP/1.1\r\nMAIL FROM:<a@b>\r\n");
    peer.hears(220);
    peer.hears(421);
    peer.hears_nothing_more();
}

#[test]
fn a_session_without_messages_does_not_go_on_for_ever() {
    let mut peer = Dialogue::greeted();
    peer.says("NOOP\r\n".repeat(200));
    for _ in 0..99 {
        peer.hears(250);
    }
    peer.hears(421);
    peer.hears_nothing_more();
}

#[test]
fn shutting_down_ends_a_session_between_messages_only() {
    let mut peer = Dialogue::receiving();
    assert!(!peer.session.shut_down(peer.now));
    peer.says("x\r\n.\r\n");
    peer.hears(250);
    assert!(peer.session.shut_down(peer.now));
    peer.pump();
    assert!(peer.hears(421).starts_with("421 4.3.2 "));
}

/// A session's worth of bytes: valid commands, junk, content, in any order.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("EHLO client.example\r\n".to_owned()),
        Just("MAIL FROM:<ann@example.org>\r\n".to_owned()),
        Just("RCPT TO:<bob@example.org>\r\n".to_owned()),
        Just("DATA\r\n".to_owned()),
        Just("Subject: hi\r\n\r\n..x\r\n.\r\n".to_owned()),
        Just("BDAT 5\r\nab\r\nc".to_owned()),
        Just("BDAT 3 LAST\r\n\r\n.".to_owned()),
        Just("BDAT 0 LAST\r\n".to_owned()),
        Just("MAIL FROM:<> BODY=BINARYMIME PRDR\r\n".to_owned()),
        Just("AUTH PLAIN AGEAYg==\r\n".to_owned()),
        Just("*\r\n".to_owned()),
        Just("RSET\r\n".to_owned()),
        Just("NOOP\n".to_owned()),
        Just("\r\n.\r\n".to_owned()),
        "[A-Z .<>@:\\r\\n\u{e9}]{0,12}",
        Just("x".repeat(1_500)),
    ];
    let begun = "EHLO client.example\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n";
    let begin = prop_oneof![Just(String::new()), Just(begun.to_owned()), Just(format!("{begun}DATA\r\n"))];
    (begin, proptest::collection::vec(piece, 0..30))
        .prop_map(|(begin, pieces)| (begin + &pieces.concat()).into_bytes())
}

/// Content that came in several events counts as one, and content that was refused in the end does not count.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    for event in events {
        match (all.last_mut(), event) {
            (Some(Event::Content(before)), Event::Content(piece)) => before.extend(piece),
            (Some(Event::Content(_)), event @ Event::Reset(_)) => {
                all.pop();
                all.push(event);
            }
            (_, event) => all.push(event),
        }
    }
    all
}

proptest! {
    #[test]
    fn any_cut_of_the_bytes_gives_the_same_events_and_replies(
        wire in wire(),
        cuts in proptest::collection::vec(1usize..40, 0..60),
    ) {
        let mut whole = Dialogue::new();
        whole.says(&wire);
        let mut cut = Dialogue::new();
        let mut rest = wire.as_slice();
        for len in cuts {
            let (now, later) = rest.split_at(len.min(rest.len()));
            cut.says(now);
            rest = later;
        }
        cut.says(rest);
        prop_assert_eq!(&cut.heard, &whole.heard);
        prop_assert_eq!(joined(cut.events), joined(whole.events));
    }

    #[test]
    fn no_bytes_panic_and_every_line_of_output_is_a_reply(wire in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut peer = Dialogue::new();
        peer.says(&wire);
        for line in peer.heard.split_terminator("\r\n") {
            prop_assert!(line.len() <= 510 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit), "{}", line);
        }
    }
}
