//! The commands that look into a running server, and those that need none.

use crate::harness::{NextHop, Output, Server, Setup, component, message, run, run_with_input, wait_until};

fn ok(output: Output) -> String {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    output.out
}

/// A server with one message that is held and one that waits for a next hop that is down; their ids.
fn with_a_queue() -> (Setup, Server, String, String) {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().relays().smarthost(address).set("queue", "retry = [\"1h\"]").plugin(
        "verdict",
        &["settings = { at = \"message\", say = \"quarantine\", match = \"held@example.com\", text = \"looks odd\" }"],
    );
    let server = setup.start();
    let send = |from: &str, to: &str| {
        let reply = server.client().sends(from, &[to], message("queued"));
        reply.text.rsplit(' ').next().expect("an id").to_owned()
    };
    let (held, waiting) =
        (send("held@example.com", "bob@example.org"), send("alice@example.org", "carl@elsewhere.example"));
    server.logs(&[&waiting, "deferred"]);
    (setup, server, held, waiting)
}

#[test]
fn queue_list_and_show_tell_what_waits_and_why() {
    let (setup, _server, held, waiting) = with_a_queue();
    let text = ok(setup.command(&["queue", "list"]));
    for word in [held.as_str(), waiting.as_str(), "carl@elsewhere.example", "bob@example.org"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let listed = setup.json(&["queue", "list"]).to_string();
    assert!(listed.contains(&held) && listed.contains(&waiting) && listed.contains("held"), "{listed}");

    let text = ok(setup.command(&["queue", "show", &waiting]));
    for word in [waiting.as_str(), "alice@example.org", "carl@elsewhere.example", "refused"] {
        assert!(text.to_lowercase().contains(word), "{word}: {text}");
    }
    let shown = setup.json(&["queue", "show", &held]).to_string();
    assert!(shown.contains("looks odd") && shown.contains("held@example.com"), "{shown}");
}

#[test]
fn the_queue_is_filtered_counted_and_its_messages_are_read() {
    let (setup, _server, held, waiting) = with_a_queue();
    let listed = |arguments: &[&str]| -> Vec<String> {
        let rows = setup.json(&[&["queue", "list"], arguments].concat());
        let id = |row: &serde_json::Value| row["id"].as_str().expect("an id").to_owned();
        rows.as_array().expect("rows").iter().map(id).collect()
    };
    for (arguments, expected) in [
        (&["--state", "held"][..], vec![&held]),
        (&["--state", "deferred"], vec![&waiting]),
        (&["--sender", "alice@example.org"], vec![&waiting]),
        (&["--recipient", "BOB@example.org"], vec![&held]),
        (&["--recipient", "elsewhere.example"], vec![&waiting]),
        (&["--reason", "Looks"], vec![&held]),
        (&["--reason", "refused", "--state", "held"], vec![]),
        (&["--older", "1d"], vec![]),
        (&["--older", "0s"], vec![&held, &waiting]),
        (&["--limit", "1"], vec![&held]),
        (&["--after", &held], vec![&waiting]),
        (&["--domain", "nobody.example"], vec![]),
    ] {
        assert_eq!(listed(arguments).iter().collect::<Vec<_>>(), expected, "{arguments:?}");
    }
    let text = ok(setup.command(&["queue", "list", "--limit", "1"]));
    assert!(text.contains(&format!("--after {held}")), "{text}");

    let text = ok(setup.command(&["queue", "counts"]));
    for word in ["elsewhere.example", "example.org", "looks odd", "oldest arrived"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let counts = setup.json(&["queue", "list", "--counts"]);
    assert_eq!((&counts["recipients-waiting"], &counts["recipients-held"]), (&1.into(), &1.into()));

    let whole = ok(setup.command(&["queue", "cat", &held]));
    assert!(whole.contains("Subject: queued") && whole.contains("Received: "), "{whole}");
    assert_eq!(ok(setup.command(&["queue", "show", &held, "--content"])), whole);
    let shown = setup.json(&["queue", "show", &waiting]);
    let history = shown["recipients"][0]["history"].as_array().expect("attempts");
    assert!(history[0]["reply"].as_str().expect("a reply").contains("refused"), "{shown}");

    for arguments in [
        &["queue", "remove"][..],
        &["queue", "remove", "--all", &held],
        &["queue", "list", "--limit", "0"],
        &["queue", "list", "--older", "soon"],
    ] {
        assert_eq!(setup.command(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(ok(setup.command(&["queue", "hold", "--domain", "elsewhere.example"])), "1 held\n");
    assert_eq!(ok(setup.command(&["queue", "hold", "--domain", "elsewhere.example"])), "0 held\n");
    let output = setup.command(&["queue", "remove", &held, "0000000000000", &waiting]);
    assert_eq!((output.code, output.err.lines().count()), (1, 1), "{}{}", output.out, output.err);
    assert!(output.err.contains("0000000000000"), "{}", output.err);
    assert_eq!(listed(&[]), Vec::<String>::new());
}

#[test]
fn attempts_are_remembered_across_a_restart() {
    let (setup, server, _, waiting) = with_a_queue();
    ok(setup.command(&["queue", "retry", &waiting]));
    wait_until("another attempt", || server.logged(&[&waiting, "deferred"]).len() == 2);
    let history = || setup.json(&["queue", "show", &waiting])["recipients"][0]["history"].clone();
    wait_until("both to be in the queue", || history().as_array().expect("attempts").len() == 2);
    let before = history();
    server.stops();
    let _server = setup.start();
    assert_eq!(history(), before);
}

#[test]
fn every_key_of_an_answer_in_json_is_in_kebab_case() {
    fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                found.extend(map.keys().cloned());
                map.values().for_each(|inner| keys(inner, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| keys(inner, found)),
            _ => {}
        }
    }
    let (setup, _server, held, _) = with_a_queue();
    for command in [
        &["status"][..],
        &["queue", "list"],
        &["queue", "show", &held],
        &["queue", "counts"],
        &["plugin", "list"],
    ] {
        let mut found = Vec::new();
        keys(&setup.json(command), &mut found);
        assert!(!found.is_empty(), "{command:?}");
        let odd: Vec<_> = found.iter().filter(|key| key.contains('_')).collect();
        assert!(odd.is_empty(), "{command:?}: {odd:?}");
    }
}

#[test]
fn a_message_that_is_not_in_the_queue_is_said_to_be_unknown() {
    let setup = Setup::new();
    let _server = setup.start();
    for id in ["0000000000000", "nonsense"] {
        let output = setup.command(&["queue", "show", id]);
        assert_eq!(output.code, 1, "{}{}", output.out, output.err);
        assert!(output.err.contains(id), "{}", output.err);
    }
    ok(setup.command(&["queue", "list"]));
}

#[test]
fn status_tells_how_the_server_is() {
    let (setup, server, ..) = with_a_queue();
    let text = ok(setup.command(&["status"]));
    assert!(text.contains(&server.pid().to_string()), "{text}");
    let json = setup.json(&["status"]).to_string();
    assert!(json.contains("held") && json.contains("waiting"), "{json}");
}

#[test]
fn without_a_server_the_commands_say_so() {
    let setup = Setup::new();
    setup.write();
    for arguments in [&["status"][..], &["queue", "list"], &["plugin", "list"]] {
        let output = setup.command(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {}{}", output.out, output.err);
        assert_eq!(output.err.trim_end().lines().count(), 1, "{arguments:?}: {}", output.err);
        assert!(output.out.is_empty(), "{arguments:?}: {}", output.out);
    }
}

#[test]
fn plugin_list_tells_what_is_loaded_and_what_was_refused() {
    let setup = Setup::new()
        .plugin("greylist", &["grants = { kv = true }"])
        .plugin("nosy", &[])
        .set("plugins", "order = [\"nosy\"]");
    setup.drop_in_octets("broken", b"broken");
    let _server = setup.start();
    let text = ok(setup.command(&["plugin", "list"]));
    for word in ["greylist", "nosy", "broken", "rcpt"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let listed = setup.json(&["plugin", "list"]);
    let plugins = listed["plugins"].as_array().expect("plugins");
    let names: Vec<_> = plugins.iter().map(|plugin| plugin["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["nosy", "greylist"]);
    assert!(plugins[1]["hooks"].to_string().contains("\"rcpt\""), "{}", plugins[1]);
    assert_eq!(plugins[1]["grants"]["kv"], true);
    assert_eq!(listed["refused"][0]["name"], "broken");
}

#[test]
fn plugin_inspect_shows_hooks_and_imports_without_a_server() {
    let setup = Setup::new();
    let inspect = |name: &str| run(setup.binary().args(["plugin", "inspect"]).arg(component(name)));
    let text = ok(inspect("greylist"));
    for word in ["rcpt", "kv"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let json = ok(run(setup.binary().args(["plugin", "inspect", "--json"]).arg(component("greylist"))));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json["hooks"].to_string().contains("rcpt"), "{json}");
    let refused = inspect("unknown-import");
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(
        format!("{}{}", refused.out, refused.err).contains("waxwing-tests:elsewhere/files"),
        "{}{}",
        refused.out,
        refused.err
    );
}

#[test]
fn plugin_test_shows_verdicts_and_the_edited_message() {
    let setup =
        Setup::new().plugin("tag-headers", &["settings = { rules = [{ add = { X-Waxwing = \"seen\" } }] }"]);
    setup.write();
    let eml = setup.path("message.eml");
    std::fs::write(&eml, "From: ann@example.com\r\nTo: alice@example.org\r\nSubject: x\r\n\r\nhello\r\n")
        .expect("the message");
    let test = |name: &str| run(setup.binary().args(["plugin", "test"]).arg(component(name)).arg(&eml));
    let text = ok(test("tag-headers"));
    assert!(text.contains("proceed") && text.contains("X-Waxwing: ") && text.contains("hello"), "{text}");
    let text = ok(test("greylist"));
    assert!(text.contains("rcpt") && text.contains("451"), "{text}");
}

#[test]
fn the_postmaster_holds_releases_retries_and_removes() {
    let (setup, server, held, waiting) = with_a_queue();
    let state = |id: &str| {
        let listed = setup.json(&["queue", "list"]);
        let found = listed.as_array().expect("entries").iter().find(|entry| entry["id"] == id).cloned();
        found.map(|entry| entry["state"].as_str().expect("a state").to_owned())
    };
    ok(setup.command(&["queue", "release", &held]));
    setup.mailbox("bob").with("Subject: queued");
    wait_until("the released one to be gone", || state(&held).is_none());

    let attempts = || server.logged(&[&waiting, "deferred"]).len();
    assert_eq!(attempts(), 1);
    for (nth, arguments) in [
        &["queue", "retry", &waiting][..],
        &["queue", "retry", "--all"],
        &["queue", "retry", "--domain", "elsewhere.example"],
    ]
    .into_iter()
    .enumerate()
    {
        ok(setup.command(arguments));
        wait_until("another attempt", || attempts() == nth + 2);
    }

    ok(setup.command(&["queue", "hold", &waiting]));
    wait_until("it to be held", || state(&waiting).as_deref() == Some("held"));
    ok(setup.command(&["queue", "remove", &waiting]));
    wait_until("it to be gone", || state(&waiting).is_none());
    assert_eq!(setup.command(&["queue", "show", &waiting]).code, 1);
    // Nobody is told of what the postmaster takes out.
    server.stops();
    setup.mailbox("alice").wait(0);
}

#[test]
fn reload_says_how_it_went() {
    let mut setup = Setup::new();
    let _server = setup.start();
    ok(setup.command(&["reload"]));
    setup.change("limits", "sesions = 5");
    setup.write();
    let good = setup.path("good.toml");
    std::fs::write(&good, setup.text().replace("sesions", "sessions")).expect("the file");
    // The command finds the server by a good copy; the server reads its own file.
    let refused = run(setup.binary().arg("reload").arg("--config").arg(&good));
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("sesions"), "{}", refused.err);
}

#[test]
fn passwd_prints_a_record_that_the_configuration_takes() {
    let setup = Setup::new();
    let passwd = |arguments: &[&str], input: &str| {
        run_with_input(setup.binary().arg("passwd").args(arguments), input.as_bytes())
    };
    let argon2 = ok(passwd(&[], "correct horse\n"));
    let scram = ok(passwd(&["--scram"], "correct horse"));
    assert!(argon2.starts_with("$argon2id$") && scram.starts_with("SCRAM-SHA-256$"), "{argon2}{scram}");
    for record in [&argon2, &scram] {
        assert_eq!(record.lines().count(), 1, "{record}");
        assert!(!record.contains("correct"), "{record}");
    }
    setup.write();
    let user = format!(
        "{}\n[[user]]\nname = \"alice@example.org\"\npassword-hash = [\"{}\", \"{}\"]\n",
        setup.text(),
        argon2.trim_end(),
        scram.trim_end()
    );
    std::fs::write(setup.config_file(), user).expect("the file");
    ok(setup.command(&["check"]));
}

#[test]
fn passwd_refuses_what_is_no_password() {
    let setup = Setup::new();
    for (input, word) in [("\n", "empty"), ("", "empty"), ("a\u{7}b\n", "characters")] {
        let output = run_with_input(setup.binary().arg("passwd"), input.as_bytes());
        assert_eq!(output.code, 1, "{input:?}: {}{}", output.out, output.err);
        assert!(output.out.is_empty() && output.err.contains(word), "{input:?}: {}", output.err);
    }
    assert_eq!(run(setup.binary().args(["passwd", "--argon"])).code, 2);
}
