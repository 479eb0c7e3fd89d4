//! Behind a proxy: whose connection it is says the PROXY header, when whoever sends it is trusted.

use crate::harness::{NextHop, Server, Setup, Smtp, message, python, wait_until};

/// A server that trusts this machine's proxies; only clients of 192.0.2.0/24 and 2001:db8::/32 may relay.
fn behind_a_proxy() -> Setup {
    Setup::new()
        .set("[listener]", "proxy-protocol = [\"127.0.0.0/8\", \"::1\"]")
        .set("relay", "networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]")
}

/// A header of version 2, made by Python from its command, its family, addresses and whatever stands behind them.
fn v2(command: u8, family: u8, body: &str) -> Vec<u8> {
    let script = "import sys, struct, socket, binascii\n\
                  body = eval(sys.argv[3])\n\
                  header = b'\\r\\n\\r\\n\\0\\r\\nQUIT\\n' + bytes([int(sys.argv[1]), int(sys.argv[2])]) + struct.pack('!H', len(body)) + body\n\
                  print(binascii.hexlify(header).decode(), end='')";
    let hex = python(script, &[&command.to_string(), &family.to_string(), body]);
    let digits: Vec<u8> =
        hex.bytes().map(|digit| char::from(digit).to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

fn v4_addresses(client: &str) -> String {
    format!("socket.inet_aton('{client}') + socket.inet_aton('127.0.0.1') + struct.pack('!HH', 40000, 25)")
}

fn v6_addresses(client: &str) -> String {
    let address = |text: &str| format!("socket.inet_pton(socket.AF_INET6, '{text}')");
    format!("{} + {} + struct.pack('!HH', 40000, 25)", address(client), address("::1"))
}

/// Says the header, and EHLO.
fn through(server: &Server, header: &[u8]) -> Smtp {
    let mut client = Smtp::connect(server.address());
    client.raw(header);
    client.hears("220");
    client.asks("EHLO client.example.com", "250");
    client
}

/// Whether this client may relay, which is how one sees who it is taken for.
fn relays(mut client: Smtp) -> bool {
    client.asks("MAIL FROM:<alice@example.org>", "250");
    client.tries("RCPT TO:<victim@elsewhere.example>").expect("a reply").code == 250
}

#[test]
fn the_client_is_the_one_that_the_proxy_names_in_either_version_and_family() {
    let server = behind_a_proxy().start();
    for (header, may) in [
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 40000 25\r\n".to_vec(), true),
        (b"PROXY TCP4 198.51.100.9 127.0.0.1 40000 25\r\n".to_vec(), false),
        (b"PROXY TCP6 2001:db8::9 ::1 40000 25\r\n".to_vec(), true),
        (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 40000 25\r\n".to_vec(), true),
        (v2(0x21, 0x11, &v4_addresses("192.0.2.9")), true),
        (v2(0x21, 0x11, &v4_addresses("198.51.100.9")), false),
        (v2(0x21, 0x21, &v6_addresses("2001:db8::9")), true),
        (v2(0x21, 0x21, &v6_addresses("2001:db9::9")), false),
        // Fields behind the addresses: an authority, and padding.
        (
            v2(
                0x21,
                0x11,
                &format!(
                    "{} + b'\\x02\\0\\x04mx.e' + b'\\x04\\0\\x80' + bytes(128)",
                    v4_addresses("192.0.2.9")
                ),
            ),
            true,
        ),
    ] {
        assert_eq!(relays(through(&server, &header)), may, "{}", String::from_utf8_lossy(&header));
    }
}

#[test]
fn what_the_client_sends_right_behind_the_header_is_not_lost() {
    let setup = behind_a_proxy();
    let server = setup.start();
    let session =
        "EHLO client.example.com\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n";
    for header in [
        b"PROXY TCP4 198.51.100.9 127.0.0.1 40000 25\r\n".to_vec(),
        v2(0x21, 0x21, &v6_addresses("2001:db9::9")),
    ] {
        let mut client = Smtp::connect(server.address());
        client.raw([header.as_slice(), session.as_bytes()].concat());
        for reply in ["220", "250", "250", "250", "354"] {
            client.hears(reply);
        }
        assert_eq!(client.ends_message(message("at once")).code, 250);
    }
    let received = setup.mailbox("alice").wait(2).join("\n");
    assert!(received.contains("[198.51.100.9]"), "{received}");
    assert!(received.contains("2001:db9::9"), "{received}");
}

#[test]
fn a_header_that_comes_octet_by_octet_is_put_together() {
    let server = behind_a_proxy().start();
    for header in
        [b"PROXY TCP4 192.0.2.9 127.0.0.1 40000 25\r\n".to_vec(), v2(0x21, 0x11, &v4_addresses("192.0.2.9"))]
    {
        let mut client = Smtp::connect(server.address());
        for octet in &header {
            client.raw([*octet]);
        }
        client.hears("220");
        client.asks("EHLO client.example.com", "250");
        assert!(relays(client));
    }
}

#[test]
fn a_health_check_of_the_proxy_is_the_proxys_own_connection() {
    let server = behind_a_proxy().set("relay", "networks = [\"127.0.0.1\"]").start();
    for header in
        [v2(0x20, 0x00, "b''"), v2(0x20, 0x11, &v4_addresses("198.51.100.9")), b"PROXY UNKNOWN\r\n".to_vec()]
    {
        assert!(relays(through(&server, &header)), "{header:?}");
    }
}

#[test]
fn without_a_good_header_a_proxys_connection_is_closed_and_the_log_says_why() {
    let server = behind_a_proxy().start();
    for (octets, why) in [
        (b"EHLO client.example.com\r\n".to_vec(), "does not begin with a PROXY header"),
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 40000\r\n".to_vec(), "is malformed"),
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 40000 25\n".to_vec(), "is malformed"),
        ([b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(), "is longer than 107 octets"),
        (v2(0x21, 0x11, "bytes(600)"), "is longer than 536 octets"),
        (v2(0x31, 0x11, &v4_addresses("192.0.2.9")), "is malformed"),
        (v2(0x21, 0x12, &v4_addresses("192.0.2.9")), "other than TCP"),
        (v2(0x21, 0x21, &v4_addresses("192.0.2.9")), "is malformed"),
    ] {
        let mut client = Smtp::connect(server.address());
        client.raw(&octets);
        client.hears_the_end();
        server.logs(&["closed a connection from a trusted proxy", why]);
    }
    // Two are malformed, so that the first line of the two may have been taken for the last.
    wait_until("a line for each", || server.logged(&["closed a connection from a trusted proxy"]).len() == 8);
}

#[test]
fn a_proxy_that_says_nothing_is_not_waited_for() {
    let server = behind_a_proxy().set("limits", "proxy-timeout = \"200ms\"").start();
    for octets in [&b""[..], b"PROXY TCP4 192.0.2.9"] {
        let mut client = Smtp::connect(server.address());
        client.raw(octets);
        client.hears_the_end();
        server.logs(&["no PROXY header came within 200ms"]);
    }
}

#[test]
fn a_header_from_an_address_that_is_no_proxy_is_a_wrong_command_like_any_other() {
    let setup = Setup::new()
        .set("[listener]", "proxy-protocol = [\"10.0.0.0/8\"]")
        .set("relay", "networks = [\"192.0.2.0/24\"]");
    let server = setup.start();
    let mut client = Smtp::connect(server.address());
    client.hears("220");
    client.asks("PROXY TCP4 192.0.2.9 127.0.0.1 40000 25", "500 5.5.2");
    client.asks("EHLO client.example.com", "250");
    assert!(!relays(client));
}

#[test]
fn the_limit_of_sessions_for_an_address_counts_the_client_and_not_the_proxy() {
    let server = behind_a_proxy().set("limits", "sessions-per-address = 1").start();
    let header = |client: u8| format!("PROXY TCP4 198.51.100.{client} 127.0.0.1 40000 25\r\n").into_bytes();
    let _first = through(&server, &header(1));
    let _second = through(&server, &header(2));
    let mut third = Smtp::connect(server.address());
    third.raw(header(1));
    third.hears("421 4.7.0");
    third.hears_the_end();
}

#[test]
fn a_next_hop_hears_of_the_client_that_the_proxy_named() {
    let hop = NextHop::start();
    let server = behind_a_proxy().smarthost(hop.address).start();
    let mut client = through(&server, b"PROXY TCP4 192.0.2.9 127.0.0.1 40000 25\r\n");
    client.sends("alice@example.org", &["carl@elsewhere.example"], message("through a proxy"));
    let received = hop.wait(1).remove(0).content;
    assert!(received.contains("[192.0.2.9]"), "{received}");
}
