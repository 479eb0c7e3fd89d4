//! Clients that vanish in the middle of a message leave nothing behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::{Setup, message, wait_until};

fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

fn data_files(setup: &Setup) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    files(&setup.path("data"), &mut found);
    found
}

#[test]
fn a_client_that_vanishes_leaves_no_file_and_no_entry() {
    let setup = Setup::new();
    let server = setup.start();
    // The first message opens what the store opens once.
    server.client().sends("ann@example.com", &["alice@example.org"], message("first"));
    setup.mailbox("alice").wait(1);
    let before = data_files(&setup);

    let mut small = server.client();
    small.begins_message("ann@example.com", &["alice@example.org"]);
    small.raw("Subject: half\r\n\r\nhalf a mes");
    let mut large = server.client();
    large.begins_message("ann@example.com", &["alice@example.org"]);
    large.raw("Subject: half\r\n\r\n");
    for _ in 0..50 {
        large.raw("a line of a message that is spooled to the disk as it comes in\r\n".repeat(1_000));
    }
    let mut envelope = server.client();
    envelope.asks("MAIL FROM:<ann@example.com>", "250");
    envelope.asks("RCPT TO:<alice@example.org>", "250");
    wait_until("the large message to be spooled", || data_files(&setup) != before);
    drop((small, large, envelope));
    wait_until("its file to be gone", || data_files(&setup) == before);
    assert!(!setup.json(&["queue", "list"]).to_string().contains("example.org"));
    server.stops();
    let _again = setup.start();
    assert!(!setup.json(&["queue", "list"]).to_string().contains("example.org"));
    setup.mailbox("alice").wait(1);
}

#[test]
fn what_a_crash_leaves_of_a_message_that_was_coming_in_is_gone_after_the_next_start() {
    let setup = Setup::new();
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], message("first"));
    setup.mailbox("alice").wait(1);
    let before = data_files(&setup);
    let mut large = server.client();
    large.begins_message("ann@example.com", &["alice@example.org"]);
    large.raw("a line of a message that is spooled to the disk as it comes in\r\n".repeat(50_000));
    wait_until("the message to be spooled", || data_files(&setup).len() > before.len());
    server.dies();
    let left: BTreeSet<_> = data_files(&setup).difference(&before).cloned().collect();
    let server = setup.start();
    wait_until("what the crash left to be gone", || data_files(&setup).is_disjoint(&left));
    server.stops();
    setup.mailbox("alice").wait(1);
}

#[test]
fn a_client_that_does_not_wait_for_the_reply_has_its_message_taken() {
    let setup = Setup::new();
    let server = setup.start();
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    client.raw("Subject: hasty\r\n\r\nx\r\n.\r\nQUIT\r\n");
    // What is in the socket's buffer counts as sent.
    let _ = client.drains();
    setup.mailbox("alice").with("Subject: hasty");
}
