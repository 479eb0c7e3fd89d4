//! Messages that programs send over HTTP: they go the way of submission, and no other.

use serde_json::{Value, json};

use crate::harness::{Answer, Api, NextHop, Server, Setup, USER, http, wait_for};

/// A server with a user, who has a token, and a next hop.
struct Site {
    setup: Setup,
    server: Server,
    hop: NextHop,
    shop: Api,
}

fn site(change: impl FnOnce(Setup) -> Setup) -> Site {
    let hop = NextHop::start();
    let setup = Setup::new().answers_over_http().smarthost(hop.address);
    let setup =
        change(setup).block(&format!("[[user]]\nname = \"{USER}\"\nsenders = [\"sales@example.org\"]"));
    let (setup, token) = setup.token("shop", &["--scope", "send", "--user", USER]);
    let server = setup.start();
    let shop = Api::of(&server, &token);
    Site { setup, server, hop, shop }
}

impl Site {
    fn sends_raw(&self, query: &str, fields: &[(&str, &str)], message: &[u8]) -> Answer {
        let fields = [&[("Content-Type", "message/rfc822")], fields].concat();
        self.shop.asks(&format!("POST /v1/messages{query}"), &fields, message)
    }

    fn sends(&self, message: &Value, fields: &[(&str, &str)]) -> Answer {
        self.shop.post_json("/v1/messages", message, fields)
    }
}

fn letter(subject: &str) -> Value {
    json!({"from": format!("Alice <{USER}>"), "to": ["carl@elsewhere.example"], "subject": subject, "text": "hello"})
}

const RAW: &[u8] = b"From: alice@example.org\nTo: carl@elsewhere.example\nBcc: dora@elsewhere.example\nSubject: raw\n\n.a dot\nlast line";

#[test]
fn a_raw_message_goes_through_a_session_of_submission() {
    let site = site(|setup| setup.plugin("tag-headers", &[]));
    let answer = site.sends_raw("", &[], RAW);
    assert_eq!(answer.status, 202, "{answer:?}");
    let taken = answer.json();
    let id = taken["id"].as_str().expect("an id");
    assert_eq!(answer.header("location"), Some(format!("/v1/messages/{id}").as_str()));
    assert_eq!(taken["accepted"], json!(["carl@elsewhere.example", "dora@elsewhere.example"]));
    let received = site.hop.wait(1).remove(0);
    assert!(received.content.ends_with("\r\n\r\n.a dot\r\nlast line\r\n"), "{}", received.content);
    for part in ["with ESMTPA id ", "\r\nMessage-ID: <", "\r\nDate: "] {
        assert!(received.content.contains(part), "{part}: {}", received.content);
    }
    assert!(!received.content.contains("Bcc"), "{}", received.content);
    site.server.logs(&["accepted", id]);
    site.server.logs(&["authenticated", "mechanism", "TOKEN", USER]);
    let plugins = site.setup.json(&["plugin", "list"]);
    assert!(plugins["plugins"][0]["calls"].as_u64() > Some(0), "{plugins}");
}

#[test]
fn the_envelope_comes_from_the_query_or_from_fields_before_the_message() {
    let site = site(|setup| setup);
    let query = "?from=sales%40example.org&to=one%40elsewhere.example&to=two%40elsewhere.example";
    assert_eq!(site.sends_raw(query, &[], RAW).status, 202);
    let fields = [("X-Envelope-From", "<>"), ("X-Envelope-To", "three@elsewhere.example")];
    assert_eq!(site.sends_raw("", &fields, RAW).status, 202);
    let mut received = site.hop.wait(2);
    received.sort_by_key(|one| one.to.len());
    let of = |nth: usize| (received[nth].from.clone(), received[nth].to.clone());
    assert_eq!(of(0), (String::new(), vec!["three@elsewhere.example".to_owned()]));
    let both = vec!["one@elsewhere.example".to_owned(), "two@elsewhere.example".to_owned()];
    assert_eq!(of(1), ("sales@example.org".to_owned(), both));
}

#[test]
fn a_message_in_json_is_made_with_its_files_and_delivered() {
    let site = site(|setup| setup);
    let mut message = letter("Grüße <b>&</b>");
    message["to"] = json!("bob@example.org");
    message["html"] = json!("<p>hello</p>");
    message["attachments"] = json!([{"name": "a.txt", "type": "text/plain", "content": "QUJD"}]);
    let answer = site.sends(&message, &[]);
    assert_eq!(answer.status, 202, "{answer:?}");
    let delivered = site.setup.mailbox("bob").one();
    let parsed = mail_parser::MessageParser::default().parse(delivered.as_bytes()).expect("a message");
    assert_eq!(parsed.subject(), Some("Grüße <b>&</b>"));
    assert_eq!(parsed.attachments().next().map(|part| part.contents().to_vec()), Some(b"ABC".to_vec()));
    assert!(parsed.message_id().is_some_and(|id| id.ends_with("@mx.example.org")), "{delivered}");
}

#[test]
fn what_the_session_refuses_is_a_problem_with_the_words_of_smtp() {
    let site = site(|setup| setup.set("limits", "message-size = \"64 KiB\""));
    let mut forged = letter("x");
    forged["from"] = json!("boss@example.org");
    let refused = site.sends(&forged, &[]);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(
        refused.json()["smtp"],
        json!({"code": 553, "status": "5.7.1", "text": format!("{USER} may not send as boss@example.org")})
    );
    let mut unknown = letter("x");
    unknown["to"] = json!(["nobody@example.org"]);
    let refused = site.sends(&unknown, &[]);
    assert_eq!(
        (refused.status, &refused.json()["recipients"][0]["address"]),
        (422, &json!("nobody@example.org"))
    );
    unknown["to"] = json!(["nobody@example.org", "bob@example.org"]);
    let taken = site.sends(&unknown, &[]);
    assert_eq!((taken.status, &taken.json()["refused"][0]["smtp"]["code"]), (202, &json!(550)), "{taken:?}");
    let large = site.sends_raw("", &[], &b"x".repeat(70_000));
    assert_eq!(large.status, 413);
    let mut large = letter("x");
    large["text"] = json!("y".repeat(70_000));
    let large = site.sends(&large, &[]);
    assert_eq!((large.status, &large.json()["smtp"]["code"]), (413, &json!(552)), "{large:?}");
}

