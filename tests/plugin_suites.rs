//! `plugin test` with the services that it makes up, and what `plugin inspect` says: on bundled plugins, from end to end.

use crate::harness::{Output, Setup, component, run};

#[track_caller]
fn ok(output: Output) -> String {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    output.out
}

/// Runs a suite for a bundled plugin.
fn suite(name: &str, text: &str) -> Output {
    let setup = Setup::new();
    std::fs::write(setup.path("plugin-test.toml"), text).expect("the suite");
    run(setup.binary().args(["plugin", "test", "--verbose"]).arg(component(name)))
}

#[test]
fn a_suite_answers_over_http_as_it_was_told_to() {
    let text = r#"
        grants = { kv = true, http = ["users.example.org"] }
        settings = { url = "https://users.example.org/is?a={address}" }
        [[case]]
        name = "one is known and the other is not"
        http = [
          { url = "https://users.example.org/is?a=alice%40example.org", status = 204 },
          { url = "https://users.example.org/is", status = 404, body = "nobody here", headers = { Content-Type = "text/plain" } },
        ]
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org", asked = ["GET https://users.example.org/is?a=alice"] },
          { rcpt = "bob@example.org", verdict = "reject", reply = "550 5.1.1 nobody here" },
          { rcpt = "alice@example.org", asked = [] },
        ]
        [[case]]
        name = "the service is down"
        http = [ { url = "https://users.example.org/is", fails = "no route" } ]
        steps = [ { mail = "ann@example.com" }, { rcpt = "alice@example.org", verdict = "tempfail", log = ["no route"] } ]
        [[case]]
        name = "nobody said what it answers"
        steps = [ { mail = "ann@example.com" }, { rcpt = "alice@example.org", verdict = "tempfail" } ]
        [[case]]
        name = "the host is not granted"
        grants = { kv = true, http = ["other.example.org"] }
        http = [ { url = "https://users.example.org/is", status = 204 } ]
        steps = [ { mail = "ann@example.com" }, { rcpt = "alice@example.org", verdict = "tempfail", asked = [] } ]
    "#;
    let said = ok(suite("recipient-check", text));
    assert!(said.contains("4 passed, 0 failed"), "{said}");
    assert!(said.contains("asked: GET https://users.example.org/is?a=bob%40example.org"), "{said}");
}

#[test]
fn a_suite_says_what_clamd_finds() {
    let text = r#"
        grants = { clamd = "unix:/run/clamd" }
        [[case]]
        name = "evil is found and good is not"
        clamd = { finds = { "evil text" = "Test.Evil-1" } }
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { text = "Subject: x\n\nevil text\n", verdict = "reject", reply = "550 5.7.1 Test.Evil-1" },
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { text = "Subject: x\n\ngood text\n", unchanged = true },
        ]
        [[case]]
        name = "clamd is ill"
        clamd = { fails = "out of memory" }
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { text = "Subject: x\n\nhello\n", verdict = "tempfail", log = ["out of memory"] },
        ]
    "#;
    assert!(ok(suite("clamd", text)).contains("2 passed, 0 failed"));
    let refused =
        suite("clamd", "grants = { clamd = \"x\" }\n[[case]]\nname = \"x\"\nsteps = [ { wait = \"1s\" } ]\n");
    assert!(refused.code == 2 && refused.err.contains(":1: grants.clamd"), "{}", refused.err);
}

#[test]
fn what_a_plugin_submits_is_shown_and_held_against_the_suite() {
    let text = r#"
        grants = { kv = true, submit = true }
        settings = { mailboxes = { "alice@example.org" = { text = "I am away." } } }
        [[case]]
        name = "once"
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { text = "From: ann@example.com\nTo: alice@example.org\nSubject: x\n\nhello\n", submitted = [] },
          { outcome = "alice@example.org", submitted = [
            { to = ["ann@example.com"], sender = "<>", auto-submitted = "auto-replied", contains = ["Subject: Auto: x\n", "\n\nI am away.\n"] },
          ] },
          { outcome = "alice@example.org", submitted = [] },
        ]
        [[case]]
        name = "a forged sender"
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { text = "From: ann@example.com\nTo: alice@example.org\n\nhello\n", findings = { dmarc = "fail" } },
          { outcome = "alice@example.org", submitted = [] },
        ]
    "#;
    let said = ok(suite("vacation", text));
    assert!(said.contains("2 passed, 0 failed"), "{said}");
    assert!(said.contains("submitted: from <> to ann@example.com, auto-replied"), "{said}");
    let wrong = text.replace("I am away.\\n", "I am here.\\n");
    let failed = suite("vacation", &wrong);
    assert_eq!(failed.code, 1);
    assert!(failed.out.contains("what was submitted has no \"\\n\\nI am here."), "{}", failed.out);
}

#[test]
fn one_message_is_tried_under_the_limits_of_the_configuration() {
    let setup = Setup::new().plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"]);
    let eml = setup.path("message.eml");
    std::fs::write(&eml, "Subject: x\n\nhello\n").expect("the message");
    setup.write();
    let test = || run(setup.binary().args(["plugin", "test"]).arg(component("footer")).arg(&eml));
    assert!(ok(test()).contains("+Sent through Waxwing"));
    let setup = setup.set("plugins.limits", "body-written-size = \"10 B\"");
    setup.write();
    let failed = run(setup.binary().args(["plugin", "test"]).arg(component("footer")).arg(&eml));
    assert!(
        failed.out.contains("over the limit") && !failed.out.contains("+Sent"),
        "{}{}",
        failed.out,
        failed.err
    );
    let setup = setup
        .set("plugins.limits", "body-written-size = \"1 MiB\"")
        .set("plugins.footer", "limits = { memory = \"64 KiB\" }");
    setup.write();
    let failed = run(setup.binary().args(["plugin", "test"]).arg(component("footer")).arg(&eml));
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
}

#[test]
fn inspect_says_in_which_language_and_with_which_grants_a_plugin_was_made() {
    let setup = Setup::new();
    let inspected = |name: &str| -> serde_json::Value {
        let json = ok(run(setup.binary().args(["plugin", "inspect", "--json"]).arg(component(name))));
        serde_json::from_str(&json).expect("JSON")
    };
    for (name, language, grants) in [
        ("vacation", "Rust", &["kv", "submit"][..]),
        ("clamd", "Rust", &["clamd"]),
        ("footer", "Rust", &[]),
        ("rspamd", "Rust", &["http"]),
        ("helo-policy", "C", &[]),
    ] {
        let json = inspected(name);
        let strings = |key: &str| -> Vec<String> {
            let list = json[key].as_array().unwrap_or_else(|| panic!("{key}: {json}"));
            list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
        };
        assert_eq!(strings("grants"), grants, "{name}");
        assert_eq!(strings("interface-versions"), ["0.1.0"], "{name}");
        assert!(strings("languages").iter().any(|word| word.starts_with(language)), "{name}: {json}");
        assert!(!strings("tools").is_empty(), "{name}: {json}");
    }
    let text = ok(run(setup.binary().args(["plugin", "inspect"]).arg(component("vacation"))));
    for words in ["grants   kv, submit", "version  0.1.0", "written  Rust"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
