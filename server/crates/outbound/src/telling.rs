//! Tells plugins how attempts ended. Nobody waits for them: what they are told goes through a queue of limited length, and what does
//! not fit into it is counted and told to nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hooks::{DeliveryHooks, OutcomeKind, OutcomeReport, Stage};
use queue::{Entry, RecipientUpdate, State};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::plan::facts;

/// Messages whose outcomes wait to be told.
const MAX_WAITING: usize = 10_000;
/// One line of the log for so many that were not told.
const LOG_EVERY: u64 = 1_000;

/// The outcomes of one message.
pub(crate) struct Told {
    entry: Arc<Entry>,
    reports: Vec<OutcomeReport>,
}

/// Where outcomes are handed over.
#[derive(Debug)]
pub(crate) struct Teller {
    sender: Sender<Told>,
    untold: AtomicU64,
}

impl Teller {
    /// A teller, and what [`run`] takes from it.
    pub(crate) fn new() -> (Self, Receiver<Told>) {
        let (sender, receiver) = channel(MAX_WAITING);
        (Self { sender, untold: AtomicU64::new(0) }, receiver)
    }

    /// Hands over how attempts ended, if a plugin wants to hear of it. Never waits.
    pub(crate) fn tell(&self, hooks: &dyn DeliveryHooks, entry: &Arc<Entry>, updates: &[RecipientUpdate]) {
        if updates.is_empty() || !hooks.delivery_stages().contains(Stage::Outcome) {
            return;
        }
        let reports: Vec<_> = updates.iter().filter_map(|update| report(entry, update)).collect();
        if reports.is_empty() || self.sender.try_send(Told { entry: Arc::clone(entry), reports }).is_ok() {
            return;
        }
        let untold = self.untold.fetch_add(1, Ordering::Relaxed);
        if untold.is_multiple_of(LOG_EVERY) {
            tracing::warn!(
                queue_id = %entry.id,
                untold = untold + 1,
                "plugins are too slow to be told of every outcome"
            );
        }
    }
}

/// Tells one message after the other, until the teller is gone.
pub(crate) async fn run(hooks: Arc<dyn DeliveryHooks>, mut waiting: Receiver<Told>) {
    while let Some(Told { entry, reports }) = waiting.recv().await {
        hooks.outcome(&Arc::new(facts(&entry)), &reports).await;
    }
}

/// Nothing for a recipient that no attempt was made for.
fn report(entry: &Entry, update: &RecipientUpdate) -> Option<OutcomeReport> {
    let queued = entry.recipients.iter().find(|queued| queued.recipient.id == update.id)?;
    let kind = match update.state {
        State::Delivered => OutcomeKind::Delivered,
        State::Waiting { .. } if update.attempts > queued.attempts => OutcomeKind::Deferred,
        State::Bounced => OutcomeKind::Bounced,
        State::Expired => OutcomeKind::Expired,
        _ => return None,
    };
    let last = update.last.as_ref();
    Some(OutcomeReport {
        recipient: queued.recipient.address.clone(),
        kind,
        host: last.and_then(|last| last.host.clone()),
        reply: last.map(|last| last.reply.clone()).unwrap_or_default(),
        attempt: update.attempts,
    })
}
