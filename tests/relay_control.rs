//! Whom the server takes mail for: never an open relay.

use crate::harness::{NextHop, Setup, message};

/// Addresses that look local to a lax eye and lead elsewhere.
const TRICKS: [&str; 9] = [
    "victim@elsewhere.example",
    "victim%elsewhere.example@mx.example.net",
    "@example.org:victim@elsewhere.example",
    "@example.org,@mx.example.org:victim@elsewhere.example",
    "\"victim@elsewhere.example\"@elsewhere.example",
    "victim@example.org.elsewhere.example",
    "victim@[127.0.0.1]",
    "victim@sub.example.org",
    "elsewhere.example!victim@elsewhere.example",
];

#[test]
fn nobody_may_relay_unless_the_configuration_says_so() {
    let hop = NextHop::start();
    let setup = Setup::new().smarthost(hop.address);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org>", "250");
    for address in TRICKS {
        client.asks(&format!("RCPT TO:<{address}>"), "550 5.7.1");
    }
    client.asks("DATA", "554 5.5.1");
    server.stops();
    assert_eq!(hop.connections(), 0);
}

#[test]
fn an_address_with_a_route_inside_its_local_part_is_a_local_one_and_unknown() {
    let server = Setup::new().start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    for address in [
        "nobody@example.org",
        "victim%elsewhere.example@example.org",
        "elsewhere.example!victim@example.org",
        "\"victim@elsewhere.example\"@example.org",
        "@elsewhere.example:nobody@example.org",
        "\"alice@example.org\"@example.org",
    ] {
        client.asks(&format!("RCPT TO:<{address}>"), "550 5.1.1");
    }
}

#[test]
fn a_network_that_may_relay_does() {
    let hop = NextHop::start();
    let setup = Setup::new().smarthost(hop.address).relays();
    let server = setup.start();
    server.client().sends("alice@example.org", &["victim@elsewhere.example"], message("relayed"));
    let received = hop.wait(1).remove(0);
    assert_eq!(
        (received.from.as_str(), received.to),
        ("alice@example.org", vec!["victim@elsewhere.example".to_owned()])
    );
}

#[test]
fn another_network_may_not() {
    let hop = NextHop::start();
    let setup = Setup::new().smarthost(hop.address).set("relay", "networks = [\"192.0.2.0/24\", \"::1\"]");
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org>", "250");
    client.asks("RCPT TO:<victim@elsewhere.example>", "550 5.7.1");
}

#[test]
fn a_network_that_holds_everybody_is_refused() {
    let setup = Setup::new().set("relay", "networks = [\"0.0.0.0/0\"]");
    setup.write();
    let checked = setup.command(&["check"]);
    assert_eq!(checked.code, 1, "{}{}", checked.out, checked.err);
    assert!(checked.err.contains("relay.networks"), "{}", checked.err);
}

#[test]
fn without_mailboxes_every_local_part_is_one() {
    let base = Setup::without_domains();
    let maildir = base.path("mail/{domain}/{local}");
    let setup = base.block(&format!(
        "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}\" }}",
        maildir.display()
    ));
    let server = setup.start();
    server.client().sends("ann@example.com", &["anybody@example.org"], message("any"));
    setup.mailbox("anybody").with("Subject: any");
}

#[test]
fn a_local_part_cannot_leave_the_folder_of_the_mailboxes() {
    let base = Setup::without_domains();
    let maildir = base.path("mail/{domain}/{local}");
    let setup = base.block(&format!(
        "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}\" }}",
        maildir.display()
    ));
    let server = setup.start();
    let mut client = server.client();
    for address in [
        "\"../../escaped\"@example.org",
        "\"..\"@example.org",
        "../escaped@example.org",
        "\"/tmp/escaped\"@example.org",
    ] {
        client.says("MAIL FROM:<ann@example.com>");
        client.hears("250");
        client.says(&format!("RCPT TO:<{address}>"));
        if client.next_reply().expect("a reply").code == 250 {
            client.asks("DATA", "354");
            assert_eq!(client.ends_message(message("escape")).code, 250);
        } else {
            client.asks("RSET", "250");
        }
    }
    client.sends("ann@example.com", &["after@example.org"], message("after"));
    setup.mailbox("after").with("Subject: after");
    server.stops();
    let outside: Vec<_> = std::fs::read_dir(setup.path("mail"))
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(outside, ["example.org"], "something was written beside the domain's folder");
    for escaped in ["escaped", "mail/escaped", "new", "mail/new"] {
        assert!(!setup.path(escaped).exists(), "{escaped}");
    }
}

#[test]
fn urgency_is_for_those_who_may_relay() {
    for (network, reply) in [("192.0.2.0/24", "250 2.3.6"), ("127.0.0.0/8", "250 2.1.0")] {
        let server = Setup::new().set("relay", &format!("networks = [\"{network}\"]")).start();
        let mut client = server.client();
        client.asks("EHLO client.example", "250");
        client.asks("MAIL FROM:<ann@example.com> MT-PRIORITY=4", reply);
        client.asks("RSET", "250");
        // What is less urgent than other mail may be so.
        client.asks("MAIL FROM:<ann@example.com> MT-PRIORITY=-4", "250 2.1.0");
    }
}
