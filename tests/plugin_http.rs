//! A plugin that asks over HTTP: the host that its grants name, where that may be, and nobody else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::harness::{Dns, Setup};

/// A web server that answers everything the same and remembers the requests.
struct Web {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), answer.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("a connection"));
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).expect("a line") == 0 || line == "\r\n" {
                        break;
                    }
                    length = line
                        .strip_prefix("content-length: ")
                        .and_then(|n| n.trim().parse().ok())
                        .unwrap_or(length);
                    request.push_str(&line);
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("the body");
                seen.lock().expect("the requests").push(request + &String::from_utf8_lossy(&body));
                // The client may have given up.
                let _ = reader.into_inner().write_all(answer.as_bytes());
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the requests").clone()
    }
}

const YES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";

/// As [`asking`], by `wasi:http`.
fn asking_by_wasi(url: &str, grants: &str, more: &str) -> Setup {
    let settings = format!("settings = {{ url = \"{url}\", body = \"asked\"{more} }}");
    Setup::new().plugin("wasi", &[&format!("grants = {{ {grants} }}"), &settings])
}

/// What a client hears at RCPT.
fn heard(setup: &Setup) -> String {
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    let reply = client.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
    reply.text
}

fn asking(url: &str, grants: &str) -> Setup {
    let settings = format!("settings = {{ url = \"{url}\" }}");
    Setup::new().plugin("asks", &[&format!("grants = {{ {grants} }}"), &settings])
}

