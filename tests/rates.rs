//! How often a client may connect, and how many of a network may at once.

use crate::harness::{Setup, Smtp, message};

#[test]
fn an_address_that_connects_too_often_is_turned_away_and_others_are_not() {
    let setup = Setup::new()
        .set("[listener]", "proxy-protocol = \"127.0.0.1\"")
        .set("limits", "connections-per-minute = 2");
    let server = setup.start();
    let connect = |from: &str| Smtp::brought(server.address(), from);
    for _ in 0..2 {
        connect("192.0.2.1").hears("220");
    }
    let mut third = connect("192.0.2.1");
    third.hears("421 4.7.0");
    third.hears_the_end();
    connect("192.0.2.2").hears("220");
    server.logs(&["turned away", "192.0.2.1"]);
}

#[test]
fn addresses_that_may_relay_are_not_measured_unless_the_configuration_says_so() {
    let mut setup = Setup::new().relays().set("limits", "connections-per-minute = 1");
    let server = setup.start();
    for nth in 0..3 {
        server.client().sends("ann@example.com", &["alice@example.org"], message(&format!("number {nth}")));
    }
    setup.mailbox("alice").wait(3);
    setup.change("limits", "rate-exempt = []");
    setup.write();
    assert_eq!(setup.command(&["reload"]).code, 0);
    Smtp::connect(server.address()).hears("220");
    Smtp::connect(server.address()).hears("421 4.7.0");
}

#[test]
fn a_network_has_so_many_sessions_at_once() {
    let setup = Setup::new()
        .set("[listener]", "proxy-protocol = \"127.0.0.1\"")
        .set("limits", "sessions-per-network = 2");
    let server = setup.start();
    let connect = |from: &str| {
        let mut client = Smtp::connect(server.address());
        client.raw(format!("PROXY TCP6 {from} ::1 40000 25\r\n"));
        client
    };
    let mut first = connect("2001:db8:1:1::1");
    first.hears("220");
    let mut second = connect("2001:db8:1:2::1");
    second.hears("220");
    connect("2001:db8:1:3::1").hears("421 4.7.0");
    connect("2001:db8:2:1::1").hears("220");
    first.asks("QUIT", "221");
    first.hears_the_end();
    crate::harness::wait_until("the place to be free", || {
        connect("2001:db8:1:3::1").next_reply().is_some_and(|reply| reply.code == 220)
    });
}
