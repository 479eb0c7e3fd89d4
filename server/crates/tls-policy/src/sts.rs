//! Which policy is in force for a domain now.
//!
//! Standards: RFC 8461 section 3.1 (the record), 5.1 (an earlier policy stays in force while it lives, whatever becomes of record and host).

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Resolver;
use parking_lot::Mutex;

use crate::cache::{self, Kept};
use crate::fetch::Fetcher;
use crate::policy::Policy;
use crate::record;

/// How long a domain is left alone whose policy could not be had.
const PAUSE: Duration = Duration::from_secs(300);
/// Domains in memory; beyond, all are forgotten and read from the disk again.
const MAX_DOMAINS: usize = 10_000;

/// Where policies are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of its own; made when the first policy comes.
    pub folder: PathBuf,
}

/// Why a domain that has a record has no new policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The host could not be found or reached, or did not give the file.
    #[error("the MTA-STS policy cannot be fetched: {0}")]
    Fetch(String),
    /// The host is not who it should be.
    #[error("the MTA-STS policy cannot be fetched: the certificate of its host is not accepted: {0}")]
    Certificate(String),
    /// What the host gave is no policy.
    #[error("the MTA-STS policy is not one: {0}")]
    Policy(String),
}

impl Fault {
    pub(crate) fn fetch(host: &str, why: &dyn fmt::Display) -> Self {
        Self::Fetch(format!("{host}: {why}"))
    }
}

/// What is known of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In force; not one of mode "none" unless the domain says so.
    pub policy: Option<Arc<Policy>>,
    /// What went wrong on the way, though an earlier policy may be in force.
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    kept: Option<Arc<Kept>>,
    failed: Option<(Instant, Fault)>,
}

/// Finds policies, and remembers them.
#[derive(Debug)]
pub struct MtaSts {
    options: Options,
    resolver: Arc<dyn Resolver>,
    fetcher: Arc<dyn Fetcher>,
    known: Mutex<HashMap<String, Known>>,
}

impl MtaSts {
    /// Nothing is read or asked yet.
    pub fn new(options: Options, resolver: Arc<dyn Resolver>, fetcher: Arc<dyn Fetcher>) -> Self {
        Self { options, resolver, fetcher, known: Mutex::default() }
    }

    /// The policy of a domain, which is in A-labels. Cancel safe: a fetch that is dropped is made again.
    pub async fn policy(&self, domain: &str) -> Found {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let mut known = self.recall(&domain);
        let now = clock::wall();
        known.kept = known.kept.filter(|kept| kept.until > now);
        let in_force = |known: &Known, fault| Found {
            policy: known.kept.as_ref().map(|kept| Arc::new(kept.policy.clone())),
            fault,
        };
        let records = match self.resolver.txt(&format!("_mta-sts.{domain}")).await {
            Ok(records) => records,
            Err(error) => {
                tracing::debug!(domain, %error, "no MTA-STS record");
                return in_force(&known, None);
            }
        };
        let Some(id) = record::id(records.iter().map(String::as_str)) else { return in_force(&known, None) };
        if known.kept.as_ref().is_some_and(|kept| kept.id == id) {
            return in_force(&known, None);
        }
        if let Some((at, fault)) = &known.failed
            && clock::now().duration_since(*at) < PAUSE
        {
            return in_force(&known, Some(fault.clone()));
        }
        match self.fetch(&domain, id).await {
            Ok(kept) => {
                known = Known { kept: Some(Arc::new(kept)), failed: None };
                self.remember(domain, known.clone());
                in_force(&known, None)
            }
            Err(fault) => {
                tracing::warn!(domain, %fault, "no new MTA-STS policy");
                known.failed = Some((clock::now(), fault.clone()));
                self.remember(domain, known.clone());
                in_force(&known, Some(fault))
            }
        }
    }

    async fn fetch(&self, domain: &str, id: &str) -> Result<Kept, Fault> {
        let text = self.fetcher.fetch(domain).await?;
        let policy = Policy::parse(&text).map_err(|error| Fault::Policy(error.to_string()))?;
        let fetched = clock::wall();
        let kept = Kept::new(id, &text, policy, fetched);
        if let Err(error) = cache::write(&self.options.folder, domain, &kept, fetched) {
            tracing::error!(domain, %error, "an MTA-STS policy cannot be kept: it will not outlive a restart");
        }
        Ok(kept)
    }

    fn recall(&self, domain: &str) -> Known {
        if let Some(known) = self.known.lock().get(domain) {
            return known.clone();
        }
        Known { kept: cache::read(&self.options.folder, domain).map(Arc::new), failed: None }
    }

    fn remember(&self, domain: String, state: Known) {
        let mut known = self.known.lock();
        if known.len() >= MAX_DOMAINS {
            known.clear();
        }
        known.insert(domain, state);
    }
}

#[cfg(test)]
mod tests;
