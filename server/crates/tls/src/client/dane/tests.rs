//! Chains of rcgen's, held against records.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;

use super::*;

/// A root, an authority below it, and a host's certificate.
struct Chain {
    root: CertificateDer<'static>,
    middle: CertificateDer<'static>,
    host: CertificateDer<'static>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn chain(host: &str, is_expired: bool) -> Chain {
    let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
    let middle =
        CertifiedIssuer::signed_by(authority("middle"), KeyPair::generate().unwrap(), &root).unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if is_expired {
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let host = params.signed_by(&KeyPair::generate().unwrap(), &middle).unwrap();
    Chain { root: root.der().clone(), middle: middle.der().clone(), host: host.der().clone() }
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &CertificateDer<'_>) -> Tlsa {
    let selected = match selector {
        0 => certificate.to_vec(),
        _ => ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info().to_vec(),
    };
    let data = match matching {
        0 => selected,
        1 => Sha256::digest(&selected).to_vec(),
        _ => Sha512::digest(&selected).to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

/// Verifies the chain as a host of this name shows it.
fn judge(
    chain: &Chain,
    shown: &[&CertificateDer<'static>],
    name: &str,
    records: Vec<Tlsa>,
) -> Result<(), Error> {
    let others: Vec<CertificateDer<'static>> = shown.iter().map(|one| (*one).clone()).collect();
    let dane = Dane { records, names: vec!["example.org".to_owned()] };
    let now = UnixTime::since_unix_epoch(Duration::from_millis(clock::wall().0));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let algorithms = ring::default_provider().signature_verification_algorithms;
    verify(&dane, &chain.host, &others, &name, now, &algorithms)
}

fn is_no_match(result: Result<(), Error>) -> bool {
    matches!(result, Err(Error::InvalidCertificate(CertificateError::Other(other))) if other.0.is::<NoMatch>())
}

#[test]
fn an_end_entity_matches_by_certificate_or_key_whole_or_hashed() {
    let chain = chain("mx.example.org", false);
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let fits = record(3, selector, matching, &chain.host);
        assert_eq!(judge(&chain, &[], "mx.example.org", vec![fits]), Ok(()), "3 {selector} {matching}");
        let other = record(3, selector, matching, &chain.middle);
        assert!(is_no_match(judge(&chain, &[&chain.middle], "mx.example.org", vec![other])));
    }
}

#[test]
fn neither_name_nor_date_counts_for_an_end_entity() {
    let chain = chain("somebody.else.example", true);
    let fits = record(3, 1, 1, &chain.host);
    assert_eq!(judge(&chain, &[], "mx.example.org", vec![fits]), Ok(()));
}

#[test]
fn an_anchor_vouches_for_the_chain_below_it() {
    let chain = chain("mx.example.org", false);
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let shown = [&chain.middle, &chain.root];
        for anchor in shown {
            let fits = record(2, selector, matching, anchor);
            assert_eq!(
                judge(&chain, &shown, "mx.example.org", vec![fits]),
                Ok(()),
                "2 {selector} {matching}"
            );
        }
    }
    let hashed = record(2, 0, 1, &chain.root);
    assert!(is_no_match(judge(&chain, &[&chain.middle], "mx.example.org", vec![hashed])), "it is not shown");
    let whole = record(2, 0, 0, &chain.root);
    assert_eq!(judge(&chain, &[&chain.middle], "mx.example.org", vec![whole]), Ok(()));
    let of_host = record(2, 0, 1, &chain.host);
    assert!(is_no_match(judge(&chain, &[], "mx.example.org", vec![of_host])), "a host is no anchor");
}

#[test]
fn names_and_dates_count_below_an_anchor() {
    let fits = |chain: &Chain| vec![record(2, 1, 1, &chain.middle)];
    let other = chain("other.example", false);
    let judged = judge(&other, &[&other.middle], "mx.example.org", fits(&other));
    assert!(matches!(
        judged,
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
    ));
    let domain = chain("example.org", false);
    assert_eq!(
        judge(&domain, &[&domain.middle], "mx.example.org", fits(&domain)),
        Ok(()),
        "the domain will do"
    );
    let old = chain("mx.example.org", true);
    let judged = judge(&old, &[&old.middle], "mx.example.org", fits(&old));
    assert!(matches!(judged, Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))));
}

#[test]
fn a_chain_that_the_anchor_did_not_sign_is_refused() {
    let (ours, theirs) = (chain("mx.example.org", false), chain("mx.example.org", false));
    let records = vec![record(2, 0, 1, &theirs.root)];
    assert!(judge(&ours, &[&ours.middle, &theirs.root], "mx.example.org", records).is_err());
}

#[test]
fn records_that_say_nothing_are_passed_over() {
    let chain = chain("mx.example.org", false);
    let fits = record(3, 1, 1, &chain.host);
    assert!(fits.is_usable());
    let odd = [
        record(0, 0, 1, &chain.root),
        record(1, 0, 1, &chain.host),
        Tlsa { usage: 4, ..fits.clone() },
        Tlsa { usage: 255, ..fits.clone() },
        Tlsa { selector: 2, ..fits.clone() },
        Tlsa { matching: 3, ..fits.clone() },
        Tlsa { data: fits.data[..31].to_vec(), ..fits.clone() },
        Tlsa { matching: 2, ..fits.clone() },
        Tlsa { matching: 0, data: Vec::new(), ..fits.clone() },
    ];
    for record in &odd {
        assert!(!record.is_usable(), "{record:?}");
        assert!(is_no_match(judge(&chain, &[], "mx.example.org", vec![record.clone()])), "{record:?}");
    }
    let all = odd.into_iter().chain([fits]).collect();
    assert_eq!(judge(&chain, &[], "mx.example.org", all), Ok(()), "one that fits is enough");
    let noise = Tlsa { usage: 2, selector: 0, matching: 0, data: vec![1, 2, 3] };
    assert!(judge(&chain, &[], "mx.example.org", vec![noise]).is_err(), "no certificate at all");
}
