//! Validation against BIND with a signed root of its own: secure, unsigned, expired, denied by NSEC and by NSEC3.
//!
//! Needs `named` and the tools that sign zones (Debian: bind9, bind9-utils, bind9-dnsutils), which `tests/setup interop` brings:
//! `cargo test -p dns --test signed_zones -- --ignored`.
#![expect(clippy::unwrap_used, reason = "a test server that cannot serve is a failed test")]

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dns::{DnsError, Hickory, Mx, Options, Resolver, Tlsa};

/// A name server that lives as long as this value.
struct Named {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &Path, command: &str, arguments: &[&str]) -> String {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(command).args(arguments).current_dir(dir).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How a zone is signed.
enum Signing {
    None,
    Nsec,
    Nsec3,
    /// With signatures that have run out.
    Expired,
}

/// Writes and signs a zone. Gives back its DS records, for the zone above.
fn zone(dir: &Path, origin: &str, records: &str, signing: &Signing) -> String {
    let file = if origin == "." { "root".to_owned() } else { origin.trim_end_matches('.').to_owned() };
    let mut text =
        format!("$TTL 300\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 300\n@ NS ns.test.\n{records}");
    if matches!(signing, Signing::None) {
        fs::write(dir.join(format!("{file}.signed")), text).unwrap();
        return String::new();
    }
    for flags in [&["-f", "KSK"][..], &[]] {
        let key = run(dir, "dnssec-keygen", &[&["-q", "-a", "ECDSAP256SHA256"], flags, &[origin]].concat());
        writeln!(text, "$INCLUDE {key}.key").unwrap();
    }
    fs::write(dir.join(&file), text).unwrap();
    let signed = format!("{file}.signed");
    let mut arguments = vec!["-o", origin, "-f", &signed];
    match signing {
        Signing::Nsec3 => arguments.extend(["-3", "-", "-H", "0"]),
        Signing::Expired => arguments.extend(["-P", "-s", "20200101000000", "-e", "20200201000000"]),
        _ => {}
    }
    arguments.push(&file);
    run(dir, "dnssec-signzone", &arguments);
    let set = if origin == "." { "dsset-.".to_owned() } else { format!("dsset-{origin}") };
    fs::read_to_string(dir.join(set)).unwrap()
}

const MAIL: &str = "@ MX 10 mx\nmx A 192.0.2.1\nmx AAAA 2001:db8::1\nalias CNAME mx\nout CNAME mx.unsigned.test.\n\
    _25._tcp.mx TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n*.wild A 192.0.2.9\n\
    *._tcp.wild TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

fn write_zones(dir: &Path) -> PathBuf {
    let mut root = "ns.test. A 127.0.0.1\n".to_owned();
    for (name, signing) in [
        ("signed", Signing::Nsec),
        ("hashed", Signing::Nsec3),
        ("unsigned", Signing::None),
        ("expired", Signing::Expired),
    ] {
        let origin = format!("{name}.test.");
        writeln!(root, "{origin} NS ns.test.\n{}", zone(dir, &origin, MAIL, &signing)).unwrap();
    }
    zone(dir, ".", &root, &Signing::Nsec);
    let mut anchor = String::new();
    for key in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let is_root = key.file_name().unwrap().to_string_lossy().starts_with("K.+");
        if is_root && key.extension().is_some_and(|ext| ext == "key") {
            let text = fs::read_to_string(&key).unwrap();
            for line in text.lines().filter(|line| line.contains("DNSKEY 257")) {
                writeln!(anchor, "{line}").unwrap();
            }
        }
    }
    let path = dir.join("anchor");
    fs::write(&path, anchor).unwrap();
    path
}

fn start() -> Named {
    let dir = tempfile::tempdir().unwrap();
    write_zones(dir.path());
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = dir.path().display();
    let mut config = format!(
        "options {{ directory \"{path}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; dnssec-validation no; minimal-responses yes; }};\ncontrols {{ }};\n"
    );
    for zone in ["root", "signed.test", "hashed.test", "unsigned.test", "expired.test"] {
        let origin = if zone == "root" { "." } else { zone };
        writeln!(config, "zone \"{origin}\" {{ type primary; file \"{zone}.signed\"; }};").unwrap();
    }
    fs::write(dir.path().join("named.conf"), config).unwrap();
    let child = Command::new("/usr/sbin/named")
        .args(["-f", "-c", "named.conf"])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Named { child, address: SocketAddr::new([127, 0, 0, 1].into(), port), dir }
}

