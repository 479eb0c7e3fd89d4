//! What plugins change: kept, thrown away, and seen by those that come later.

use hooks::{Request, Verdict};

use crate::guest::{ACCEPT, DISCARD, Guest, PROCEED, QUARANTINE, REJECT, adds_header};
use crate::stage::{Bed, text, transaction};

const MESSAGE: &str = "From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n";

#[tokio::test]
async fn edits_are_kept_in_order_when_the_hooks_end_well() {
    let bed = Bed::with(&[("a", &adds_header("one", PROCEED)), ("b", &adds_header("two", ACCEPT))]).await;
    let answer = bed.session().message(MESSAGE).await;
    assert_eq!(answer.verdict, Verdict::Accept);
    let expected = "From: a@example.org\r\nSubject: x\r\nX-Seen: one\r\nX-Seen: two\r\n\r\nbody\r\n";
    assert_eq!(text(&answer), expected);
}

#[tokio::test]
async fn edits_of_a_plugin_that_does_not_let_the_message_pass_are_thrown_away() {
    for verdict in [REJECT, DISCARD, QUARANTINE, "(unreachable)"] {
        let bed =
            Bed::with(&[("a", &adds_header("one", PROCEED)), ("b", &adds_header("two", verdict))]).await;
        let answer = bed.session().message(MESSAGE).await;
        assert_eq!(answer.by.as_deref(), Some("b"));
        assert!(text(&answer).contains("X-Seen: one\r\n") && !text(&answer).contains("two"), "{verdict}");
    }
}

#[tokio::test]
async fn a_message_that_nobody_edits_is_not_given_back() {
    let looks = Guest::new()
        .import("transaction", "headers", "(param i32 i32 i32)")
        .hook("message", "(call $headers (i32.const 0) (i32.const 100) (i32.const 2048)) (i32.const 0)");
    let bed = Bed::with(&[("looks", &looks.build())]).await;
    let answer = bed.session().message(MESSAGE).await;
    assert!(answer.content.is_none() && answer.envelope.is_none());
}

/// Rejects unless the fields named `name` are `count`.
fn counts(name: &str, count: u32) -> Vec<u8> {
    let code = format!(
        "(call $header-all (i32.const 1024) (i32.const {}) (i32.const 2048))
         (if (result i32) (i32.eq (i32.load (i32.const 2052)) (i32.const {count})) (then (i32.const 0)) (else (i32.const 64)))",
        name.len()
    );
    Guest::new()
        .import("transaction", "header-all", "(param i32 i32 i32)")
        .with(&format!("(data (i32.const 1024) \"{name}\")"))
        .hook("message", &code)
        .build()
}

#[tokio::test]
async fn later_plugins_see_the_edits_of_earlier_ones() {
    let one = adds_header("one", PROCEED);
    let bed = Bed::with(&[("a", &counts("x-seen", 0)), ("b", &one), ("c", &counts("x-SEEN", 1))]).await;
    assert_eq!(bed.session().message(MESSAGE).await.verdict, Verdict::Proceed);
    let bed = Bed::with(&[("a", &one), ("b", &counts("X-Seen", 0))]).await;
    assert_eq!(bed.session().message(MESSAGE).await.verdict.name(), "reject");
}

/// Puts `text` behind the body, and rejects unless the body has `size` octets before.
fn footer(text: &str, size: u32) -> Vec<u8> {
    let code = format!(
        "(if (i32.ne (call $body-size) (i32.const {size})) (then (return (i32.const 64))))
         (call $start-body (i32.const 2048))
         (call $copy-body (i32.const 0) (i32.const {size}) (i32.const 2048))
         (if (i32.load8_u (i32.const 2048)) (then (unreachable)))
         (call $write-body (i32.const 1024) (i32.const {}) (i32.const 2048))
         (if (i32.ne (call $body-size) (i32.const {size})) (then (unreachable)))
         (i32.const 0)",
        text.len()
    );
    Guest::new()
        .import("transaction", "body-size", "(result i32)")
        .import("transaction", "start-body", "(param i32)")
        .import("transaction", "copy-body", "(param i32 i32 i32)")
        .import("transaction", "write-body", "(param i32 i32 i32)")
        .with(&format!("(data (i32.const 1024) \"{text}\")"))
        .hook("message", &code)
        .build()
}

