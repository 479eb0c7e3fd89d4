//! What is said of files, and when they are read.

use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, PKCS_ED25519, date_time_ymd};

use super::authority::{Authority, first_der};
use super::peers::{client, handshake};
use crate::{Acceptor, CertificateFiles, Options, check, summary};

/// What is said of a certificate and a key of these texts, without the folder's name.
fn said_of(authority: &Authority, certificate: &str, key: &str) -> String {
    let files = CertificateFiles {
        certificate: authority.write("some.pem", certificate),
        key: authority.write("some.key", key),
        stand_in: Vec::new(),
    };
    said(authority, &authority.options(&[files]))
}

fn said(authority: &Authority, options: &Options) -> String {
    let text = match check(options) {
        Ok(warnings) => {
            warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>().join("\n")
        }
        Err(faults) => faults.to_string(),
    };
    text.replace(&format!("{}/", authority.folder.path().display()), "")
}

#[test]
fn every_fault_names_the_file_and_what_is_wrong_with_it() {
    let authority = Authority::new();
    let (good, key) = authority.sign(CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap());
    let (key, (_, other)) = (key.serialize_pem(), authority.sign(CertificateParams::default()));
    let damaged = good.replacen("MII", "MIA", 1);
    let encrypted =
        key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE").replace("END PR", "END ENCRYPTED PR");
    for (certificate, key, expected) in [
        (good.as_str(), key.as_str(), ""),
        ("", &key, "some.pem: has no certificate (BEGIN CERTIFICATE)"),
        (&key, &key, "some.pem: has no certificate (BEGIN CERTIFICATE)"),
        (&damaged, &key, "some.pem: its certificate number 1 is damaged"),
        (&format!("{good}{damaged}"), &key, "some.pem: its certificate number 2 is damaged"),
        (&good[..good.len() / 2], &key, "some.pem: is not PEM: "),
        (&good, &good, "some.key: has no private key (BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)"),
        (&good, &encrypted, "some.key: its key has a passphrase; write it without one, as with openssl pkey"),
        (&good, &key.replacen('M', "A", 1), "some.key: its key cannot be used: "),
        (&good, &other.serialize_pem(), "some.key: is not the key of the first certificate in some.pem"),
        (&" ".repeat(2 << 20), &key, "some.pem: is larger than 1 MiB"),
    ] {
        let said = said_of(&authority, certificate, key);
        assert!(
            said == expected || !expected.is_empty() && said.starts_with(expected),
            "{said:?} not {expected:?}"
        );
    }
}

#[test]
fn all_faults_are_said_at_once() {
    let authority = Authority::new();
    let absent = |stem: &str| CertificateFiles {
        certificate: authority.path(&format!("{stem}.pem")),
        key: authority.path(&format!("{stem}.key")),
        stand_in: Vec::new(),
    };
    let options = Options {
        client_ca: Some(authority.path("ca.pem")),
        ..authority.options(&[absent("a"), authority.files("b", &["b.example"]), absent("c")])
    };
    let said = said(&authority, &options);
    let starts: Vec<_> = said.lines().filter_map(|line| line.split_once(": cannot be read: ")).collect();
    assert_eq!(starts.iter().map(|(file, _)| *file).collect::<Vec<_>>(), ["a.pem", "c.pem", "ca.pem"]);
}

#[test]
fn what_works_and_should_not_stay_is_warned_of() {
    let authority = Authority::new();
    let mut params = CertificateParams::default();
    params.not_after = date_time_ymd(2024, 2, 29);
    let (certificate, key) = authority.sign(params);
    let warned = said_of(&authority, &certificate, &key.serialize_pem());
    assert!(
        warned.starts_with("warning: some.pem: the certificate expired on 2024-02-29T00:00:00Z\n"),
        "{warned}"
    );
    assert!(warned.contains("some.pem: the certificate is for no domain name"), "{warned}");

    let files = authority.files("open", &["mx.example.org"]);
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = said(&authority, &authority.options(&[files]));
    assert_eq!(warned, "warning: open.key: any user of this machine can read the key (mode 0644)");
}

