//! Which host is asked, and what happens when there is none.

use std::net::{IpAddr, Ipv4Addr};

use dns::{DnsError, Fake};
use outbound::{DomainPattern, NextHop, Route, TlsLevel};

use crate::peer::{Act, Peer, say};
use crate::{HostPort, Post, letter, local, options, relay};

pub(crate) fn loopback(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A friendly peer, and a second one at another address with the same port.
async fn two_hosts(first: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static) -> (Peer, Peer) {
    let first = Peer::on("127.0.0.2:0", first).await;
    let second = Peer::on(&format!("127.0.0.3:{}", first.address.port()), |_, _, _| Act::Usual).await;
    (first, second)
}

#[tokio::test]
async fn the_most_preferred_mail_host_is_asked_first_and_the_others_when_it_has_no_session_for_us() {
    for (greeting, counts) in [("220 hello", [1, 0]), ("421 not now", [0, 1]), ("554 never", [0, 1])] {
        let (first, second) = two_hosts(move |step, _, _| match step {
            "greeting" => say(greeting),
            _ => Act::Usual,
        })
        .await;
        let dns = Fake::new()
            .with_mx("to.example", 20, "second.example")
            .with_mx("to.example", 10, "first.example")
            .with_address("first.example", loopback(2))
            .with_address("second.example", loopback(3));
        let mut options = options();
        options.mx_port = first.address.port();
        let post = Post::office_with(options, dns);
        let id = post.takes(letter(&["a@to.example"]));
        post.until_states(id, &["delivered"]).await;
        assert_eq!([first.taken().len(), second.taken().len()], counts, "{greeting}");
        post.closes().await;
    }
}

#[tokio::test]
async fn every_address_of_a_host_has_its_turn() {
    let (first, second) = two_hosts(|_, _, _| Act::Usual).await;
    let port = first.address.port();
    drop(first);
    // Nobody listens at one of them, and perhaps at neither of the IPv6 kind.
    let dns = Fake::new()
        .with_mx("to.example", 10, "mx.example")
        .with_address("mx.example", "::1".parse().unwrap())
        .with_address("mx.example", loopback(4))
        .with_address("mx.example", loopback(3));
    let mut options = options();
    options.mx_port = port;
    let post = Post::office_with(options, dns);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!(second.taken().len(), 1);
    post.closes().await;
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_mail_host_and_so_is_a_literal() {
    let peer = Peer::friendly().await;
    let dns = Fake::new().with_address("to.example", loopback(1));
    let mut options = options();
    options.mx_port = peer.address.port();
    let post = Post::office_with(options, dns);
    let id = post.takes(letter(&["a@to.example", "a@[127.0.0.1]"]));
    post.until_states(id, &["delivered", "delivered"]).await;
    post.closes().await;
}

#[tokio::test]
async fn what_dns_says_for_good_bounces_and_what_it_says_for_now_defers() {
    let dns = || {
        Fake::new()
            .with_mx("null.example", 0, "")
            .fails("broken.example", DnsError::ServFail("test".to_owned()))
            .fails("late.example", DnsError::TimedOut)
            .with_mx("hostless.example", 10, "nowhere.example")
            .with_mx("unknown.example", 10, "broken.example")
    };
    let cases = [
        ("null.example", "bounced", "556 5.1.10"),
        ("missing.example", "bounced", "550 5.1.2"),
        ("hostless.example", "bounced", "550 5.4.4"),
        ("broken.example", "waiting", "451 4.4.3"),
        ("late.example", "waiting", "451 4.4.3"),
        ("unknown.example", "waiting", "451 4.4.3"),
    ];
    for (domain, state, reply) in cases {
        let post = Post::office_with(options(), dns());
        let id = post.takes(letter(&[&format!("a@{domain}")]));
        post.until_tried(id).await;
        assert_eq!(post.states(id), [state], "{domain}");
        assert!(post.reply(id).starts_with(reply), "{domain}: {}", post.reply(id));
        post.closes().await;
    }
}

#[tokio::test]
async fn this_host_and_all_behind_it_are_no_mail_hosts_for_us() {
    let (first, second) = two_hosts(|_, _, _| Act::Usual).await;
    let dns = || {
        Fake::new()
            .with_mx("to.example", 10, "best.example")
            .with_mx("to.example", 20, "me.example")
            .with_mx("to.example", 30, "worse.example")
            .with_mx("alias.example", 10, "other-name.example")
            .with_mx("alias.example", 20, "worse.example")
            .with_address("best.example", loopback(2))
            .with_address("me.example", loopback(3))
            .with_address("other-name.example", loopback(3))
            .with_address("worse.example", loopback(3))
    };
    let own = || {
        let mut options = options();
        options.mx_port = first.address.port();
        options
    };
    let post = Post::office_with(own(), dns());
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!((first.taken().len(), second.connections()), (1, 0));
    post.closes().await;

    // By its address, under a name that we do not know.
    let mut options = own();
    options.own_addresses = vec![loopback(3)];
    let post = Post::office_with(options, dns());
    let id = post.takes(letter(&["a@alias.example", "a@[127.0.0.3]"]));
    post.until_states(id, &["bounced", "bounced"]).await;
    assert!(post.reply(id).starts_with("554 5.4.6"), "{}", post.reply(id));
    assert_eq!(second.connections(), 0);
    post.closes().await;
}

/// Sends `*` to a peer.
fn smarthost(peer: &Peer) -> Route {
    let host = HostPort { host: peer.address.ip().to_string(), port: peer.address.port() };
    Route { domains: vec![DomainPattern::Any], ..Route::new("smart", NextHop::Host(host)) }
}

#[tokio::test]
async fn a_smarthost_has_everything_that_is_not_local() {
    let (smart, near) = (Peer::friendly().await, Peer::friendly().await);
    let mut options = local(options(), "near.example", relay(&near));
    options.routes.insert(smarthost(&smart)).unwrap();
    let post = Post::office(options);
    let id = post.takes(letter(&["a@near.example", "b@far.example", "c@farther.example"]));
    post.until_states(id, &["delivered"; 3]).await;
    assert_eq!(smart.taken()[0].rcpts, ["RCPT TO:<b@far.example>", "RCPT TO:<c@farther.example>"]);
    assert_eq!(near.taken()[0].rcpts, ["RCPT TO:<a@near.example>"]);
    post.closes().await;
}

#[tokio::test]
async fn a_reload_changes_the_way_for_what_comes_after() {
    let (old, new) = (Peer::friendly().await, Peer::friendly().await);
    let post = Post::office(local(options(), "to.example", relay(&old)));
    let first = post.takes(letter(&["a@to.example"]));
    post.until_states(first, &["delivered"]).await;
    post.engine.reload(std::sync::Arc::new(local(options(), "to.example", relay(&new))));
    let second = post.takes(letter(&["a@to.example"]));
    post.until_states(second, &["delivered"]).await;
    assert_eq!((old.taken().len(), new.taken().len()), (1, 1));
    post.closes().await;
}

#[tokio::test]
async fn a_domain_goes_by_the_route_that_names_it_best() {
    let (smart, near, far) = (Peer::friendly().await, Peer::friendly().await, Peer::friendly().await);
    let mut options = options();
    options.routes.insert(smarthost(&smart)).unwrap();
    for (peer, pattern) in [(&near, "*.near.example"), (&far, "far.near.example")] {
        let domains = vec![pattern.parse().unwrap()];
        options.routes.insert(Route { domains, ..smarthost(peer) }).unwrap();
    }
    let post = Post::office(options);
    let id = post.takes(letter(&["a@near.example", "a@x.near.example", "a@far.near.example"]));
    post.until_states(id, &["delivered"; 3]).await;
    assert_eq!(smart.taken()[0].rcpts, ["RCPT TO:<a@near.example>"]);
    assert_eq!(near.taken()[0].rcpts, ["RCPT TO:<a@x.near.example>"]);
    assert_eq!(far.taken()[0].rcpts, ["RCPT TO:<a@far.near.example>"]);
    post.closes().await;
}

#[tokio::test]
async fn connections_come_from_the_source_of_the_route() {
    let peer = Peer::friendly().await;
    let mut options = options();
    let source = vec![loopback(9), "2001:db8::1".parse().unwrap()];
    options.routes.insert(Route { source, ..smarthost(&peer) }).unwrap();
    let post = Post::office(options);
    let id = post.takes(letter(&["a@to.example"]));
    post.until_states(id, &["delivered"]).await;
    assert_eq!(peer.clients(), [loopback(9)]);
    post.closes().await;
}

#[tokio::test]
async fn a_source_that_this_host_does_not_have_defers_and_says_so() {
    let cases = [
        ("192.0.2.77", "192.0.2.77 is no address of this host"),
        ("2001:db8::1", "the route has no source address for IPv4"),
    ];
    for (source, says) in cases {
        let peer = Peer::friendly().await;
        let mut options = options();
        let source = vec![source.parse().unwrap()];
        options.routes.insert(Route { source, ..smarthost(&peer) }).unwrap();
        let post = Post::office(options);
        let id = post.takes(letter(&["a@to.example"]));
        post.until_tried(id).await;
        assert_eq!(post.states(id), ["waiting"]);
        assert!(post.reply(id).contains(says), "{}", post.reply(id));
        assert_eq!(peer.connections(), 0);
        post.closes().await;
    }
}

#[tokio::test]
async fn a_route_has_its_own_level_of_tls() {
    let peer = Peer::friendly().await;
    for (level, state) in [(None, "delivered"), (Some(TlsLevel::Required), "waiting")] {
        let mut options = options();
        options.routes.insert(Route { tls: level, ..smarthost(&peer) }).unwrap();
        let post = Post::office(options);
        let id = post.takes(letter(&["a@to.example"]));
        post.until_tried(id).await;
        assert_eq!(post.states(id), [state], "{level:?}: {}", post.reply(id));
        post.closes().await;
    }
}
