//! Servers that never end, never answer, or answer nonsense: each has its named outcome, in bounded memory and time.

use std::time::Duration;

use hooks::{HttpClient, HttpError};

use crate::peer::Peer;
use crate::{LONG, ask, client, request, terms};

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn an_answer_without_end_is_given_up_at_its_limit() {
    let head = Peer::repeats(&format!("{OK}X: "), "x").await;
    assert_eq!(ask(&head).await, Err(HttpError::TooLarge(fetch::MAX_HEAD_OCTETS as u64)));
    let fields = Peer::repeats(OK, "X: y\r\n").await;
    assert!(matches!(ask(&fields).await, Err(HttpError::TooLarge(_))));
    for body in ["", "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n"] {
        let piece = if body.starts_with('T') { "4\r\nxxxx\r\n" } else { "xxxx" };
        let peer = Peer::repeats(&format!("{OK}{body}\r\n"), piece).await;
        assert_eq!(ask(&peer).await, Err(HttpError::TooLarge(10_000)), "{body:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_not_to_the_end_is_given_up_in_time() {
    let time = Duration::from_millis(100);
    for said in ["", "HTTP/1.1 200", &format!("{OK}X"), &format!("{OK}Content-Length: 10\r\n\r\nxx")] {
        let peer = Peer::says_and_waits(said).await;
        let given_up = client().ask(request("a.example", peer.port()), terms(time)).await;
        assert_eq!(given_up, Err(HttpError::TimedOut(time)), "{said:?}");
    }
    // So is one that keeps saying that it will.
    let peer = Peer::repeats("", "HTTP/1.1 100 Continue\r\n\r\n").await;
    let given_up = client().ask(request("a.example", peer.port()), terms(time)).await;
    assert!(matches!(given_up, Err(HttpError::TimedOut(_) | HttpError::Failed(_))), "{given_up:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_none() {
    for said in [
        "",
        "220 mx.example.org ESMTP\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
    ] {
        let peer = Peer::says(said).await;
        let refused = ask(&peer).await;
        assert!(matches!(refused, Err(HttpError::Failed(_))), "{said:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_closes_its_connection() {
    let peer = Peer::says_and_waits("").await;
    let client = client();
    let asking = client.ask(request("a.example", peer.port()), terms(LONG));
    tokio::select! {
        answer = asking => panic!("{answer:?}"),
        () = peer.until_connected() => {}
    }
    peer.until_closed().await;
}
