//! Plugins and files that go to extremes, with the real server: nothing is injected, nothing grows with them, nothing waits for them.

use std::fs::File;

use crate::harness::{Server, Setup, message};

/// The most memory that the server's process has had so far, in KiB.
fn peak_kib(server: &Server) -> u64 {
    field(server, "VmHWM:")
}

fn field(server: &Server, name: &str) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server's status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Octets that the server has read, from files as from sockets.
fn read_octets(server: &Server) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", server.pid())).expect("the server's I/O");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("what was read");
    line.trim().parse().expect("a number")
}

#[test]
fn a_reply_with_line_ends_in_it_is_one_reply_and_the_session_goes_on_in_step() {
    for say in ["reject", "tempfail"] {
        let setup = Setup::new().plugin(
            "verdict",
            &[&format!("settings = {{ at = \"rcpt\", say = \"{say}\", text = \"no\\r\\n250 2.0.0 fine\\r\\n221 bye\" }}")],
        );
        let server = setup.start();
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        let refused = client.asks("RCPT TO:<alice@example.org>", if say == "reject" { "550" } else { "451" });
        // Three lines of one reply, each with its code: what is next is the reply to what is asked next.
        assert_eq!(refused.text.lines().count(), 3, "{}", refused.text);
        client.asks("DATA", "554");
        client.asks("NOOP", "250");
        client.asks("QUIT", "221");
        client.hears_the_end();
    }
}

#[test]
fn a_file_of_a_gigabyte_is_refused_without_being_read() {
    let setup = Setup::new();
    let server = setup.start();
    let (read, peak) = (read_octets(&server), peak_kib(&server));
    let aside = setup.plugin_file("large").with_extension("new");
    File::create(&aside).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
    std::fs::rename(&aside, setup.plugin_file("large")).expect("the file comes");
    server.logs(&["large", "is larger than the limit"]);
    assert!(read_octets(&server) - read < 16 << 20, "{} octets were read", read_octets(&server) - read);
    assert!(peak_kib(&server) - peak < 64 << 10, "{} KiB more than before", peak_kib(&server) - peak);
    server.client().sends("ann@example.com", &["alice@example.org"], message("beside"));
}

#[test]
fn a_body_of_50_mb_is_rewritten_at_both_ends_within_bounded_memory() {
    const LINE: &str = "a line of a body that is held on the disk, not in memory\r\n";
    const LINES: usize = (50 << 20) / LINE.len();
    let edits = format!(
        r#"settings = {{ edits = [ {{ op = "start-body" }}, {{ op = "write-body", data = "the start\r\n" }}, {{ op = "copy-body", offset = 0, len = {} }}, {{ op = "write-body", data = "the end\r\n" }} ] }}"#,
        LINES * LINE.len()
    );
    let setup = Setup::new().set("limits", "message-size = \"64 MiB\"").plugin("edit", &[&edits]);
    let server = setup.start();
    let before = peak_kib(&server);
    server.client().sends(
        "ann@example.com",
        &["alice@example.org"],
        format!("Subject: large\r\n\r\n{}", LINE.repeat(LINES)),
    );
    let arrived = setup.mailbox("alice").one();
    // In a Maildir lines end as on this system.
    let (_, body) = arrived.split_once("\n\n").expect("a body");
    // Not assert_eq: a difference would print megabytes.
    let is_whole = body.strip_prefix("the start\n").and_then(|rest| rest.strip_suffix("the end\n"));
    assert!(
        is_whole.is_some_and(|body| body == LINE.replace('\r', "").repeat(LINES)),
        "{} octets arrived",
        arrived.len()
    );
    let more_kib = peak_kib(&server) - before;
    assert!(
        more_kib < 25 << 10,
        "the server took {more_kib} KiB more for it: half of the message, or all of it"
    );
}

#[test]
fn ten_thousand_recipients_and_a_million_log_lines_end_at_their_limits() {
    let setup = Setup::new()
        .set("plugins.limits", "cpu-per-hook = \"60s\"")
        .set("plugins.limits", "wall-per-hook = \"60s\"")
        .plugin("flood", &["settings = { recipients = 10000, lines = 1000000 }"]);
    let server = setup.start();
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    let refused = client.ends_message(message("flooded"));
    assert!(
        refused.code == 550 && refused.text.contains("200 added, then over the limit"),
        "{}",
        refused.text
    );
    let lines = server.logged(&["flood", "of the flood"]).len();
    assert!(lines > 0 && lines < 1_000, "{lines} lines were logged");
}
