//! The API over HTTP: who may ask what, what is answered, and what bad requests end in.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::{Api, LONG, Server, Setup, http, message, run, wait_for, wait_until};

/// A server that answers over HTTP, with somebody who may change and somebody who may look.
struct Site {
    setup: Setup,
    server: Server,
    admin: Api,
    reader: Api,
}

fn site(change: impl FnOnce(Setup) -> Setup) -> Site {
    let setup = change(Setup::new().answers_over_http());
    let (setup, admin) = setup.token("page", &["--scope", "admin"]);
    let (setup, reader) = setup.token("monitor", &["--scope", "read"]);
    let server = setup.start();
    let (admin, reader) = (Api::of(&server, &admin), Api::of(&server, &reader));
    Site { setup, server, admin, reader }
}

/// A message that waits, as nobody listens at the smarthost.
fn with_waiting_mail(subject: &str) -> (Site, String) {
    let site = site(|setup| setup.relays().smarthost(([127, 0, 0, 1], 9).into()));
    let sent = site.server.client().sends(
        "ann@example.com",
        &["carl@elsewhere.example"],
        format!("From: ann@example.com\r\nTo: carl@elsewhere.example\r\nSubject: {subject}\r\n\r\nhello\r\n"),
    );
    assert_eq!(sent.code, 250, "{}", sent.text);
    let id = sent.text.rsplit(' ').next().expect("an id").trim().to_owned();
    wait_until("the first attempt", || {
        site.reader.get(&format!("/v1/queue/{id}")).json()["recipients"][0]["attempts"] == 1
    });
    (site, id)
}

#[test]
fn what_is_shown_needs_a_token_and_what_changes_needs_one_for_that() {
    let site = site(|setup| setup);
    let nobody = Api { token: String::new(), ..site.reader.clone() };
    let refused = nobody.get("/v1/status");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer realm=\"waxwing\"")));
    assert!(refused.detail().contains("Authorization: Bearer"));
    for wrong in ["x", "wax_", &site.admin.token[1..], &site.admin.token.to_uppercase(), &"x".repeat(5_000)] {
        let stranger = Api { token: wrong.to_owned(), ..site.reader.clone() };
        assert_eq!(stranger.get("/v1/queue").status, 401);
    }
    assert_eq!(site.reader.get("/v1/status").json()["hostname"], "mx.example.org");
    assert_eq!(site.reader.get("/v1/token").json()["scope"], "read");
    let refused = site.reader.post("/v1/plugins/reload");
    assert_eq!(
        (refused.status, refused.detail().as_str()),
        (403, "the token is for read; this needs one for admin")
    );
    assert_eq!(site.admin.post("/v1/plugins/reload").json(), json!([]));
    site.server.logs(&["changed over HTTP", "page", "reload"]);
    // A token in the address would be in logs: it counts for nothing there.
    assert_eq!(nobody.get(&format!("/v1/status?access_token={}", site.admin.token)).status, 401);
}

