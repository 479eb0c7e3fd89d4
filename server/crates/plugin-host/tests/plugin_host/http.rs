//! What plugins may ask over HTTP: the hosts that they were granted, as often and as much as their limits say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hooks::{BoxFuture, HttpAnswer, HttpClient, HttpError, HttpRequest, HttpTerms, Request, Verdict};
use parking_lot::Mutex;
use plugin_host::{Grants, Options, PluginOptions, Services};

use crate::guest::{self, Guest, PROCEED};
use crate::stage::Bed;

/// Cases of `types.error`.
const DENIED: u32 = 0;
const QUOTA: u32 = 1;
const NOT_FOUND: u32 = 2;
const TIMED_OUT: u32 = 3;
const BAD_INPUT: u32 = 4;
const UNAVAILABLE: u32 = 5;

/// A network that answers everybody the same, and remembers what it was asked.
#[derive(Debug)]
struct Network {
    asked: Mutex<Vec<(HttpRequest, HttpTerms)>>,
    answer: Result<HttpAnswer, HttpError>,
}

impl Network {
    fn answering(answer: Result<HttpAnswer, HttpError>) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), answer })
    }

    fn well() -> Arc<Self> {
        let headers = vec![("x-kind".to_owned(), b"good".to_vec())];
        Self::answering(Ok(HttpAnswer { status: 204, headers, body: Bytes::from_static(b"fine") }))
    }
}

impl HttpClient for Network {
    fn ask(&self, request: HttpRequest, terms: HttpTerms) -> BoxFuture<'_, Result<HttpAnswer, HttpError>> {
        self.asked.lock().push((request, terms));
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

/// A request for the URL at 1024 with one header field and the body "body"; its result is at 2048.
fn send(url: &str, timeout_ms: Option<u32>) -> String {
    let (some, ms) = timeout_ms.map_or((0, 0), |ms| (1, ms));
    format!(
        "(call $send (i32.const 1200) (i32.const 4) (i32.const 1024) (i32.const {}) (i32.const 1216) (i32.const 1)
           (i32.const 1208) (i32.const 4) (i32.const {some}) (i32.const {ms}) (i32.const 2048))",
        url.len()
    )
}

/// Traps unless the last request came to this error, or to status 204.
fn came_to(error: Option<u32>) -> String {
    let result = guest::came_to(error);
    match error {
        None => format!(
            "{result} (if (i32.ne (i32.load16_u (i32.const 2052)) (i32.const 204)) (then (unreachable)))"
        ),
        Some(_) => result,
    }
}

fn guest(url: &str, code: &str) -> Vec<u8> {
    Guest::new()
        .import("http", "send", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)")
        .with(&format!("(data (i32.const 1024) \"{url}\") (data (i32.const 1200) \"POST\") (data (i32.const 1208) \"body\")"))
        // One pair of a name and a value.
        .with("(data (i32.const 1216) \"\\00\\05\\00\\00\\01\\00\\00\\00\\04\\05\\00\\00\\01\\00\\00\\00\")")
        .with("(data (i32.const 1280) \"a   b\")")
        .hook("connect", &format!("{code} {PROCEED}"))
        .build()
}

/// One connect with this plugin under these grants.
async fn connect(
    component: &[u8],
    http: &[&str],
    network: &Arc<Network>,
    change: impl FnOnce(&mut Options),
) -> Verdict {
    let services = Services { http: Some(network.clone()), ..Services::default() };
    let bed = Bed::open(
        |options| {
            let http = http.iter().map(|host| host.parse().unwrap()).collect();
            let grants = Grants { http, ..Grants::default() };
            options.plugins.insert("asks".to_owned(), PluginOptions { grants, ..PluginOptions::default() });
            change(options);
        },
        services,
    );
    bed.put("asks", component);
    for report in bed.load().await {
        report.outcome.unwrap();
    }
    bed.session().ask(Request::Connect).await.verdict
}

async fn asks(url: &str, http: &[&str], network: &Arc<Network>, error: Option<u32>) {
    let code = format!("{} {}", send(url, None), came_to(error));
    let verdict = connect(&guest(url, &code), http, network, |_| {}).await;
    assert_eq!(verdict, Verdict::Proceed, "{url} with {http:?}");
}

