//! Mail that is handed to a program, from end to end: with Landlock where the kernel has it.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{NextHop, Setup, message, wait_for};

/// A server whose robots.example is this shell script; it may write to `out`.
fn robots(script: &str) -> Setup {
    let setup = Setup::new();
    let (program, out) = (setup.path("robot"), setup.path("out"));
    std::fs::create_dir(&out).expect("a folder");
    std::fs::write(&program, format!("#!/bin/sh\nout={}\n{script}\n", out.display())).expect("the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    setup.hurries().block(&format!(
        "[[domain]]\nname = \"robots.example\"\ndeliver = {{ pipe = [\"{}\", \"{{local}}\", \"{{sender}}\"], writes = [\"{}\"], timeout = \"5s\" }}",
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
