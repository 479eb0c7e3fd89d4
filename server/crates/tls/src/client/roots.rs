//! The authorities that vouch for hosts.

use rustls::RootCertStore;

use super::Options;
use crate::fault::Fault;
use crate::file;

/// Those of the system, and of the file.
pub(super) fn read(options: &Options) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "an authority of the system cannot be read");
    }
    // What webpki cannot read is passed over: systems carry a few of those for years.
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = &options.ca_file {
        let (text, _) = file::read(path)?;
        for certificate in file::certificates(path, &text)? {
            roots
                .add(certificate)
                .map_err(|error| Fault::UnusableAuthorities { file: path.clone(), why: error.to_string() })?;
        }
    }
    if roots.is_empty() {
        tracing::warn!(
            "the system has no certificates of authorities: no host's certificate can be verified"
        );
    }
    Ok(roots)
}
