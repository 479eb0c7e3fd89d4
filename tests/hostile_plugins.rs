//! Plugins that loop, eat memory, recurse, trap or pry: the session gets the policy's answer, and nobody else notices.

use std::time::Duration;

use crate::harness::{Server, Setup, Smtp, message};

const STAGES: [&str; 6] = ["connect", "ehlo", "mail", "rcpt", "data", "message"];
const GUESTS: [&str; 4] = ["spin", "memory-bomb", "recursion", "trap"];

fn with_guest(guest: &str, at: &str, on_failure: &str) -> Setup {
    Setup::new()
        .set("plugins.limits", "cpu-per-hook = \"100ms\"")
        .set("plugins.limits", "memory = \"16 MiB\"")
        .plugin(
            guest,
            &[&format!("settings = {{ at = \"{at}\" }}"), &format!("on-failure = \"{on_failure}\"")],
        )
}

/// The codes of a whole session's replies, up to the end or to the message.
fn codes(server: &Server) -> Vec<u16> {
    let mut client = Smtp::connect(server.address());
    let mut codes = vec![client.next_reply().expect("a greeting").code];
    for line in
        ["EHLO client.example.com", "MAIL FROM:<ann@example.com>", "RCPT TO:<alice@example.org>", "DATA"]
    {
        if codes.last().is_some_and(|code| *code >= 400) {
            return codes;
        }
        codes.push(client.tries(line).expect("a reply").code);
    }
    if codes.last() == Some(&354) {
        codes.push(client.ends_message(message("hostile")).code);
    }
    codes
}

#[test]
fn a_hook_that_fails_in_any_way_is_answered_by_the_policy_at_every_stage() {
    for guest in GUESTS {
        for (nth, stage) in STAGES.into_iter().enumerate() {
            let setup = with_guest(guest, stage, "tempfail");
            let mut server = setup.start();
            let codes = codes(&server);
            assert_eq!(codes.len(), nth + 1, "{guest} at {stage}: {codes:?}");
            let last = codes[nth];
            assert!(last == 451 || (stage == "connect" && last == 421), "{guest} at {stage}: {codes:?}");
            let line = server.logs(&["plugin failed", guest, stage]);
            assert!(line.contains("session="), "{line}");
            assert!(server.is_running());
            server.stops();
            setup.mailbox("alice").wait(0);
        }
    }
}

#[test]
fn the_log_says_why_a_hook_failed() {
    for (guest, reason) in [
        ("spin", "out of CPU time"),
        ("memory-bomb", "out of memory"),
        ("recursion", "wasm trap"),
        ("trap", "unreachable"),
    ] {
        let server = with_guest(guest, "rcpt", "tempfail").start();
        codes(&server);
        server.logs(&[guest, reason]);
    }
}

#[test]
fn with_the_policy_proceed_a_failing_plugin_is_as_if_it_were_not_there() {
    for guest in GUESTS {
        let setup = with_guest(guest, "message", "proceed");
        let server = setup.start();
        assert_eq!(codes(&server), [220, 250, 250, 250, 354, 250], "{guest}");
        setup.mailbox("alice").with("Subject: hostile");
    }
}

#[test]
fn with_the_policy_quarantine_the_message_is_taken_and_held() {
    let setup = with_guest("trap", "message", "quarantine");
    let server = setup.start();
    assert_eq!(codes(&server), [220, 250, 250, 250, 354, 250]);
    let listed = setup.json(&["queue", "list"]).to_string();
    assert!(listed.contains("held"), "{listed}");
    server.stops();
    setup.mailbox("alice").wait(0);
}

