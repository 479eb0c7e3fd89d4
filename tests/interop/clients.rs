//! Clients that people use: swaks, nodemailer, aiosmtplib, msmtp, curl and openssl, with and without TLS and a password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{PASSWORD, Setup, USER, Users, run, run_with_input, target_dir, unique};

#[test]
#[ignore = "needs swaks: make interop"]
fn swaks_sends_and_is_refused() {
    let setup = Setup::new();
    let server = setup.start();
    let swaks = |to: &str, extra: &[&str]| {
        let mut command = Command::new("swaks");
        command.args([
            "--server",
            &server.address().to_string(),
            "--from",
            "ann@example.com",
            "--to",
            to,
            "--ehlo",
            "client.example.com",
        ]);
        run(command.args(extra))
    };
    let sent = swaks(
        "alice@example.org",
        &["--pipeline", "--attach-body", "hello", "--header", "Subject: by swaks"],
    );
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    assert!(setup.mailbox("alice").one().contains("Subject: by swaks"));
    let refused = swaks("nobody@example.org", &[]);
    assert_eq!(refused.code, 24, "{}{}", refused.out, refused.err);
    let relay = swaks("victim@elsewhere.example", &[]);
    assert_eq!(relay.code, 24, "{}{}", relay.out, relay.err);
}

#[test]
#[ignore = "needs nodemailer: make interop"]
fn nodemailer_sends_many_messages_over_a_pool() {
    let setup = Setup::new();
    let server = setup.start();
    let word = unique("nodemailer");
    let script = format!(
        r#"
const nodemailer = require("nodemailer");
const t = nodemailer.createTransport({{ host: "127.0.0.1", port: {}, pool: true, maxConnections: 3, ignoreTLS: true }});
(async () => {{
  await Promise.all([...Array(30).keys()].map((n) => t.sendMail({{
    from: "ann@example.com", to: "alice@example.org", subject: "{word} " + n, text: "Grüße\n.dot\n", html: "<p>x</p>",
    attachments: [{{ filename: "ü.txt", content: "attached" }}] }})));
  t.close();
}})().catch((e) => {{ console.error(e); process.exit(1); }});
"#,
        server.address().port()
    );
    let sent = run(Command::new("node").args(["-e", &script]).current_dir(target_dir().join("interop")));
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    let messages = setup.mailbox("alice").wait(30);
    assert!(messages.iter().all(|message| message.contains(&word)));
}

#[test]
#[ignore = "needs swaks: make interop"]
fn swaks_logs_in_with_each_mechanism_it_knows_and_only_under_tls() {
    let users = Users::start();
    let swaks = |listener: &str, extra: &[&str]| {
        let server = users.server.listener(listener).to_string();
        let mut command = Command::new("swaks");
        command.args([
            "--server",
            &server,
            "--from",
            USER,
            "--to",
            "bob@example.org",
            "--ehlo",
            "laptop.example",
        ]);
        run(command.args(["--auth-user", USER, "--auth-password", PASSWORD]).args(extra))
    };
    for mechanism in ["PLAIN", "LOGIN"] {
        let sent = swaks("submission", &["--tls", "--auth", mechanism]);
        assert_eq!(sent.code, 0, "{mechanism}: {}{}", sent.out, sent.err);
        assert!(sent.out.contains("235 2.7.0"), "{mechanism}: {}", sent.out);
    }
    let implicit = swaks("submissions", &["--tls-on-connect", "--auth", "PLAIN"]);
    assert_eq!(implicit.code, 0, "{}{}", implicit.out, implicit.err);
    let plain = swaks("submission", &["--auth", "PLAIN"]);
    // 28: no mechanism that both know, for none is offered.
    assert_eq!(plain.code, 28, "{}{}", plain.out, plain.err);
    let wrong = swaks("submission", &["--tls", "--auth", "PLAIN", "--auth-password", "wrong horse"]);
    assert_eq!(wrong.code, 28, "{}{}", wrong.out, wrong.err);
    assert!(wrong.out.contains("535 5.7.8"), "{}", wrong.out);
    users.setup.mailbox("bob").wait(3);
}

