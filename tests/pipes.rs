//! Mail that is handed to a program, from end to end: with Landlock where the kernel has it.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{NextHop, Setup, message, wait_for};

/// A server whose robots.example is this shell script; it may write to `out`.
fn robots(script: &str) -> Setup {
    limited_robots(script, "timeout = \"5s\"")
}

/// The same with limits of its own.
fn limited_robots(script: &str, limits: &str) -> Setup {
    let setup = Setup::new();
    let (program, out) = (setup.path("robot"), setup.path("out"));
    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(&program, format!("#!/bin/sh\nout={}\n{script}\n", out.display())).expect("the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    setup.hurries().block(&format!(
        "[[domain]]\nname = \"robots.example\"\ndeliver = {{ pipe = [\"{}\", \"{{local}}\", \"{{sender}}\"], writes = [\"{}\"], {limits} }}",
        program.display(),
        out.display(),
    ))
}

#[test]
fn a_program_takes_the_message_for_each_recipient() {
    let setup = robots(
        "cat > \"$out/$1.part\" && echo \"$2\" > \"$out/$1.sender\" && mv \"$out/$1.part\" \"$out/$1\"",
    );
    let server = setup.start();
    server.client().sends(
        "ann@from.example",
        &["one@robots.example", "\"$(two)\"@robots.example"],
        message("for robots"),
    );
    for name in ["one", "$(two)"] {
        let file = setup.path("out").join(name);
        let text = wait_for("the program's file", || std::fs::read_to_string(&file).ok());
        assert!(text.starts_with("Return-Path: <ann@from.example>\nDelivered-To: "), "{text}");
        assert!(text.contains("\nSubject: for robots\n") && !text.contains('\r'), "{text}");
    }
}

#[test]
fn exit_codes_defer_and_refuse_with_the_first_line_of_the_output() {
    let hop = NextHop::start();
    let setup = robots(
        "case $1 in full) echo 'disk full'; exit 75;; nobody) echo 'no such robot' >&2; exit 67;; esac; exit 0",
    )
    .smarthost(hop.address);
    let server = setup.start();
    server.client().sends(
        "ann@from.example",
        &["full@robots.example", "nobody@robots.example", "fine@robots.example"],
        message("codes"),
    );
    server.logs(&["deferred", "full@robots.example", "disk full"]);
    server.logs(&["bounced", "nobody@robots.example", "554 5.1.1"]);
    server.logs(&["delivered", "fine@robots.example"]);
    let report = hop.wait(1).remove(0);
    assert_eq!(report.to, ["ann@from.example"]);
    assert!(
        report.content.contains("no such robot") && !report.content.contains("full@"),
        "{}",
        report.content
    );
}

#[test]
fn a_program_that_hangs_or_wants_too_much_memory_defers_its_recipient_alone() {
    // The shell's child is in its group and ends with it; a second attempt finds that the first has been there.
    let script = "case $1 in
        slow) test -e $out/slow && exit 0; touch $out/slow; sleep 1000;;
        huge) (x=0123456789abcdef; while [ ${#x} -lt 200000000 ]; do x=$x$x; done) || { echo 'no memory'; exit 75; };;
        esac
        cat > /dev/null; touch $out/$1";
    let setup = limited_robots(script, "timeout = \"500ms\", memory = \"64MiB\"");
    let server = setup.start();
    server.client().sends(
        "ann@from.example",
        &["slow@robots.example", "huge@robots.example", "fine@robots.example"],
        message("limits"),
    );
    server.logs(&["delivered", "fine@robots.example"]);
    server.logs(&["deferred", "slow@robots.example"]);
    server.logs(&["delivered", "slow@robots.example"]);
    server.logs(&["deferred", "huge@robots.example"]);
    assert!(!setup.path("out").join("huge").exists());
}

#[test]
fn a_program_that_cannot_be_run_defers_its_recipient() {
    let setup = robots("exit 0");
    let server = setup.start();
    std::fs::set_permissions(setup.path("robot"), std::fs::Permissions::from_mode(0o600)).expect("its mode");
    server.client().sends("ann@from.example", &["one@robots.example"], message("no program"));
    server.logs(&["deferred", "one@robots.example", "451 4.3.5", "robot"]);
    std::fs::set_permissions(setup.path("robot"), std::fs::Permissions::from_mode(0o700)).expect("its mode");
    server.logs(&["delivered", "one@robots.example"]);
}

#[test]
fn a_program_runs_as_the_user_that_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let setup =
        limited_robots("id -un > \"$out/$1.part\" && mv \"$out/$1.part\" \"$out/$1\"", "user = \"nobody\"");
    std::fs::set_permissions(setup.path("out"), std::fs::Permissions::from_mode(0o777)).expect("its mode");
    std::fs::set_permissions(setup.path("robot"), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    std::fs::set_permissions(setup.path(""), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let server = setup.start();
    server.client().sends("ann@from.example", &["one@robots.example"], message("who"));
    let user = wait_for("the program's file", || std::fs::read_to_string(setup.path("out/one")).ok());
    assert_eq!(user.trim(), "nobody");
}
