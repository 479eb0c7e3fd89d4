//! Ways out: a next hop that asks for a password under TLS, the most specific route, an address to come from.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{NextHop, PASSWORD, Setup, USER, Users, message};

/// A server that sends through the submission listener of another one, with this password.
fn through(users: &Users, listener: &str, tls: &str, password: &str) -> Setup {
    let setup = Setup::new().relays().hurries();
    fs::write(setup.path("password"), format!("{password}\n")).expect("the password");
    fs::set_permissions(setup.path("password"), fs::Permissions::from_mode(0o600)).expect("its mode");
    let port = users.server.listener(listener).port();
    setup.set("outbound", &format!("ca-file = {:?}", users.certificate)).block(&format!(
        "[[route]]\nname = \"provider\"\ndomains = \"*\"\nnext-hop = \"127.0.0.1:{port}\"\ntls = \"{tls}\"\n\
         username = \"{USER}\"\npassword-file = \"password\""
    ))
}

#[test]
fn a_next_hop_that_wants_a_password_gets_it_under_tls() {
    let users = Users::start();
    let setup = through(&users, "submission", "required", PASSWORD);
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("through the provider"));
    let received = users.hop.wait(1).remove(0);
    assert!(received.content.contains("Subject: through the provider"));
    assert!(received.content.contains("with ESMTPSA"), "{}", received.content);
    users.server.logs(&["authenticated", USER, "SCRAM-SHA-256"]);
    assert!(!server.log().contains(PASSWORD), "{}", server.log());
}

#[test]
fn a_wrong_password_puts_mail_off_and_the_queue_says_why() {
    let users = Users::start();
    let setup = through(&users, "submission", "required", "wrong horse");
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    let line = server.logs(&["deferred", "carl@elsewhere.example"]);
    assert!(line.contains("535"), "{line}");
    assert!(setup.json(&["queue", "list"]).to_string().contains("535"));
    assert!(users.hop.received().is_empty());
}

#[test]
fn a_password_is_not_sent_in_the_clear_and_its_file_is_nobody_elses() {
    let users = Users::start();
    let setup = through(&users, "submission", "off", PASSWORD);
    let checked = setup.checked();
    // To this machine itself it may be; the file must not be readable to others.
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    fs::set_permissions(setup.path("password"), fs::Permissions::from_mode(0o644)).expect("its mode");
    let checked = setup.checked();
    assert_eq!(checked.code, 1, "{}{}", checked.out, checked.err);
    let said = checked.out + &checked.err;
    assert!(said.contains("password-file") && said.contains("waxwing.toml:"), "{said}");
}

#[test]
fn the_most_specific_route_takes_the_mail() {
    let [exact, below, any] = [NextHop::start(), NextHop::start(), NextHop::start()];
    let route = |name: &str, domains: &str, hop: &NextHop| {
        format!("[[route]]\nname = \"{name}\"\ndomains = \"{domains}\"\nnext-hop = \"{}\"", hop.address)
    };
    let setup = Setup::new()
        .relays()
        .block(&route("any", "*", &any))
        .block(&route("below", "*.partner.example", &below))
        .block(&(route("exact", "mail.partner.example", &exact) + "\nsource = \"127.0.0.9\""));
    let server = setup.start();
    let to =
        ["a@mail.partner.example", "b@other.partner.example", "c@partner.example", "d@elsewhere.example"];
    server.client().sends("alice@example.org", &to, message("three ways"));
    assert_eq!(exact.wait(1)[0].to, ["a@mail.partner.example"]);
    assert_eq!(below.wait(1)[0].to, ["b@other.partner.example"]);
    let mut others: Vec<String> = any.wait(1).into_iter().flat_map(|received| received.to).collect();
    others.sort();
    assert_eq!(others, ["c@partner.example", "d@elsewhere.example"]);
    server.logs(&["delivered", "a@mail.partner.example"]);
}

#[test]
fn an_address_that_is_not_ours_puts_mail_off() {
    let hop = NextHop::start();
    let setup = Setup::new().relays().block(&format!(
        "[[route]]\nname = \"odd\"\ndomains = \"*\"\nnext-hop = \"{}\"\nsource = \"192.0.2.1\"",
        hop.address
    ));
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    let line = server.logs(&["deferred", "carl@elsewhere.example"]);
    assert!(line.contains("192.0.2.1"), "{line}");
    assert!(hop.received().is_empty());
}

#[test]
fn a_plugin_sends_mail_another_way_and_holds_what_it_wants_held() {
    let [usual, other] = [NextHop::start(), NextHop::start()];
    let address = format!("next-hop = \"{}\"", other.address);
    let setup = Setup::new()
        .smarthost(usual.address)
        .relays()
        .plugin_as(
            "a-way",
            "way",
            &[&format!(
                "settings = {{ match = \"a@to.example\", sender = \"alice@example.org\", {address} }}"
            )],
        )
        .plugin_as("b-hold", "way", &["settings = { match = \"b@to.example\", hold = \"look at it\" }"]);
    let server = setup.start();
    let to = ["a@to.example", "b@to.example", "c@to.example"];
    server.client().sends("alice@example.org", &to, message("by plugin"));
    assert_eq!(other.wait(1)[0].to, ["a@to.example"]);
    assert_eq!(usual.wait(1)[0].to, ["c@to.example"]);
    server.logs(&["held", "b@to.example", "look at it"]);
    server.logs(&["plugin chose a way", "a-way", "a@to.example"]);
    assert!(setup.json(&["queue", "list"]).to_string().contains("look at it"));
    assert!(setup.json(&["plugin", "list"]).to_string().contains("\"route\""));
    for plugin in ["a-way", "b-hold"] {
        let told = server.logs(&[plugin, "c@to.example Delivered at attempt 1"]);
        assert!(told.contains("127.0.0.1 said 250"), "{told}");
    }
    assert!(server.logged(&["b@to.example Delivered"]).is_empty());
}

#[test]
fn a_plugin_that_fails_at_a_route_puts_mail_off_unless_it_is_to_be_passed_over() {
    for (on_failure, is_delivered) in [("tempfail", false), ("proceed", true)] {
        let hop = NextHop::start();
        let failure = format!("on-failure = \"{on_failure}\"");
        let setup = Setup::new().smarthost(hop.address).relays().plugin_as(
            "way",
            "way",
            &["settings = { sender = \"somebody@else.example\" }", &failure],
        );
        let server = setup.start();
        server.client().sends("alice@example.org", &["a@to.example"], message("by plugin"));
        server.logs(&["plugin failed", "route"]);
        match is_delivered {
            true => assert_eq!(hop.wait(1).len(), 1),
            false => {
                server.logs(&["deferred", "a@to.example", "mail filter"]);
                assert!(hop.received().is_empty());
            }
        }
    }
}
