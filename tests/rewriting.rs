//! Plugins that rewrite the envelope, the header and the body: what the next hop receives, byte for byte.

use crate::harness::{NextHop, Received, Server, Setup, wait_until};

/// A server whose mail all goes to a next hop, and whose plugin carries out these edits.
fn with_edits(edits: &str) -> (NextHop, Setup, Server) {
    let hop = NextHop::start();
    let setup = Setup::without_domains()
        .block(&format!("[[domain]]\nname = \"example.org\"\ndeliver = {{ relay = \"{}\" }}", hop.address))
        .plugin("edit", &[&format!("settings = {{ {edits} }}")]);
    let server = setup.start();
    (hop, setup, server)
}

fn relayed(edits: &str, content: &str) -> Received {
    let (hop, _setup, server) = with_edits(edits);
    server.client().sends("ann@example.com", &["alice@example.org"], content);
    hop.wait(1).remove(0)
}

/// The message without the Received field that the server puts before it.
#[track_caller]
fn untraced(content: &str) -> &str {
    assert!(content.starts_with("Received: "), "{content}");
    let mut end = 0;
    for line in content.split_inclusive("\r\n") {
        if end > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        end += line.len();
    }
    &content[end..]
}

const MESSAGE: &str = "Subject: old\r\nX-B: 1\r\nX-b:2\r\nX-Fold: a\r\n  b\r\nTo:   alice@example.org \r\n\r\nold body\r\n.dot\r\n\r\n\r\n";

#[test]
fn without_an_edit_every_byte_is_as_it_came() {
    assert_eq!(untraced(&relayed("edits = []", MESSAGE).content), MESSAGE);
}

#[test]
fn header_edits_leave_the_other_fields_as_they_came() {
    let edits = r#"edits = [
        { op = "add-header", name = "X-Last", value = "z" },
        { op = "add-header", name = "X-First", value = "a", at = 0 },
        { op = "set-header", name = "Subject", value = "new" },
        { op = "remove-header", name = "x-b", nth = 1 } ]"#;
    assert_eq!(
        untraced(&relayed(edits, MESSAGE).content),
        "X-First: a\r\nSubject: new\r\nX-B: 1\r\nX-Fold: a\r\n  b\r\nTo:   alice@example.org \r\nX-Last: z\r\n\r\nold body\r\n.dot\r\n\r\n\r\n"
    );
}

#[test]
fn a_field_in_another_alphabet_and_a_folded_one_pass_as_they_are_written() {
    let edits = r#"edits = [ { op = "add-header", name = "X-Grüße", value = "b" } ], tolerant = true"#;
    let content = relayed(edits, MESSAGE).content;
    assert!(content.contains("\r\nX-Edit-Error: 0 "), "{content}");
    let edits = r#"edits = [ { op = "add-header", name = "X-Long", value = "one\r\n two" } ]"#;
    assert!(relayed(edits, MESSAGE).content.contains("\r\nX-Long: one\r\n two\r\n\r\nold body"));
    let edits =
        r#"edits = [ { op = "add-header", name = "X-A", value = "b\r\nX-Injected: c" } ], tolerant = true"#;
    assert!(!relayed(edits, MESSAGE).content.contains("\r\nX-Injected"));
}

#[test]
fn a_body_is_rewritten_from_ranges_of_the_old_one_and_new_text() {
    let edits = r#"edits = [ { op = "start-body" }, { op = "write-body", data = "very " }, { op = "copy-body", offset = 0, len = 8 },
        { op = "write-body", data = "!\r\n" } ]"#;
    let content = relayed(edits, MESSAGE).content;
    assert!(untraced(&content).ends_with("\r\n\r\nvery old body!\r\n"), "{content}");
    let edits = r#"edits = [ { op = "replace-body", find = "old", data = "renewed" } ]"#;
    assert_eq!(untraced(&relayed(edits, MESSAGE).content), MESSAGE.replace("old body", "renewed body"));
}

