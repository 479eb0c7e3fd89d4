//! Requests to servers that behave, and to servers that do not.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod hostile;
mod peer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dns::{DnsError, Fake};
use fetch::{Fetch, Options};
use hooks::{HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTerms, Networks};

use crate::peer::{Peer, authority, believing, nobody};

/// Long enough for a slow machine.
const LONG: Duration = Duration::from_secs(30);

fn request(host: &str, port: u16) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        encrypted: false,
        host: host.to_owned(),
        port,
        target: "/path?query=1".to_owned(),
        headers: vec![("x-asked".to_owned(), b"yes".to_vec())],
        body: Bytes::new(),
    }
}

/// Terms under which this machine may be asked.
fn terms(time: Duration) -> HttpTerms {
    let private = Networks(vec!["127.0.0.0/8".parse().unwrap()]);
    HttpTerms { time, answer_octets: 10_000, private }
}

/// A client for which a.example is this machine.
fn client() -> Fetch {
    let resolver = Fake::new().with_address("a.example", "127.0.0.1".parse().unwrap());
    Fetch::new(Arc::new(resolver), nobody(), Options::default())
}

async fn ask(peer: &Peer) -> Result<HttpAnswer, HttpError> {
    client().ask(request("a.example", peer.port()), terms(LONG)).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_asked_and_the_answer_comes_back_whole() {
    let peer = Peer::says(
        "HTTP/1.1 404 Not Found\r\nX-Kind: odd\r\nX-kind: b\u{ff}\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    let asked = HttpRequest {
        method: "POST".to_owned(),
        body: Bytes::from_static(b"content"),
        ..request("a.example", peer.port())
    };
    let answer = client().ask(asked, terms(LONG)).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (404, &b"hello"[..]));
    let kinds: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name == "x-kind").map(|(_, value)| &**value).collect();
    assert_eq!(kinds, [b"odd".as_slice(), "b\u{ff}".as_bytes()]);
    let heard = peer.heard().await;
    assert!(
        heard.starts_with("POST /path?query=1 HTTP/1.1\r\n") && heard.ends_with("\r\n\r\ncontent"),
        "{heard}"
    );
    for line in [
        format!("host: a.example:{}", peer.port()),
        "x-asked: yes".to_owned(),
        "content-length: 7".to_owned(),
        "user-agent: waxwing".to_owned(),
    ] {
        assert!(heard.contains(&format!("{line}\r\n")), "{line} in {heard}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_reaches_nothing_unless_that_is_granted() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for host in ["a.example", "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"] {
        let nothing = HttpTerms { private: Networks::default(), ..terms(LONG) };
        let refused = client().ask(request(host, peer.port()), nothing).await;
        assert!(matches!(refused, Err(HttpError::Private { .. })), "{host}: {refused:?}");
        let other = HttpTerms { private: Networks(vec!["10.0.0.0/8".parse().unwrap()]), ..terms(LONG) };
        let refused = client().ask(request(host, peer.port()), other).await;
        assert!(matches!(refused, Err(HttpError::Private { .. })), "{host}: {refused:?}");
    }
    assert_eq!(peer.connections(), 0);
    assert_eq!(ask(&peer).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_address_that_was_looked_at_is_the_one_that_is_connected_to() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    // Of these the first may not be asked and the second does not answer.
    let addresses = ["10.9.9.9", "127.0.0.9", "127.0.0.1"];
    let resolver =
        addresses.iter().fold(Fake::new(), |fake, ip| fake.with_address("b.example", ip.parse().unwrap()));
    let resolver = Arc::new(resolver);
    let client = Fetch::new(resolver.clone(), nobody(), Options::default());
    assert_eq!(client.ask(request("b.example", peer.port()), terms(LONG)).await.unwrap().status, 200);
    assert_eq!(resolver.asked().len(), 1, "a second question could have another answer");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let other = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let location = format!("http://127.0.0.1:{}/", other.port());
    let peer =
        Peer::says(&format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")).await;
    let answer = ask(&peer).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(answer.headers.contains(&("location".to_owned(), location.into_bytes())));
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn over_tls_the_host_must_be_who_it_is_called() {
    let (certificate, key) = authority("a.example");
    let peer = Peer::over_tls("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", &certificate, &key).await;
    let ip = "127.0.0.1".parse().unwrap();
    let resolver = Fake::new().with_address("a.example", ip).with_address("other.example", ip);
    let client = Fetch::new(Arc::new(resolver), nobody(), Options::default());
    let encrypted = |host: &str| HttpRequest { encrypted: true, ..request(host, peer.port()) };
    let unknown = client.ask(encrypted("a.example"), terms(LONG)).await;
    assert!(matches!(unknown, Err(HttpError::Certificate(_))), "{unknown:?}");
    client.believe(believing(&certificate));
    assert_eq!(&*client.ask(encrypted("a.example"), terms(LONG)).await.unwrap().body, b"ok");
    let other = client.ask(encrypted("other.example"), terms(LONG)).await;
    assert!(matches!(other, Err(HttpError::Certificate(_))), "{other:?}");
    // What speaks no TLS, and waits for a request, is given up in time.
    let plain = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let time = Duration::from_millis(100);
    let refused = client.ask(HttpRequest { port: plain.port(), ..encrypted("a.example") }, terms(time)).await;
    assert_eq!(refused, Err(HttpError::TimedOut(time)));
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_from_one_that_cannot_be_found_now() {
    let resolver = Fake::new().fails("broken.example", DnsError::TimedOut).hangs("silent.example");
    let client = Fetch::new(Arc::new(resolver), nobody(), Options::default());
    let none = client.ask(request("none.example", 80), terms(LONG)).await;
    assert_eq!(none, Err(HttpError::NoSuchHost("none.example".to_owned())));
    assert!(matches!(
        client.ask(request("broken.example", 80), terms(LONG)).await,
        Err(HttpError::Failed(_))
    ));
    let time = Duration::from_millis(50);
    let silent = client.ask(request("silent.example", 80), terms(time)).await;
    assert_eq!(silent, Err(HttpError::TimedOut(time)));
}

#[tokio::test]
async fn what_is_no_request_is_never_sent() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let good = || request("a.example", peer.port());
    for bad in [
        HttpRequest { method: "G T".to_owned(), ..good() },
        HttpRequest { target: "/ HTTP/1.1\r\nX: y".to_owned(), ..good() },
        HttpRequest { headers: vec![("x".to_owned(), b"a\r\nb: c".to_vec())], ..good() },
        HttpRequest { headers: vec![("x y".to_owned(), b"a".to_vec())], ..good() },
    ] {
        let refused = client().ask(bad.clone(), terms(LONG)).await;
        assert!(matches!(refused, Err(HttpError::BadInput(_))), "{bad:?}: {refused:?}");
    }
    assert_eq!(peer.heard_so_far(), "");
}

#[tokio::test]
async fn no_more_requests_are_made_at_once_than_there_may_be() {
    let peer = Peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let resolver = Fake::new().with_address("a.example", "127.0.0.1".parse().unwrap());
    let client = Arc::new(Fetch::new(Arc::new(resolver), nobody(), Options { at_once: 2 }));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, asked) = (client.clone(), request("a.example", peer.port()));
        asking.spawn(async move { client.ask(asked, terms(LONG)).await });
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status, 200);
    }
    assert_eq!(peer.connections(), 20);
    assert!(peer.most_at_once() <= 2, "{}", peer.most_at_once());
}
