//! The bundled plugins in the real server, with a real client.

use crate::harness::{Dns, Server, Setup, Smtp, wait_until};

/// Sends a message; the reply to it comes back.
fn send(server: &Server, content: &str) -> crate::harness::Reply {
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    client.ends_message(content)
}

fn rcpt(server: &Server, from: &str, to: &str) -> u16 {
    let mut client = server.client();
    client.asks(&format!("MAIL FROM:<{from}>"), "250");
    client.says(&format!("RCPT TO:<{to}>"));
    client.next_reply().expect("a reply").code
}

#[test]
fn greylist_makes_strangers_come_back_and_remembers_them_across_a_restart() {
    let setup = Setup::new().plugin("greylist", &["grants = { kv = true }", "settings = { delay = \"1s\" }"]);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "451 4.7.1");
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 451, "at once is too early");
    server.stops();

    let server = setup.start();
    wait_until("the stranger to be let in", || rcpt(&server, "ann@example.com", "alice@example.org") == 250);
    assert_eq!(
        rcpt(&server, "ann@example.com", "bob@example.org"),
        451,
        "another recipient is another triplet"
    );
    server.dies();

    let server = setup.start();
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 250, "known from before the restart");
}

#[test]
fn greylist_without_its_grant_lets_mail_through_and_says_so() {
    let server = Setup::new().plugin("greylist", &[]).start();
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 250);
    server.logs(&["greylist", "cannot be read"]);
}

#[test]
fn dnsbl_refuses_the_recipients_of_a_listed_client_but_not_the_postmaster() {
    let dns = Dns::start();
    dns.address_of("1.0.0.127.bl.example", "127.0.0.2");
    let dnsbl = |zone: &str| {
        Setup::new()
            .set("dns", &format!("servers = [\"{}\"]", dns.address))
            .set("dns", "timeout = \"1s\"")
            .set("dns", "retries = 0")
            .plugin(
                "dnsbl",
                &[
                    "grants = { dns = true }",
                    &format!("settings = {{ zones = [\"{zone}\"], local-clients = true }}"),
                ],
            )
    };
    let server = dnsbl("bl.example").start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    let refused = client.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
    assert!(refused.text.contains("127.0.0.1 is listed by bl.example"), "{}", refused.text);
    client.asks("RCPT TO:<postmaster>", "250");

    let server = dnsbl("other.example").start();
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 250);
    // A list that does not answer counts nothing.
    dns.is_silent("1.0.0.127.silent.example");
    let server = dnsbl("silent.example").start();
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 250);
}

#[test]
fn footer_goes_below_the_text_and_leaves_signed_messages_alone() {
    let setup = Setup::new().plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"]);
    let server = setup.start();
    let plain = "Subject: plain\r\n\r\nhello\r\n";
    let html = "Subject: both\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--b\r\n\
        Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGh0bWw+PGJvZHk+PHA+aGVsbG88L3A+PC9ib2R5PjwvaHRtbD4=\r\n--b--\r\n";
    let signed = "Subject: signed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"; micalg=pgp-sha256\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nabc\r\n--b--\r\n";
    for content in [plain, html, signed] {
        assert_eq!(send(&server, content).code, 250);
    }
    let mailbox = setup.mailbox("alice");
    let arrived = mailbox.with("Subject: plain");
    assert!(
        arrived.contains("\n\nhello\n") && arrived.trim_end().ends_with("Sent through Waxwing"),
        "{arrived}"
    );

    let arrived = mailbox.with("Subject: both");
    let parsed = mail_parser::MessageParser::default().parse(arrived.as_bytes()).expect("a message");
    let text = parsed.body_text(0).expect("the text");
    assert!(text.starts_with("Grüße") && text.contains("Sent through Waxwing"), "{text}");
    let html = parsed.body_html(0).expect("the HTML");
    let (footer, end) =
        (html.find("Sent through Waxwing").expect("the footer"), html.find("</body>").expect("the end"));
    assert!(html.contains("<p>hello</p>") && footer < end, "{html}");

    let arrived = mailbox.with("Subject: signed");
    assert!(
        arrived.ends_with(&signed[signed.find("--b").expect("a part")..].replace("\r\n", "\n")),
        "{arrived}"
    );
}

