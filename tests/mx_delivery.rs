//! Finding the next hop in DNS: RFC 5321 section 5, RFC 7505.

use std::net::SocketAddr;

use crate::harness::{Dns, NextHop, Setup, message, wait_until};

/// A server that asks this DNS, and hosts on one port of several loopback addresses.
fn delivering(dns: &Dns, port: u16) -> Setup {
    Setup::new()
        .relays()
        .hurries()
        .set("dns", &format!("servers = [\"{}\"]", dns.address))
        .set("dns", "timeout = \"1s\"")
        .set("dns", "retries = 1")
        .set("outbound", &format!("mx-port = {port}"))
}

fn host(ip: &str, port: u16) -> NextHop {
    NextHop::on(SocketAddr::new(ip.parse().expect("an address"), port))
}

/// Hosts on one free port of these addresses.
fn hosts(ips: &[&str]) -> (u16, Vec<NextHop>) {
    let first = host(ips[0], 0);
    let port = first.address.port();
    let mut all = vec![first];
    all.extend(ips[1..].iter().map(|ip| host(ip, port)));
    (port, all)
}

#[test]
fn the_most_preferred_host_gets_the_mail_and_the_next_one_when_it_is_down() {
    let dns = Dns::start();
    for (preference, name, ip) in
        [(20, "second", "127.0.0.2"), (10, "first", "127.0.0.3"), (30, "third", "127.0.0.4")]
    {
        dns.mx("dest.example", preference, &format!("{name}.dest.example"));
        dns.address_of(&format!("{name}.dest.example"), ip);
    }
    let (port, mut hops) = hosts(&["127.0.0.3", "127.0.0.2", "127.0.0.4"]);
    let setup = delivering(&dns, port);
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@dest.example"], message("one"));
    hops[0].wait(1);
    // The first goes down.
    drop(hops.remove(0));
    server.client().sends("alice@example.org", &["carl@dest.example"], message("two"));
    assert!(hops[0].wait(1)[0].content.contains("Subject: two"));
    assert_eq!(hops[1].connections(), 0);
}

#[test]
fn hosts_of_one_preference_share_the_mail() {
    let dns = Dns::start();
    for (name, ip) in [("a", "127.0.0.2"), ("b", "127.0.0.3")] {
        dns.mx("dest.example", 10, &format!("{name}.dest.example"));
        dns.address_of(&format!("{name}.dest.example"), ip);
    }
    let (port, hops) = hosts(&["127.0.0.2", "127.0.0.3"]);
    // A connection that is there is used again; here every message makes its own.
    let setup = delivering(&dns, port).set("outbound.limits", "messages-per-connection = 1");
    let server = setup.start();
    let mut sent = 0;
    wait_until("both to have had mail", || {
        server.client().sends("alice@example.org", &["carl@dest.example"], message("coin"));
        sent += 1;
        wait_until("its delivery", || hops.iter().map(|hop| hop.received().len()).sum::<usize>() == sent);
        hops.iter().all(|hop| !hop.received().is_empty())
    });
}

#[test]
fn a_domain_without_mx_is_its_own_host() {
    let dns = Dns::start();
    dns.address_of("dest.example", "127.0.0.2");
    let (port, hops) = hosts(&["127.0.0.2"]);
    let server = delivering(&dns, port).start();
    server.client().sends("alice@example.org", &["carl@dest.example"], message("implicit"));
    hops[0].wait(1);
}

#[test]
fn a_null_mx_and_a_domain_that_does_not_exist_are_reported_at_once() {
    let dns = Dns::start();
    dns.mx("null.example", 0, ".");
    dns.txt("nothing.example", "no mail here");
    for (domain, statuses) in [
        ("null.example", ["5.1.10", "5.1.10"]),
        ("missing.example", ["5.1.2", "5.4.4"]),
        ("nothing.example", ["5.1.2", "5.4.4"]),
    ] {
        let setup = delivering(&dns, 9);
        let server = setup.start();
        server.client().sends("alice@example.org", &[&format!("carl@{domain}")], message("nowhere"));
        let report = setup.mailbox("alice").one();
        let status = report.lines().find_map(|line| line.strip_prefix("Status: ")).expect("a status");
        assert!(statuses.contains(&status), "{domain}: {status}\n{report}");
    }
}

#[test]
fn a_name_server_that_fails_or_is_silent_is_asked_again_later() {
    let dns = Dns::start();
    dns.address_of("failing.example", "127.0.0.2");
    dns.address_of("silent.example", "127.0.0.2");
    dns.fails("failing.example");
    dns.is_silent("silent.example");
    let (port, hops) = hosts(&["127.0.0.2"]);
    let setup = delivering(&dns, port);
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@failing.example"], message("x"));
    server.client().sends("alice@example.org", &["carl@silent.example"], message("x"));
    server.logs(&["deferred", "carl@failing.example"]);
    server.logs(&["deferred", "carl@silent.example"]);
    dns.recovers();
    hops[0].wait(2);
    setup.mailbox("alice").wait(0);
}

#[test]
fn mail_is_never_sent_to_a_host_that_is_less_preferred_than_ourselves() {
    let dns = Dns::start();
    for (preference, name, ip) in [
        (10, "better.dest.example", "127.0.0.2"),
        (20, "mx.example.org", "127.0.0.1"),
        (30, "worse.dest.example", "127.0.0.3"),
    ] {
        dns.mx("dest.example", preference, name);
        dns.address_of(name, ip);
    }
    let (port, mut hops) = hosts(&["127.0.0.3", "127.0.0.2"]);
    let setup = delivering(&dns, port);
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@dest.example"], message("one"));
    hops[1].wait(1);
    let better = hops.remove(1).address;
    server.client().sends("alice@example.org", &["carl@dest.example"], message("two"));
    server.logs(&["deferred", "carl@dest.example"]);
    assert_eq!(hops[0].connections(), 0, "the worse host was tried");
    let better = NextHop::on(better);
    better.wait(1);
}

#[test]
fn a_domain_whose_best_host_is_ourselves_is_a_loop() {
    let dns = Dns::start();
    dns.mx("dest.example", 10, "mx.example.org");
    dns.address_of("mx.example.org", "127.0.0.1");
    let setup = delivering(&dns, 9);
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@dest.example"], message("loop"));
    let report = setup.mailbox("alice").one();
    assert!(report.contains("Status: 5.4.6"), "{report}");
}