#[test]
fn a_plugin_refuses_over_http_as_it_does_over_smtp() {
    let site = site(|setup| setup.plugin("attachment-policy", &[]));
    let mut message = letter("x");
    message["attachments"] = json!([{"name": "run.exe", "content": "TVo="}]);
    let refused = site.sends(&message, &[]);
    assert!(matches!(refused.json()["smtp"]["code"].as_u64(), Some(500..=599)), "{refused:?}");
    assert_eq!(refused.status, 422);
    assert_eq!(refused.detail(), refused.json()["smtp"]["text"].as_str().expect("a text"));
}

#[test]
fn a_repeat_with_the_same_key_is_answered_as_before_and_sends_nothing_even_after_a_crash() {
    let Site { setup, server, hop, shop } = site(|setup| setup);
    let key = [("Idempotency-Key", "order-7")];
    let first = shop.post_json("/v1/messages", &letter("once"), &key);
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, None), "{first:?}");
    let again = shop.post_json("/v1/messages", &letter("once"), &key);
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(again.json(), first.json());
    let other = shop.post_json("/v1/messages", &letter("another"), &key);
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:waxwing:idempotency-key-reused")));
    hop.wait(1);
    server.dies();
    let server = setup.start();
    let shop = Api::of(&server, &shop.token);
    let after = shop.post_json("/v1/messages", &letter("once"), &key);
    assert_eq!(after.json(), first.json());
    assert_eq!(shop.post_json("/v1/messages", &letter("two"), &[("Idempotency-Key", "order-8")]).status, 202);
    hop.wait(2);
    assert_eq!(hop.received().iter().filter(|one| one.content.contains("Subject: once")).count(), 1);
    for bad in ["", &"x".repeat(300)] {
        assert_eq!(shop.post_json("/v1/messages", &letter("x"), &[("Idempotency-Key", bad)]).status, 400);
    }
}

#[test]
fn many_at_once_with_one_key_send_one_message() {
    let site = site(|setup| setup);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = || site.sends(&letter("racing"), &[("Idempotency-Key", "race")]).status;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert!(
        statuses.contains(&202) && statuses.iter().all(|status| matches!(status, 202 | 409)),
        "{statuses:?}"
    );
    assert_eq!(site.sends(&letter("last"), &[]).status, 202);
    wait_for("the last one", || {
        site.hop.received().into_iter().find(|one| one.content.contains("Subject: last"))
    });
    assert_eq!(site.hop.received().iter().filter(|one| one.content.contains("racing")).count(), 1);
}

#[test]
fn a_token_that_sends_can_do_nothing_else_and_no_other_can_send() {
    let site = site(|setup| setup);
    for path in ["/v1/status", "/v1/queue", "/v1/sessions", "/v1/quarantine"] {
        assert_eq!(site.shop.get(path).status, 403, "{path}");
    }
    assert_eq!(site.shop.post("/v1/plugins/reload").status, 403);
    assert_eq!(site.shop.get("/v1/token").json()["user"], USER);
    let (setup, admin) = site.setup.token("page", &["--scope", "admin"]);
    setup.write();
    assert_eq!(setup.command(&["reload"]).code, 0);
    let admin = Api::of(&site.server, &admin);
    assert_eq!(admin.post_json("/v1/messages", &letter("x"), &[]).status, 403);
}

#[test]
fn bad_messages_end_in_a_named_problem_and_send_nothing() {
    let site = site(|setup| setup);
    let typed =
        |kind: &str, body: &[u8]| site.shop.asks("POST /v1/messages", &[("Content-Type", kind)], body);
    assert_eq!(typed("text/plain", RAW).status, 415);
    assert_eq!(site.shop.asks("POST /v1/messages", &[], RAW).status, 415);
    for (kind, body) in [
        ("application/json", &b"{"[..]),
        ("application/json", b"[]"),
        ("application/json", b"{\"from\": \"alice@example.org\"}"),
        ("application/json", b"{\"from\": \"alice@example.org\", \"to\": \"a\\r\\nb@c.example\"}"),
        ("application/json", b"\xff"),
        ("message/rfc822", b""),
        ("message/rfc822", b"Subject: nobody\r\n\r\n"),
        ("message/rfc822", b"\0\0\0"),
    ] {
        let answer = typed(kind, body);
        assert_eq!(answer.status, 400, "{kind} {:?}: {answer:?}", String::from_utf8_lossy(body));
        assert!(!answer.detail().is_empty());
    }
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: message/rfc822\r\n",
        site.shop.token
    );
    // What is said to be too large is not waited for.
    let large = http(site.shop.address, format!("{head}Content-Length: 99999999999\r\n\r\n").as_bytes());
    assert_eq!(large.status, 413, "{large:?}");
    let endless =
        http(site.shop.address, format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").as_bytes());
    assert_eq!(endless.status, 400, "{endless:?}");
    assert_eq!(site.sends(&letter("good"), &[]).status, 202);
    site.hop.wait(1);
    assert_eq!(site.hop.received().len(), 1);
}
