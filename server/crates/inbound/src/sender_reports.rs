//! What domains are told of mail in their name: every message is counted, and a single failure told at once where that is turned on.
//!
//! What is told of is mail that was checked, and what became of it because of DMARC. Reports of others that pass are not counted, and ours
//! have the null reverse-path: no report begets another.
//!
//! Standards: RFC 7489 section 7, RFC 6591.
//! Limits: [`sender_auth::Reports::failures_per_hour`], and of those so many on one domain: [`PER_DOMAIN`].

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use message::HeaderBlock;
use model::{Content, Envelope, Mailbox, ReversePath, Timestamp};
use parking_lot::Mutex;
use queue::Entry;
use sender_auth::report::{self, FailureReport, Wanted};
use sender_auth::{Action, Evaluation, Reports, Rules};
use tracing::{debug, error, info};

use crate::server::Shared;

/// Failures in an hour of which one domain hears.
pub(crate) const PER_DOMAIN: u32 = 10;
const HOUR_MS: u64 = 3_600_000;

/// How many failures were told in the hour that runs.
#[derive(Debug, Default)]
pub(crate) struct FailureBudget(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    hour: u64,
    all: u32,
    of: HashMap<String, u32>,
}

impl FailureBudget {
    /// Whether a further failure may be told; if so it counts.
    fn admits(&self, domain: &str, per_hour: u32, now: Timestamp) -> bool {
        let mut told = self.0.lock();
        let hour = now.0 / HOUR_MS;
        if told.hour != hour {
            *told = Told { hour, ..Told::default() };
        }
        let of_domain = told.of.get(domain).copied().unwrap_or_default();
        if told.all >= per_hour || of_domain >= PER_DOMAIN {
            return false;
        }
        told.all += 1;
        *told.of.entry(domain.to_owned()).or_default() += 1;
        true
    }
}

/// Counts a message that was checked, and tells of it where a domain wants to hear at once.
pub(crate) fn note(
    shared: &Arc<Shared>,
    ledger: Option<&report::Ledger>,
    rules: &Arc<Rules>,
    (evaluation, content): (&Evaluation, &Content),
    limit: Action,
) {
    let Some(reports) = &rules.reports else { return };
    if evaluation.dmarc.record.is_none() {
        return;
    }
    let Ok(header) = HeaderBlock::read(content) else { return };
    if report::is_report(&header, evaluation) {
        return;
    }
    let (applied, now) = (rules.policy.applied(evaluation, limit), clock::wall());
    if let Some(ledger) = ledger {
        report::count(ledger, evaluation, applied, now);
    }
    if reports.failures_per_hour == 0 {
        return;
    }
    let Some(Wanted { domain }) = Wanted::of(evaluation) else { return };
    if !shared.failures_told.admits(&domain, reports.failures_per_hour, now) {
        return debug!(domain, "enough failures were reported in this hour");
    }
    let report = FailureReport::new(evaluation, &header, applied, &reports.reporter, now);
    tokio::spawn(tell(Arc::clone(shared), Arc::clone(rules), domain, report));
}

/// Asks who wants to hear, and queues a report for each. What fails is left: single failures are a courtesy.
async fn tell(shared: Arc<Shared>, rules: Arc<Rules>, domain: String, report: FailureReport) {
    let Some(reports) = &rules.reports else { return };
    let resolver = &*shared.services.resolver;
    let addresses = match report::destinations(resolver, &domain, report::FAILURE).await {
        Ok(addresses) => addresses,
        Err(error) => return info!(domain, %error, "who wants to hear of a failure cannot be asked"),
    };
    for address in addresses {
        let Ok(to) = Mailbox::parse(&address.mailbox) else { continue };
        queue(&shared, &rules, reports, &report, to).await;
    }
}

async fn queue(shared: &Shared, rules: &Rules, reports: &Reports, report: &FailureReport, to: Mailbox) {
    let (store, now) = (&shared.services.store, clock::wall());
    let id = store.new_id();
    let content = Content::from(Bytes::from(report.letter(id, &to, &reports.reporter)));
    let content = match rules.signers.signed(content, now).await {
        Ok(content) => content,
        Err(error) => return error!(%error, "a failure report could not be signed"),
    };
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    envelope.add_recipient(to.clone(), to.clone(), Vec::new());
    let entry = Arc::new(Entry::new(id, envelope, content.len(), now, None));
    match store.commit(Arc::clone(&entry), content.clone()).await {
        Ok(()) => {
            info!(queue_id = %id, mailbox = %to, "a failure report is on its way");
            shared.services.courier.take(entry, content);
        }
        Err(error) => error!(%error, "a failure report could not be queued"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_hears_of_ten_failures_an_hour_and_all_together_of_so_many() {
        let (budget, now) = (FailureBudget::default(), Timestamp(HOUR_MS));
        let admitted = |domain: &str, now| (0..50).filter(|_| budget.admits(domain, 15, now)).count();
        assert_eq!((admitted("a.example", now), admitted("b.example", now)), (10, 5));
        assert_eq!(admitted("c.example", Timestamp(2 * HOUR_MS - 1)), 0);
        assert_eq!(admitted("a.example", Timestamp(2 * HOUR_MS)), 10);
    }
}
