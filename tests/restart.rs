//! A new beginning as the same process, by the same program or by another that took its place.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::harness::{NextHop, Setup, Smtp, message, run_with_input, target_dir, wait_until};

#[test]
fn a_server_that_begins_anew_refuses_no_connection_and_loses_no_message() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (address, pid) = (server.address(), server.pid());
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    // A session that the old server ends hears 421 and comes again; a connection is never refused.
                    let mut client = Smtp::connect(address);
                    if client.next_reply().is_some_and(|reply| reply.code == 220) && send(&mut client) {
                        sent.fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    for round in 1..=3 {
        let before = sent.load(Relaxed);
        wait_until("some messages", || sent.load(Relaxed) > before + 5);
        let output = setup.command(&["restart"]);
        assert_eq!(output.code, 0, "{round}: {}{}\n{}", output.out, output.err, server.log());
        assert!(output.out.contains(&format!("process {pid}")), "{}", output.out);
    }
    stop.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client that was never refused"));
    assert!(server.is_running());
    assert_eq!(server.logged(&["listening mx"]).len(), 4, "{}", server.log());
    let sent = sent.load(Relaxed);
    wait_until("every message that was accepted", || setup.mailbox("alice").count() >= sent);
    server.stops();
}

/// One message; false when the server said that it ends.
fn send(client: &mut Smtp) -> bool {
    let lines =
        ["EHLO client.example.com", "MAIL FROM:<ann@example.com>", "RCPT TO:<alice@example.org>", "DATA"];
    for line in lines {
        if !client.try_raw(format!("{line}\r\n")) || client.next_reply().is_none_or(|reply| reply.code >= 400)
        {
            return false;
        }
    }
    client.try_raw("Subject: x\r\n\r\nx\r\n.\r\n")
        && client.next_reply().is_some_and(|reply| reply.code == 250)
}

#[test]
fn a_signal_begins_anew_and_what_waits_is_still_there() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().relays().smarthost(address).set("queue", "retry = [\"1h\"]");
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    server.logs(&["deferred"]);
    server.begin_anew();
    wait_until("the second start", || server.logged(&["listening mx"]).len() == 2);
    wait_until("an answer", || setup.command(&["status"]).code == 0);
    assert_eq!(setup.json(&["queue", "counts"])["entries-waiting"], 1);
    server.stops();
}

#[test]
fn a_server_that_could_not_begin_goes_on_as_it_is() {
    let mut setup = Setup::new();
    let server = setup.start();
    setup.change("limits", "recipients = \"many\"");
    setup.write();
    let output = setup.command(&["restart"]);
    assert_eq!(output.code, 1, "{}", output.out);
    assert!(output.err.contains("limits.recipients"), "{}", output.err);
    server.begin_anew();
    server.logs(&["does not begin anew", "limits.recipients"]);
    server.client().sends("ann@example.com", &["alice@example.org"], message("goes on"));
    setup.mailbox("alice").with("Subject: goes on");
    assert_eq!(server.logged(&["listening mx"]).len(), 1);
}

/// A server that runs from a copy of the binary in its own folder, and where that is.
fn installed(setup: Setup) -> (Setup, PathBuf) {
    let program = setup.path("bin/waxwing");
    fs::create_dir(setup.path("bin")).expect("a folder");
    put_in_place(&setup, &fs::read(target_dir().join("debug/waxwing")).expect("the binary"));
    let script = format!("shift; exec '{}' \"$@\"", program.display());
    (setup.launched_by(&["sh", "-c", &script, "sh"]), program)
}

/// Another file by the program's name, as an upgrade makes it.
fn put_in_place(setup: &Setup, octets: &[u8]) {
    let new = setup.path("bin/waxwing.new");
    fs::write(&new, octets).expect("a program");
    fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).expect("its mode");
    fs::rename(&new, setup.path("bin/waxwing")).expect("the program's name");
}

