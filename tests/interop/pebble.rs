//! A certificate from an authority: Pebble, which is Let's Encrypt's own for tests, with a DNS server that knows every name.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::harness::{Server, Setup, run_with_input, wait_until};

/// One that runs, with its DNS server; dropping it ends both.
struct Pebble {
    folder: TempDir,
    directory: SocketAddr,
    /// Where it asks over HTTP.
    http: SocketAddr,
    children: Vec<Child>,
}

impl Pebble {
    /// Asks over HTTP at this address.
    fn asking_at(http: SocketAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("pebble-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let (directory, management, dns) = (free(0..1), free(0..1), free(0..1));
        let mut pebble = Self { folder, directory, http, children: Vec::new() };
        pebble.certify();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": directory.to_string(), "managementListenAddress": management.to_string(),
            "certificate": pebble.path("pebble.pem"), "privateKey": pebble.path("pebble.key"),
            "httpPort": http.port(), "tlsPort": 5001, "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        fs::write(pebble.path("config.json"), config.to_string()).expect("its configuration");
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &dns.to_string()]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", ""]);
        pebble.spawn(names);
        let mut authority = Command::new("pebble");
        authority.arg("-config").arg(pebble.path("config.json")).args(["-dnsserver", &dns.to_string()]);
        authority.env("PEBBLE_VA_NOSLEEP", "1");
        pebble.spawn(authority);
        for (name, address) in [("its DNS server", dns), ("Pebble", directory)] {
            wait_until(&format!("{name} to listen"), || TcpStream::connect(address).is_ok());
        }
        pebble
    }

    fn spawn(&mut self, mut command: Command) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `tests/setup interop` installs it"));
        self.children.push(child);
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// A root that vouches for its own HTTPS.
    fn certify(&self) {
        let root_key = KeyPair::generate().expect("a key");
        let mut root = CertificateParams::new(Vec::new()).expect("a root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = root.self_signed(&root_key).expect("a root");
        let key = KeyPair::generate().expect("a key");
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let own = own.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate");
        fs::write(self.path("root.pem"), certificate.pem()).expect("the root");
        fs::write(self.path("pebble.pem"), own.pem()).expect("the certificate");
        fs::write(self.path("pebble.key"), key.serialize_pem()).expect("the key");
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().expect("its end");
            child.wait().expect("its end");
        }
    }
}

fn free(ports: std::ops::Range<u16>) -> SocketAddr {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|bound| bound.local_addr());
    ports.into_iter().find_map(|port| bind(port).ok()).expect("a free port")
}

/// What a client is shown under TLS, as openssl prints it.
fn shown(server: &Server) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &server.address().to_string(), "-starttls", "smtp"]);
    openssl.args(["-servername", "mx.example.org", "-showcerts"]);
    run_with_input(&mut openssl, b"QUIT\r\n").out
}

#[test]
#[ignore = "needs Pebble: make interop"]
fn a_certificate_is_got_used_and_kept_without_root() {
    // At a port that only root may bind, where root runs the tests.
    let is_root = rustix::process::geteuid().is_root();
    let pebble = Pebble::asking_at(free(if is_root { 600..1024 } else { 0..1 }));
    let mut setup = Setup::new()
        .set("[listener]", "tls = \"starttls\"")
        .set("acme", &format!("directory-url = \"https://{}/dir\"", pebble.directory))
        .set("acme", "accept-terms = true")
        .set("acme", "names = [\"mx.example.org\", \"mail.example.org\"]")
        .set("acme", "contact = [\"postmaster@example.org\"]")
        .set("acme", &format!("http-bind = \"{}\"", pebble.http))
        .set("acme", &format!("ca-file = {:?}", pebble.path("root.pem")));
    if is_root {
        setup = setup.set("process", "user = \"nobody\"");
        fs::set_permissions(setup.path(""), fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let checked = setup.checked();
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    let server = setup.start();
    server.logs(&["a new certificate counts from now on"]);
    let first = shown(&server);
    assert!(first.contains("Pebble Intermediate CA"), "{first}");
    assert!(TcpStream::connect(pebble.http).is_err(), "nobody is asked any more");
    let key = fs::metadata(setup.path("data/acme/certificate.pem")).expect("the certificate");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    server.stops();
    // The next start has it already, and asks nobody.
    let directory = pebble.directory;
    drop(pebble);
    assert!(TcpStream::connect(directory).is_err());
    let server = setup.start();
    assert_eq!(
        shown(&server).matches("BEGIN CERTIFICATE").count(),
        first.matches("BEGIN CERTIFICATE").count()
    );
    assert!(server.logged(&["asking for a certificate"]).is_empty(), "{}", server.log());
}

#[test]
#[ignore = "needs Pebble: make interop"]
fn an_authority_that_cannot_reach_us_leaves_the_server_with_a_certificate_of_its_own() {
    let pebble = Pebble::asking_at(free(0..1));
    let setup = Setup::new()
        .set("[listener]", "tls = \"starttls\"")
        .set("acme", &format!("directory-url = \"https://{}/dir\"", pebble.directory))
        .set("acme", "accept-terms = true")
        .set("acme", &format!("http-bind = \"{}\"", free(0..1)))
        .set("acme", &format!("ca-file = {:?}", pebble.path("root.pem")));
    let server = setup.start();
    let why = server.logs(&["no certificate", "the authority is not content"]);
    assert!(why.contains("connection refused") && why.contains("again_in_s=300"), "{why}");
    assert!(!why.contains("read udp"), "its DNS server knows the name: {why}");
    assert!(shown(&server).contains("BEGIN CERTIFICATE"));
    server.client().sends("ann@example.com", &["alice@example.org"], crate::harness::message("meanwhile"));
    setup.mailbox("alice").one();
}
