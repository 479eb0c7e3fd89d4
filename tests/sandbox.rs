//! What a running server may touch: its own files, where the kernel has Landlock.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::harness::{Server, Setup, message, python, run, wait_until};

/// Whether this kernel restricted the server; where it cannot, the log must say so.
fn is_restricted(server: &Server) -> bool {
    let said = server.logs(&["landlock="]);
    if said.contains("landlock=\"none\"") {
        println!("this kernel has no Landlock: only the log is looked at");
        return false;
    }
    true
}

/// A domain whose mail goes to this folder.
fn domain(name: &str, folder: &std::path::Path) -> String {
    format!("[[domain]]\nname = \"{name}\"\ndeliver = {{ maildir = \"{}/{{local}}\" }}", folder.display())
}

#[test]
fn every_thread_of_the_server_is_restricted_and_mail_still_flows() {
    let setup = Setup::new();
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], message("inside"));
    setup.mailbox("alice").with("Subject: inside");
    if is_restricted(&server) {
        // Landlock cannot be entered without this flag, and each thread has its own.
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the threads");
        for task in tasks {
            let status =
                fs::read_to_string(task.expect("a thread").path().join("status")).unwrap_or_default();
            assert!(status.is_empty() || status.contains("NoNewPrivs:\t1"), "{status}");
        }
    }
}

#[test]
fn a_reload_that_leads_outside_is_refused_by_the_name_of_the_place_and_a_restart_takes_it() {
    let mut setup = Setup::new();
    let server = setup.start();
    let elsewhere = tempfile::Builder::new().prefix("waxwing-elsewhere-").tempdir().expect("a folder");
    setup = setup.block(&domain("late.example", elsewhere.path()));
    setup.write();
    let reloaded = setup.command(&["reload"]);
    if !is_restricted(&server) {
        assert_eq!(reloaded.code, 0, "{}", reloaded.err);
        return;
    }
    assert_eq!(reloaded.code, 1, "{}", reloaded.out);
    let place = elsewhere.path().display().to_string();
    assert!(reloaded.err.contains(&place) && reloaded.err.contains("restart"), "{}", reloaded.err);
    // Nothing of the new configuration counts.
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<eve@late.example>", "550 5.7.1");
    client.asks("QUIT", "221");
    server.stops();
    let server = setup.start();
    server.client().sends("ann@example.com", &["eve@late.example"], message("after the restart"));
    wait_until("the Maildir outside", || elsewhere.path().join("eve/new").exists());
}

#[test]
fn a_link_that_leads_out_of_the_mailboxes_leads_nowhere() {
    let setup = Setup::new().hurries();
    let elsewhere = tempfile::Builder::new().prefix("waxwing-elsewhere-").tempdir().expect("a folder");
    fs::create_dir(setup.path("mail/example.org")).expect("a folder");
    std::os::unix::fs::symlink(elsewhere.path(), setup.path("mail/example.org/alice")).expect("a link");
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org", "bob@example.org"], message("linked"));
    setup.mailbox("bob").with("Subject: linked");
    if is_restricted(&server) {
        server.logs(&["deferred", "alice@example.org"]);
        assert_eq!(fs::read_dir(elsewhere.path()).expect("the folder").count(), 0);
    }
}

#[test]
fn without_landlock_a_reload_may_lead_anywhere() {
    let mut setup = Setup::new().set("process", "landlock = false");
    let server = setup.start();
    let elsewhere = tempfile::Builder::new().prefix("waxwing-elsewhere-").tempdir().expect("a folder");
    setup = setup.block(&domain("late.example", elsewhere.path()));
    setup.write();
    let reloaded = setup.command(&["reload"]);
    assert_eq!(reloaded.code, 0, "{}", reloaded.err);
    server.client().sends("ann@example.com", &["eve@late.example"], message("anywhere"));
    wait_until("the Maildir outside", || elsewhere.path().join("eve/new").exists());
}

/// A server that becomes nobody, and has a copy of /etc in the setup's folder as its own. Nothing where that cannot be had.
fn with_its_own_etc() -> Option<Setup> {
    let can = rustix::process::geteuid().is_root()
        && run(Command::new("unshare").args(["-m", "mount", "--bind", "/etc", "/etc"])).code == 0;
    if !can {
        println!("only root can mount: not run");
        return None;
    }
    let setup = Setup::new().set("process", "user = \"nobody\"");
    fs::set_permissions(setup.path(""), Permissions::from_mode(0o755)).expect("its mode");
    chown(setup.path("mail"), Some(65_534), None).expect("its owner");
    let etc = setup.path("etc");
    fs::create_dir(&etc).expect("a folder");
    run(Command::new("cp").args(["-a", "/etc/."]).arg(&etc));
    let name_servers = fs::read("/etc/resolv.conf").expect("the name servers");
    fs::remove_file(etc.join("resolv.conf")).expect("the name servers");
    fs::write(etc.join("resolv.conf"), name_servers).expect("the name servers");
    let script = format!("mount --bind '{}' /etc && exec \"$@\"", etc.display());
    let socket = setup.path("run/submission.sock").display().to_string();
    let setup = setup.set("sendmail", &format!("socket = \"{socket}\""));
    Some(setup.launched_by(&["unshare", "-m", "sh", "-c", &script, "sh"]))
}

#[test]
fn what_the_system_replaces_stays_readable_and_keeps_no_server_from_beginning_anew() {
    let Some(setup) = with_its_own_etc() else { return };
    let server = setup.start();
    let calls = || {
        let script = r#"
import os, socket, sys
os.setgroups([]); os.setgid(1); os.setuid(1)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rwb")
f.readline(); f.write(b"EHLO here\r\nQUIT\r\n"); f.flush(); f.read()
"#;
        python(script, &[&setup.path("run/submission.sock").display().to_string()]);
        server.logged(&["authenticated", "user=daemon"]).len()
    };
    assert_eq!(calls(), 1, "{}", server.log());
    for name in ["passwd", "group", "resolv.conf", "hosts", "nsswitch.conf"] {
        let (there, new) = (setup.path("etc").join(name), setup.path("etc/replaced"));
        fs::copy(&there, &new).expect("another file");
        fs::rename(&new, &there).expect("its name");
    }
    assert_eq!(calls(), 2, "a user is known by the name in the new file: {}", server.log());
    for command in ["reload", "restart"] {
        let output = setup.command(&[command]);
        assert_eq!(output.code, 0, "{command}: {}{}", output.err, server.log());
    }
    server.client().sends("ann@example.com", &["alice@example.org"], message("anew"));
    setup.mailbox("alice").with("Subject: anew");
    server.stops();
}
