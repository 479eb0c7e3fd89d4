//! The mail hosts of domains, and whether they have policies, asked for in the background and known for a while.
//!
//! Whoever asks for a domain that is being asked for waits for the same answer. The resolver keeps records as long as they last; what is
//! kept here only spares the queue from waiting for it, so a short while is enough.
//!
//! Limits: [`KEPT`], [`FAILURE_KEPT`], [`MAX_KEPT`], [`AT_ONCE`], [`LONGEST`].
//! Cancel safety: a question that nobody waits for rests until somebody asks again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Resolver;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use model::{Domain, Reply};
use parking_lot::Mutex;
use tls_policy::MtaSts;
use tokio::sync::Semaphore;

use crate::mail_hosts::MailHosts;
use crate::options::Options;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(60);
/// How long it is kept that there was none.
const FAILURE_KEPT: Duration = Duration::from_secs(15);
/// Domains that are known at once.
const MAX_KEPT: usize = 50_000;
/// Questions under way at once.
const AT_ONCE: usize = 200;
/// How long one question may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The hosts, or what the sender would be told.
pub(crate) type Answer = Result<Arc<MailHosts>, Reply>;
pub(crate) type Asking = Shared<BoxFuture<'static, Answer>>;

#[derive(Debug)]
pub(crate) struct Lookups {
    known: Mutex<HashMap<String, Known>>,
    permits: Semaphore,
}

#[derive(Debug)]
enum Known {
    Answered {
        answer: Answer,
        until: Instant,
    },
    /// By so many.
    Asked {
        asking: Asking,
        by: usize,
    },
}

impl Default for Lookups {
    fn default() -> Self {
        Self { known: Mutex::default(), permits: Semaphore::new(AT_ONCE) }
    }
}

impl Lookups {
    /// What is known of a domain.
    pub(crate) fn known(&self, domain: &Domain, now: Instant) -> Option<Answer> {
        match self.known.lock().get(&domain.to_ascii()) {
            Some(Known::Answered { answer, until }) if now < *until => Some(answer.clone()),
            _ => None,
        }
    }

    /// How many wait for the answer for a domain.
    pub(crate) fn waiting(&self, domain: &Domain) -> usize {
        match self.known.lock().get(&domain.to_ascii()) {
            Some(Known::Asked { by, .. }) => *by,
            _ => 0,
        }
    }

    /// Asks for a domain, or joins those who have asked.
    pub(crate) fn ask(
        self: &Arc<Self>,
        domain: &Domain,
        options: &Arc<Options>,
        resolver: &Arc<dyn Resolver>,
        mta_sts: Option<Arc<MtaSts>>,
        now: Instant,
    ) -> Asking {
        let name = domain.to_ascii();
        let mut known = self.known.lock();
        match known.get_mut(&name) {
            Some(Known::Asked { asking, by }) => {
                *by += 1;
                return asking.clone();
            }
            Some(Known::Answered { answer, until }) if now < *until => {
                return std::future::ready(answer.clone()).boxed().shared();
            }
            _ => {}
        }
        if known.len() >= MAX_KEPT {
            known.retain(|_, known| !matches!(known, Known::Answered { until, .. } if *until <= now));
        }
        if known.len() >= MAX_KEPT {
            known.retain(|_, known| matches!(known, Known::Asked { .. }));
        }
        let (lookups, options, resolver) = (Arc::clone(self), Arc::clone(options), Arc::clone(resolver));
        let domain = domain.clone();
        let asking = async move { lookups.answer(domain, options, resolver, mta_sts).await }.boxed().shared();
        known.insert(name, Known::Asked { asking: asking.clone(), by: 1 });
        asking
    }

    async fn answer(
        &self,
        domain: Domain,
        options: Arc<Options>,
        resolver: Arc<dyn Resolver>,
        mta_sts: Option<Arc<MtaSts>>,
    ) -> Answer {
        // Closed never.
        let _permit = self.permits.acquire().await;
        let asking = MailHosts::of(&domain, &options, resolver.as_ref(), mta_sts.as_deref());
        let answer = match tokio::time::timeout(LONGEST, asking).await {
            Ok(answer) => answer.map(Arc::new),
            Err(_) => {
                let text =
                    format!("{domain} could not be looked up: no answer within {} s", LONGEST.as_secs());
                Err(Reply::new(451, (4, 4, 3), text))
            }
        };
        let until = clock::now() + if answer.is_ok() { KEPT } else { FAILURE_KEPT };
        let kept = Known::Answered { answer: answer.clone(), until };
        self.known.lock().insert(domain.to_ascii(), kept);
        answer
    }

    /// Forgets that a domain was not found: somebody wants it to be looked for again.
    pub(crate) fn forget_failure(&self, domain: &Domain) {
        let (mut known, name) = (self.known.lock(), domain.to_ascii());
        if let Some(Known::Answered { answer: Err(_), .. }) = known.get(&name) {
            known.remove(&name);
        }
    }

    /// Forgets what is known: under other options it may be wrong. Of what is being asked for, the answer counts for [`KEPT`].
    pub(crate) fn forget(&self) {
        self.known.lock().clear();
    }
}
