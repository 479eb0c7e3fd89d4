//! Started by root: the server becomes somebody else once its sockets are bound.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::harness::{Setup, message, run};

/// Debian's user for nobody in particular.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("only root can become somebody else: not run");
    }
    root
}

/// A folder that the user nobody can reach, with mailboxes that are its own.
fn of_nobody() -> Setup {
    let setup = Setup::new().set("process", "user = \"nobody\"");
    fs::set_permissions(setup.path(""), Permissions::from_mode(0o755)).expect("its mode");
    chown(setup.path("mail"), Some(NOBODY), None).expect("its owner");
    setup
}

#[test]
fn every_thread_is_the_users_and_mail_is_delivered_as_that_user() {
    if !is_root() {
        return;
    }
    let setup = of_nobody();
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], message("as nobody"));
    setup.mailbox("alice").with("Subject: as nobody");
    for task in fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the threads") {
        let status = fs::read_to_string(task.expect("a thread").path().join("status")).unwrap_or_default();
        for of in ["Uid:", "Gid:"] {
            let Some(line) = status.lines().find(|line| line.starts_with(of)) else { continue };
            assert!(line.split_whitespace().skip(1).all(|id| id == NOBODY.to_string()), "{line}");
        }
        let groups = status.lines().find(|line| line.starts_with("Groups:")).unwrap_or_default();
        assert!(!groups.split_whitespace().any(|id| id == "0"), "{groups}");
    }
    assert_eq!(fs::metadata(setup.path("data")).expect("the data").uid(), NOBODY);
    server.logs(&["gave up the rights of root", "nobody"]);
    // What the server needs later is within its reach.
    assert_eq!(setup.command(&["reload"]).code, 0);
    server.stops();
    setup.start().stops();
}

#[test]
fn a_data_directory_of_somebody_else_is_left_alone_with_a_word() {
    if !is_root() {
        return;
    }
    let setup = of_nobody();
    fs::create_dir(setup.path("data")).expect("a folder");
    fs::write(setup.path("data/theirs"), "").expect("a file");
    setup.write();
    let refused = run(setup.binary().args(["serve", "--config"]).arg(setup.config_file()));
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("chown -R nobody"), "{}", refused.err);
    assert_eq!(fs::metadata(setup.path("data")).expect("the data").uid(), 0);
}

#[test]
fn a_user_that_is_not_there_is_a_fault_with_its_line() {
    let setup = Setup::new().set("process", "user = \"no-such-user\"");
    setup.write();
    for command in ["check", "serve"] {
        let refused = run(setup.binary().args([command, "--config"]).arg(setup.config_file()));
        assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
        assert!(refused.err.contains("process.user: this machine has no user"), "{}", refused.err);
    }
}

#[test]
fn a_server_that_stays_root_is_warned_of_in_the_log_and_by_check() {
    if !is_root() {
        return;
    }
    let setup = Setup::new();
    let server = setup.start();
    server.logs(&["WARN", "would run as root"]);
    let checked = setup.command(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.err.contains("would run as root"), "{}", checked.err);
}
