//! What the postmaster may do with entries: retry, hold, release, remove. Safe while an attempt is under way: it is then done when the
//! attempt is over, to what the attempt has left undone.
//!
//! An order to many goes through the queue a page at a time and leaves no attempt in memory: what is due then is found by the
//! scheduler, as much as there is room for.

use std::sync::Arc;

use model::{QueueId, Timestamp};
use queue::{Entry, QueuedRecipient, RecipientUpdate, Selection, State, StoreError, Update};

use crate::active::{Control, Order};
use crate::engine::{Engine, Inner};

/// Entries that are read at once.
const PAGE: usize = 500;

/// When an order is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Now,
    /// An attempt is under way: when it is over.
    AfterAttempt,
}

impl Engine {
    /// Gives an order for one entry. A retry lifts the back-off of its destinations.
    ///
    /// # Errors
    /// What the store answers; `NotFound` when there is no such entry. Likewise below.
    pub async fn order(&self, id: QueueId, order: Order) -> Result<Applied, StoreError> {
        self.inner.control(id, Control { order, only: Arc::default() }).await
    }

    /// Makes the next attempt now, and lifts the back-off of the destinations.
    pub async fn retry(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.order(id, Order::Retry).await
    }

    /// Makes no attempt until the entry is released.
    pub async fn hold(&self, id: QueueId, reason: &str) -> Result<Applied, StoreError> {
        self.order(id, Order::Hold { reason: reason.to_owned() }).await
    }

    /// Makes the next attempt for recipients that were held, now.
    pub async fn release(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.order(id, Order::Release).await
    }

    /// Takes the entry out, without a report to anybody.
    pub async fn remove(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.order(id, Order::Remove).await
    }

    /// Gives an order for all recipients of a selection; how many entries it was for. A retry lifts the back-off of every destination.
    pub async fn order_all(&self, order: Order, selection: Selection) -> Result<u64, StoreError> {
        self.inner.control_all(Control { order, only: Arc::new(selection) }).await
    }

    /// Whether an attempt is under way or about to be.
    pub fn is_active(&self, id: QueueId) -> bool {
        self.inner.active.has_pass(id)
    }
}

impl Inner {
    pub(crate) async fn control(
        self: &Arc<Self>,
        id: QueueId,
        control: Control,
    ) -> Result<Applied, StoreError> {
        if !self.active.claim_or_leave(id, &control) {
            return Ok(Applied::AfterAttempt);
        }
        self.apply_claimed(id, control).await
    }

    /// Carries out an order on a claimed entry, then gives the claim back or begins an attempt.
    pub(crate) async fn apply_claimed(
        self: &Arc<Self>,
        id: QueueId,
        control: Control,
    ) -> Result<Applied, StoreError> {
        let mut next = Some(control);
        let mut first = None;
        while let Some(control) = next.take() {
            let done = self.apply(id, &control).await;
            let is_forced = matches!(control.order, Order::Retry | Order::Release) && done.is_ok();
            first.get_or_insert(done);
            // Another order may have come meanwhile; it wins.
            next = match is_forced {
                true => self.active.take_control(id),
                false => self.active.release(id),
            };
            if is_forced && next.is_none() {
                self.resume(vec![id], true).await;
            }
        }
        first.unwrap_or(Ok(())).map(|()| Applied::Now)
    }

    async fn apply(&self, id: QueueId, control: &Control) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || store.entry(id)).await;
        let entry = read.map_err(|_| ended_early())??;
        let update = update_for(&entry, control, clock::wall());
        if update.recipients.is_empty() {
            return Ok(());
        }
        self.store.update(update).await?;
        tracing::info!(queue_id = %id, order = ?control.order, "changed by the postmaster");
        Ok(())
    }

    async fn control_all(self: &Arc<Self>, control: Control) -> Result<u64, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let (inner, wanted) = (Arc::clone(self), control.clone());
            let read = tokio::task::spawn_blocking(move || inner.claim_page(after, &wanted)).await;
            let page = read.map_err(|_| ended_early())??;
            count += page.wanted;
            let claimed: Vec<QueueId> = page.updates.iter().map(|update| update.id).collect();
            let mut done = Ok(());
            for update in page.updates.into_iter().filter(|update| !update.recipients.is_empty()) {
                done = match self.store.update(update).await {
                    // It may have been delivered since the page was read.
                    Ok(()) | Err(StoreError::NotFound(_)) => Ok(()),
                    Err(error) => Err(error),
                };
                if done.is_err() {
                    break;
                }
            }
            if matches!(control.order, Order::Retry | Order::Release) {
                // Once: what fails again meanwhile is left alone again.
                if count == page.wanted {
                    self.lift_backoffs();
                }
                self.schedule.note_due(clock::wall());
            }
            claimed.into_iter().for_each(|id| self.give_up_claim(id));
            done?;
            if page.last.is_none() {
                // Claims were in the way of a look meanwhile.
                self.schedule.note_backlog();
                self.schedule.wake();
                tracing::info!(entries = count, order = ?control.order, "changed by the postmaster");
                return Ok(count);
            }
            after = page.last;
        }
    }

    /// Claims the entries of a page that an order is for; what is being worked on gets the order left for it.
    fn claim_page(&self, after: Option<QueueId>, control: &Control) -> Result<ClaimedPage, StoreError> {
        let now = clock::wall();
        let entries = self.store.list(after, PAGE)?;
        let mut page = ClaimedPage {
            last: entries.last().map(|entry| entry.id).filter(|_| entries.len() == PAGE),
            ..ClaimedPage::default()
        };
        for entry in entries {
            if update_for(&entry, control, now).recipients.is_empty() {
                continue;
            }
            page.wanted += 1;
            if !self.active.claim_or_leave(entry.id, control) {
                continue;
            }
            // It may have changed before it was claimed.
            match self.store.entry(entry.id) {
                Ok(entry) => page.updates.push(update_for(&entry, control, now)),
                Err(_) => page.updates.push(Update { id: entry.id, recipients: Vec::new() }),
            }
        }
        Ok(page)
    }
}

#[derive(Default)]
struct ClaimedPage {
    /// Entries that the order is for.
    wanted: u64,
    /// Of those that are claimed.
    updates: Vec<Update>,
    /// Where the next page begins; nothing when this was the last.
    last: Option<QueueId>,
}

fn ended_early() -> StoreError {
    StoreError::Closed("a thread ended early".to_owned())
}

fn update_for(entry: &Entry, control: &Control, now: Timestamp) -> Update {
    let change = |queued: &QueuedRecipient| {
        if !control.only.has(entry, queued) {
            return None;
        }
        let state = match (&control.order, &queued.state) {
            (Order::Retry, State::Waiting { .. }) | (Order::Release, State::Held { .. }) => {
                State::Waiting { due: now }
            }
            (Order::Hold { reason }, State::Waiting { .. }) => State::Held { reason: reason.clone() },
            (Order::Remove, State::Waiting { .. } | State::Held { .. }) => State::Removed,
            _ => return None,
        };
        Some(RecipientUpdate { state, ..RecipientUpdate::from(queued) })
    };
    Update { id: entry.id, recipients: entry.recipients.iter().filter_map(change).collect() }
}
