//! Milters that answer anything at all: each question has its answer, and nothing gets into a reply or a message that does not belong there.

use hooks::{Answer, Verdict};
use proptest::prelude::*;

use super::scripted::{Does, Scripted, usual};
use super::sessions::Session;

/// What a milter may send: frames of each code with octets that are likely to mean something, and octets that mean nothing.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let texts = proptest::sample::select(vec![
        "\0",
        "X-A\0b\0",
        "X-A\0b\r\nEvil: c\0",
        "X:A\0b\0",
        "<a@b.example>\0",
        "<a@b>\r\nDATA\0",
        "550 5.7.1 no\0",
        "250 fine\0",
        "421 4.7.0 a\r\nb\0",
        "\0\0\0\u{1}X-A\0c\0",
        "body\n",
        "",
    ]);
    let frame =
        (proptest::sample::select(b"carytdsphimbe+2-qO4Z".to_vec()), texts).prop_map(|(code, text)| {
            let mut frame = u32::try_from(1 + text.len()).unwrap().to_be_bytes().to_vec();
            frame.push(code);
            frame.extend(text.as_bytes());
            frame
        });
    let noise = proptest::collection::vec(any::<u8>(), 0..12);
    proptest::collection::vec(prop_oneof![8 => frame, 1 => noise], 1..6).prop_map(|parts| parts.concat())
}

fn check(answer: &Answer) {
    if let Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) = &answer.verdict {
        assert!((400..600).contains(&reply.code), "{reply:?}");
        let mut wire = Vec::new();
        reply.write(true, &mut wire);
        let wire = String::from_utf8(wire).unwrap();
        let code = reply.code.to_string();
        assert!(wire.ends_with("\r\n") && wire.lines().all(|line| line.starts_with(&code)), "{wire:?}");
    }
    let Some(content) = &answer.content else { return };
    let message = String::from_utf8_lossy(&content.to_bytes().unwrap()).into_owned();
    assert!(!message.replace("\r\n", "").contains(['\r', '\n']), "a bare line end: {message:?}");
    let header = message.split("\r\n\r\n").next().unwrap_or_default();
    assert!(!header.contains("\r\nEvil:") && !header.starts_with("Evil:"), "{header:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_answered_stays_where_it_belongs(code in proptest::sample::select(b"OCHMRTLNBE".to_vec()), sent in octets()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let milter = Scripted::start(move |frame| match frame[0] == code {
                true => Does::RawThenCloses(sent.clone()),
                false => usual(frame),
            });
            let mut session = Session::with(milter.options());
            if session.greet().await == Verdict::Proceed {
                check(&session.send().await);
                check(&session.send().await);
            }
        });
    }
}
