//! PEM files: their certificates and keys.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::fault::Fault;

/// Octets of a file; a bundle of authorities has some 200 KiB.
const MAX_FILE_OCTETS: u64 = 1 << 20;

/// What a file looks like without reading it: of when, how large, and which one.
pub(crate) type Stamp = Option<(i64, i64, u64, u64)>;

/// The stamp of a file; nothing when it is not there.
pub(crate) fn stamp(file: &Path) -> Stamp {
    let data = std::fs::metadata(file).ok()?;
    Some((data.mtime(), data.mtime_nsec(), data.len(), data.ino()))
}

/// The text of a file, and its permission bits.
pub(crate) fn read(file: &Path) -> Result<(Vec<u8>, u32), Fault> {
    let unreadable = |source| Fault::Unreadable { file: file.to_owned(), source };
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.mode() & 0o7777;
    let mut text = Vec::new();
    opened.take(MAX_FILE_OCTETS + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_OCTETS {
        return Err(Fault::TooLarge { file: file.to_owned() });
    }
    Ok((text, mode))
}

/// Every certificate of a text; at least one.
pub(crate) fn certificates(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| not_pem(file, &error))?;
    if found.is_empty() {
        return Err(Fault::NoCertificate { file: file.to_owned() });
    }
    Ok(found)
}

/// The first private key of a text.
pub(crate) fn key(file: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(text) => {
            Err(Fault::EncryptedKey { file: file.to_owned() })
        }
        Err(pem::Error::NoItemsFound) => Err(Fault::NoKey { file: file.to_owned() }),
        Err(error) => Err(not_pem(file, &error)),
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

fn not_pem(file: &Path, error: &pem::Error) -> Fault {
    Fault::NotPem { file: file.to_owned(), why: error.to_string() }
}
