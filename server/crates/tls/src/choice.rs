//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// The certificates of a generation; at least one.
#[derive(Debug)]
pub(crate) struct Choice {
    default: Arc<Certificate>,
    /// By name, in lower case; wildcards with their asterisk.
    by_name: HashMap<String, Arc<Certificate>>,
}

impl Choice {
    /// The first stands for all names that the others do not have; of two for one name it is the earlier that counts.
    pub(crate) fn new(first: Certificate, others: Vec<Certificate>) -> Self {
        let default = Arc::new(first);
        let mut by_name = HashMap::new();
        for certificate in std::iter::once(default.clone()).chain(others.into_iter().map(Arc::new)) {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_insert_with(|| certificate.clone());
            }
        }
        Self { default, by_name }
    }

    /// Every certificate once.
    pub(crate) fn all(&self) -> Vec<&Certificate> {
        let mut all: Vec<&Arc<Certificate>> = vec![&self.default];
        for certificate in self.by_name.values() {
            if !all.iter().any(|known| Arc::ptr_eq(known, certificate)) {
                all.push(certificate);
            }
        }
        all.into_iter().map(|certificate| &**certificate).collect()
    }

    pub(crate) fn by_name(&self, name: Option<&str>) -> &Certificate {
        let found = name.and_then(|name| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            //= RFC 9525 section 6.3: an asterisk stands for the whole leftmost label, and for one label alone.
            let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
            self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard?))
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.by_name(hello.server_name()).key.clone())
    }
}
