//! dkimpy and pyspf agree with what we sign and with what we find.

use std::process::Command;

use crate::harness::{Dns, NextHop, Setup, Smtp, run, target_dir};
use crate::sender_auth::from;

/// Runs a script with the packages of `make interop`; what it prints.
pub(super) fn python(script: &str, arguments: &[&str]) -> String {
    let packages = target_dir().join("interop/python");
    let output =
        run(Command::new("python3").env("PYTHONPATH", packages).args(["-c", script]).args(arguments));
    assert_eq!(output.code, 0, "{}\n{}", output.out, output.err);
    output.out
}

fn setup(dns: &Dns) -> Setup {
    Setup::new()
        .set("[listener]", "proxy-protocol = [\"127.0.0.0/8\"]")
        .set("relay", "networks = [\"192.0.2.0/24\"]")
        .set("dns", &format!("servers = [\"{}\"]", dns.address))
        .set("dns", "dnssec = false")
}

/// The same header over bodies that are hard to get right: folds, 8 bits, long lines, white space and nothing at its end.
pub(super) fn messages() -> Vec<String> {
    let head = "From: =?utf-8?q?Ann?=\r\n  <ann@example.org>\r\nTo: a@example.net,\r\n\tb@example.net\r\n\
                Subject:  two   spaces \r\n and a fold\r\nDate: Thu, 26 Nov 2026 01:00:00 +0000\r\n\
                Message-ID: <1@example.org>\r\n\r\n";
    let long = "x".repeat(990);
    let bodies = [
        "plain\r\n",
        "Gr\u{fc}\u{df}e \u{2713}\r\n",
        &long,
        "a  b\t c \r\n\r\n \r\n\t\r\n\r\n",
        "no end of line",
        "",
        " \r\n",
        ".dots\r\n..\r\n",
    ];
    bodies.iter().map(|body| format!("{head}{body}")).collect()
}

/// With the line end that DATA needs, which no signature minds.
pub(super) fn whole(message: &str) -> String {
    message.to_owned() + if message.ends_with("\r\n") { "" } else { "\r\n" }
}

/// A new key; its line of a zone goes into the name server, name and record come back.
fn key(setup: &Setup, dns: &Dns, selector: &str, algorithm: &str) -> (String, String, String) {
    let path = setup.path(&format!("{selector}.pem")).display().to_string();
    let output = run(setup.binary().args([
        "dkim",
        "generate",
        "--domain",
        "example.org",
        "--selector",
        selector,
        "--algorithm",
        algorithm,
        "--out",
        &path,
    ]));
    let (name, record) = output.out.split_once(". IN TXT ( ").expect("a line of a zone");
    let record: String = record.split('"').skip(1).step_by(2).collect();
    dns.txt(name, &record);
    (name.to_owned(), record, path)
}

const VERIFY: &str = r#"
import dkim, sys
zone = {sys.argv[1].encode() + b'.': sys.argv[2].encode(), sys.argv[3].encode() + b'.': sys.argv[4].encode()}
ask = lambda name, timeout=5: zone.get(name)
message = open(sys.argv[5], 'rb').read()
d = dkim.DKIM(message)
count = sum(1 for name, _ in d.headers if name.lower() == b'dkim-signature')
print(count, *[dkim.DKIM(message).verify(idx=n, dnsfunc=ask) for n in range(count)])
arc = dkim.arc_verify(message, dnsfunc=ask)
print(arc[0].decode())
"#;

#[test]
#[ignore = "needs dkimpy: make interop"]
fn dkimpy_verifies_what_we_sign_with_both_keys_and_what_we_seal() {
    let (dns, hop) = (Dns::start(), NextHop::start());
    let setup = setup(&dns).smarthost(hop.address).set("sender-auth", "seal-domain = \"example.org\"");
    let keys = [key(&setup, &dns, "r", "rsa"), key(&setup, &dns, "e", "ed25519")];
    let blocks = keys.iter().zip(["r", "e"]).map(|((.., path), selector)| {
        format!("[[dkim]]\ndomain = \"example.org\"\nselector = \"{selector}\"\nkey = \"{path}\"\n")
    });
    let setup = setup.block(&blocks.collect::<String>()).block(
        "[[domain]]\nname = \"lists.example.org\"\ndeliver = { maildir = \"lists/{local}\" }\naliases = { all = [\"far@example.net\"] }",
    );
    let server = setup.start();
    let file = setup.path("sent.eml");
    let verdict = |content: &str| {
        std::fs::write(&file, content).expect("a file");
        let [(a, b, _), (c, d, _)] = &keys;
        python(VERIFY, &[a, b, c, d, &file.display().to_string()])
    };
    let mut count = 0;
    for message in messages() {
        let send = |client: &mut Smtp, to: &str| {
            client.asks("MAIL FROM:<ann@example.org> BODY=8BITMIME", "250");
            client.asks(&format!("RCPT TO:<{to}>"), "250");
            client.asks("DATA", "354");
            assert_eq!(client.ends_message(whole(&message)).code, 250);
        };
        send(&mut from(&server, "192.0.2.7"), "far@example.net");
        count += 1;
        assert_eq!(verdict(&hop.wait(count)[count - 1].content), "2 True True\nnone\n", "{message:?}");
        send(&mut from(&server, "198.51.102.1"), "all@lists.example.org");
        count += 1;
        assert_eq!(verdict(&hop.wait(count)[count - 1].content), "0\npass\n", "{message:?}");
    }
}

