use std::sync::Arc;

use crate::hub::{Heard, Hub, Watch, Who};
use crate::subject::Subject;
use crate::tap::{Opening, Transcript};

fn opening() -> Opening {
    Opening {
        session: "0000000000001".to_owned(),
        peer: "192.0.2.7".to_owned(),
        address: "192.0.2.7".parse().ok(),
        host: None,
    }
}

/// What is heard without waiting.
fn heard(watch: &mut Watch) -> Vec<String> {
    let mut lines = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        let next = std::pin::pin!(watch.next());
        match Future::poll(next, &mut context) {
            std::task::Poll::Ready(Heard::Line(line)) => lines.push(match line.who {
                Who::Client => format!("C: {}", line.text),
                Who::Server => format!("S: {}", line.text),
                Who::Note => format!("-- {}", line.text),
            }),
            std::task::Poll::Ready(Heard::Lost(count)) => lines.push(format!("lost {count}")),
            std::task::Poll::Pending => return lines,
        }
    }
}

fn watching(subject: &str) -> (Arc<Hub>, Watch) {
    let hub = Arc::new(Hub::default());
    let watch = hub.watch(subject.parse::<Subject>().unwrap()).unwrap();
    (hub, watch)
}

/// Plays a dialogue: lines of `C:` and `S:`, each an own piece.
fn play(transcript: &mut Transcript, dialogue: &[&str]) {
    for line in dialogue {
        let (who, text) = line.split_at(2);
        let octets = format!("{text}\r\n");
        transcript.write(opening, |tap| match who {
            "C:" => tap.client(octets.as_bytes()),
            _ => tap.server(octets.as_bytes()),
        });
    }
}

#[test]
fn a_session_that_comes_to_concern_somebody_is_heard_from_its_beginning() {
    let (hub, mut watch) = watching("Bob@example.org");
    let mut transcript = Transcript::new(hub);
    play(
        &mut transcript,
        &["S:220 mx", "C:EHLO client.example.com", "S:250 mx", "C:MAIL FROM:<ann@example.com>", "S:250 ok"],
    );
    assert_eq!(heard(&mut watch), [""; 0]);
    play(&mut transcript, &["C:RCPT TO:<bob@EXAMPLE.org> NOTIFY=NEVER", "S:550 no"]);
    let lines = heard(&mut watch);
    assert_eq!(lines[..3], ["-- connected", "S: 220 mx", "C: EHLO client.example.com"]);
    assert_eq!(lines[6..], ["C: RCPT TO:<bob@EXAMPLE.org> NOTIFY=NEVER", "S: 550 no"]);
}

#[test]
fn secrets_are_never_shown_however_they_come() {
    for dialogue in [
        &["C:AUTH PLAIN c2VjcmV0", "S:235 ok"][..],
        &[
            "C:auth login",
            "S:334 VXNlcm5hbWU6",
            "C:c2VjcmV0",
            "S:334 UGFzc3dvcmQ6",
            "C:c2VjcmV0",
            "S:235 ok",
            "C:NOOP",
            "S:250 ok",
        ],
        // All at once, and behind other commands whose replies come first.
        &["C:NOOP", "C:NOOP", "C:AUTH LOGIN", "C:c2VjcmV0", "S:250 ok", "S:250 ok", "C:c2VjcmV0", "S:535 no"],
        // After the reply, too late to be a response.
        &["C:AUTH LOGIN", "S:538 not without TLS", "C:c2VjcmV0", "S:500 what?"],
        &["C:AUTH LOGIN", "S:334 x", "C:*", "S:501 cancelled", "C:c2VjcmV0", "S:500 what?"],
    ] {
        let (hub, mut watch) = watching("192.0.2.0/24");
        let mut transcript = Transcript::new(hub);
        play(&mut transcript, &["S:220 mx", "C:EHLO client.example.com", "S:250 mx"]);
        play(&mut transcript, dialogue);
        let lines = heard(&mut watch);
        assert!(!lines.iter().any(|line| line.contains("c2VjcmV0")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("AUTH")), "{lines:#?}");
    }
}

