//! Keys that sign: read from PEM, made anew, and what is published of them.
//!
//! Standards: RFC 6376 section 3.6.1 and 8463 section 4 (records), RFC 8301 section 3.2 (2,048 bits for RSA).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256, SigningKey as _};
use mail_auth::common::headers::{Writable, Writer};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use rsa::{PrivateKey, PublicKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// Bits of an RSA key that is made anew.
pub const RSA_BITS: usize = 2048;
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;
/// Octets of one string of a TXT record.
const TXT_STRING: usize = 255;

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa,
    Ed25519,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("it holds no private key in PEM")]
    Pem,
    #[error("the key cannot be used: RSA of 2,048 to 4,096 bits and Ed25519 can ({0})")]
    Unusable(String),
    #[error("no key could be made: {0}")]
    Generation(String),
}

/// A private key.
pub struct Key {
    inner: DkimKey,
    kind: KeyKind,
    public: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Octets to be signed, as the library takes them.
struct Octets<'a>(&'a [u8]);

impl Writable for Octets<'_> {
    fn write(self, writer: &mut impl Writer) {
        writer.write(self.0);
    }
}

impl Key {
    /// Reads PKCS #8, or PKCS #1 for RSA.
    ///
    /// # Errors
    /// It is no key, or one that cannot sign.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Pem)?;
        if let PrivateKeyDer::Pkcs8(pkcs8) = &der
            && let Ok(key) = Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8.secret_pkcs8_der())
        {
            let public = key.public_key();
            return Ok(Self { inner: key.into(), kind: KeyKind::Ed25519, public });
        }
        let unusable = |error: &dyn fmt::Display| KeyError::Unusable(error.to_string());
        let key = RsaKey::<Sha256>::from_key_der(der).map_err(|error| unusable(&error))?;
        let public = PublicKey::from_pkcs1_der(&key.public_key()).map_err(|error| unusable(&error))?;
        let public = public.to_public_key_der().map_err(|error| unusable(&error))?.into_vec();
        Ok(Self { inner: key.into(), kind: KeyKind::Rsa, public })
    }

    /// A new key, in PEM (PKCS #8).
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate(kind: KeyKind) -> Result<String, KeyError> {
        match kind {
            KeyKind::Rsa => {
                let failed = |error: &dyn fmt::Display| KeyError::Generation(error.to_string());
                let key = PrivateKey::new(&mut rand::rng(), RSA_BITS).map_err(|error| failed(&error))?;
                let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
                Ok(pem(der.as_bytes()))
            }
            KeyKind::Ed25519 => {
                let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                let key = key.map_err(|_| KeyError::Generation("no randomness".to_owned()))?;
                Ok(pem(key.as_ref()))
            }
        }
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// `a=`
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.kind {
            KeyKind::Rsa => "rsa-sha256",
            KeyKind::Ed25519 => "ed25519-sha256",
        }
    }

    /// The TXT record that publishes it.
    pub fn record(&self) -> String {
        let kind = match self.kind {
            KeyKind::Rsa => "rsa",
            KeyKind::Ed25519 => "ed25519",
        };
        format!("v=DKIM1; k={kind}; h=sha256; p={}", STANDARD.encode(&self.public))
    }

    /// Whether a record publishes this key.
    pub fn is_published_by(&self, record: &str) -> bool {
        let list = crate::tags::tags(record.as_bytes()).unwrap_or_default();
        let published: String = crate::tags::value(&list, "p")
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        STANDARD.decode(published).is_ok_and(|published| published == self.public)
    }

    /// Signs octets that are canonical already; base64.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub(crate) fn sign(&self, octets: &[u8]) -> Result<String, KeyError> {
        let signed = self.inner.sign(Octets(octets));
        signed
            .map(|signature| STANDARD.encode(signature))
            .map_err(|error| KeyError::Unusable(error.to_string()))
    }
}

/// A record as a zone file has it: strings of 255 octets at most.
pub fn zone_line(name: &str, record: &str) -> String {
    let mut rest = record;
    let mut strings = Vec::new();
    while !rest.is_empty() {
        let (string, behind) = rest.split_at(rest.len().min(TXT_STRING));
        strings.push(format!("\"{string}\""));
        rest = behind;
    }
    format!("{name}. IN TXT ( {} )", strings.join(" "))
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(PEM_LINE)
        .map(|from| &text[from..(from + PEM_LINE).min(text.len())])
        .collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_read_and_published() {
        for kind in [KeyKind::Rsa, KeyKind::Ed25519] {
            let key = Key::from_pem(Key::generate(kind).unwrap().as_bytes()).unwrap();
            assert_eq!(key.kind(), kind);
            let record = key.record();
            assert!(key.is_published_by(&record));
            assert!(crate::dkim::read_key(&record).is_ok(), "{record}");
            let other = Key::from_pem(Key::generate(kind).unwrap().as_bytes()).unwrap();
            assert!(!other.is_published_by(&record));
            let line = zone_line("s._domainkey.example.org", &record);
            assert!(line.starts_with("s._domainkey.example.org. IN TXT ( \"v=DKIM1; "), "{line}");
            assert!(line.split('"').all(|string| string.len() <= TXT_STRING));
        }
    }

    #[test]
    fn what_is_no_key_or_too_short_is_refused() {
        assert!(matches!(Key::from_pem(b"hello"), Err(KeyError::Pem)));
        assert!(matches!(Key::from_pem(pem(b"nonsense").as_bytes()), Err(KeyError::Unusable(_))));
        let short = PrivateKey::new(&mut rand::rng(), 1024).unwrap();
        let short = pem(short.to_pkcs8_der().unwrap().as_bytes());
        assert!(matches!(Key::from_pem(short.as_bytes()), Err(KeyError::Unusable(_))));
    }
}