#[test]
fn after_an_upgrade_the_new_program_begins_with_the_sessions_and_the_queue_of_the_old_one() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let (setup, program) =
        installed(Setup::new().relays().smarthost(address).set("queue", "retry = [\"1h\"]"));
    let server = setup.start();
    let runs = || fs::metadata(format!("/proc/{}/exe", server.pid())).expect("what runs").ino();
    let old = fs::metadata(&program).expect("the program").ino();
    assert_eq!(runs(), old);
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    server.logs(&["deferred"]);
    let mut busy = server.client();
    busy.begins_message("ann@example.com", &["alice@example.org"]);
    busy.raw("Subject: over the upgrade\r\n");
    put_in_place(&setup, &fs::read(&program).expect("the program"));
    let new = fs::metadata(&program).expect("the program").ino();
    assert_ne!(old, new);
    server.begin_anew();
    server.logs(&["stopping, to begin anew"]);
    busy.raw("\r\nhello\r\n.\r\n");
    busy.hears("250 2.0.0");
    wait_until("the new program", || runs() == new);
    server.client().sends("ann@example.com", &["alice@example.org"], message("to the new one"));
    setup.mailbox("alice").with("Subject: to the new one");
    setup.mailbox("alice").with("Subject: over the upgrade");
    assert_eq!(setup.json(&["queue", "counts"])["entries-waiting"], 1);
    // And once more, from within the sandbox of the first.
    put_in_place(&setup, &fs::read(&program).expect("the program"));
    let restarted = setup.command(&["restart"]);
    assert_eq!(restarted.code, 0, "{}{}", restarted.err, server.log());
    assert_eq!(runs(), fs::metadata(&program).expect("the program").ino());
    server.stops();
}

#[test]
fn a_new_program_that_does_not_run_or_refuses_the_configuration_does_not_begin() {
    let (setup, program) = installed(Setup::new());
    let server = setup.start();
    // The command itself is the built one: the program in place may be none.
    let restart = || {
        let mut command = std::process::Command::new(target_dir().join("debug/waxwing"));
        command.args(["restart", "--config"]).arg(setup.config_file());
        run_with_input(&mut command, b"")
    };
    let whole = fs::read(&program).expect("the program");
    let refuses = b"#!/bin/sh\necho 'waxwing.toml:1: hostname: is not what it was' >&2\nexit 1\n";
    for octets in [&whole[..4096], b"", b"no program", refuses] {
        put_in_place(&setup, octets);
        let refused = restart();
        assert_eq!(refused.code, 1, "{}", refused.out);
        assert!(refused.err.contains("bin/waxwing"), "{}", refused.err);
        server.client().sends("ann@example.com", &["alice@example.org"], message("goes on"));
    }
    fs::remove_file(&program).expect("the program");
    let refused = restart();
    assert!(refused.code == 1 && refused.err.contains("No such file"), "{}", refused.err);
    assert_eq!(server.logged(&["listening mx"]).len(), 1);
    put_in_place(&setup, &whole);
    let restarted = restart();
    assert_eq!(restarted.code, 0, "{}{}", restarted.err, server.log());
    server.stops();
}

#[test]
fn the_socket_of_programs_moves_with_a_restart() {
    let mut setup = Setup::new();
    let server = setup.start();
    let before = setup.path("data/submission.sock");
    let after = setup.path("data/elsewhere.sock");
    setup.change("sendmail", &format!("socket = \"{}\"", after.display()));
    setup.write();
    assert_eq!(setup.json(&["reload"])["needs-restart"][0], "sendmail: socket, drop-dir, mode and group");
    assert!(before.exists() && !after.exists());
    assert_eq!(setup.command(&["restart"]).code, 0);
    assert!(after.exists() && !before.exists());
    let mut command = setup.binary();
    command.args(["sendmail", "-C"]).arg(setup.config_file()).arg("alice@example.org");
    assert_eq!(run_with_input(&mut command, b"Subject: moved\n\nhello\n").code, 0);
    setup.change("sendmail", "mode = \"0600\"");
    setup.write();
    assert_eq!(setup.command(&["restart"]).code, 0);
    assert_eq!(fs::metadata(&after).expect("the socket").mode() & 0o777, 0o600);
    server.stops();
}