#[tokio::test]
async fn a_granted_host_is_asked_and_its_answer_comes_back() {
    let (network, url) = (Network::well(), "https://API.example.org/v1?x=y");
    asks(url, &["api.example.org"], &network, None).await;
    let asked = network.asked.lock();
    let (request, terms) = &asked[0];
    let expected = HttpRequest {
        method: "POST".to_owned(),
        encrypted: true,
        host: "api.example.org".to_owned(),
        port: 443,
        target: "/v1?x=y".to_owned(),
        headers: vec![("a".to_owned(), b"b".to_vec())],
        body: Bytes::from_static(b"body"),
    };
    assert_eq!(*request, expected);
    assert_eq!((terms.answer_octets, terms.private.0.len()), (1 << 20, 0));
    assert!(terms.time <= Duration::from_secs(5));
}

#[tokio::test]
async fn what_was_not_granted_is_denied_and_never_asked() {
    let network = Network::well();
    for (url, http) in [
        ("http://a.example/", &[][..]),
        ("http://a.example/", &["b.example", "*.a.example", "a.example:8080"]),
        ("http://a.example:25/", &["a.example"]),
        ("https://a.example:80/", &["a.example"]),
        ("http://127.0.0.1:11333/", &["a.example", "127.0.0.1:11334", "127.0.0.2:11333"]),
        ("http://b.example.a.example/", &["a.example", "b.example"]),
    ] {
        asks(url, http, &network, Some(DENIED)).await;
    }
    assert!(network.asked.lock().is_empty());
    // A server that lends no client denies it to all.
    let code = format!("{} {}", send("http://a.example/", None), came_to(Some(DENIED)));
    let bed = Bed::with(&[("asks", &guest("http://a.example/", &code))]).await;
    assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn an_address_that_is_granted_itself_may_be_a_private_one() {
    let network = Network::well();
    asks("http://127.0.0.1:11333/checkv2", &["127.0.0.1:11333"], &network, None).await;
    let private = network.asked.lock()[0].1.private.clone();
    assert!(
        private.contains("127.0.0.1".parse().unwrap()) && !private.contains("127.0.0.2".parse().unwrap())
    );
}

#[tokio::test]
async fn each_failure_of_the_network_has_its_error() {
    let time = Duration::from_secs(1);
    for (failure, error) in [
        (HttpError::Private { host: "a.example".to_owned(), address: [127, 0, 0, 1].into() }, DENIED),
        (HttpError::TooLarge(1), QUOTA),
        (HttpError::NoSuchHost("a.example".to_owned()), NOT_FOUND),
        (HttpError::TimedOut(time), TIMED_OUT),
        (HttpError::BadInput("odd".to_owned()), BAD_INPUT),
        (HttpError::Certificate("unknown".to_owned()), UNAVAILABLE),
        (HttpError::Failed("reset".to_owned()), UNAVAILABLE),
    ] {
        asks("http://a.example/", &["a.example"], &Network::answering(Err(failure)), Some(error)).await;
    }
    asks("gopher://a.example/", &["a.example"], &Network::well(), Some(BAD_INPUT)).await;
}

#[tokio::test]
async fn requests_are_counted_by_hook_and_by_session() {
    let (network, url) = (Network::well(), "http://a.example/");
    let (well, over) = (
        format!("{} {}", send(url, None), came_to(None)),
        format!("{} {}", send(url, None), came_to(Some(QUOTA))),
    );
    let code = format!("{well} {well} {over}");
    let limit = |options: &mut Options| options.limits.http_requests_per_hook = 2;
    assert_eq!(connect(&guest(url, &code), &["a.example"], &network, limit).await, Verdict::Proceed);
    let limit = |options: &mut Options| options.limits.http_requests_per_session = 2;
    assert_eq!(connect(&guest(url, &code), &["a.example"], &network, limit).await, Verdict::Proceed);
    let limit = |options: &mut Options| options.limits.http_request_octets = 20;
    assert_eq!(connect(&guest(url, &over), &["a.example"], &network, limit).await, Verdict::Proceed);
    assert_eq!(network.asked.lock().len(), 4);
}

#[tokio::test]
async fn a_request_has_no_more_time_than_its_hook() {
    let (network, url) = (Network::well(), "http://a.example/");
    let code = format!("{} {}", send(url, Some(60_000)), came_to(None));
    let limit = |options: &mut Options| {
        options.limits.wall_per_hook = Duration::from_secs(2);
        options.limits.http_time = Duration::from_secs(90);
    };
    assert_eq!(connect(&guest(url, &code), &["a.example"], &network, limit).await, Verdict::Proceed);
    let code = format!("{} {}", send(url, Some(7)), came_to(None));
    assert_eq!(connect(&guest(url, &code), &["a.example"], &network, |_| {}).await, Verdict::Proceed);
    let times: Vec<_> = network.asked.lock().iter().map(|(_, terms)| terms.time).collect();
    assert!(times[0] < Duration::from_secs(2), "{times:?}");
    assert_eq!(times[1], Duration::from_millis(7));
}