#[tokio::test]
async fn a_body_is_spliced_and_the_next_plugin_reads_the_new_one() {
    let bed = Bed::with(&[
        ("a", &footer("one", 6)),
        ("b", &adds_header("two", PROCEED)),
        ("c", &footer("three", 9)),
        ("d", &footer("four", 6)),
    ])
    .await;
    let answer = bed.session().message(MESSAGE).await;
    assert_eq!(answer.by.as_deref(), Some("d"), "{:?}", bed.host.status());
    let expected = "From: a@example.org\r\nSubject: x\r\nX-Seen: two\r\n\r\nbody\r\nonethree";
    assert_eq!(text(&answer), expected);
}

#[tokio::test]
async fn headers_that_would_break_the_message_are_bad_input() {
    let evil = Guest::new()
        .import("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "X-A") (data (i32.const 1040) "a\0d\0aEvil: b")"#)
        .hook(
            "message",
            "(call $add-header (i32.const 1024) (i32.const 3) (i32.const 1040) (i32.const 10)
               (i32.const 0) (i32.const 0) (i32.const 2048))
             ;; an error, and bad-input
             (if (i32.ne (i32.load8_u (i32.const 2048)) (i32.const 1)) (then (unreachable)))
             (if (i32.ne (i32.load8_u (i32.const 2052)) (i32.const 4)) (then (unreachable)))
             (i32.const 32)",
        );
    let bed = Bed::with(&[("evil", &evil.build())]).await;
    let answer = bed.session().message(MESSAGE).await;
    assert_eq!(answer.verdict, Verdict::Accept, "{:?}", bed.plugin("evil"));
    assert!(answer.content.is_none());
}

#[tokio::test]
async fn the_envelope_is_edited_and_checked() {
    // Adds carol@example.com, removes recipient 0, makes the sender null.
    let edits = Guest::new()
        .import("transaction", "add-recipient", "(param i32 i32 i32 i32 i32 i32 i32)")
        .import("transaction", "remove-recipient", "(param i32 i32)")
        .import("transaction", "set-sender", "(param i32 i32 i32 i32 i32 i32)")
        .with(r#"(data (i32.const 1024) "carol") (data (i32.const 1040) "example.com bad")"#)
        .hook(
            "rcpt",
            "(call $add-recipient (i32.const 1024) (i32.const 5) (i32.const 1040) (i32.const 15)
               (i32.const 0) (i32.const 0) (i32.const 2048))
             (if (i32.eqz (i32.load8_u (i32.const 2048))) (then (unreachable)))
             (call $add-recipient (i32.const 1024) (i32.const 5) (i32.const 1040) (i32.const 11)
               (i32.const 0) (i32.const 0) (i32.const 2048))
             (if (i32.load8_u (i32.const 2048)) (then (unreachable)))
             (call $remove-recipient (i32.const 0) (i32.const 2048))
             (call $set-sender (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))
             (i32.const 0)",
        );
    let bed = Bed::with(&[("edits", &edits.build())]).await;
    let mut session = bed.session();
    let (facts, recipient) = (transaction(MESSAGE), crate::stage::mailbox("bob@example.net"));
    let request = Request::Rcpt { recipient: &recipient, params: &[] };
    let answer = session.hooks.ask(request, &session.facts, Some(&facts)).await;
    let envelope = answer.envelope.unwrap_or_else(|| panic!("{:?}", bed.plugin("edits")));
    assert_eq!(envelope.sender, model::ReversePath::Null);
    let left: Vec<_> = envelope.recipients.iter().map(|r| (r.id, r.address.to_string())).collect();
    assert_eq!(left, [(1, "carol@example.com".to_owned())]);
    assert_eq!(
        envelope.recipients[0].original.to_string(),
        "bob@example.net",
        "what takes the place of the recipient in question is told of under the name that the client knows"
    );
    assert!(answer.content.is_none());
}

