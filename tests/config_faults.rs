//! A faulty configuration: every fault with its file, line and key, and nothing is started.

use std::process::Command;

use crate::harness::{Output, Setup, run};

/// `check` on this text.
fn checked(text: &str) -> Output {
    let setup = Setup::new();
    std::fs::write(setup.config_file(), text).expect("the file");
    setup.command(&["check"])
}

const FAULTY: &str = r#"hostname = "mx.example.org"
data-dri = "data"

[[listener]]
name = "mx"
bind = ["127.0.0.1:2525", "nonsense"]
kind = "mix"

[[domain]]
name = "example.org"
deliver = { maildir = "mail", relay = "127.0.0.1:26" }

[limits]
message-size = "25 pounds"
recipients = -1
sessions-per-adress = 5

[queue]
retry = []

[plugins.footer]
on-failure = "explode"
"#;

#[test]
fn every_fault_is_listed_with_file_line_and_key() {
    let output = checked(FAULTY);
    assert_eq!(output.code, 1);
    for (line, key, word) in [
        (2, "data-dri", "data-dir"),
        (6, "listener.bind", "nonsense"),
        (7, "listener.kind", ""),
        (11, "domain.deliver", ""),
        (14, "limits.message-size", "size"),
        (15, "limits.recipients", ""),
        (16, "limits.sessions-per-adress", "sessions-per-address"),
        (19, "queue.retry", ""),
        (22, "plugins.footer.on-failure", "tempfail"),
    ] {
        let found = output.err.lines().any(|said| {
            said.contains(&format!("waxwing.toml:{line}: "))
                && said.contains(key.rsplit('.').next().expect("a key"))
                && said.contains(word)
        });
        assert!(found, "line {line}, {key}, {word:?} not in:\n{}", output.err);
    }
    // The key that is missing because it was misspelt is said as well.
    assert!(
        output.err.lines().any(|said| said.contains("data-dir") && !said.contains("data-dri")),
        "{}",
        output.err
    );
}

#[test]
fn serve_says_the_same_and_makes_nothing() {
    let setup = Setup::new();
    std::fs::write(setup.config_file(), FAULTY).expect("the file");
    let output = setup.command(&["serve"]);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("limits.recipients"), "{}", output.err);
    assert!(!setup.path("data").exists());
}

#[test]
fn what_is_no_toml_and_what_is_not_there_is_said_with_the_file() {
    let output = checked("hostname = \"mx\ndata-dir = 1");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("waxwing.toml:1"), "{}", output.err);
    let setup = Setup::new();
    let output = setup.command(&["check"]);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("waxwing.toml"), "{}", output.err);
}

#[test]
fn what_cannot_be_done_is_refused_rather_than_ignored() {
    for (text, key) in [("tls = \"starttls\"", "tls"), ("proxy-protocol = true", "proxy-protocol")] {
        let setup = Setup::new().set("[listener]", text);
        setup.write();
        let output = setup.command(&["check"]);
        assert_eq!(output.code, 1, "{text}");
        assert!(output.err.contains(key), "{text}: {}", output.err);
    }
}

#[test]
fn a_good_configuration_passes_and_its_plugins_are_looked_at() {
    let setup = Setup::new().plugin("tag-headers", &[]);
    setup.write();
    let output = setup.command(&["check"]);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    setup.drop_in_octets("garbage", b"garbage");
    let output = setup.command(&["check"]);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.err.contains("garbage"), "{}", output.err);
    let setup = Setup::new().plugin("tag-headers", &["settings = { nonsense = true }"]);
    setup.write();
    let output = setup.command(&["check"]);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.err.contains("nonsense"), "{}", output.err);
}

#[test]
fn wrong_usage_is_two() {
    let setup = Setup::new();
    for arguments in
        [&["serv"][..], &["serve", "--confg", "x"], &["queue"], &["queue", "show"], &["plugin", "inspect"]]
    {
        let output = run(setup.binary().args(arguments));
        assert_eq!(output.code, 2, "{arguments:?}: {}{}", output.out, output.err);
        assert!(!output.err.is_empty(), "{arguments:?}");
    }
    let help = run(setup.binary().arg("--help"));
    assert_eq!(help.code, 0);
    assert!(help.out.contains("serve") && help.out.contains("queue"), "{}", help.out);
}

#[test]
fn the_configuration_of_make_run_is_good() {
    let setup = Setup::new();
    let quickstart =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/quickstart/waxwing.toml");
    std::fs::copy(quickstart, setup.config_file()).expect("the file");
    setup.drop_in("tag-headers", "tag-headers");
    let mut check: Command = setup.binary();
    let output = run(check.args(["check", "--config", "waxwing.toml"]));
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}
