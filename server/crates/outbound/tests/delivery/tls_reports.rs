//! TLS-RPT: what is counted, and who is told of it.

use std::sync::Arc;
use std::time::Duration;

use dns::{Fake, Tlsa};
use model::Timestamp;
use outbound::{Options, TlsReportOptions};
use parking_lot::Mutex;
use reporting::{Ledger, Reporter};
use tls_policy::report::{self, Applied, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::authority::Authority;
use crate::peer::{Act, Peer, Tls};
use crate::policy::{LOCALHOST, outcome, signed, tlsa_name};
use crate::{Post, letter, options};

const DAY: u64 = 86_400_000;

fn told(peer: &Peer, folder: &tempfile::TempDir) -> Options {
    let reporter = Reporter {
        organization: "Me".to_owned(),
        contact: "postmaster@me.example".to_owned(),
        hostname: "me.example".to_owned(),
        spread: Duration::ZERO,
    };
    Options {
        mx_port: peer.address.port(),
        tls_report: Some(TlsReportOptions { folder: folder.path().to_owned(), reporter }),
        ..options()
    }
}

/// The counts of a day, as they are written.
fn written(folder: &tempfile::TempDir, day: u64) -> serde_json::Value {
    let text = std::fs::read(folder.path().join(format!("{day}.json"))).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn today() -> u64 {
    clock::wall().0 / DAY
}

/// Counts a session of yesterday.
fn yesterdays(folder: &tempfile::TempDir) {
    let ledger = Ledger::open(folder.path().to_owned(), report::ROOM);
    let policy = Applied {
        policy_type: Kind::NoPolicyFound,
        policy_string: Vec::new(),
        policy_domain: "to.example".to_owned(),
        mx_host: Vec::new(),
    };
    report::count(&ledger, policy, None, Timestamp(clock::wall().0 - DAY));
    ledger.write().unwrap();
}

#[tokio::test]
async fn sessions_are_counted_with_their_policy_and_why_they_failed() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let (folder, record) = (
        tempfile::tempdir().unwrap(),
        Tlsa { usage: 2, selector: 0, matching: 0, data: authority.certificate() },
    );
    for (who, name) in
        [(&authority, "mx.to.example"), (&authority, "other.example"), (&stranger, "mx.to.example")]
    {
        let usual = |_: &str, _: &str, _| Act::Usual;
        let peer = Peer::secured("127.0.0.1:0", Tls::Offered(who.server(name, false)), usual).await;
        let at = tlsa_name(&peer);
        let post =
            Post::office_with(told(&peer, &folder), signed().with_tlsa(&at, record.clone()).secure(&at));
        let (state, reply) = outcome(&post, letter(&["a@to.example"])).await;
        assert_eq!(
            state == "delivered",
            who.certificate() == authority.certificate() && name == "mx.to.example",
            "{reply}"
        );
        post.closes().await;
    }
    // Over midnight there are two files.
    let days = [written(&folder, today() - 1), written(&folder, today())];
    let tallies: Vec<_> =
        days.iter().filter_map(|day| day["to.example"].as_array()).flatten().cloned().collect();
    let all = serde_json::to_string(&tallies).unwrap();
    assert!(tallies.iter().all(|tally| tally["policy"]["policy-type"] == "tlsa"), "{all}");
    assert_eq!(tallies.iter().map(|tally| tally["successes"].as_u64().unwrap()).sum::<u64>(), 1, "{all}");
    for result in ["certificate-host-mismatch", "certificate-not-trusted"] {
        assert!(all.contains(result), "{all}");
    }
}

#[tokio::test]
async fn a_day_that_is_over_is_reported_once_by_mail_and_the_report_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    yesterdays(&folder);
    let peer = Peer::friendly().await;
    let dns = Fake::new()
        .with_txt("_smtp._tls.to.example", "v=TLSRPTv1; rua=mailto:tls@reports.example")
        .with_mx("reports.example", 10, "mx.reports.example")
        .with_address("mx.reports.example", LOCALHOST);
    let post = Post::office_with(told(&peer, &folder), dns);
    post.shelf.until("the report is delivered", |kept| kept.finished.len() == 1).await;
    post.closes().await;
    let taken = peer.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].mail.starts_with("MAIL FROM:<>"), "{}", taken[0].mail);
    let text = String::from_utf8(taken[0].content.clone()).unwrap();
    assert!(
        text.contains("TLS-Report-Domain: to.example") && text.contains("application/tlsrpt+gzip"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing more is to be told");
}

#[tokio::test]
async fn a_report_goes_by_https_where_the_record_says_so() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    yesterdays(&folder);
    let acceptor = authority.server("reports.example", false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keeps = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = vec![0; 65_536];
            while !keeps.lock().windows(4).any(|four| four == b"\x1f\x8b\x08\x00") {
                match stream.read(&mut buffer).await {
                    Ok(count @ 1..) => keeps.lock().extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let peer = Peer::friendly().await;
    let rua = format!("v=TLSRPTv1; rua=https://reports.example:{port}/v1/tlsrpt");
    let dns = Fake::new().with_txt("_smtp._tls.to.example", &rua).with_address("reports.example", LOCALHOST);
    let post = Post::office_with(Options { tls: authority.connector(), ..told(&peer, &folder) }, dns);
    let file = folder.path().join(format!("{}.json", today() - 1));
    // The file goes once the report was taken.
    let wait = async {
        while file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let heard = String::from_utf8_lossy(&heard.lock()).to_ascii_lowercase();
    assert!(heard.starts_with("post /v1/tlsrpt http/1.1\r\n"), "{heard}");
    assert!(heard.contains("content-type: application/tlsrpt+gzip\r\n"), "{heard}");
    post.closes().await;
}