#[test]
fn a_body_of_two_megabytes_is_rewritten_at_both_ends_and_in_the_middle() {
    let lines: Vec<String> = (0..32_000)
        .map(|n| format!("line {n:06} of a body that is held on the disk, not in memory\r\n"))
        .collect();
    let content = format!("Subject: large\r\n\r\n{}", lines.concat());
    assert!(content.len() > 2_000_000 && content.len() > 4 * 256 * 1024);
    let body = lines.concat();
    for (edit, expected) in [
        (r#"{ op = "insert-body", data = "the end\r\n" }"#, format!("{body}the end\r\n")),
        (r#"{ op = "insert-body", at = 0, data = "the start\r\n" }"#, format!("the start\r\n{body}")),
        (
            r#"{ op = "replace-body", find = "line 020000 of", data = "LINE TWENTY THOUSAND of" }"#,
            body.replace("line 020000 of", "LINE TWENTY THOUSAND of"),
        ),
    ] {
        let received = relayed(&format!("edits = [ {edit} ]"), &content).content;
        // Not assert_eq: a difference would print megabytes.
        let received = untraced(&received);
        assert!(received == format!("Subject: large\r\n\r\n{expected}"), "{edit}: {} octets", received.len());
    }
}

#[test]
fn the_envelope_goes_where_the_plugin_says() {
    let edits = r#"edits = [ { op = "set-sender", address = "new@example.net" },
        { op = "add-recipient", address = "second@example.org" }, { op = "remove-recipient", address = "alice@example.org" } ]"#;
    let received = relayed(edits, MESSAGE);
    assert_eq!(
        (received.from.as_str(), received.to),
        ("new@example.net", vec!["second@example.org".to_owned()])
    );
    let received = relayed(r#"edits = [ { op = "set-sender", address = "" } ]"#, MESSAGE);
    assert_eq!(received.from, "");
}

#[test]
fn the_envelope_can_be_edited_at_the_early_stages() {
    for (at, edit) in [
        ("mail", r#"{ op = "set-sender", address = "new@example.net" }"#),
        ("rcpt", r#"{ op = "set-sender", address = "new@example.net" }"#),
        ("data", r#"{ op = "set-sender", address = "new@example.net" }"#),
    ] {
        let received = relayed(&format!("at = \"{at}\", edits = [ {edit} ]"), MESSAGE);
        assert_eq!(received.from, "new@example.net", "at {at}");
    }
    let received = relayed(
        r#"at = "rcpt", edits = [ { op = "add-recipient", address = "copy@example.org" } ]"#,
        MESSAGE,
    );
    assert_eq!(received.to, ["alice@example.org", "copy@example.org"]);
}

#[test]
fn a_recipient_that_a_plugin_adds_may_be_one_that_the_client_could_not_have_named() {
    // What a plugin adds is the postmaster's own will: it is not asked for relay permission.
    let (hop, _setup, server) =
        with_edits(r#"edits = [ { op = "add-recipient", address = "archive@example.org" } ]"#);
    server.client().sends("ann@example.com", &["alice@example.org"], MESSAGE);
    let all: Vec<String> = wait_for_recipients(&hop, 2);
    assert_eq!(all, ["alice@example.org", "archive@example.org"]);
}

fn wait_for_recipients(hop: &NextHop, count: usize) -> Vec<String> {
    let all = || hop.received().into_iter().flat_map(|message| message.to).collect::<Vec<_>>();
    wait_until("all recipients at the next hop", || all().len() >= count);
    let mut all = all();
    all.sort();
    all
}

#[test]
fn edits_of_a_plugin_that_then_refuses_or_traps_are_gone() {
    let edits = r#"[ { op = "add-header", name = "X-A", value = "b" }, { op = "add-recipient", address = "c@example.org" } ]"#;
    let (hop, _setup, server) = with_edits(&format!("then = \"reject\", edits = {edits}"));
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    assert_eq!(client.ends_message(MESSAGE).code, 550);
    assert!(hop.received().is_empty());

    // The policy lets the message through as it was before the plugin.
    let hop = NextHop::start();
    let setup = Setup::without_domains()
        .block(&format!("[[domain]]\nname = \"example.org\"\ndeliver = {{ relay = \"{}\" }}", hop.address))
        .plugin(
            "edit",
            &["on-failure = \"proceed\"", &format!("settings = {{ then = \"trap\", edits = {edits} }}")],
        );
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], MESSAGE);
    let received = hop.wait(1).remove(0);
    assert_eq!(received.to, ["alice@example.org"]);
    assert_eq!(untraced(&received.content), MESSAGE);
}

#[test]
fn a_later_plugin_sees_what_an_earlier_one_wrote() {
    let hop = NextHop::start();
    let setup = Setup::without_domains()
        .block(&format!("[[domain]]\nname = \"example.org\"\ndeliver = {{ relay = \"{}\" }}", hop.address))
        .plugin_as("one", "edit", &[r#"settings = { edits = [ { op = "replace-body", find = "old", data = "middle" }, { op = "add-header", name = "X-One", value = "1" } ] }"#])
        .plugin_as("two", "edit", &[r#"settings = { edits = [ { op = "replace-body", find = "middle", data = "new" }, { op = "set-header", name = "X-One", value = "2" } ] }"#])
        .set("plugins", "order = [\"one\", \"two\"]");
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], "Subject: x\r\n\r\nold\r\n");
    assert_eq!(untraced(&hop.wait(1)[0].content), "Subject: x\r\nX-One: 2\r\n\r\nnew\r\n");
}

#[test]
fn a_plugin_is_told_the_parts_of_a_message() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\
        Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a b.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--b--\r\n";
    let content = relayed(r#"edits = [ { op = "report", name = "X-Report" } ]"#, message).content;
    let report = content.lines().find(|line| line.starts_with("X-Report: ")).expect("the report");
    let expected = format!(
        "X-Report: size={} body={} fields=",
        message.len(),
        message.split_once("\r\n\r\n").expect("a body").1.len()
    );
    assert!(report.starts_with(&expected), "{report}\n{expected}");
    assert!(
        report.contains("[1] text/plain")
            && report.contains("[2] application/pdf base64")
            && report.ends_with("a b.pdf"),
        "{report}"
    );
}