const SIGN: &str = r#"
import dkim, sys
message = open(sys.argv[1], 'rb').read()
key = open(sys.argv[2], 'rb').read()
for form in (b'relaxed', b'simple'):
    for body in (b'relaxed', b'simple'):
        field = dkim.sign(message, b'r', b'example.org', key, canonicalize=(form, body))
        open('%s.%s.%s' % (sys.argv[1], form.decode(), body.decode()), 'wb').write(field + message)
"#;

#[test]
#[ignore = "needs dkimpy: make interop"]
fn we_verify_what_dkimpy_signs_in_every_canonical_form() {
    let dns = Dns::start();
    let setup = setup(&dns);
    let (_, _, path) = key(&setup, &dns, "r", "rsa");
    let server = setup.start();
    for (nth, message) in messages().iter().enumerate() {
        let file = setup.path(&format!("m{nth}"));
        std::fs::write(&file, message).expect("a file");
        python(SIGN, &[&file.display().to_string(), &path]);
        for form in ["relaxed.relaxed", "relaxed.simple", "simple.relaxed", "simple.simple"] {
            let signed =
                std::fs::read_to_string(format!("{}.{form}", file.display())).expect("a signed message");
            let word = format!("X-Nth: {nth}-{form}\r\n{signed}");
            let mut client = from(&server, "198.51.102.1");
            client.asks("MAIL FROM:<ann@example.org> BODY=8BITMIME", "250");
            client.asks("RCPT TO:<bob@example.org>", "250");
            client.asks("DATA", "354");
            assert_eq!(client.ends_message(whole(&word)).code, 250);
            let got = setup.mailbox("bob").with(&format!("X-Nth: {nth}-{form}\n"));
            assert!(got.contains("dkim=pass"), "{form}: {got}");
        }
    }
}

const SPF: &str = r#"
import json, sys, spf
zone = json.loads(sys.argv[1])
def lookup(name, kind, strict=True, timeout=20):
    name = name.lower().rstrip('.')
    return [((name, kind), tuple(t.encode() for t in [text]) if kind == 'TXT' else text) for text in zone.get(name, {}).get(kind, [])]
spf.DNSLookup = lookup
for sender in json.loads(sys.argv[2]):
    print(spf.check2(i='203.0.114.9', s=sender, h='client.example.com')[0])
"#;

#[test]
#[ignore = "needs pyspf: make interop"]
fn pyspf_finds_what_we_find() {
    let records = [
        "v=spf1 ip4:203.0.114.0/24 -all",
        "v=spf1 ip4:203.0.113.0/24 -all",
        "v=spf1 a:host.example ~all",
        "v=spf1 ?all",
        "v=spf1 include:d0.example -all",
        "v=spf1 include:d1.example ?all",
        "v=spf1 include:nowhere.example -all",
        "v=spf1 redirect=d0.example",
        "v=spf1 redirect=nowhere.example",
        "v=spf1 exists:%{ir}.%{l}.list.example -all",
        "v=spf1 nonsense -all",
        "v=spf1 ip4:300.1.1.1 -all",
        "v=spf1 a:n1.example a:n2.example a:n3.example ?all",
        "v=spf1 include:d13.example -all",
        "v=spf2 -all",
    ];
    let dns = Dns::start();
    let mut zone = serde_json::Map::new();
    for (nth, record) in records.iter().enumerate() {
        dns.txt(&format!("d{nth}.example"), record);
        zone.insert(format!("d{nth}.example"), serde_json::json!({"TXT": [record]}));
    }
    for (name, address) in [("host.example", "203.0.114.9"), ("9.114.0.203.ann.list.example", "127.0.0.2")] {
        dns.address_of(name, address);
        zone.insert(name.to_owned(), serde_json::json!({"A": [address]}));
    }
    let setup = setup(&dns);
    let server = setup.start();
    let senders: Vec<String> = (0..records.len()).map(|nth| format!("ann@d{nth}.example")).collect();
    let theirs =
        python(SPF, &[&serde_json::Value::Object(zone).to_string(), &serde_json::json!(senders).to_string()]);
    for ((sender, record), theirs) in senders.iter().zip(records).zip(theirs.lines()) {
        let word = format!("From: <x@example.edu>\r\nSubject: of {sender} .\r\n\r\nhi\r\n");
        assert_eq!(from(&server, "203.0.114.9").sends(sender, &["bob@example.org"], &word).code, 250);
        let got = setup.mailbox("bob").with(&format!("Subject: of {sender} ."));
        let ours = got
            .split("spf=")
            .nth(2)
            .expect("a result for the sender")
            .split([' ', ';'])
            .next()
            .unwrap_or_default();
        assert_eq!(ours, theirs, "{record}");
    }
}
