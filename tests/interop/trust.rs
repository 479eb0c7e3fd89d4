//! Postfix behind a zone that BIND serves and signs, and policies that OpenSSL serves: DANE and MTA-STS as a domain would have them.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::named::Named;
use super::postfix::Postfix;
use crate::harness::{NextHop, Server, Setup, message, wait_until};

/// An authority, and the files that it writes.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, as files and in DER.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    der: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of the test's");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::Builder::new().prefix("trust-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("its mode");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("the certificate");
        Self { issuer, folder }
    }

    fn pair(&self, name: &str) -> Pair {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        let path = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let pair = Pair { certificate: path("pem"), key: path("key"), der: made.der().to_vec() };
        fs::write(&pair.certificate, made.pem()).expect("the certificate");
        fs::write(&pair.key, key.serialize_pem()).expect("the key");
        fs::set_permissions(&pair.key, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("its mode");
        pair
    }
}

impl Pair {
    fn postfix(&self, hop: &NextHop) -> Postfix {
        let extra = format!(
            "smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = may\n",
            self.certificate.display(),
            self.key.display()
        );
        Postfix::relaying_at("127.0.0.2", hop.address, &extra)
    }

    /// A TLSA record of DANE-EE that holds the certificate whole.
    fn tlsa(&self, port: u16) -> String {
        let data = self.der.iter().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        });
        format!("_{port}._tcp.mx.elsewhere.example. TLSA 3 0 0 {data}\n")
    }
}

const MAIL: &str = "elsewhere.example. MX 10 mx.elsewhere.example.\nmx.elsewhere.example. A 127.0.0.2\n";

fn asking(named: &Named, postfix: &Postfix) -> Setup {
    Setup::new()
        .relays()
        .set("dns", &format!("servers = [\"{}\"]", named.address))
        .set("dns", "dnssec = true")
        .set("dns", &format!("trust-anchor-file = {:?}", named.anchor()))
        .set("outbound", &format!("mx-port = {}", postfix.address().port()))
}

/// The message to carl went over TLS to the host that was to be believed.
fn passes_verified(server: &Server, hop: &NextHop) {
    let line = server.logs(&["delivered", "carl@elsewhere.example"]);
    assert!(line.contains("TLSv1.3") && line.contains("verified"), "{line}");
    hop.wait(1);
}

/// The message to carl waits for this reason, and only the one before it has arrived.
fn waits(setup: &Setup, server: &Server, hop: &NextHop, reason: &str) {
    let line = server.logs(&["deferred", "carl@elsewhere.example"]);
    assert!(line.contains("4.7.5") && line.contains(reason), "{line}");
    let list = setup.json(&["queue", "list"]).to_string();
    assert!(list.contains(reason), "{list}");
    assert_eq!(hop.received().len(), 1);
}

#[test]
#[ignore = "needs BIND and Postfix: make interop"]
fn a_postfix_whose_certificate_is_in_its_tlsa_record_gets_mail_and_another_one_does_not() {
    // Nobody vouches for either certificate but the record.
    let (hop, authority) = (NextHop::start(), Authority::new());
    let (good, other) = (authority.pair("some.name.example"), authority.pair("mx.elsewhere.example"));
    for (shown, is_good) in [(&good, true), (&other, false)] {
        let postfix = shown.postfix(&hop);
        let named = Named::serving(&format!("{MAIL}{}", good.tlsa(postfix.address().port())));
        let setup = asking(&named, &postfix);
        let server = setup.start();
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("dane"));
        if is_good {
            passes_verified(&server, &hop);
        } else {
            waits(&setup, &server, &hop, "TLSA records (DANE)");
        }
    }
}

/// An HTTPS server, which is OpenSSL's; it ends with this value.
struct PolicyHost {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl PolicyHost {
    fn start(pair: &Pair, policy: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(".well-known")).expect("a folder");
        fs::write(folder.path().join(".well-known/mta-sts.txt"), policy).expect("the policy");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}"), "-cert"]);
        command.arg(&pair.certificate).arg("-key").arg(&pair.key).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let host = Self { child: command.spawn().expect("openssl"), port, _folder: folder };
        wait_until("the policy host", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        host
    }
}

impl Drop for PolicyHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs BIND, OpenSSL and Postfix: make interop"]
fn a_policy_that_is_enforced_lets_mail_to_a_postfix_that_proves_its_name_alone() {
    let (hop, authority) = (NextHop::start(), Authority::new());
    let host = PolicyHost::start(
        &authority.pair("mta-sts.elsewhere.example"),
        "version: STSv1\nmode: enforce\nmx: mx.elsewhere.example\nmax_age: 86400\n",
    );
    let records = format!(
        "{MAIL}mta-sts.elsewhere.example. A 127.0.0.1\n_mta-sts.elsewhere.example. TXT \"v=STSv1; id=1;\"\n"
    );
    let named = Named::serving(&records);
    for (name, is_good) in [("mx.elsewhere.example", true), ("other.example", false)] {
        let postfix = authority.pair(name).postfix(&hop);
        let setup = asking(&named, &postfix)
            .set("outbound", &format!("ca-file = {:?}", authority.folder.path().join("ca.pem")))
            .set("outbound", &format!("mta-sts-port = {}", host.port));
        let server = setup.start();
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("sts"));
        if is_good {
            passes_verified(&server, &hop);
        } else {
            waits(&setup, &server, &hop, "MTA-STS policy");
        }
    }
}