#[test]
fn other_sessions_go_on_while_a_plugin_loops() {
    let setup = Setup::new()
        .set("plugins.limits", "cpu-per-hook = \"2s\"")
        .plugin("spin", &["settings = { at = \"rcpt\" }", "on-failure = \"proceed\""]);
    let server = setup.start();
    let address = server.address();
    let looping: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Smtp::greeted(address);
                client.asks("MAIL FROM:<ann@example.com>", "250");
                client.says("RCPT TO:<alice@example.org>");
                client.next_reply().expect("a reply").code
            })
        })
        .collect();
    // A session that waited for the loops would be answered once or twice before they are cut off.
    let mut other = server.client();
    let mut answered = 0;
    while looping.iter().any(|thread| !thread.is_finished()) {
        other.asks("NOOP", "250");
        answered += 1;
        if answered % 40 == 0 {
            other = server.client();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for thread in looping {
        assert_eq!(thread.join().expect("the session"), 250);
    }
    assert!(answered > 20, "only {answered} answers beside a looping plugin");
}

#[test]
fn a_trap_in_one_session_leaves_the_same_plugins_other_sessions_alone() {
    let setup = Setup::new().plugin("trap", &["settings = { at = \"rcpt\" }"]);
    let server = setup.start();
    let mut before = server.client();
    before.asks("MAIL FROM:<ann@example.com>", "250");
    codes(&server);
    before.asks("RSET", "250");
    before.asks("MAIL FROM:<ann@example.com>", "250");
    server.client().asks("NOOP", "250");
}

#[test]
fn the_failing_hook_of_a_session_that_ends_is_only_logged() {
    for guest in GUESTS {
        let setup = with_guest(guest, "disconnect", "tempfail");
        let mut server = setup.start();
        server.client().sends("ann@example.com", &["alice@example.org"], message("disconnect"));
        setup.mailbox("alice").with("Subject: disconnect");
        server.logs(&[guest, "disconnect"]);
        assert!(server.is_running());
    }
}

#[test]
fn a_plugin_whose_init_fails_in_any_way_is_refused_and_the_server_goes_on() {
    for guest in GUESTS {
        let setup = with_guest(guest, "init", "tempfail")
            .set("plugins.limits", "cpu-for-init = \"200ms\"")
            .set(&format!("plugins.{guest}"), "required = false");
        let server = setup.start();
        server.logs(&[guest, "init"]);
        let listed = setup.json(&["plugin", "list"]);
        assert!(listed.to_string().contains("init failed"), "{listed}");
        server.client().sends("ann@example.com", &["alice@example.org"], message("init"));
    }
}

#[test]
fn what_was_not_granted_is_denied_and_what_was_granted_is_not() {
    let denied = Setup::new().plugin("nosy", &[]);
    let server = denied.start();
    let reply = server.client().asks("MAIL FROM:<show@example.com>", "550");
    assert!(reply.text.contains("kv not granted; dns not granted"), "{}", reply.text);
    server.client().sends("ann@example.com", &["alice@example.org"], message("nosy"));
    let arrived = denied.mailbox("alice").one();
    assert!(
        arrived.contains("X-Nosy-Kv: not granted") && arrived.contains("X-Nosy-Dns: not granted"),
        "{arrived}"
    );

    let dns = crate::harness::Dns::start();
    dns.txt("example.org", "hello");
    let granted = Setup::new()
        .set("dns", &format!("servers = [\"{}\"]", dns.address))
        .plugin("nosy", &["grants = { kv = true, dns = true }"]);
    let server = granted.start();
    let reply = server.client().asks("MAIL FROM:<show@example.com>", "550");
    assert!(reply.text.contains("kv count 2; dns records 1"), "{}", reply.text);
}

#[test]
fn files_that_are_no_plugins_are_refused_with_their_reason_in_the_log_and_in_the_list() {
    let setup = Setup::new().plugin("unknown-import", &["required = false"]);
    setup.drop_in_octets("garbage", b"this is no WebAssembly");
    setup.drop_in_octets("empty", b"");
    // The shortest core module: magic number and version 1.
    setup.drop_in_octets("core-module", b"\0asm\x01\0\0\0");
    let server = setup.start();
    let listed = setup.json(&["plugin", "list"]).to_string();
    for (name, reason) in [
        ("unknown-import", "waxwing-tests:elsewhere/files"),
        ("garbage", "no WebAssembly"),
        ("empty", "no WebAssembly"),
        ("core-module", "core module"),
    ] {
        server.logs(&[name, reason]);
        assert!(listed.contains(name) && listed.contains(reason), "{name}: {listed}");
    }
    server.client().sends("ann@example.com", &["alice@example.org"], message("refused"));
    setup.mailbox("alice").with("Subject: refused");
}

#[test]
fn a_plugin_that_fails_again_and_again_is_no_longer_asked_and_the_policy_still_holds() {
    let setup = with_guest("trap", "rcpt", "tempfail");
    let server = setup.start();
    // Five failures within a minute: from then on the policy answers wherever the plugin would have been asked.
    for _ in 0..5 {
        assert_eq!(codes(&server), [220, 250, 250, 451]);
    }
    assert_eq!(codes(&server), [451]);
    let listed = setup.json(&["plugin", "list"]);
    assert_eq!(listed["plugins"][0]["breaker"], "open", "{listed}");
    assert_eq!(listed["plugins"][0]["failures"], 5, "{listed}");
    assert!(listed["plugins"][0]["not-asked"].as_u64().is_some_and(|count| count > 0), "{listed}");
    server.logs(&["trap", "fails too often"]);
}
