//! A new beginning as the same process, and reloads that meet or fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::harness::{NextHop, Setup, Smtp, message, wait_until};

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
