//! Mail servers that we hand mail to: with TLS that is verified, with TLS that does not work, in chunks, in bulk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::exim::Exim;
use super::opensmtpd::OpenSmtpd;
use super::postfix::Postfix;
use crate::harness::{NextHop, Received, Server, Setup, message, wait_until};

/// A certificate for 127.0.0.1, and its key: for a server that we hand mail to.
pub(super) struct Pair {
    _folder: TempDir,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pair-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, made.cert.pem()).expect("the certificate");
        fs::write(&key, made.signing_key.serialize_pem()).expect("the key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
        Self { _folder: folder, certificate, key }
    }

    /// Mail goes under TLS with this certificate or not at all.
    fn verified_by(&self, setup: Setup) -> Setup {
        setup
            .set("outbound", "tls = \"verified\"")
            .set("outbound", &format!("ca-file = {:?}", self.certificate))
    }
}

/// Sends a message that has what is easily broken, to two recipients; what the last host got of it.
fn relayed(server: &Server, hop: &NextHop) -> Received {
    let body =
        "..two dots\r\n.one dot\r\nGrüße\r\n\r\n".to_owned() + &"a longer line of text\r\n".repeat(20_000);
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org> BODY=8BITMIME RET=HDRS ENVID=order-17", "250");
    client.asks("RCPT TO:<carl@elsewhere.example> NOTIFY=FAILURE ORCPT=rfc822;carl@elsewhere.example", "250");
    // OpenSMTPD takes the NOTIFY of one recipient for that of the next as well: no NEVER behind FAILURE.
    client.asks("RCPT TO:<dora@elsewhere.example> NOTIFY=FAILURE,DELAY", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message(format!("Subject: through both\r\n\r\n{body}")).code, 250);
    wait_until("both to have it", || hop.received().iter().map(|one| one.to.len()).sum::<usize>() == 2);
    let received = hop.received().remove(0);
    assert!(received.content.ends_with(&format!("\r\n\r\n{body}")), "{} octets", received.content.len());
    received
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn postfix_is_handed_mail_under_tls_that_is_verified() {
    let (hop, pair) = (NextHop::start(), Pair::new());
    let postfix = Postfix::relaying_with(
        hop.address,
        &format!(
            "smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = encrypt\n",
            pair.certificate.display(),
            pair.key.display()
        ),
    );
    let server = pair.verified_by(Setup::new().relays().smarthost(postfix.address())).start();
    relayed(&server, &hop);
    let line = server.logs(&["delivered", "carl@elsewhere.example"]);
    assert!(line.contains("TLS1.3") || line.contains("TLSv1.3"), "{line}");
}

#[test]
#[ignore = "needs Postfix: make interop"]
fn a_postfix_with_another_certificate_is_not_handed_mail_and_its_queue_says_why() {
    let (hop, pair, other) = (NextHop::start(), Pair::new(), Pair::new());
    let postfix = Postfix::relaying_with(
        hop.address,
        &format!(
            "smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = may\n",
            other.certificate.display(),
            other.key.display()
        ),
    );
    let setup = pair.verified_by(Setup::new().relays().smarthost(postfix.address()));
    let server = setup.start();
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("not in the clear"));
    let line = server.logs(&["deferred", "carl@elsewhere.example"]);
    assert!(line.contains("4.7.5"), "{line}");
    assert!(setup.json(&["queue", "list"]).to_string().contains("4.7.5"));
    assert!(hop.received().is_empty());
}

#[test]
#[ignore = "needs Exim: make interop"]
fn exim_is_handed_mail_under_tls_that_is_verified() {
    let (hop, pair) = (NextHop::start(), Pair::new());
    let exim = Exim::relaying_to(hop.address, "").under_tls(&pair).listening();
    let server = pair.verified_by(Setup::new().relays().smarthost(exim.address())).start();
    relayed(&server, &hop);
    let log = exim.log();
    let arrived = log.lines().find(|line| line.contains(" <= ")).expect("its line");
    assert!(arrived.contains("X=TLS1.3"), "{log}");
}

#[test]
#[ignore = "needs OpenSMTPD: make interop"]
fn opensmtpd_is_handed_mail_with_many_recipients() {
    let (hop, pair) = (NextHop::start(), Pair::new());
    let opensmtpd = OpenSmtpd::relaying_to(hop.address, &pair, false);
    let server = Setup::new().relays().smarthost(opensmtpd.address()).start();
    relayed(&server, &hop);
}

#[test]
#[ignore = "needs OpenSMTPD: make interop"]
fn an_opensmtpd_whose_tls_fails_is_handed_mail_in_the_clear_unless_that_is_forbidden() {
    // As Debian 12 builds it, OpenSMTPD offers STARTTLS and cannot carry it out.
    let (hop, pair) = (NextHop::start(), Pair::new());
    let opensmtpd = OpenSmtpd::relaying_to(hop.address, &pair, true);
    let setup = Setup::new().relays().smarthost(opensmtpd.address()).set("outbound", "tls = \"required\"");
    let strict = setup.start();
    strict.client().sends("alice@example.org", &["carl@elsewhere.example"], message("not in the clear"));
    strict.logs(&["deferred", "carl@elsewhere.example", "4.7."]);
    assert!(hop.received().is_empty());
    strict.stops();
    let server = Setup::new().relays().smarthost(opensmtpd.address()).start();
    relayed(&server, &hop);
}