#[test]
#[ignore = "needs swaks: make interop"]
fn swaks_hands_over_by_lmtp_and_behind_a_proxy_header() {
    let users = Users::start();
    let lmtp = users.server.listener("lmtp").to_string();
    let mut command = Command::new("swaks");
    command.args(["--protocol", "LMTP", "--server", &lmtp, "--from", "ann@example.com"]);
    let sent = run(command.args(["--to", "alice@example.org,bob@example.org"]));
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    for local in ["alice", "bob"] {
        users.setup.mailbox(local).one();
    }
    let setup = Setup::new().set("[listener]", "proxy-protocol = [\"127.0.0.0/8\"]");
    let server = setup.start();
    let mut command = Command::new("swaks");
    command.args([
        "--server",
        &server.address().to_string(),
        "--from",
        "ann@example.com",
        "--to",
        "alice@example.org",
    ]);
    command.args(["--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "192.0.2.7"]);
    command.args(["--proxy-source-port", "4444", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"]);
    let sent = run(&mut command);
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    assert!(setup.mailbox("alice").one().contains("[192.0.2.7]"));
}

#[test]
#[ignore = "needs nodemailer: make interop"]
fn nodemailer_logs_in_under_tls_and_asks_for_reports() {
    let users = Users::start();
    let script = format!(
        r#"
const nodemailer = require("nodemailer");
const fs = require("fs");
const tls = {{ ca: fs.readFileSync({:?}), servername: "mx.example.org" }};
const auth = {{ user: {USER:?}, pass: {PASSWORD:?} }};
const send = async (port, secure, to) => {{
  const t = nodemailer.createTransport({{ host: "127.0.0.1", port, secure, requireTLS: !secure, auth, tls }});
  const sent = await t.sendMail({{ from: {USER:?}, to, subject: "Grüße", text: "Grüße\n.\n..dot\n",
    dsn: {{ id: "order-17", return: "headers", notify: ["failure", "delay"], recipient: {USER:?} }} }});
  if (sent.rejected.length) throw new Error(JSON.stringify(sent));
  t.close();
}};
(async () => {{
  await send({}, false, ["carl@elsewhere.example", "bob@example.org"]);
  await send({}, true, ["bob@example.org"]);
}})().catch((e) => {{ console.error(e); process.exit(1); }});
"#,
        users.certificate,
        users.server.listener("submission").port(),
        users.server.listener("submissions").port()
    );
    let sent = run(Command::new("node").args(["-e", &script]).current_dir(target_dir().join("interop")));
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    users.setup.mailbox("bob").wait(2);
    users.hop.wait(1);
}

#[test]
#[ignore = "needs aiosmtplib: make interop"]
fn aiosmtplib_sends_beyond_ascii_under_tls_with_a_password() {
    let users = Users::start();
    let heard = users.python(&format!(
        r#"
import asyncio, sys
sys.path.insert(0, {:?})
import aiosmtplib
from email.message import EmailMessage
async def send(port, implicit, to, subject):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = {USER:?}, to, subject
    m.set_content("Grüße\n.\n")
    return await aiosmtplib.send(m, hostname="127.0.0.1", port=port, use_tls=implicit, start_tls=not implicit,
        tls_context=context, username={USER:?}, password={PASSWORD:?})
async def main():
    await asyncio.gather(*[send(ports["submission"], False, "bob@example.org", f"number {{n}}") for n in range(20)])
    errors, reply = await send(ports["submissions"], True, "bücher@elsewhere.example", "Bücher")
    print(errors, reply)
    try:
        await send(ports["submission"], False, "nobody@example.org", "nobody")
    except aiosmtplib.SMTPRecipientsRefused as e:
        print([r.code for r in e.recipients])
asyncio.run(main())
"#,
        target_dir().join("interop/python")
    ));
    assert!(heard.contains("{} 2.0.0") && heard.contains("[550]"), "{heard}");
    users.setup.mailbox("bob").wait(20);
}

#[test]
#[ignore = "needs msmtp: make interop"]
fn msmtp_sends_with_each_mechanism_it_knows() {
    let users = Users::start();
    let config = users.setup.path("msmtprc");
    for (nth, mechanism) in ["plain", "login", "scram-sha-256", "on"].into_iter().enumerate() {
        let (listener, starttls) = match nth % 2 {
            0 => ("submission", "on"),
            _ => ("submissions", "off"),
        };
        let address = users.server.listener(listener);
        let account = format!(
            "account default\nhost 127.0.0.1\ntls_host_override mx.example.org\nport {}\nfrom {USER}\ntls on\ntls_starttls {starttls}\n\
             tls_trust_file {}\nauth {mechanism}\nuser {USER}\npassword \"{PASSWORD}\"\ndsn_notify failure,delay\n\
             dsn_return headers\ndomain laptop.example\n",
            address.port(),
            users.certificate.display()
        );
        fs::write(&config, account).expect("its configuration");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("its mode");
        let mut command = Command::new("msmtp");
        command.arg("-C").arg(&config).args(["--", "bob@example.org"]);
        let sent = run_with_input(&mut command, b"Subject: by msmtp\n\nHello.\n.\n..dots\n");
        assert_eq!(sent.code, 0, "{mechanism}: {}{}", sent.out, sent.err);
    }
    let messages = users.setup.mailbox("bob").wait(4);
    assert!(
        messages.iter().all(|message| message.contains("\n.\r\n..dots") || message.contains("\n.\n..dots"))
    );
}

#[test]
#[ignore = "needs curl: make interop"]
fn curl_logs_in_with_each_mechanism_it_knows() {
    let users = Users::start();
    let file = users.setup.path("message");
    fs::write(&file, "Subject: by curl\r\n\r\nHello.\r\n").expect("a message");
    for (scheme, listener, mechanism) in [("smtp", "submission", "PLAIN"), ("smtps", "submissions", "LOGIN")]
    {
        let port = users.server.listener(listener).port();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--ssl-reqd", "--cacert"]).arg(&users.certificate);
        command.args(["--resolve", &format!("mx.example.org:{port}:127.0.0.1")]);
        command.args(["--url", &format!("{scheme}://mx.example.org:{port}/laptop.example")]);
        command.args([
            "--user",
            &format!("{USER}:{PASSWORD}"),
            "--login-options",
            &format!("AUTH={mechanism}"),
        ]);
        command.args(["--mail-from", USER, "--mail-rcpt", "bob@example.org", "--upload-file"]).arg(&file);
        let sent = run(&mut command);
        assert_eq!(sent.code, 0, "{mechanism}: {}{}", sent.out, sent.err);
    }
    users.setup.mailbox("bob").wait(2);
}

#[test]
#[ignore = "needs openssl: make interop"]
fn openssl_speaks_to_us_in_both_versions_of_tls_and_resumes() {
    let users = Users::start();
    let session = users.setup.path("session.pem");
    let openssl = |extra: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &users.server.listener("mx").to_string(), "-starttls", "smtp"]);
        command.args([
            "-name",
            "client.example.com",
            "-servername",
            "mx.example.org",
            "-verify_return_error",
        ]);
        command.arg("-CAfile").arg(&users.certificate).args(["-crlf", "-ign_eof"]).args(extra);
        run_with_input(&mut command, b"EHLO client.example.com\nMAIL FROM:<ann@example.com>\nRSET\nQUIT\n")
    };
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let first = openssl(&[version, "-sess_out", session.to_str().expect("a path")]);
        assert_eq!(first.code, 0, "{}{}", first.out, first.err);
        assert!(first.out.contains(&format!("New, {name}")), "{}", first.out);
        assert!(
            first.out.contains("Verify return code: 0") && first.out.contains("221 2.0.0"),
            "{}",
            first.out
        );
        assert!(!first.out.contains("250-STARTTLS"), "{}", first.out);
        let second = openssl(&[version, "-sess_in", session.to_str().expect("a path")]);
        assert!(second.out.contains(&format!("Reused, {name}")), "{version}: {}", second.out);
    }
    let old = openssl(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert_ne!(old.code, 0, "{}", old.out);
}
