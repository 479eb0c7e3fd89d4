//! Starting, stopping and reloading.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::harness::{NextHop, Setup, Smtp, message, run, wait_until};

#[test]
fn a_message_that_waits_in_the_queue_is_delivered_after_a_restart() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().smarthost(address).relays().hurries();
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    server.logs(&["deferred"]);
    server.stops();
    let hop = NextHop::on(address);
    let server = setup.start();
    let received = hop.wait(1);
    assert!(received[0].content.contains("Subject: waits"));
    server.stops();
    assert_eq!(hop.received().len(), 1);
}

#[test]
fn what_was_delivered_is_not_delivered_again_after_a_restart() {
    let setup = Setup::new();
    let server = setup.start();
    for _ in 0..5 {
        server.client().sends("ann@example.com", &["alice@example.org"], message("once"));
    }
    setup.mailbox("alice").wait(5);
    server.stops();
    for _ in 0..2 {
        setup.start().stops();
        setup.mailbox("alice").wait(5);
    }
}

#[test]
fn a_stop_lets_a_message_that_is_coming_in_finish_and_takes_no_new_session() {
    let setup = Setup::new();
    let mut server = setup.start();
    let address = server.address();
    let mut busy = server.client();
    busy.begins_message("ann@example.com", &["alice@example.org"]);
    busy.raw("Subject: late\r\n");
    let mut idle = server.client();
    server.terminate();
    idle.hears("421 4.3.2");
    idle.hears_the_end();
    wait_until("the port to be closed", || {
        Smtp::tries_to_connect(address)
            .is_none_or(|mut client| client.next_reply().is_none_or(|reply| reply.code == 421))
    });
    busy.raw("\r\nlate\r\n.\r\n");
    busy.hears("250 2.0.0");
    busy.hears("421 4.3.2");
    busy.hears_the_end();
    assert!(server.ends().success(), "{}", server.log());
    // Delivered before the end, or at the next start; never lost.
    let _again = setup.start();
    setup.mailbox("alice").with("Subject: late");
}

#[test]
fn an_idle_server_stops_at_once() {
    let server = Setup::new().start();
    let began = Instant::now();
    server.stops();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn an_interrupt_stops_as_well() {
    let mut server = Setup::new().start();
    server.interrupt();
    assert!(server.ends().success(), "{}", server.log());
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let setup = Setup::new();
    let server = setup.start();
    let second = run(setup.binary().args(["serve", "--config"]).arg(setup.config_file()));
    assert_eq!(second.code, 1, "{}{}", second.out, second.err);
    assert!(second.err.contains("data"), "{}", second.err);
    server.client().sends("ann@example.com", &["alice@example.org"], message("first"));
    setup.mailbox("alice").with("Subject: first");
    assert_eq!(setup.command(&["status"]).code, 0);
}

#[test]
fn a_port_that_is_taken_is_said_with_its_address() {
    let server = Setup::new().start();
    let other = Setup::new().set("[listener]", &format!("bind = [\"{}\"]", server.address()));
    other.write();
    let refused = run(other.binary().args(["serve", "--config"]).arg(other.config_file()));
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains(&server.address().to_string()), "{}", refused.err);
}

#[test]
fn the_control_socket_is_the_owners_alone() {
    let setup = Setup::new();
    let _server = setup.start();
    let sockets: Vec<_> = std::fs::read_dir(setup.path("data"))
        .expect("the data folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| std::os::unix::fs::FileTypeExt::is_socket(&entry.file_type().expect("its type")))
        // Programs of every user may hand their mail over.
        .filter(|entry| entry.file_name() != "submission.sock")
        .collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    assert_eq!(sockets[0].metadata().expect("its mode").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_stale_control_socket_is_no_obstacle() {
    let setup = Setup::new();
    setup.start().dies();
    let _server = setup.start();
    assert_eq!(setup.command(&["status"]).code, 0);
}

#[test]
fn a_reload_counts_for_sessions_that_begin_then() {
    let mut setup = Setup::new();
    let server = setup.start();
    let mut before = server.client();
    setup.change("limits", "message-size = \"1 MiB\"");
    setup.write();
    server.hang_up();
    wait_until("the new limit to count", || {
        let mut client = server.client();
        client.says("MAIL FROM:<ann@example.com> SIZE=2000000");
        client.next_reply().expect("a reply").begins("552 5.3.4")
    });
    before.asks("MAIL FROM:<ann@example.com> SIZE=2000000", "250");
    before.asks("RCPT TO:<alice@example.org>", "250");
    before.asks("DATA", "354");
    assert_eq!(before.ends_message("a line of a large message\r\n".repeat(60_000)).code, 250);
}

#[test]
fn a_reload_of_a_faulty_configuration_changes_nothing_and_says_why() {
    let mut setup = Setup::new();
    let mut server = setup.start();
    setup.change("limits", "recipents = 1");
    setup.write();
    server.hang_up();
    let said = server.logs(&["limits.recipents"]);
    assert!(said.contains("waxwing.toml:"), "{said}");
    assert!(server.is_running());
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org", "bob@example.org"]);
    assert_eq!(client.ends_message(message("after")).code, 250);
}
