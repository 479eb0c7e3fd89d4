//! What Prometheus and a load balancer hear over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::{Setup, message, wait_until};

/// Sends a request as it is and reads until the server closes: the status, and what follows the head.
fn asks(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    // A server that has heard enough closes meanwhile.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("UTF-8");
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    (status, body)
}

pub(crate) fn gets(address: SocketAddr, path: &str) -> (String, String) {
    asks(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

fn value(page: &str, series: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{series} is not in {page}"))
}

#[test]
fn sessions_messages_and_deliveries_are_counted_for_prometheus() {
    let setup = Setup::new().set("metrics", "bind = \"127.0.0.1:0\"");
    let server = setup.start();
    let address = server.listener("metrics");
    assert_eq!(gets(address, "/healthz").0, "200");
    assert_eq!(gets(address, "/readyz").0, "200");
    let reply = server.client().sends("ann@example.com", &["bob@example.org"], message("counted"));
    assert_eq!(reply.code, 250, "{}", reply.text);
    setup.mailbox("bob").with("Subject: counted");
    let delivered = "waxwing_delivery_outcomes_total{class=\"local\",outcome=\"delivered\"}";
    wait_until("the delivery to be counted", || value(&gets(address, "/metrics").1, delivered) == 1.0);
    let (status, page) = gets(address, "/metrics");
    assert_eq!(status, "200");
    for (series, expected) in [
        ("waxwing_messages_received_total{outcome=\"accepted\"}", 1.0),
        ("waxwing_delivery_seconds_count", 1.0),
        ("waxwing_queue_commit_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("waxwing_queue_entries{state=\"waiting\"}", 0.0),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    assert!(value(&page, "waxwing_sessions_total{listener=\"mx\"}") >= 1.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    let status = setup.json(&["status"]);
    assert_eq!(status["delivery"]["outcomes"]["local"]["delivered"], 1);
}

#[test]
fn what_is_not_asked_properly_is_refused_and_harms_nobody() {
    let setup = Setup::new().set("metrics", "bind = \"127.0.0.1:0\"");
    let server = setup.start();
    let address = server.listener("metrics");
    assert_eq!(gets(address, "/").0, "404");
    assert_eq!(asks(address, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").0, "405");
    assert_eq!(asks(address, b"EHLO there\r\n\r\n").0, "400");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    assert_ne!(asks(address, long.as_bytes()).0, "200");
    // Sixteen that say nothing keep others out for ten seconds at most, and the mail is none the worse.
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    assert_eq!(server.client().sends("a@example.com", &["bob@example.org"], message("x")).code, 250);
    drop(silent);
    wait_until("room again", || gets(address, "/healthz").0 == "200");
}
