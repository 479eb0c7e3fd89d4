//! What clients are shown, and what a handshake says.

use rcgen::SanType;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::authority::{Authority, first_der};
use super::peers::{client, client_of, handshake};
use crate::{Acceptor, MinVersion, Options};

#[test]
fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let authority = Authority::new();
    let files = [
        authority.files("first", &["mx.example.org", "*.mail.example.org", "localhost"]),
        authority.files("second", &["mx.example.net", "in.mail.example.org"]),
        authority.files("third", &["mx.example.net", "*.example.net"]),
    ];
    let acceptor = Acceptor::open(authority.options(&files)).unwrap();
    let client = client(&authority, None);
    let shown = |name: &str| {
        let (client, _) = handshake(&client, acceptor.config(), name)?;
        Ok::<_, rustls::Error>(client.peer_certificates().unwrap()[0].clone())
    };
    for (name, nth) in [
        ("mx.example.org", 0),
        ("MX.Example.ORG", 0),
        ("a.mail.example.org", 0),
        ("in.mail.example.org", 1),
        ("mx.example.net", 1),
        ("other.example.net", 2),
    ] {
        assert_eq!(shown(name).unwrap(), first_der(&files[nth].certificate), "{name}");
    }
    // The first one is shown to those who ask for what nobody is, and they do not take it.
    for name in ["a.b.mail.example.org", "mail.example.org", "example.com"] {
        assert!(shown(name).is_err(), "{name}");
        let default = Sha256::digest(first_der(&files[0].certificate)).to_vec();
        assert_eq!(acceptor.current().end_point(Some(name)), Some(default), "{name}");
    }
}

#[test]
fn an_address_instead_of_a_name_is_shown_the_first_certificate() {
    let authority = Authority::new();
    let files = [authority.files("first", &["127.0.0.1"]), authority.files("second", &["mx.example.net"])];
    let acceptor = Acceptor::open(authority.options(&files)).unwrap();
    let (_, server) = handshake(&client(&authority, None), acceptor.config(), "127.0.0.1").unwrap();
    assert_eq!(acceptor.current().facts(&server).server_name, None);
}

#[test]
fn the_facts_say_what_was_agreed() {
    let authority = Authority::new();
    let files = authority.files("mx", &["mx.example.org"]);
    let acceptor = Acceptor::open(authority.options(std::slice::from_ref(&files))).unwrap();
    let generation = acceptor.current();
    let (_, server) = handshake(&client(&authority, None), generation.config(), "mx.example.org").unwrap();
    let facts = generation.facts(&server);
    assert_eq!((facts.version, facts.server_name.as_deref()), ("TLSv1.3", Some("mx.example.org")));
    assert!(facts.cipher.starts_with("TLS_AES_"), "{}", facts.cipher);
    assert_eq!(facts.client_identities, [""; 0]);
    let own = Sha256::digest(first_der(&files.certificate)).to_vec();
    assert_eq!(facts.server_end_point, Some(own));

    let old = client_of(&authority, None, &[&TLS12]);
    let (_, server) = handshake(&old, generation.config(), "mx.example.org").unwrap();
    let facts = generation.facts(&server);
    assert_eq!((facts.version, facts.exporter), ("TLSv1.2", None));
    assert!(facts.cipher.starts_with("TLS_ECDHE_ECDSA_"), "{}", facts.cipher);
}

#[test]
fn the_exporter_is_the_same_on_both_sides() {
    let authority = Authority::new();
    let acceptor = Acceptor::open(authority.options(&[authority.files("mx", &["mx.example.org"])])).unwrap();
    let (client, server) = handshake(&client(&authority, None), acceptor.config(), "mx.example.org").unwrap();
    let there = client.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).unwrap();
    assert_eq!(acceptor.current().facts(&server).exporter, Some(there.to_vec()));
}