/// Calls `import` with the result at 2048, and rejects unless `test` holds.
fn checks(import: (&str, &str), call: &str, test: &str) -> Vec<u8> {
    let code = format!("{call} (if (result i32) {test} (then (i32.const 32)) (else (i32.const 64)))");
    Guest::new()
        .import("transaction", import.0, import.1)
        .with(r#"(data (i32.const 1024) "sha256") (data (i32.const 1040) "dy") (data (i32.const 1056) "2")"#)
        .hook("message", &code)
        .build()
}

const MULTIPART: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
    Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--b--\r\n";

#[tokio::test]
async fn the_body_is_read_searched_digested_and_taken_apart() {
    let at = "(i32.load (i32.const 2052))";
    let find = checks(
        ("find-body", "(param i32 i32 i32 i32)"),
        "(call $find-body (i32.const 1040) (i32.const 2) (i32.const 0) (i32.const 2048))",
        &format!("(i32.and (i32.load8_u (i32.const 2048)) (i32.eq {at} (i32.const 2)))"),
    );
    // SHA-256 of "body\r\n" begins with the octets below.
    let digest = checks(
        ("digest-body", "(param i32 i32 i32)"),
        "(call $digest-body (i32.const 1024) (i32.const 6) (i32.const 2048))",
        &format!(
            "(i32.and (i32.eqz (i32.load8_u (i32.const 2048))) (i32.eq (i32.load {at}) (i32.const DIGEST)))"
        )
        .replace("DIGEST", &sha256_word(b"body\r\n").to_string()),
    );
    let read = checks(
        ("read-body", "(param i32 i32 i32)"),
        "(call $read-body (i32.const 2) (i32.const 100000) (i32.const 2048))",
        &format!("(i32.eq (i32.load {at}) (i32.const {}))", u32::from_le_bytes(*b"dy\r\n")),
    );
    for (name, guest) in [("find", find), ("digest", digest), ("read", read)] {
        let bed = Bed::with(&[(name, &guest)]).await;
        let answer = bed.session().message(MESSAGE).await;
        assert_eq!(answer.verdict, Verdict::Accept, "{:?}", bed.plugin(name));
    }
    let parts = checks(
        ("parts", "(param i32)"),
        "(call $parts (i32.const 2048))",
        &format!("(i32.eq {at} (i32.const 3))"),
    );
    let decoded = checks(
        ("read-part", "(param i32 i32 i32 i32 i32)"),
        "(call $read-part (i32.const 1056) (i32.const 1) (i32.const 3) (i32.const 4) (i32.const 2048))",
        &format!("(i32.eq (i32.load {at}) (i32.const {}))", u32::from_le_bytes(*b"hi</")),
    );
    for (name, guest) in [("parts", parts), ("decoded", decoded)] {
        let bed = Bed::with(&[(name, &guest)]).await;
        let answer = bed.session().message(MULTIPART).await;
        assert_eq!(answer.verdict, Verdict::Accept, "{:?}", bed.plugin(name));
    }
}

fn sha256_word(bytes: &[u8]) -> i32 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    i32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

#[tokio::test]
async fn before_the_message_there_is_nothing_to_read_or_edit() {
    let early = Guest::new()
        .import("transaction", "body-size", "(result i32)")
        .import("transaction", "size", "(result i32)")
        .import("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)")
        .hook(
            "data",
            "(if (i32.or (call $body-size) (call $size)) (then (unreachable)))
             (call $add-header (i32.const 1024) (i32.const 0) (i32.const 1040) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 2048))
             ;; an error, and unavailable
             (if (i32.ne (i32.load8_u (i32.const 2048)) (i32.const 1)) (then (unreachable)))
             (if (i32.ne (i32.load8_u (i32.const 2052)) (i32.const 5)) (then (unreachable)))
             (i32.const 32)",
        );
    let bed = Bed::with(&[("early", &early.build())]).await;
    let answer = bed.session().ask(Request::Data).await;
    assert_eq!(answer.verdict, Verdict::Accept, "{:?}", bed.plugin("early"));
}
