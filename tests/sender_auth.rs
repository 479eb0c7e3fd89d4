//! Whether mail is from whom it says: what is found stands in the message, plugins and metrics hear of it, and what leaves is signed.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Dns, NextHop, Server, Setup, Smtp, message, run, wait_until};
use crate::metrics::gets;

/// A server for strangers whom a proxy brings, with the keys of two kinds that sign for example.org and a zone of its own.
struct Place {
    setup: Setup,
    dns: Dns,
}

impl Place {
    fn new() -> Self {
        let dns = Dns::start();
        let setup = Setup::new()
            .set("[listener]", "proxy-protocol = [\"127.0.0.0/8\"]")
            .set("dns", &format!("servers = [\"{}\"]", dns.address))
            .set("dns", "dnssec = false")
            .set("metrics", "bind = \"127.0.0.1:0\"");
        Self { setup, dns }
    }

    /// A new key, published.
    fn with_key(mut self, selector: &str, algorithm: &str) -> Self {
        let file = self.setup.path(&format!("{selector}.pem"));
        let path = file.display().to_string();
        let arguments = ["dkim", "generate", "--domain", "example.org", "--selector", selector];
        let dkim = |more: &[&str]| run(self.setup.binary().args(arguments).args(more));
        let output = dkim(&["--algorithm", algorithm, "--out", &path]);
        assert_eq!(output.code, 0, "{}", output.err);
        let mode = std::fs::metadata(&file).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (name, record) = output.out.split_once(". IN TXT ( ").expect("a line of a zone");
        let record: String = record.split('"').skip(1).step_by(2).collect();
        self.dns.txt(name, &record);
        let again = dkim(&["--out", &path]);
        assert_eq!(again.code, 1, "a key is never written over");
        self.setup = self.setup.block(&format!(
            "[[dkim]]\ndomain = \"example.org\"\nselector = \"{selector}\"\nkey = \"{path}\""
        ));
        self
    }

    fn set(mut self, table: &str, line: &str) -> Self {
        self.setup = self.setup.set(table, line);
        self
    }
}

/// A client at this address.
pub(crate) fn from(server: &Server, address: &str) -> Smtp {
    let mut client = Smtp::brought(server.address(), address);
    client.hears("220");
    client.asks("EHLO client.example.com", "250");
    client
}

const FORGED: &str = "Authentication-Results: mx.example.org; dmarc=pass header.from=bank.example\r\n";

fn by(author: &str, word: &str) -> String {
    format!("From: <{author}>\r\nSubject: {word}\r\nDate: Thu, 26 Nov 2026 01:00:00 +0000\r\n\r\nHello\r\n")
}

#[test]
fn what_is_found_stands_on_top_and_forged_results_are_gone() {
    let place = Place::new();
    place.dns.txt("example.com", "v=spf1 ip4:203.0.114.9 -all");
    place.dns.txt("_dmarc.example.com", "v=DMARC1; p=reject");
    let server = place.setup.start();
    let mail = format!("{FORGED}{}", by("ann@example.com", "checked"));
    assert_eq!(from(&server, "203.0.114.9").sends("ann@example.com", &["bob@example.org"], &mail).code, 250);
    let got = place.setup.mailbox("bob").with("Subject: checked");
    assert!(!got.contains("bank.example"), "{got}");
    for part in [
        "Authentication-Results: mx.example.org;",
        "spf=pass smtp.mailfrom=ann@example.com",
        "dkim=none",
        "dmarc=pass header.from=example.com policy.dmarc=reject",
    ] {
        assert!(got.contains(part), "{part} in {got}");
    }
    let series = "waxwing_sender_checks_total{method=\"dmarc\",result=\"pass\"} 1";
    assert!(gets(server.listener("metrics"), "/metrics").1.contains(series));
    // Reported only, as the configuration says nothing else.
    assert_eq!(
        from(&server, "198.51.102.1")
            .sends("ann@example.com", &["bob@example.org"], by("ann@example.com", "forged"))
            .code,
        250
    );
    assert!(place.setup.mailbox("bob").with("Subject: forged").contains("dmarc=fail"));
}