async fn named() -> Named {
    let server = start();
    let plain = server.resolver(Some(false), None);
    // Until it answers.
    for _ in 0..200 {
        if plain.mx("signed.test").await.is_ok() {
            return server;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("named does not answer");
}

impl Named {
    fn resolver(&self, dnssec: Option<bool>, anchor: Option<PathBuf>) -> Hickory {
        let options = Options {
            servers: vec![self.address],
            timeout: Duration::from_secs(3),
            dnssec,
            trust_anchor_file: anchor,
            ..Options::default()
        };
        Hickory::new(&options).unwrap()
    }

    fn anchor(&self) -> Option<PathBuf> {
        Some(self.dir.path().join("anchor"))
    }
}

#[tokio::test]
#[ignore = "needs BIND"]
async fn answers_say_whether_they_are_proven() {
    let server = named().await;
    let resolver = server.resolver(None, server.anchor());
    for zone in ["signed.test", "hashed.test"] {
        let mx = resolver.mx_proven(zone).await;
        assert_eq!(mx.answer, Ok(vec![Mx { preference: 10, exchange: format!("mx.{zone}") }]), "{zone}");
        assert!(mx.is_secure, "{zone}");
        let host = format!("mx.{zone}");
        let addresses = resolver.addresses_proven(&host).await;
        assert_eq!((addresses.answer.unwrap().len(), addresses.is_secure), (2, true), "{zone}");
        let found = resolver.tlsa(&dns::tlsa_name(25, &host)).await;
        let records = found.answer.unwrap();
        assert!(
            found.is_secure
                && matches!(records.as_slice(), [Tlsa { usage: 3, selector: 1, matching: 1, data }] if data.len() == 32)
        );

        let none = resolver.tlsa(&dns::tlsa_name(26, &host)).await;
        assert_eq!((none.answer, none.is_secure), (Err(DnsError::NxDomain), true), "{zone}");
        let none = resolver.mx_proven(&host).await;
        assert_eq!((none.answer, none.is_secure), (Err(DnsError::NoData), true), "{zone}");

        let alias = resolver.addresses_proven(&format!("alias.{zone}")).await;
        assert_eq!((alias.name, alias.is_secure), (host, true), "{zone}");
        let out = resolver.addresses_proven(&format!("out.{zone}")).await;
        assert_eq!(
            (out.name.as_str(), out.is_secure, out.is_alias_secure),
            ("mx.unsigned.test", false, true),
            "{zone}"
        );
        let wild = resolver.addresses_proven(&format!("any.wild.{zone}")).await;
        assert_eq!(wild.answer, Ok(vec![IpAddr::from([192, 0, 2, 9])]), "{zone}");
        let wild = resolver.tlsa(&format!("_25._tcp.wild.{zone}")).await;
        assert_eq!((wild.answer.unwrap().len(), wild.is_secure), (1, true), "{zone}");
    }
}

#[tokio::test]
#[ignore = "needs BIND"]
async fn an_unsigned_zone_is_believed_but_not_proven() {
    let server = named().await;
    let resolver = server.resolver(Some(true), server.anchor());
    let mx = resolver.mx_proven("unsigned.test").await;
    assert_eq!((mx.answer.unwrap().len(), mx.is_secure), (1, false));
    let addresses = resolver.addresses_proven("mx.unsigned.test").await;
    assert_eq!((addresses.answer.unwrap().len(), addresses.is_secure), (2, false));
    let none = resolver.tlsa("_26._tcp.mx.unsigned.test").await;
    assert_eq!((none.answer, none.is_secure), (Err(DnsError::NxDomain), false));
}

#[tokio::test]
#[ignore = "needs BIND"]
async fn what_does_not_validate_is_a_failure_that_may_pass_and_only_for_those_who_want_proof() {
    let server = named().await;
    let resolver = server.resolver(None, server.anchor());
    assert_eq!(resolver.mx_proven("expired.test").await.answer, Err(DnsError::Bogus));
    assert_eq!(resolver.addresses_proven("mx.expired.test").await.answer, Err(DnsError::Bogus));
    let host = resolver.tlsa("_25._tcp.mx.expired.test").await.answer;
    assert!(host.is_err_and(|error| error == DnsError::Bogus && error.is_temporary()));
    assert_eq!(resolver.tlsa("_26._tcp.mx.expired.test").await.answer, Err(DnsError::Bogus), "a denial, too");
    assert_eq!(
        resolver.mx("expired.test").await.unwrap().len(),
        1,
        "the plain question does not ask for proof"
    );
}

#[tokio::test]
#[ignore = "needs BIND"]
async fn servers_whose_root_does_not_validate_are_used_without_proof_unless_it_is_demanded() {
    let server = named().await;
    // The root's own keys, which this root is not signed with: what a forwarder looks like that strips signatures.
    let resolver = server.resolver(None, None);
    let mx = resolver.mx_proven("signed.test").await;
    assert_eq!((mx.answer.unwrap().len(), mx.is_secure), (1, false));
    assert_eq!(resolver.tlsa("_25._tcp.mx.signed.test").await.answer, Err(DnsError::NoData));
    let strict = server.resolver(Some(true), None);
    assert_eq!(strict.mx_proven("signed.test").await.answer, Err(DnsError::Bogus));
    let off = server.resolver(Some(false), server.anchor());
    assert!(!off.mx_proven("signed.test").await.is_secure);
}