#[test]
fn a_plugin_asks_the_address_that_it_was_granted() {
    let web = Web::start(YES);
    let setup =
        asking(&format!("http://{}/is?a={{to}}", web.address), &format!("http = [\"{}\"]", web.address));
    assert_eq!(heard(&setup), "5.7.1 200 yes");
    let requests = web.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("POST /is?a=alice@example.org HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("x-session: ") && requests[0].ends_with("asked"), "{requests:?}");
}

#[test]
fn nobody_else_is_asked() {
    let web = Web::start(YES);
    let url = format!("http://{}/", web.address);
    for grants in
        ["", "http = [\"127.0.0.1\"]", "http = [\"other.example\"], http-private = true", "kv = true"]
    {
        assert_eq!(heard(&asking(&url, grants)), "5.7.1 not granted", "{grants}");
    }
    let elsewhere = format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
    let redirects = Web::start(&elsewhere);
    let granted = format!("http = [\"{}\", \"{}\"]", redirects.address, web.address);
    assert_eq!(heard(&asking(&format!("http://{}/", redirects.address), &granted)), "5.7.1 302");
    assert!(web.requests().is_empty(), "{:?}", web.requests());
}

#[test]
fn a_name_that_leads_to_this_machine_is_asked_only_where_that_was_granted() {
    let (web, dns) = (Web::start(YES), Dns::start());
    dns.address_of("inside.example", "127.0.0.1");
    let url = format!("http://inside.example:{}/", web.address.port());
    let http = format!("http = [\"inside.example:{}\"]", web.address.port());
    let with = |more: &str| {
        asking(&url, &format!("{http}{more}")).set("dns", &format!("servers = [\"{}\"]", dns.address))
    };
    assert_eq!(heard(&with("")), "5.7.1 not granted");
    assert_eq!(heard(&with(", http-private = [\"10.0.0.0/8\"]")), "5.7.1 not granted");
    assert!(web.requests().is_empty());
    assert_eq!(heard(&with(", http-private = [\"127.0.0.0/8\"]")), "5.7.1 200 yes");
    assert_eq!(heard(&with(", http-private = true")), "5.7.1 200 yes");
    assert_eq!(web.requests().len(), 2);
}

#[test]
fn a_host_that_fails_or_never_answers_leaves_the_plugin_to_decide() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let grants = format!("http = [\"{address}\"]");
    let setup = asking(&format!("http://{address}/"), &grants).set("plugins.limits", "http-time = \"200ms\"");
    assert_eq!(heard(&setup), "5.7.1 timed out");
    // The hook's own time ends soon: the request ends before it, and the plugin has not failed.
    let setup =
        asking(&format!("http://{address}/"), &grants).set("plugins.limits", "wall-per-hook = \"1s\"");
    assert_eq!(heard(&setup), "5.7.1 timed out");
    drop(silent);
    let gone = heard(&asking(&format!("http://{address}/"), &grants));
    assert!(gone.starts_with("5.7.1 unavailable: "), "{gone}");
    let web = Web::start("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    let setup = asking(&format!("http://{}/", web.address), &format!("http = [\"{}\"]", web.address))
        .set("plugins.limits", "http-answer-size = 4000");
    assert_eq!(heard(&setup), "5.7.1 over the limit");
    let setup = Setup::new()
        .plugin(
            "asks",
            &[
                &format!("grants = {{ http = [\"{}\"] }}", web.address),
                &format!("settings = {{ url = \"http://{}/\", times = 3 }}", web.address),
            ],
        )
        .set("plugins.limits", "http-requests-per-hook = 2");
    assert_eq!(heard(&setup), "5.7.1 over the limit");
    assert_eq!(web.requests().len(), 3);
}

#[test]
fn wasi_http_is_the_same_service_under_the_same_rule() {
    let web = Web::start("HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes");
    let url = format!("http://{}/by?wasi", web.address);
    let granted = format!("http = [\"{}\"]", web.address);
    assert_eq!(heard(&asking_by_wasi(&url, &granted, ", times = 3")), "5.7.1 201 yes");
    let requests = web.requests();
    assert!(requests[0].starts_with("POST /by?wasi HTTP/1.1\r\n"), "{requests:?}");
    assert!(
        requests[0].contains("x-asked: by wasi\r\n") && requests[0].ends_with("askedaskedasked"),
        "{requests:?}"
    );
    let host = format!("host: {}\r\n", web.address);
    assert_eq!(requests[0].matches("host: ").count(), 1, "{requests:?}");
    assert!(requests[0].contains(&host), "{requests:?}");
    for grants in ["", "http = [\"127.0.0.1\"]", "http-private = true", "kv = true"] {
        assert_eq!(
            heard(&asking_by_wasi(&url, grants, "")),
            "5.7.1 ErrorCode::HttpRequestDenied",
            "{grants}"
        );
    }
    let large =
        asking_by_wasi(&url, &granted, ", times = 100").set("plugins.limits", "http-request-size = 400");
    assert_eq!(heard(&large), "5.7.1 ErrorCode::HttpRequestBodySize(None)");
    let many = asking_by_wasi(&url, &granted, "").set("plugins.limits", "http-requests-per-hook = 0");
    assert_eq!(heard(&many), "5.7.1 ErrorCode::ConnectionLimitReached");
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn by_wasi_http_too_a_name_reaches_this_machine_only_where_that_was_granted() {
    let (web, dns) = (Web::start(YES), Dns::start());
    dns.address_of("inside.example", "127.0.0.1");
    let url = format!("http://inside.example:{}/", web.address.port());
    let http = format!("http = [\"inside.example:{}\"]", web.address.port());
    let with = |more: &str| {
        let setup = asking_by_wasi(&url, &format!("{http}{more}"), "");
        heard(&setup.set("dns", &format!("servers = [\"{}\"]", dns.address)))
    };
    assert_eq!(with(""), "5.7.1 ErrorCode::DestinationIpProhibited");
    assert!(web.requests().is_empty());
    assert_eq!(with(", http-private = [\"127.0.0.1\"]"), "5.7.1 200 yes");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let setup = asking_by_wasi(&format!("http://{address}/"), &format!("http = [\"{address}\"]"), "");
    let in_time = setup.set("plugins.limits", "http-time = \"200ms\"");
    assert_eq!(heard(&in_time), "5.7.1 ErrorCode::HttpResponseTimeout");
}