#[test]
fn a_client_that_is_too_old_is_refused() {
    let authority = Authority::new();
    let options = Options {
        min_version: MinVersion::Tls13,
        ..authority.options(&[authority.files("mx", &["mx.example.org"])])
    };
    let acceptor = Acceptor::open(options).unwrap();
    let named = |client| handshake(&client, acceptor.config(), "mx.example.org");
    assert!(named(client_of(&authority, None, &[&TLS12])).is_err());
    assert!(named(client_of(&authority, None, &[&TLS13])).is_ok());
}

#[test]
fn a_client_has_the_names_that_an_authority_vouches_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let options = Options {
        client_ca: Some(authority.root_file()),
        ..authority.options(&[authority.files("mx", &["mx.example.org"])])
    };
    let acceptor = Acceptor::open(options).unwrap();
    let generation = acceptor.current();
    let both = vec![
        SanType::DnsName("relay.example.org".try_into().unwrap()),
        SanType::Rfc822Name("ann@example.org".try_into().unwrap()),
    ];
    for (identity, names) in [
        (Some(authority.client("ignored", both.clone())), vec!["ann@example.org", "relay.example.org"]),
        (Some(authority.client("relay", Vec::new())), vec!["relay"]),
        // One that shows what it has is no less welcome for it.
        (Some(stranger.client("relay", both)), vec![]),
        (None, vec![]),
    ] {
        for version in [&TLS12, &TLS13] {
            let identity = identity.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
            let client = client_of(&authority, identity, &[version]);
            for _ in 0..2 {
                let (_, server) = handshake(&client, generation.config(), "mx.example.org").unwrap();
                assert_eq!(generation.facts(&server).client_identities, names);
            }
        }
    }
}

#[test]
fn sessions_resume_after_a_reload() {
    let authority = Authority::new();
    let files = authority.files("mx", &["mx.example.org"]);
    for version in [&TLS12, &TLS13] {
        let acceptor = Acceptor::open(authority.options(std::slice::from_ref(&files))).unwrap();
        let client = client_of(&authority, None, &[version]);
        let kind = || {
            let (_, server) = handshake(&client, acceptor.config(), "mx.example.org").unwrap();
            server.handshake_kind().unwrap()
        };
        assert_eq!(kind(), HandshakeKind::Full);
        acceptor.reload().unwrap();
        assert_eq!(kind(), HandshakeKind::Resumed);
        authority.files("mx", &["mx.example.org"]);
        acceptor.replace(authority.options(std::slice::from_ref(&files))).unwrap();
        assert_eq!(kind(), HandshakeKind::Resumed);
    }
}

#[test]
fn a_reload_leaves_what_runs_alone() {
    let authority = Authority::new();
    let files = authority.files("mx", &["mx.example.org"]);
    let old = first_der(&files.certificate);
    let acceptor = Acceptor::open(authority.options(std::slice::from_ref(&files))).unwrap();
    let before = acceptor.current();
    authority.files("mx", &["mx.example.org"]);
    acceptor.reload().unwrap();
    let shown = |config| {
        let (client, _) = handshake(&client(&authority, None), config, "mx.example.org").unwrap();
        client.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown(before.config()), old);
    assert_eq!(shown(acceptor.config()), first_der(&files.certificate));
    assert_ne!(first_der(&files.certificate), old);
    let (_, server) = handshake(&client(&authority, None), before.config(), "mx.example.org").unwrap();
    assert_eq!(before.facts(&server).server_end_point, Some(Sha256::digest(old).to_vec()));
}

#[test]
fn handshakes_go_on_while_certificates_are_replaced() {
    let authority = Authority::new();
    let files = [authority.files("a", &["mx.example.org"]), authority.files("b", &["mx.example.org"])];
    let acceptor = Acceptor::open(authority.options(&files[..1])).unwrap();
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            for nth in 0..50 {
                acceptor.replace(authority.options(&files[nth % 2..=nth % 2])).unwrap();
            }
        });
        let client = client(&authority, None);
        while !swapping.is_finished() {
            handshake(&client, acceptor.config(), "mx.example.org").unwrap();
        }
    });
}
