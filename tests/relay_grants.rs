//! Clients that may relay for a while, by command: POP before SMTP.

use crate::harness::{NextHop, Server, Setup, message};

fn may_relay(server: &Server) -> bool {
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org>", "250");
    let reply = client.tries("RCPT TO:<carl@elsewhere.example>").expect("a reply");
    assert!(matches!(reply.code, 250 | 550), "{reply:?}");
    reply.code == 250
}

#[track_caller]
fn done(setup: &Setup, arguments: &[&str]) -> String {
    let output = setup.command(arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {}{}", output.out, output.err);
    output.out
}

#[track_caller]
fn refused(setup: &Setup, arguments: &[&str]) -> String {
    let output = setup.command(arguments);
    assert_eq!(output.code, 1, "{arguments:?}: {}{}", output.out, output.err);
    output.err
}

#[test]
fn a_client_may_relay_from_the_command_on_until_it_is_taken_back() {
    let hop = NextHop::start();
    let setup = Setup::new().smarthost(hop.address);
    let server = setup.start();
    let mut open = server.client();
    open.asks("MAIL FROM:<alice@example.org>", "250");
    open.asks("RCPT TO:<carl@elsewhere.example>", "550 5.7.1");
    assert!(done(&setup, &["relay", "list"]).contains("nobody"));
    let said = done(&setup, &["relay", "allow", "127.0.0.1", "--for", "30m"]);
    assert!(said.starts_with("127.0.0.1 may relay until "), "{said}");
    // The session that was open is taken at its word as well.
    open.asks("RCPT TO:<carl@elsewhere.example>", "250");
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("granted"));
    assert!(hop.wait(1)[0].content.contains("Subject: granted"));
    let list = setup.json(&["relay", "list"]);
    assert_eq!(list[0]["network"], "127.0.0.1");
    let left = list[0]["left-s"].as_u64().expect("seconds");
    assert!((1..=1800).contains(&left), "{list}");
    assert!(done(&setup, &["relay", "revoke", "127.0.0.1"]).contains("127.0.0.1"));
    open.asks("RCPT TO:<carl@elsewhere.example>", "550 5.7.1");
    assert!(!may_relay(&server));
    for words in ["may relay", "may not relay any more"] {
        server.logs(&[words, "127.0.0.1"]);
    }
}

#[test]
fn a_grant_outlives_a_restart_and_a_reload_and_ends_by_itself() {
    let setup = Setup::new();
    let server = setup.start();
    done(&setup, &["relay", "allow", "127.0.0.0/8", "--for", "1h"]);
    done(&setup, &["relay", "allow", "2001:db8::/48", "--for", "1h"]);
    done(&setup, &["reload"]);
    assert!(may_relay(&server));
    server.dies();
    let server = setup.start();
    assert!(may_relay(&server));
    let list = done(&setup, &["relay", "list"]);
    assert!(list.contains("127.0.0.0/8") && list.contains("2001:db8::/48"), "{list}");
    // A shorter time replaces the longer one.
    done(&setup, &["relay", "allow", "127.0.0.0/8", "--for", "1s"]);
    crate::harness::wait_until("the grant to end", || !may_relay(&server));
    let list = done(&setup, &["relay", "list"]);
    assert!(!list.contains("127.0.0.0/8") && list.contains("2001:db8::/48"), "{list}");
}

#[test]
fn what_cannot_be_granted_is_refused_with_a_reason() {
    let setup = Setup::new().set("limits", "relay-grants = 1");
    let server = setup.start();
    for (address, span, why) in [
        ("0.0.0.0/0", "30m", "open relay"),
        ("::/0", "30m", "open relay"),
        ("client.example.com", "30m", "is no address or network"),
        ("192.0.2.1", "31d", "1s to 30d"),
        ("192.0.2.1", "0s", "1s to 30d"),
    ] {
        let said = refused(&setup, &["relay", "allow", address, "--for", span]);
        assert!(said.contains(why), "{address} {span}: {said}");
    }
    done(&setup, &["relay", "allow", "192.0.2.1"]);
    let said = refused(&setup, &["relay", "allow", "192.0.2.2"]);
    assert!(said.contains("relay-grants"), "{said}");
    assert!(refused(&setup, &["relay", "revoke", "192.0.2.2"]).contains("192.0.2.2"));
    assert!(!may_relay(&server));
}
