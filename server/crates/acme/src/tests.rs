//! What is answered over HTTP, and what is kept.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::challenges::Challenges;
use crate::file;
use crate::sockets::HeldSockets;

async fn ask(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes before it has read all resets the connection.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn only_the_authoritys_question_is_answered() {
    let challenges = Challenges::default();
    challenges.insert("token", "token.thumbprint");
    let listening = challenges.listen(&["127.0.0.1:0".parse().unwrap()], &HeldSockets::default()).unwrap();
    let address = listening.addresses()[0];
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: mx.example.org\r\n\r\n").into_bytes();
    let found = ask(address, &get("/.well-known/acme-challenge/token")).await;
    assert!(found.starts_with("HTTP/1.1 200 ") && found.ends_with("\r\n\r\ntoken.thumbprint"), "{found}");
    for request in [
        get("/.well-known/acme-challenge/other"),
        get("/.well-known/acme-challenge/"),
        get("/.well-known/acme-challenge/../acme-challenge/token"),
        get("/"),
        b"POST /.well-known/acme-challenge/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ] {
        let answer = ask(address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let long = format!("/.well-known/acme-challenge/token?{}", "x".repeat(64 << 10));
    let answer = ask(address, &get(&long)).await;
    assert!(!answer.contains("200") && !answer.contains("thumbprint"), "{answer}");

    listening.close().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_held_address_is_nobody_elses_and_listens_only_while_it_is_needed() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = HeldSockets::bind(&[free]).unwrap();
    let challenges = Challenges::default();
    for _ in 0..3 {
        assert!(TcpStream::connect(free).await.is_err());
        assert!(std::net::TcpListener::bind(free).is_err());
        let listening = challenges.listen(&[free], &held).unwrap();
        assert_eq!(listening.addresses(), [free]);
        assert!(ask(free, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        listening.close().await;
    }
}

#[test]
fn a_file_is_replaced_whole_and_is_nobody_elses_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("acme/account.json");
    file::replace(&kept, "first", |_| Ok(())).unwrap();
    let refuse = |_: &std::path::Path| Err(crate::Error::TooLong);
    assert!(file::replace(&kept, "second", refuse).is_err());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "first");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(kept.as_path()), mode(kept.parent().unwrap())), (0o600, 0o700));
    assert_eq!(std::fs::read_dir(folder.path().join("acme")).unwrap().count(), 1);
}
