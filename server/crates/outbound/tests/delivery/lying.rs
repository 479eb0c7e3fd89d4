//! Peers that do not keep to the protocol: each ends in a named outcome, and no message is delivered or bounced twice.

use crate::peer::{Act, Peer, say};
use crate::{Post, letter, local, options, relay};

/// What came of a message when a peer does this at this step: its state, the reply, and how often the peer took it.
async fn outcome(step: &'static str, act: Act) -> (&'static str, String, usize) {
    let peer = Peer::at(step, act).await;
    let post = Post::office(local(options(), "to.example", relay(&peer)));
    let id = post.takes(letter(&["a@to.example"]));
    post.until_tried(id).await;
    let (state, reply) = (post.states(id)[0], post.reply(id));
    post.closes().await;
    (state, reply, peer.taken().len())
}

const STEPS: [&str; 6] = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."];

#[tokio::test]
async fn what_is_no_reply_defers_with_what_was_wrong_at_every_step() {
    let long = "2".repeat(5_000);
    let endless = format!("{}250 x\r\n", "250-x\r\n".repeat(10_000));
    let lies = [
        ("hello there\r\n".to_owned(), "not a reply"),
        ("\u{0}\u{1}\u{2}\r\n".to_owned(), "not a reply"),
        ("99 x\r\n".to_owned(), "not a reply"),
        ("650 x\r\n".to_owned(), "not a reply"),
        ("250-x\r\n350 y\r\n".to_owned(), "disagree"),
        (format!("{long}\r\n"), "longer than"),
        (endless, "more than 100 lines"),
    ];
    for step in STEPS {
        for (lie, why) in &lies {
            let (state, reply, taken) = outcome(step, Act::Say(lie.clone())).await;
            assert_eq!(state, "waiting", "{step}: {reply}");
            assert!(reply.contains("4.5.0") && reply.contains(why), "{why} at {step}: {reply}");
            // A peer that lies about what it took may have taken it: but it said no yes.
            assert!(taken <= 1);
        }
    }
}

#[tokio::test]
async fn codes_that_do_not_belong_to_a_step_defer() {
    for (step, code) in
        [("MAIL", "354"), ("RCPT", "354"), ("DATA", "250"), (".", "354"), ("EHLO", "334"), ("MAIL", "334")]
    {
        let (state, reply, _) = outcome(step, say(&format!("{code} surprise"))).await;
        assert_eq!(state, "waiting", "{code} at {step}: {reply}");
        assert!(reply.contains("does not follow the protocol"), "{code} at {step}: {reply}");
    }
}

#[tokio::test]
async fn a_message_that_was_taken_stays_delivered_whatever_the_peer_says_next() {
    for more in [
        "250 2.0.0 taken\r\n550 no, not that one\r\n",
        "250 2.0.0 taken\r\ngarbage\r\n",
        "250 2.0.0 taken\r\n421 bye\r\n",
    ] {
        let (state, reply, _) = outcome(".", Act::Say(more.to_owned())).await;
        assert_eq!((state, reply.as_str()), ("delivered", "250 2.0.0 taken"));
    }
}

#[tokio::test]
async fn a_yes_that_was_cut_is_none() {
    for cut in ["2", "25", "250", "250 2.0.0 taken", "250-2.0.0 taken\r\n"] {
        let (state, reply, _) = outcome(".", Act::SayAndClose(cut.to_owned())).await;
        assert_eq!(state, "waiting", "{cut:?}: {reply}");
        assert!(reply.contains("the connection was lost"), "{cut:?}: {reply}");
    }
}

#[tokio::test]
async fn a_peer_that_accepts_and_drops_is_no_reason_to_bounce() {
    for step in STEPS {
        let (state, reply, taken) = outcome(step, Act::Close).await;
        assert_eq!((state, taken), ("waiting", 0), "{step}: {reply}");
        assert!(reply.contains("4.4.2"), "{step}: {reply}");
    }
}
