//! Logs: one `grep` of a queue id follows a message, and machines can read them.

use serde_json::Value;

use crate::harness::{Act, NextHop, Setup, message};

/// The queue id in "queued as ID".
fn queue_id(reply: &str) -> String {
    reply.rsplit(' ').next().expect("a word").to_owned()
}

#[test]
fn one_grep_of_the_queue_id_follows_a_message_from_its_client_to_its_mailbox() {
    let hop = NextHop::start();
    hop.does(|line| if line.contains("<bad@") { Act::Say("550 5.1.1 nobody") } else { Act::Usual });
    let setup = Setup::new().relays().smarthost(hop.address).plugin(
        "verdict",
        &["settings = { at = \"message\", say = \"quarantine\", match = \"held@example.com\" }"],
    );
    let server = setup.start();
    let mut client = server.client();
    let reply = client.sends(
        "alice@example.org",
        &["bob@example.org", "carl@elsewhere.example", "bad@elsewhere.example"],
        message("followed"),
    );
    let id = queue_id(&reply.text);
    let accepted = server.logs(&[&id, "accepted"]);
    for fact in ["127.0.0.1", "client.example.com", "alice@example.org", "session"] {
        assert!(accepted.contains(fact), "{fact}: {accepted}");
    }
    server.logs(&[&id, "delivered", "bob@example.org", "Maildir"]);
    let relayed = server.logs(&[&id, "delivered", "carl@elsewhere.example"]);
    assert!(relayed.contains("127.0.0.1") && relayed.contains("250 2.0.0 taken"), "{relayed}");
    let bounced = server.logs(&[&id, "bounced", "bad@elsewhere.example"]);
    assert!(bounced.contains("550 5.1.1 nobody"), "{bounced}");

    let reply = client.sends("held@example.com", &["bob@example.org"], message("held"));
    let id = queue_id(&reply.text);
    server.logs(&[&id, "quarantine", "verdict"]);
    // The message that is not this one has other lines.
    assert!(server.logged(&[&id]).iter().all(|line| !line.contains("carl@elsewhere.example")));
}

#[test]
fn with_debug_the_session_of_a_message_can_be_followed_to_its_connection() {
    let setup = Setup::new().set("log", "level = \"debug\"").set("log", "format = \"json\"");
    let server = setup.start();
    let mut client = server.client();
    let reply = client.sends("ann@example.com", &["alice@example.org"], message("followed"));
    let id = queue_id(&reply.text);
    let accepted: Value = serde_json::from_str(&server.logs(&[&id, "accepted"])).expect("JSON");
    let session = find(&accepted, "session").expect("a session").as_str().expect("text").to_owned();
    let connected = server.logs(&[&session, "\"connected\""]);
    assert!(connected.contains(&client.port().to_string()), "{connected}");
}

#[test]
fn every_line_of_a_json_log_parses_and_fields_have_stable_names() {
    let hop = NextHop::start();
    hop.does(|line| if line.contains("<bad@") { Act::Say("550 5.1.1 nobody\u{1b}[31m") } else { Act::Usual });
    let setup = Setup::new()
        .relays()
        .smarthost(hop.address)
        .set("log", "format = \"json\"")
        .plugin("trap", &["settings = { at = \"ehlo\" }", "on-failure = \"proceed\""]);
    setup.drop_in_octets("garbage", b"garbage");
    let server = setup.start();
    let mut client = server.client();
    let reply =
        client.sends("alice@example.org", &["bad@elsewhere.example", "bob@example.org"], message("as json"));
    let id = queue_id(&reply.text);
    server.logs(&[&id, "bounced"]);
    server.logs(&[&id, "delivered"]);
    client.asks("RCPT TO:<x@example.org>", "503");
    let log = server.log();
    for line in log.lines().filter(|line| !line.starts_with("listening ")) {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(parsed["timestamp"].is_string() && parsed["level"].is_string(), "{line}");
        if line.contains(&id) {
            assert_eq!(find(&parsed, "queue_id").and_then(Value::as_str), Some(id.as_str()), "{line}");
        }
    }
    let trap: Value = serde_json::from_str(&server.logs(&["trap", "ehlo", "plugin failed"])).expect("JSON");
    for name in ["plugin", "hook", "session"] {
        assert!(find(&trap, name).is_some(), "{name}: {trap}");
    }
}

#[test]
fn a_client_cannot_forge_a_line_of_the_log() {
    let setup = Setup::new().set("log", "level = \"debug\"");
    let server = setup.start();
    let mut client = server.client();
    client.says("EHLO evil\u{1b}[2J");
    client.next_reply();
    client.says("MAIL FROM:<\"a\u{7f}b\"@example.com>");
    client.next_reply();
    client.sends("ann@example.com", &["alice@example.org"], "Subject: x\r\n\r\nx\r\n");
    server.logs(&["delivered"]);
    assert!(
        !server.log().contains(['\u{1b}', '\u{7f}']),
        "control characters in the log: {:?}",
        server.log()
    );
}

/// A field, wherever the span or the event has it.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name).or_else(|| map.values().find_map(|inner| find(inner, name))),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}
