//! Plugins that come, change and go while mail flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::harness::{Setup, Smtp, component, message, wait_for, wait_until};

/// What `plugin list` says of a plugin.
fn plugin(setup: &Setup, name: &str) -> Option<Value> {
    let listed = setup.json(&["plugin", "list"]);
    listed["plugins"].as_array().expect("plugins").iter().find(|plugin| plugin["name"] == name).cloned()
}

fn generation(setup: &Setup, name: &str) -> Option<u64> {
    plugin(setup, name)?["generation"].as_u64()
}

/// The same component in another file: with a custom section of its own at the end.
fn version(name: &str, number: u32) -> Vec<u8> {
    let mut octets = std::fs::read(component(name)).expect("a component");
    let number = format!("{number:08}");
    // Section 0; its length; the length of its name; the name; then what it holds.
    octets.extend([0, 9 + 8, 8]);
    octets.extend(b"revision");
    octets.extend(number.as_bytes());
    octets
}

const TAGS: &str = "settings = { rules = [{ add = { X-Waxwing = \"seen\" } }] }";

#[test]
fn a_file_dropped_in_counts_for_sessions_that_begin_then_and_not_for_those_that_run() {
    let setup = Setup::new()
        .set("plugins.verdict", "required = false")
        .set("plugins.verdict", "settings = { at = \"rcpt\", say = \"reject\" }");
    let server = setup.start();
    let mut before = server.client();
    before.asks("MAIL FROM:<ann@example.com>", "250");
    setup.drop_in("verdict", "verdict");
    wait_until("the plugin to be loaded", || plugin(&setup, "verdict").is_some());
    let mut after = server.client();
    after.asks("MAIL FROM:<ann@example.com>", "250");
    after.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
    before.asks("RCPT TO:<alice@example.org>", "250");
    server.logs(&["verdict", "loaded"]);
}

#[test]
fn a_file_that_is_removed_is_asked_no_more_by_sessions_that_begin_then() {
    let setup = Setup::new()
        .plugin("verdict", &["required = false", "settings = { at = \"rcpt\", say = \"reject\" }"]);
    let server = setup.start();
    let mut before = server.client();
    before.asks("MAIL FROM:<ann@example.com>", "250");
    std::fs::remove_file(setup.plugin_file("verdict")).expect("the file goes");
    wait_until("the plugin to be gone", || plugin(&setup, "verdict").is_none());
    let mut after = server.client();
    after.asks("MAIL FROM:<ann@example.com>", "250");
    after.asks("RCPT TO:<alice@example.org>", "250");
    before.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
}

#[test]
fn a_file_that_is_written_slowly_is_read_when_it_is_whole() {
    use std::io::Write;
    let setup = Setup::new()
        .set("plugins.verdict", "required = false")
        .set("plugins.verdict", "settings = { at = \"rcpt\", say = \"reject\" }");
    let server = setup.start();
    let octets = std::fs::read(component("verdict")).expect("a component");
    let mut file = std::fs::File::create(setup.plugin_file("verdict")).expect("the file");
    for piece in octets.chunks(octets.len() / 20 + 1) {
        file.write_all(piece).expect("a piece");
        file.flush().expect("a piece");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(file);
    wait_until("the plugin to be loaded", || plugin(&setup, "verdict").is_some());
    assert!(server.logged(&["verdict", "refused"]).is_empty(), "half a file was judged:\n{}", server.log());
}

#[test]
fn a_bad_file_is_refused_and_the_old_plugin_goes_on() {
    let setup = Setup::new().plugin("verdict", &["settings = { at = \"rcpt\", say = \"reject\" }"]);
    let server = setup.start();
    let generation_before = generation(&setup, "verdict").expect("a generation");
    let good = std::fs::read(component("verdict")).expect("a component");
    for bad in [
        b"rubbish".to_vec(),
        Vec::new(),
        good[..good.len() / 2].to_vec(),
        std::fs::read(component("unknown-import")).expect("a component"),
    ] {
        setup.drop_in_octets("verdict", &bad);
        wait_until("the file to be refused", || {
            let listed = setup.json(&["plugin", "list"]);
            listed["refused"]
                .as_array()
                .is_some_and(|refused| refused.iter().any(|one| one["name"] == "verdict"))
        });
        assert_eq!(generation(&setup, "verdict"), Some(generation_before));
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
        setup.drop_in("verdict", "verdict");
        wait_until("the good file to be taken for what it is", || {
            setup.json(&["plugin", "list"])["refused"].as_array().is_some_and(Vec::is_empty)
        });
        assert_eq!(
            generation(&setup, "verdict"),
            Some(generation_before),
            "the same octets are no new plugin"
        );
    }
}

#[test]
fn under_a_stream_of_mail_every_swap_leaves_no_session_failed_and_no_message_unseen() {
    const SENDERS: usize = 3;
    const SWAPS: u32 = 25;
    let setup = Setup::new().plugin("tag-headers", &[TAGS]);
    let server = setup.start();
    let done = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|nth| {
            let (done, address) = (Arc::clone(&done), server.address());
            std::thread::spawn(move || {
                let mut sent = 0;
                while !done.load(Ordering::SeqCst) {
                    let mut client = Smtp::greeted(address);
                    for _ in 0..3 {
                        client.sends(
                            "ann@example.com",
                            &["alice@example.org"],
                            message(&format!("stream-{nth}-{sent}")),
                        );
                        sent += 1;
                    }
                    client.asks("QUIT", "221");
                }
                sent
            })
        })
        .collect();
    let mut last = generation(&setup, "tag-headers").expect("a generation");
    for swap in 0..SWAPS {
        if swap % 5 == 4 {
            setup.drop_in_octets("tag-headers", b"rubbish");
            wait_until("the bad file to be refused", || {
                setup.json(&["plugin", "list"])["refused"]
                    .as_array()
                    .is_some_and(|refused| !refused.is_empty())
            });
        }
        setup.drop_in_octets("tag-headers", &version("tag-headers", swap));
        last =
            wait_for("the next generation", || generation(&setup, "tag-headers").filter(|now| *now > last));
    }
    done.store(true, Ordering::SeqCst);
    let sent: usize = senders
        .into_iter()
        .map(|sender| sender.join().expect("a sender whose messages were all taken"))
        .sum();
    assert!(sent > SWAPS as usize, "only {sent} messages were sent");
    wait_until("all messages to be delivered", || setup.mailbox("alice").messages().len() >= sent);
    let messages = setup.mailbox("alice").messages();
    assert_eq!(messages.len(), sent);
    let unseen: Vec<_> = messages.iter().filter(|message| !message.contains("X-Waxwing: seen")).collect();
    assert!(unseen.is_empty(), "{} of {sent} passed without the plugin: {}", unseen.len(), unseen[0]);
    assert!(last > u64::from(SWAPS), "{last}");
}

#[test]
fn a_new_order_and_new_settings_count_after_a_reload() {
    let mut setup =
        Setup::new().plugin("verdict", &["settings = { at = \"rcpt\", say = \"reject\", text = \"first\" }"]);
    let server = setup.start();
    let refused = || {
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", "550 5.7.1").text
    };
    assert!(refused().contains("first"));
    setup.change("plugins.verdict", "settings = { at = \"rcpt\", say = \"reject\", text = \"second\" }");
    setup.write();
    server.hang_up();
    wait_until("the new settings to count", || refused().contains("second"));
    // Settings that the plugin's init refuses leave it as it was.
    setup.change("plugins.verdict", "settings = { nonsense = 1 }");
    setup.write();
    server.hang_up();
    server.logs(&["verdict", "nonsense"]);
    assert!(refused().contains("second"));
}
