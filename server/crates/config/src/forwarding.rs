//! `[forwarding]`: mail for addresses of ours that goes on to other hosts.

use std::fmt;

use model::Domain;

use crate::reader::Table;

/// Octets of a secret at least.
const MIN_SECRET_OCTETS: usize = 16;

/// How the senders of forwarded mail are rewritten.
#[derive(Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// The domain of rewritten senders.
    pub domain: Domain,
    /// What they are signed with; nothing: what the data directory keeps.
    pub secret: Option<Vec<u8>>,
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarding").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Nothing when senders are not rewritten.
pub(crate) fn forwarding(root: &Table<'_>) -> Option<Forwarding> {
    let table = root.table("forwarding", "forwarding");
    let domain = table.parse("srs-domain", Domain::parse);
    let file = table.file("srs-secret-file");
    let secret = file.and_then(|(item, _, octets)| {
        let secret = octets.trim_ascii().to_vec();
        if secret.len() < MIN_SECRET_OCTETS {
            item.fault(format!("holds fewer than {MIN_SECRET_OCTETS} octets"));
            return None;
        }
        Some(secret)
    });
    if secret.is_some() && table.get("srs-domain").is_none() {
        table.missing(
            "srs-domain",
            "is missing; it is the domain of rewritten senders, and has to lead to this host",
        );
    }
    Some(Forwarding { domain: domain?, secret })
}