#[test]
fn wrong_tokens_are_soon_answered_with_429_and_right_ones_still_count() {
    let site = site(|setup| setup.set("web", "failed-tokens-per-minute = 3"));
    let stranger = Api { token: "wax_wrong".to_owned(), ..site.reader.clone() };
    let statuses: Vec<u16> = (0..5).map(|_| stranger.get("/v1/status").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert!(stranger.get("/v1/status").header("retry-after").is_some());
    assert_eq!(site.reader.get("/v1/status").status, 200);
}

#[test]
fn an_address_has_its_rate_of_requests() {
    let site = site(|setup| setup.set("web", "requests-per-minute = 4"));
    let statuses: Vec<u16> = (0..6).map(|_| site.reader.get("/v1/token").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

#[test]
fn the_queue_is_listed_filtered_shown_and_changed() {
    let (site, id) = with_waiting_mail("waits");
    let page = site.reader.get("/v1/queue?domain=elsewhere.example&state=deferred").json();
    assert_eq!(page["entries"][0]["id"], id.as_str());
    assert_eq!(site.reader.get("/v1/queue?domain=other.example").json()["entries"], json!([]));
    let counts = site.reader.get("/v1/queue/counts").json();
    assert_eq!(
        (&counts["domains"][0]["name"], &counts["recipients-waiting"]),
        (&json!("elsewhere.example"), &json!(1))
    );
    let places = site.reader.get("/v1/destinations").json();
    assert_eq!(places["domains"][0]["name"], "elsewhere.example");
    assert!(
        places["domains"][0]["reason"].is_string() && places["domains"][0]["oldest"].is_string(),
        "{places}"
    );
    assert_eq!(site.admin.post(&format!("/v1/queue/{id}/hold")).json(), "now");
    let held = site.reader.get("/v1/quarantine").json();
    assert_eq!((&held["messages"][0]["id"], &held["messages"][0]["subject"]), (&json!(id), &json!("waits")));
    let content = site.reader.get(&format!("/v1/queue/{id}/content"));
    assert_eq!(content.header("content-type"), Some("message/rfc822"));
    assert!(content.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    assert!(content.body.ends_with("\r\n\r\nhello\r\n"), "{content:?}");
    let order = json!({"order": "release", "filter": {"domain": "elsewhere.example"}});
    assert_eq!(site.admin.post_json("/v1/queue/orders", &order, &[]).json(), json!({"entries": 1}));
    let shown = wait_for("another attempt", || {
        let shown = site.reader.get(&format!("/v1/messages/{id}")).json();
        (shown["entry"]["recipients"][0]["attempts"].as_u64() >= Some(2)).then_some(shown)
    });
    assert_eq!((&shown["state"], &shown["outcomes"][0]["outcome"]), (&json!("queued"), &json!("deferred")));
    assert_eq!(site.admin.post(&format!("/v1/queue/{id}/remove")).status, 200);
    wait_until("it to be gone", || site.reader.get(&format!("/v1/queue/{id}")).status == 404);
    assert_eq!(site.reader.get(&format!("/v1/messages/{id}")).json()["state"], "done");
}

#[test]
fn what_was_delivered_and_refused_is_counted_over_time_and_remembered() {
    let site = site(|setup| setup);
    let mut client = site.server.client();
    let sent = client.sends("ann@example.com", &["bob@example.org"], message("delivered"));
    let id = sent.text.rsplit(' ').next().expect("an id").trim().to_owned();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<nobody@example.org>", "550");
    let done = wait_for("the delivery", || {
        let answer = site.reader.get(&format!("/v1/messages/{id}"));
        (answer.status == 200 && answer.json()["state"] == "done").then(|| answer.json())
    });
    assert_eq!(
        (&done["outcomes"][0]["outcome"], &done["sender"]),
        (&json!("delivered"), &json!("ann@example.com"))
    );
    for by in ["minute", "hour"] {
        let series = site.reader.get(&format!("/v1/outcomes?by={by}")).json();
        let sum = |name: &str| {
            series["points"]
                .as_array()
                .expect("points")
                .iter()
                .map(|point| point[name].as_u64().expect("a number"))
                .sum::<u64>()
        };
        assert_eq!((sum("delivered"), sum("accepted"), sum("refused")), (1, 1, 1), "{series}");
    }
    let sessions = site.reader.get("/v1/sessions").json();
    let verdict = &sessions["verdicts"][0];
    assert_eq!((&verdict["stage"], &verdict["verdict"]), (&json!("rcpt"), &json!("reject")));
    assert!(
        verdict["text"].as_str().expect("a text").contains("no mailbox nobody@example.org here"),
        "{verdict}"
    );
    assert_eq!((&sessions["open"], &sessions["sessions"][0]["messages"]), (&json!(1), &json!(1)));
}

#[test]
fn what_became_of_mail_is_known_after_a_restart_and_after_a_kill() {
    let Site { setup, server, reader, .. } = site(|setup| setup.set("web", "history-size = \"1 MiB\""));
    let send = |server: &Server, reader: &Api| {
        let sent = server.client().sends("ann@example.com", &["bob@example.org"], message("kept"));
        let id = sent.text.rsplit(' ').next().expect("an id").trim().to_owned();
        wait_for("the delivery", || {
            let answer = reader.get(&format!("/v1/messages/{id}"));
            (answer.status == 200 && answer.json()["state"] == "done").then(|| answer.json())
        })
    };
    let delivered = |reader: &Api| {
        let series = reader.get("/v1/outcomes?by=hour").json();
        let points = series["points"].as_array().expect("points").iter();
        points.map(|point| point["delivered"].as_u64().expect("a number")).sum::<u64>()
    };
    // Port 0 is another one after each start.
    let base = reader.clone();
    let on = |line: &str| Api {
        address: line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("an address"),
        ..base.clone()
    };
    let first = send(&server, &reader);
    // As the same process, then as another one.
    assert_eq!(setup.command(&["restart"]).code, 0);
    wait_until("the page's second address", || server.logged(&["listening web"]).len() == 2);
    let reader = on(&server.logged(&["listening web"])[1]);
    let id = |message: &serde_json::Value| format!("/v1/messages/{}", message["id"].as_str().expect("an id"));
    assert_eq!(reader.get(&id(&first)).json(), first);
    assert_eq!(delivered(&reader), 1);
    let second = send(&server, &reader);
    assert_eq!(delivered(&reader), 2);
    server.stops();
    let server = setup.start();
    let reader = on(&server.logged(&["listening web"])[0]);
    assert_eq!(delivered(&reader), 2);
    let third = send(&server, &reader);
    let journal = setup.path("data/history/messages.jsonl");
    let third_id = third["id"].as_str().expect("an id").to_owned();
    wait_until("it to be written", || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(&third_id))
    });
    server.dies();
    let server = setup.start();
    let reader = on(&server.logged(&["listening web"])[0]);
    for message in [&first, &second, &third] {
        assert_eq!(&reader.get(&id(message)).json(), message);
    }
    drop(server);
}

#[test]
fn plugins_are_shown_with_their_latencies_and_read_again() {
    let site = site(|setup| setup.plugin("tag-headers", &[]));
    assert_eq!(site.server.client().sends("ann@example.com", &["bob@example.org"], message("x")).code, 250);
    let plugins = site.reader.get("/v1/plugins").json();
    let plugin = &plugins["plugins"][0];
    assert_eq!((&plugin["name"], &plugin["breaker"]), (&json!("tag-headers"), &json!("closed")));
    assert!(plugin["calls"].as_u64() > Some(0) && plugin["p95-us"].as_f64() > Some(0.0), "{plugin}");
    let loaded = site.admin.post("/v1/plugins/tag-headers/reload").json();
    assert_eq!((&loaded[0]["name"], &loaded[0]["refused"]), (&json!("tag-headers"), &json!(null)));
    assert_eq!(site.admin.post("/v1/plugins/tag-headers/disable").json()["by"], "operator");
    let plugins = site.reader.get("/v1/plugins").json();
    assert_eq!((&plugins["plugins"], &plugins["disabled"][0]["name"]), (&json!([]), &json!("tag-headers")));
    assert_eq!(site.admin.post("/v1/plugins/tag-headers/enable").status, 200);
    assert_eq!(site.reader.get("/v1/plugins").json()["plugins"][0]["name"], "tag-headers");
    assert_eq!(site.admin.post("/v1/plugins/tag-headers/dance").status, 404);
    assert_eq!(site.admin.post("/v1/plugins/..%2f..%2fetc/disable").status, 400);
}

#[test]
fn tokens_come_and_go_with_a_reload() {
    let Site { setup, server, admin, reader } = site(|setup| setup);
    let (setup, newer) = setup.token("newer", &["--scope", "read"]);
    setup.write();
    let newer = Api::of(&server, &newer);
    assert_eq!(newer.get("/v1/status").status, 401);
    assert_eq!(
        admin.post("/v1/reload").json(),
        json!({"refused": [], "needs-restart": [], "opened": [], "closed": []})
    );
    assert_eq!((newer.get("/v1/status").status, reader.get("/v1/status").status), (200, 200));
    let setup = setup.block("[[api-token]]\nname = \"x\"");
    setup.write();
    let refused = admin.post("/v1/reload");
    assert!(refused.status == 400 && refused.detail().contains("api-token.hash: is missing"), "{refused:?}");
    assert_eq!(newer.get("/v1/status").status, 200);
}

#[test]
fn pages_of_other_sites_may_not_ask_and_no_answer_lets_them_read() {
    let site = site(|setup| setup);
    let own = format!("http://{}", site.admin.address);
    for (name, value, status) in [
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Origin", own.as_str(), 200),
    ] {
        let answer = site.admin.asks("POST /v1/plugins/reload", &[(name, value)], b"");
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = site.admin.asks("OPTIONS /v1/queue", &[("Origin", "https://evil.example")], b"");
    assert_eq!(preflight.status, 405);
    // A form can send this type without asking; it is not taken.
    let order = br#"{"order": "remove", "filter": {}}"#;
    let form = site.admin.asks("POST /v1/queue/orders", &[("Content-Type", "text/plain")], order);
    assert_eq!(form.status, 415);
}

#[test]
fn the_page_is_whole_and_may_load_nothing_from_elsewhere() {
    let site = site(|setup| setup);
    let nobody = Api { token: String::new(), ..site.reader.clone() };
    let page = nobody.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let named = page.body.split('"').filter(|text| text.starts_with("/page/"));
    let kinds: BTreeMap<String, u16> = named.map(|path| (path.to_owned(), nobody.get(path).status)).collect();
    assert!(kinds.len() >= 3 && kinds.values().all(|status| *status == 200), "{kinds:?}");
    let described = nobody.get("/openapi.json").json();
    assert!(described["paths"]["/v1/messages"]["post"].is_object());
}

#[test]
fn paths_lead_nowhere_else() {
    let site = site(|setup| setup);
    for path in [
        "/page/../../../etc/passwd",
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/%2e%2e/waxwing.toml",
        "/page//etc/passwd",
        "/../waxwing.toml",
        "/page/style.css%00.html",
        "/page/",
        "/page/none.js",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/%ff",
        "//evil.example/",
    ] {
        let answer = site.admin.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!answer.detail().is_empty());
    }
    for path in [
        "/v1/queue/..%2f..%2fwaxwing.toml",
        "/v1/queue/short",
        "/v1/queue/%ff",
        "/v1/queue/zzzzzzzzzzzzz/preview",
        "/v1/messages/%00",
    ] {
        assert_eq!(site.admin.get(path).status, 400, "{path}");
    }
    assert_eq!(site.admin.get("/v1/queue/0000000000000").status, 404);
    assert_eq!(site.admin.post("/v1/queue/0000000000000/eat").status, 404);
}

#[test]
fn malformed_and_oversized_requests_end_in_a_named_problem() {
    let site = site(|setup| setup);
    for query in [
        "limit=x",
        "limit=-1",
        "nothing=1",
        "state=asleep",
        "after=x",
        "domain=a%20b",
        "sender=@",
        "older-s=1e9",
        "limit=1&limit=2",
    ] {
        let answer = site.reader.get(&format!("/v1/queue?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(!answer.detail().is_empty(), "{query}");
    }
    let body = |body: &[u8]| {
        site.admin.asks("POST /v1/queue/orders", &[("Content-Type", "application/json; charset=utf-8")], body)
    };
    for bad in [
        &b""[..],
        b"{",
        b"[]",
        b"{\"order\":\"eat\",\"filter\":{}}",
        b"{\"order\":\"hold\"}",
        b"{\"order\":\"hold\",\"filter\":{\"x\":1}}",
        b"\xff\xfe",
    ] {
        let answer = body(bad);
        assert_eq!(answer.status, 400, "{:?}: {answer:?}", String::from_utf8_lossy(bad));
    }
    assert_eq!(body(&b"[".repeat(60_000)).status, 400);
    assert_eq!(body(&b" ".repeat(70_000)).status, 413);
    for (request, status) in
        [("DELETE /v1/queue", 405), ("GET /v1/plugins/reload", 405), ("BREW /v1/status", 405)]
    {
        let answer = site.admin.asks(request, &[], b"");
        assert_eq!(answer.status, status, "{request}");
        assert!(!answer.detail().is_empty());
    }
    let address = site.admin.address;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"EHLO x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = http(address, garbage);
        assert!(matches!(answer.status, 0 | 400 | 505), "{answer:?}");
    }
    let long = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    assert_eq!(http(address, long.as_bytes()).status, 431);
    let many = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(http(address, many.as_bytes()).status, 431);
    assert_eq!(site.reader.get("/v1/status").status, 200);
}

#[test]
fn a_slow_request_is_cut_off_and_more_connections_than_may_be_are_closed() {
    let site = site(|setup| setup);
    let address = site.admin.address;
    let mut slow = TcpStream::connect(address).expect("a connection");
    slow.set_read_timeout(Some(LONG)).expect("a timeout");
    slow.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow").expect("a beginning");
    let held: Vec<TcpStream> = (0..70).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    // Whoever is beyond the limit is closed at once, without a word.
    let mut last = held.last().expect("the last");
    last.set_read_timeout(Some(LONG)).expect("a timeout");
    assert_eq!(last.read(&mut [0; 16]).unwrap_or(0), 0);
    // The head never ends: the server does.
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    drop(held);
    wait_until("connections to be taken again", || site.reader.get("/v1/status").status == 200);
}

#[test]
fn html_in_a_message_is_text_in_the_answers() {
    let (site, id) = with_waiting_mail("<img src=x onerror=alert(1)><script>alert(2)</script>");
    let preview = site.reader.get(&format!("/v1/queue/{id}/preview"));
    assert_eq!(preview.header("content-type"), Some("application/json"));
    assert_eq!(preview.json()["subject"], "<img src=x onerror=alert(1)><script>alert(2)</script>");
    assert_eq!(preview.json()["text"].as_str().map(str::trim), Some("hello"));
}

#[test]
fn a_token_is_made_and_an_address_of_a_network_is_refused_without_tls() {
    let setup = Setup::new();
    let token = |arguments: &[&str]| run(setup.binary().args(["token", "new"]).args(arguments));
    let made = token(&["my page", "--scope", "admin"]);
    assert!(
        made.code == 0 && made.out.starts_with("wax_") && made.out.contains("name = \"my page\""),
        "{made:?}"
    );
    let refused = token(&["shop", "--scope", "send"]);
    assert!(refused.code != 0 && refused.err.contains("needs --user"), "{refused:?}");
    let setup = Setup::new().set("web", "bind = \"0.0.0.0:0\"");
    setup.write();
    let refused = setup.command(&["check"]);
    assert!(
        refused.code != 0 && refused.err.contains("web.bind: 0.0.0.0:0 is not this machine alone"),
        "{refused:?}"
    );
    let setup = setup.set("web", "behind-tls = true");
    setup.write();
    assert_eq!(setup.command(&["check"]).code, 0);
}
