//! What stands in a certificate, as far as a mail server asks.
//!
//! Whether it can be trusted is not asked here; of a client's certificate nothing is read before it is.

use std::time::Duration;

use model::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{DateTime, Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::time::Time;

/// A certificate that could be read.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// In lower case.
    pub(crate) dns_names: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) common_name: Option<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    signature: ObjectIdentifier,
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Reads a certificate; nothing when it is damaged.
pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Contents> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = &certificate.tbs_certificate;
    let (mut dns_names, mut emails) = (Vec::new(), Vec::new());
    if let Some((_, alternatives)) = tbs.get::<SubjectAltName>().ok()? {
        for name in alternatives.0 {
            match name {
                GeneralName::DnsName(name) => dns_names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::Rfc822Name(address) => emails.push(address.as_str().to_owned()),
                _ => {}
            }
        }
    }
    Some(Contents {
        dns_names,
        emails,
        common_name: common_name(&certificate),
        not_before: timestamp(tbs.validity.not_before),
        not_after: timestamp(tbs.validity.not_after),
        signature: certificate.signature_algorithm.oid,
    })
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let mut attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    let value = &attributes.rfind(|attribute| attribute.oid == COMMON_NAME)?.value;
    // Through its octets: a choice cannot be made of a value that was taken apart already.
    match DirectoryString::from_der(&value.to_der().ok()?).ok()? {
        DirectoryString::PrintableString(text) => Some(text.as_str().to_owned()),
        DirectoryString::TeletexString(text) => Some(text.as_str().to_owned()),
        DirectoryString::Utf8String(text) => Some(text),
    }
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp(u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX))
}

/// A time as people read it, in UTC.
pub(crate) fn date(time: Timestamp) -> String {
    DateTime::from_unix_duration(Duration::from_millis(time.0))
        .map_or_else(|_| "a time that no calendar has".to_owned(), |date| date.to_string())
}

/// The certificate's hash that binds a channel to it.
pub(crate) fn end_point(der: &CertificateDer<'_>, contents: &Contents) -> Option<Vec<u8>> {
    //= RFC 5929 section 4.1: the hash of its signature, but SHA-256 for MD5 and SHA-1; undefined where there is none.
    Some(match contents.signature.to_string().as_str() {
        // RSA with MD5, SHA-1 and SHA-256; ECDSA with SHA-1 and SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Sha256::digest(der).to_vec(),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(der).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(der).to_vec(),
        _ => return None,
    })
}