#[test]
fn somebody_who_joins_in_the_middle_of_an_exchange_sees_no_secret() {
    let hub = Arc::new(Hub::default());
    let mut transcript = Transcript::new(Arc::clone(&hub));
    play(&mut transcript, &["S:220 mx", "C:EHLO c", "S:250 mx", "C:AUTH LOGIN"]);
    let mut watch = hub.watch("0000000000001".parse().unwrap()).unwrap();
    play(&mut transcript, &["S:334 x", "C:QUITc2VjcmV0", "S:235 ok", "C:NOOP"]);
    let lines = heard(&mut watch);
    assert_eq!(
        lines,
        [
            "-- was connected before",
            "S: 334 (a challenge)",
            "C: (14 octets of credentials)",
            "S: 235 ok",
            "C: NOOP"
        ]
    );
}

#[test]
fn content_is_cut_and_counted_whether_it_comes_by_data_or_in_chunks() {
    let (hub, mut watch) = watching("0000000000001");
    let mut transcript = Transcript::new(hub);
    play(
        &mut transcript,
        &[
            "S:220 mx",
            "C:DATA",
            "S:354 go",
            "C:Subject: x",
            "C:MAIL FROM:<not@a.command>",
            "C:..",
            "C:",
            "C:.",
        ],
    );
    let lines = heard(&mut watch);
    assert!(lines.contains(&"C: . (45 octets of content)".to_owned()), "{lines:#?}");
    let long = format!("C:{}", "x".repeat(90));
    play(&mut transcript, &["S:250 ok", "C:DATA", "S:354 go"]);
    (0..100).for_each(|_| play(&mut transcript, &[&long]));
    play(&mut transcript, &["C:.", "S:250 ok", "C:BDAT 5 LAST", "C:QUIT", "S:250 ok"]);
    let lines = heard(&mut watch);
    assert!(
        lines.len() < 40 && lines.contains(&"-- the rest of the content is left out".to_owned()),
        "{lines:#?}"
    );
    // Four letters and a CR are the chunk; what is left of the line is an LF, which is no command.
    assert!(lines.contains(&"C: QUIT".to_owned()), "{lines:#?}");
}

#[test]
fn whoever_reads_slowly_loses_lines_and_is_told() {
    let (hub, mut watch) = watching("192.0.2.7");
    let mut transcript = Transcript::new(hub);
    (0..Watch::LINES + 9).for_each(|_| play(&mut transcript, &["C:NOOP"]));
    let lines = heard(&mut watch);
    assert_eq!(lines[0], "lost 10", "one of them was the word that it is connected");
    assert_eq!(lines.len(), Watch::LINES + 1);
}

#[test]
fn a_connection_that_goes_on_concerns_others() {
    let (hub, mut watch) = watching("0000000000009");
    let mut transcript = Transcript::new(hub);
    play(&mut transcript, &["S:220 mx"]);
    transcript.write(opening, |tap| tap.about("0000000000009"));
    play(&mut transcript, &["C:MAIL FROM:<>", "S:250 ok"]);
    assert_eq!(heard(&mut watch).len(), 4);
    transcript.write(opening, |tap| tap.next_transaction());
    play(&mut transcript, &["C:MAIL FROM:<>", "S:250 ok"]);
    assert_eq!(heard(&mut watch), [""; 0]);
}

#[test]
fn there_are_only_so_many_listeners_and_who_leaves_makes_room() {
    let (hub, first) = watching("192.0.2.7");
    let others: Vec<_> =
        (1..Hub::WATCHES).map(|_| hub.watch("192.0.2.7".parse().unwrap()).unwrap()).collect();
    assert!(hub.watch("192.0.2.7".parse().unwrap()).is_err());
    drop(first);
    assert!(hub.watch("192.0.2.7".parse().unwrap()).is_ok());
    drop(others);
    assert!(!hub.is_watched());
}

#[test]
fn what_names_nothing_is_refused() {
    for text in ["", "nonsense", "a b", "@", "x@", "192.0.2.0/99"] {
        assert!(text.parse::<Subject>().is_err(), "{text}");
    }
    assert_eq!("@Example.org".parse(), Ok(Subject::Domain("example.org".to_owned())));
    assert_eq!("0000000000009".parse(), Ok(Subject::Id("0000000000009".to_owned())));
}