#[test]
fn keys_are_read_in_every_form() {
    let authority = Authority::new();
    let key = rcgen::KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let own = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
    assert_eq!(said_of(&authority, &own.pem(), &key.serialize_pem()), "");
    // ring makes no RSA keys, and rcgen writes PKCS#8 alone.
    for (nth, make) in [
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"].as_slice(),
        &["ecparam", "-name", "prime256v1", "-genkey"],
        &["genrsa", "-traditional", "2048"],
        &["genrsa", "2048"],
    ]
    .into_iter()
    .enumerate()
    {
        let key = authority.write(&format!("{nth}.key"), openssl(make));
        let request =
            ["req", "-x509", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:mx.example.org", "-key"];
        let certificate = openssl(&[&request[..], &[key.to_str().unwrap()]].concat());
        let key = std::fs::read_to_string(&key).unwrap();
        assert_eq!(said_of(&authority, &certificate, &key), "", "{make:?}");
    }
}

fn openssl(arguments: &[&str]) -> String {
    let made = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

#[test]
fn certificate_and_key_may_be_one_file() {
    let authority = Authority::new();
    let (certificate, key) =
        authority.sign(CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap());
    let both = format!("{}{certificate}", key.serialize_pem());
    assert_eq!(said_of(&authority, &both, &both), "");
    let summary = summary(&authority.path("some.pem")).unwrap();
    assert_eq!(summary.names, ["mx.example.org"]);
    assert!(summary.not_before < clock::wall() && summary.not_after > clock::wall());
}

#[test]
fn files_are_read_again_when_they_change_and_only_then() {
    let authority = Authority::new();
    let files = authority.files("mx", &["mx.example.org"]);
    let acceptor = Acceptor::open(authority.options(std::slice::from_ref(&files))).unwrap();
    assert!(!acceptor.reload_if_changed().unwrap());
    let good = first_der(&files.certificate);
    let shown = || {
        let (client, _) = handshake(&client(&authority, None), acceptor.config(), "mx.example.org").unwrap();
        client.peer_certificates().unwrap()[0].clone()
    };

    // A renewal that is half done: the new certificate is there, its key is not.
    let renewed = authority.files("new", &["mx.example.org"]);
    std::fs::rename(&renewed.certificate, &files.certificate).unwrap();
    assert!(acceptor.reload_if_changed().is_err());
    assert!(!acceptor.reload_if_changed().unwrap(), "said once");
    assert_eq!(shown(), good);

    std::fs::rename(&renewed.key, &files.key).unwrap();
    assert!(acceptor.reload_if_changed().unwrap());
    assert_eq!(shown(), first_der(&files.certificate));
    assert_ne!(shown(), good);

    std::fs::remove_file(&files.key).unwrap();
    assert!(acceptor.reload_if_changed().is_err());
    assert_eq!(shown(), first_der(&files.certificate));
}

#[test]
fn a_certificate_stands_in_until_the_files_are_there() {
    let authority = Authority::new();
    let mut files = authority.files("mx", &["mx.example.org"]);
    let certificate = std::fs::read(&files.certificate).unwrap();
    std::fs::remove_file(&files.certificate).unwrap();
    files.stand_in = vec!["mx.example.org".to_owned()];
    let acceptor = Acceptor::open(authority.options(std::slice::from_ref(&files))).unwrap();
    let named = || handshake(&client(&authority, None), acceptor.config(), "mx.example.org");
    assert!(named().is_err(), "nobody vouches for it");
    authority.write("mx.pem", certificate);
    assert!(acceptor.reload_if_changed().unwrap());
    named().unwrap();
}

#[test]
fn without_files_there_is_a_certificate_all_the_same() {
    let authority = Authority::new();
    let acceptor = Acceptor::open(Options::default()).unwrap();
    assert!(handshake(&client(&authority, None), acceptor.config(), "localhost").is_err());
    acceptor.replace(authority.options(&[authority.files("mx", &["localhost"])])).unwrap();
    handshake(&client(&authority, None), acceptor.config(), "localhost").unwrap();
}