#[test]
fn attachment_policy_refuses_programs_by_name_and_by_type() {
    let setup = Setup::new().plugin("attachment-policy", &[]);
    let server = setup.start();
    let attached = |disposition: &str, kind: &str| {
        format!(
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\
             Content-Type: {kind}\r\nContent-Disposition: attachment; {disposition}\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n"
        )
    };
    for (disposition, kind) in [
        ("filename=\"setup.EXE\"", "application/octet-stream"),
        ("filename*=utf-8''invoice%2eexe", "application/octet-stream"),
        ("filename=\"=?utf-8?b?aW52b2ljZS5zY3I=?=\"", "application/octet-stream"),
        ("filename=\"picture.png\"", "application/x-msdownload"),
        ("filename*0=\"long\"; filename*1=\".js\"", "text/plain"),
        ("filename=\"report.pdf\"; filename*=utf-8''setup.exe", "application/octet-stream"),
        ("filename=\"report.pdf\"", "application/pdf; name=setup.exe"),
        ("filename=\"forwarded.eml\"", "message/rfc822\r\n\r\nContent-Type: application/pdf; name=setup.exe"),
    ] {
        let reply = send(&server, &attached(disposition, kind));
        assert!(reply.begins("550 5.7.1"), "{disposition} {kind}: {} {}", reply.code, reply.text);
    }
    assert_eq!(send(&server, &attached("filename=\"report.pdf\"", "application/pdf")).code, 250);
    setup.mailbox("alice").one();
}

#[test]
fn tag_headers_adds_sets_and_removes_by_rules() {
    let rules = r#"settings = { rules = [
        { remove = ["X-Spam-*"] },
        { when = { header = { Subject = "*invoice*" } }, set = { X-Kind = "invoice" } },
        { when = { listener = ["other"] }, add = { X-Never = "here" } },
        { add = { X-Origin = "{listener} {peer}" } } ] }"#;
    let setup = Setup::new().plugin("tag-headers", &[rules]);
    let server = setup.start();
    assert_eq!(
        send(
            &server,
            "Subject: your invoice\r\nX-Spam-Score: -100\r\nx-spam-flag: NO\r\nX-Kind: gift\r\n\r\nx\r\n"
        )
        .code,
        250
    );
    let arrived = setup.mailbox("alice").one();
    assert!(!arrived.to_ascii_lowercase().contains("x-spam") && !arrived.contains("X-Never"), "{arrived}");
    assert!(arrived.contains("X-Kind: invoice\n") && !arrived.contains("gift"), "{arrived}");
    assert!(arrived.contains("X-Origin: mx 127.0.0.1\n"), "{arrived}");
}

#[test]
fn helo_policy_written_in_c_refuses_names_that_cannot_be_right() {
    let setup =
        Setup::new().plugin("helo-policy", &["settings = { our-names = \"example.org, mx.example.org\" }"]);
    let server = setup.start();
    for (name, code) in [
        ("mx.example.org", 550),
        ("[192.0.2.8]", 550),
        ("-x-.example", 550),
        ("client.example.com", 250),
        ("[127.0.0.1]", 250),
    ] {
        let mut client = Smtp::connect(server.address());
        client.hears("220");
        client.asks(&format!("EHLO {name}"), "250");
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.says("RCPT TO:<alice@example.org>");
        let reply = client.next_reply().expect("a reply");
        assert_eq!(reply.code, code, "{name}: {}", reply.text);
    }
}

