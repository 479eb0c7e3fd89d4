//! What a person does first: a configuration by `init`, completions, manual pages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Output, Setup, component, python, run, run_with_input, wait_until};

/// `init` in the setup's folder.
fn init(setup: &Setup, arguments: &[&str]) -> Output {
    let mut command = setup.binary();
    command.args(["init", "--config"]).arg(setup.config_file()).args(arguments);
    run(&mut command)
}

const GIVEN: [&str; 8] = [
    "--hostname",
    "mx.example.org",
    "--receive",
    "example.org",
    "--deliver",
    "maildir:mail/{domain}/{local}",
    "--listen",
    "127.0.0.1:0",
];

#[test]
fn init_writes_what_check_passes_and_prints_the_records_to_publish() {
    let setup = Setup::new();
    let output = init(&setup, &GIVEN);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    let checked = setup.command(&["check"]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    for record in [
        "example.org. IN MX 10 mx.example.org.",
        "example.org. IN TXT ( \"v=spf1 mx -all\" )",
        "waxwing._domainkey.example.org. IN TXT ( \"v=DKIM1;",
        "_dmarc.example.org. IN TXT ( \"v=DMARC1; p=none; rua=mailto:postmaster@example.org\" )",
        "_smtp._tls.example.org. IN TXT ( \"v=TLSRPTv1;",
        "_mta-sts.example.org.",
        "mx.example.org. IN",
    ] {
        assert!(output.out.contains(record), "{record}: {}", output.out);
    }
    let key = setup.path("dkim.pem");
    assert_eq!(fs::metadata(&key).expect("the key").permissions().mode() & 0o777, 0o600);
    // Each line that is no comment is a record of a zone.
    let is_record = |line: &str| line.is_empty() || line.starts_with(';') || line.contains(". IN ");
    assert!(output.out.lines().all(is_record), "{}", output.out);
}

#[test]
fn a_server_runs_with_what_init_wrote_and_signs_what_it_sends() {
    let setup = Setup::new();
    assert_eq!(init(&setup, &GIVEN).code, 0);
    let server = setup.start_as_written();
    server.client().sends("ann@example.com", &["alice@example.org"], crate::harness::message("first"));
    setup.mailbox("alice").with("Subject: first");
    server.client().sends(
        "bob@example.org",
        &["alice@example.org"],
        "From: bob@example.org\r\nSubject: ours\r\n\r\nours\r\n",
    );
    setup.mailbox("alice").with("DKIM-Signature: ");
}

#[test]
fn a_plugin_dropped_into_the_folder_that_init_made_runs() {
    let setup = Setup::new();
    assert_eq!(init(&setup, &GIVEN).code, 0);
    let server = setup.start_as_written();
    fs::copy(component("tag-headers"), setup.path("plugins/tag-headers.wasm")).expect("the plugin");
    wait_until("the plugin to be loaded", || {
        setup.json(&["plugin", "list"])["plugins"][0]["name"] == "tag-headers"
    });
    server.client().sends("ann@example.com", &["alice@example.org"], crate::harness::message("first"));
    setup.mailbox("alice").with("Subject: first");
}

#[test]
fn init_never_writes_over_a_configuration_or_a_key() {
    let setup = Setup::new();
    assert_eq!(init(&setup, &GIVEN).code, 0);
    let (before, key) = (
        fs::read(setup.config_file()).expect("the file"),
        fs::read(setup.path("dkim.pem")).expect("the key"),
    );
    let again = init(&setup, &GIVEN);
    assert_eq!(again.code, 1, "{}", again.out);
    assert!(again.err.contains("is there already") && again.err.contains("--force"), "{}", again.err);
    assert_eq!(fs::read(setup.config_file()).expect("the file"), before);
    fs::write(setup.config_file(), "# mine\n").expect("the file");
    assert_eq!(
        init(&setup, &[&GIVEN[..], &["--force", "--smarthost", "smtp.provider.example:587"]].concat()).code,
        0
    );
    assert_eq!(fs::read(setup.path("waxwing.toml.old")).expect("the old one"), b"# mine\n");
    assert!(
        fs::read_to_string(setup.config_file())
            .expect("the file")
            .contains("smarthost = \"smtp.provider.example:587\"")
    );
    assert_eq!(fs::read(setup.path("dkim.pem")).expect("the key"), key);
    assert_eq!(setup.command(&["check"]).code, 0);
}

#[test]
fn init_refuses_answers_that_are_none_and_leaves_nothing_behind() {
    let setup = Setup::new();
    for (arguments, word) in [
        (&["--hostname", "localhost", "--receive", "example.org"][..], "no dot"),
        (&["--hostname", "mx.example.org", "--receive", "@"], "--receive"),
        (
            &["--hostname", "mx.example.org", "--receive", "example.org", "--deliver", "pigeon:home"],
            "no way to deliver",
        ),
        (
            &["--hostname", "mx.example.org", "--receive", "example.org", "--smarthost", "provider"],
            "--smarthost",
        ),
        (&["--hostname", "mx.example.org"], "no terminal"),
    ] {
        let output = init(&setup, arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {}{}", output.out, output.err);
        assert!(
            output.err.contains(word) && output.err.lines().count() == 1,
            "{arguments:?}: {}",
            output.err
        );
    }
    // What is wrong in a way that only the configuration's reader sees.
    let output = init(
        &setup,
        &[&GIVEN[..], &["--certificate", "/nowhere.pem", "--key", "/nowhere.key", "--listen", "[::1]:25"]]
            .concat(),
    );
    assert!(output.code == 0 || !setup.path("dkim.pem").exists(), "{}", output.err);
}

#[test]
fn init_asks_at_a_terminal_and_takes_what_it_proposes() {
    let setup = Setup::new();
    let script = r#"
import os, pty, sys
answers = ["nodot", "mx.example.org", "alice@example.org bob@example.org", ""]
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "init", "--config", sys.argv[2]])
seen = b""
for answer in answers:
    while not seen.endswith(b"] "):
        seen += os.read(fd, 1)
    seen += b"\n"
    os.write(fd, answer.encode() + b"\n")
try:
    while True:
        data = os.read(fd, 4096)
        if not data:
            break
        seen += data
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(seen.decode())
"#;
    let program = setup.binary().get_program().to_owned();
    let said =
        python(script, &[program.to_str().expect("a path"), setup.config_file().to_str().expect("a path")]);
    assert!(said.starts_with("0\n"), "{said}");
    assert!(said.contains("no dot") && said.contains("[example.org]"), "{said}");
    let text = fs::read_to_string(setup.config_file()).expect("the file");
    assert!(text.contains("mailboxes = [\"alice\", \"bob\"]"), "{text}");
    assert_eq!(setup.command(&["check"]).code, 0);
}