#[test]
fn what_a_domain_refuses_is_refused_held_or_put_off_as_the_configuration_says() {
    let place =
        Place::new().set("sender-auth", "dmarc = \"reject\"").set("sender-auth", "time-limit = \"20s\"");
    place.dns.txt("_dmarc.example.com", "v=DMARC1; p=reject");
    place.dns.txt("_dmarc.example.net", "v=DMARC1; p=quarantine");
    place.dns.fails("_dmarc.broken.example");
    let server = place.setup.start();
    let sends = |author: &str| {
        let mut client = from(&server, "198.51.102.1");
        client.begins_message("x@example.edu", &["bob@example.org"]);
        client.ends_message(by(author, "x"))
    };
    assert!(sends("ann@example.com").begins("550 5.7.26"));
    assert!(sends("ann@broken.example").begins("451 4.4.3"));
    assert_eq!(sends("ann@example.net").code, 250);
    wait_until("the message to be held", || {
        place
            .setup
            .json(&["queue", "list", "--state", "held"])
            .to_string()
            .contains("DMARC of example.net fails")
    });
    // A client of this machine is no stranger, and never checked.
    let mut near = from(&server, "127.0.0.1");
    assert_eq!(near.sends("x@example.edu", &["bob@example.org"], by("ann@example.com", "near")).code, 250);
}

#[test]
fn what_users_send_is_signed_by_every_key_and_verifies() {
    let place = Place::new().with_key("r", "rsa").with_key("e", "ed25519");
    let hop = NextHop::start();
    let place = Place {
        setup: place.setup.set("relay", "networks = [\"192.0.2.0/24\"]").smarthost(hop.address),
        dns: place.dns,
    };
    place.setup.write();
    let checked = place.setup.command(&["dkim", "check"]);
    assert_eq!(
        (checked.code, checked.out.matches("publishes our key").count()),
        (0, 2),
        "{}{}",
        checked.out,
        checked.err
    );
    let server = place.setup.start();
    let reply = from(&server, "192.0.2.7").sends(
        "ann@example.org",
        &["far@example.net"],
        by("ann@example.org", "signed"),
    );
    assert_eq!(reply.code, 250);
    let sent = hop.wait(1)[0].content.clone();
    assert!(sent.contains("s=r;") && sent.contains("s=e;"), "{sent}");
    // It comes back from a stranger, and holds.
    let back = from(&server, "198.51.102.1").sends("x@example.edu", &["bob@example.org"], &sent);
    assert_eq!(back.code, 250);
    let got = place.setup.mailbox("bob").with("Subject: signed");
    assert_eq!(got.matches("dkim=pass").count(), 2, "{got}");
    // What strangers send is not ours to sign.
    let stranger =
        from(&server, "198.51.102.1").sends("x@example.edu", &["bob@example.org"], message("stranger"));
    assert_eq!(stranger.code, 250);
    assert!(!place.setup.mailbox("bob").with("Subject: stranger").contains("DKIM-Signature"));
}

#[test]
fn what_is_handed_on_is_sealed_with_what_was_found() {
    let hop = NextHop::start();
    let place = Place::new().with_key("s", "ed25519").set("sender-auth", "seal-domain = \"example.org\"");
    let setup = place.setup.smarthost(hop.address).block(
        "[[domain]]\nname = \"lists.example.org\"\ndeliver = { maildir = \"lists/{local}\" }\naliases = { all = [\"far@example.net\"] }",
    );
    place.dns.txt("example.com", "v=spf1 ip4:203.0.114.9 -all");
    let server = setup.start();
    let reply = from(&server, "203.0.114.9").sends(
        "ann@example.com",
        &["all@lists.example.org"],
        by("ann@example.com", "listed"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text);
    let sent = hop.wait(1)[0].content.clone();
    for part in [
        "ARC-Seal: i=1;",
        "cv=none",
        "ARC-Message-Signature: i=1;",
        "ARC-Authentication-Results: i=1; mx.example.org;",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert_eq!(from(&server, "198.51.102.1").sends("x@example.edu", &["bob@example.org"], &sent).code, 250);
    assert!(setup.mailbox("bob").with("Subject: listed").contains("arc=pass (sealed by example.org)"));
}

#[test]
fn a_domain_is_looked_at_as_the_world_sees_it() {
    let place = Place::new().with_key("s", "ed25519");
    place.dns.mx("example.org", 10, "mx.example.org");
    place.dns.txt("example.org", "v=spf1 +all");
    place.dns.txt("_dmarc.example.org", "v=DMARC1; p=none");
    place.setup.write();
    let found = place.setup.command(&["domain", "check", "example.org"]);
    assert_eq!(found.code, 1, "{}", found.out);
    for part in [
        "mail goes to mx.example.org",
        "mx.example.org has no address",
        "lets the whole world send",
        "s._domainkey.example.org publishes our key",
    ] {
        assert!(found.out.contains(part), "{part} in {}", found.out);
    }
    let json = place.setup.command(&["domain", "check", "example.org", "--json"]);
    let remarks: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(remarks[0]["topic"], "MX");
    assert_eq!(place.setup.command(&["domain", "check", "not a domain"]).code, 1);
}