#[test]
fn subject_policy_written_in_javascript_refuses_and_tags() {
    let settings = r#"settings = { reject = ["\\bcasino\\b"], tag = ["^free "], strikes = 2 }"#;
    let setup = Setup::new()
        .set("plugins.limits", "cpu-for-init = \"20s\"")
        .plugin("subject-policy", &["grants = { kv = true }", settings]);
    let server = setup.start();
    let reply = send(&server, "Subject: the =?utf-8?q?C=61SINO?= opens\r\n\r\nx\r\n");
    assert!(reply.begins("550 5.7.1"), "{} {}", reply.code, reply.text);
    assert_eq!(send(&server, "Subject: lunch\r\n\r\nx\r\n").code, 250);
    assert!(setup.mailbox("alice").with("Subject: lunch").contains("X-Subject-Policy: pass"));
    for _ in 0..2 {
        assert_eq!(send(&server, "Subject: free beer\r\n\r\nx\r\n").code, 250);
    }
    let tagged = setup.mailbox("alice").with("Subject: [suspicious] free beer");
    assert!(tagged.contains("X-Subject-Policy: tagged; field=Subject"), "{tagged}");
    let reply = send(&server, "Subject: free beer\r\n\r\nx\r\n");
    assert!(reply.begins("550 5.7.1"), "the third strike: {} {}", reply.code, reply.text);
}

#[test]
fn rate_limit_counts_senders_and_keeps_its_count_over_a_restart() {
    let limits = r#"settings = { limits = [
        { per = "sender", messages = 2, within = "1h", text = "slow down" },
        { per = "ip", recipients = 4, within = "1h" } ] }"#;
    let setup = Setup::new().plugin("rate-limit", &["grants = { kv = true }", limits]);
    let server = setup.start();
    assert_eq!(rcpt(&server, "ann@example.com", "alice@example.org"), 250);
    assert_eq!(rcpt(&server, "ANN@example.com", "alice@example.org"), 250);
    server.stops();
    let server = setup.start();
    server.client().asks("MAIL FROM:<ann@example.com>", "450 4.7.1 slow down");
    let mut client = server.client();
    client.asks("MAIL FROM:<>", "250");
    client.asks("RCPT TO:<alice@example.org>", "250");
    client.asks("RCPT TO:<bob@example.org>", "250");
    client.asks("RCPT TO:<carol@example.org>", "450 4.7.1 too much mail from this ip");
}

#[test]
fn subaddress_sends_details_to_where_the_rules_say() {
    let rules = r#"settings = { rules = [
        { user = "alice", detail = "team-*", to = "bob@example.org" },
        { detail = "spam", quarantine = "a sink" },
        { detail = "gone", reject = "given away" } ] }"#;
    let setup = Setup::new().plugin("subaddress", &[rules]);
    let server = setup.start();
    let send = |to: &str, subject: &str| {
        let mut client = server.client();
        client.begins_message("ann@example.com", &[to]);
        assert_eq!(client.ends_message(format!("Subject: {subject}\r\n\r\nhello\r\n")).code, 250);
    };
    send("alice+team-red@example.org", "for the team");
    setup.mailbox("bob").with("Subject: for the team");
    send("alice+other@example.org", "for alice");
    setup.mailbox("alice").with("Subject: for alice");
    send("alice+spam@example.org", "held");
    assert!(setup.json(&["queue", "list"]).to_string().contains("a sink"));
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice+gone@example.org>", "550 5.1.1 given away");
}

#[test]
fn all_of_them_work_together() {
    let setup = Setup::new()
        .plugin("greylist", &["grants = { kv = true }", "settings = { delay = \"200ms\" }"])
        .plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"])
        .plugin("attachment-policy", &[])
        .plugin("tag-headers", &["settings = { rules = [{ add = { X-Waxwing = \"seen\" } }] }"])
        .plugin("helo-policy", &[])
        .plugin("subject-policy", &["grants = { kv = true }"])
        .plugin("dnsbl", &["grants = { dns = true }"])
        .set("plugins", "order = [\"greylist\", \"dnsbl\", \"helo-policy\"]");
    let server = setup.start();
    wait_until("the greylist to let us in", || rcpt(&server, "ann@example.com", "alice@example.org") == 250);
    assert_eq!(send(&server, "Subject: all\r\n\r\nhello\r\n").code, 250);
    let arrived = setup.mailbox("alice").one();
    for part in ["X-Waxwing: seen", "X-Subject-Policy: pass", "Sent through Waxwing", "hello"] {
        assert!(arrived.contains(part), "{part}: {arrived}");
    }
}