#[test]
fn a_host_that_only_sends_has_a_configuration_too() {
    let setup = Setup::new();
    let given =
        ["--hostname", "app.example.org", "--receive", "none", "--smarthost", "smtp.provider.example:587"];
    let output = init(&setup, &given);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(!setup.path("dkim.pem").exists());
    assert_eq!(setup.command(&["check"]).code, 0);
}

#[test]
fn shells_take_their_completions() {
    let setup = Setup::new();
    let script = |shell: &str| {
        let output = run(setup.binary().args(["completions", shell]));
        assert_eq!(output.code, 0, "{shell}: {}", output.err);
        output.out
    };
    let bash = script("bash");
    let words = format!(
        "{bash}\nCOMP_WORDS=(waxwing queue re)\nCOMP_CWORD=2\n_waxwing waxwing re queue\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    let completed = run_with_input(&mut Command::new("bash"), words.as_bytes());
    for word in ["retry", "release", "remove"] {
        assert!(completed.out.lines().any(|line| line == word), "{word}: {}{}", completed.out, completed.err);
    }
    assert!(script("zsh").starts_with("#compdef waxwing"));
    assert!(script("fish").contains("complete -c waxwing"));
    assert_eq!(run(setup.binary().args(["completions", "tcsh"])).code, 2);
}

#[test]
fn there_is_a_manual_page_for_every_command_and_for_the_configuration() {
    let setup = Setup::new();
    let dir = setup.path("man");
    let output = run(setup.binary().arg("manual").arg(&dir));
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    for page in [
        "waxwing.1",
        "waxwing-serve.1",
        "waxwing-queue.1",
        "waxwing-queue-list.1",
        "waxwing-plugin-test.1",
        "waxwing-init.1",
        "waxwing.toml.5",
    ] {
        assert!(dir.join(page).is_file(), "{page}");
    }
    let reference = fs::read_to_string(dir.join("waxwing.toml.5")).expect("the page");
    for key in ["hostname", "smarthost", "max\\-entries"] {
        assert!(reference.contains(key), "{key}");
    }
    if run(Command::new("sh").args(["-c", "command -v man"])).code != 0 {
        println!("there is no man: whether it reads the pages is not tried");
        return;
    }
    for page in fs::read_dir(&dir).expect("the pages") {
        let page = page.expect("a page").path();
        // One that points to another finds it where it is installed.
        if fs::read(&page).expect("the page").starts_with(b".so ") {
            continue;
        }
        let shown = run(Command::new("man").args(["--warnings", "-l"]).arg(&page).env("MANPAGER", "cat"));
        assert_eq!(shown.code, 0, "{}: {}", page.display(), shown.err);
        assert!(shown.err.is_empty(), "{}: {}", page.display(), shown.err);
    }
}
