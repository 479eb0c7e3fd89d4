//! `[tls]`: certificates for clients to see, and what is asked of clients.

use std::time::Duration;

use tls::{CertificateFiles, MinVersion, Options};

use crate::reader::Table;

const SECOND: Duration = Duration::from_secs(1);

/// What listeners need to know beside the certificates.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) options: Options,
    /// Whether one is named, even if what is said of it has a fault.
    pub(crate) has_certificate: bool,
    pub(crate) handshake_timeout: Duration,
}

pub(crate) fn tls(root: &Table<'_>, acme: Option<&acme::Options>) -> Tls {
    let table = root.table("tls", "tls");
    let mut options = Options::default();
    let mut has_certificate = acme.is_some();
    // Without certificates of its own the table may still say how clients are met.
    if table.get("certificate").is_some() || table.get("key").is_some() {
        has_certificate = true;
        options.certificates.extend(files(&table));
    }
    for more in table.tables("certificates", "tls.certificates") {
        has_certificate = true;
        options.certificates.extend(files(&more));
    }
    // Behind those that somebody chose.
    options.certificates.extend(acme.map(acme::Options::files));
    options.client_ca = table.path("client-ca");
    let versions = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];
    table.set_choice("min-version", &mut options.min_version, &versions);
    let mut handshake_timeout = 30 * SECOND;
    table.set_duration("handshake-timeout", &mut handshake_timeout, SECOND..=600 * SECOND);
    Tls { options, has_certificate, handshake_timeout }
}

fn files(table: &Table<'_>) -> Option<CertificateFiles> {
    let path = |key, text| {
        if table.get(key).is_none() {
            table.missing(key, text);
        }
        table.path(key)
    };
    let certificate = path("certificate", "is missing; the key alone does not do");
    let key = path("key", "is missing; it may be the same file as the certificate");
    Some(CertificateFiles { certificate: certificate?, key: key?, stand_in: Vec::new() })
}
