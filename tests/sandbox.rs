//! What a running server may touch: its own files, where the kernel has Landlock.

use std::fs;

use crate::harness::{Server, Setup, message, wait_until};

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
