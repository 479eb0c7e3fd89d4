//! What the postmaster may do with entries: retry, hold, release, remove. Safe while an attempt is under way: it is then done when the
//! attempt is over, to what the attempt has left undone.

use std::sync::Arc;

use model::{Domain, QueueId, Timestamp};
use queue::{Entry, QueuedRecipient, RecipientUpdate, State, StoreError, Update};

use crate::active::Control;
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
    /// Makes the next attempt now, and lifts the back-off of the destinations.
    ///
    /// # Errors
    /// What the store answers; `NotFound` when there is no such entry. Likewise below.
    pub async fn retry(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.inner.control(id, Control::Retry).await
    }

    /// Makes no attempt until the entry is released.
    pub async fn hold(&self, id: QueueId, reason: &str) -> Result<Applied, StoreError> {
        self.inner.control(id, Control::Hold { reason: reason.to_owned() }).await
    }

    /// Makes the next attempt for recipients that were held, now.
    pub async fn release(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.inner.control(id, Control::Release).await
    }

    /// Takes the entry out, without a report to anybody.
    pub async fn remove(&self, id: QueueId) -> Result<Applied, StoreError> {
        self.inner.control(id, Control::Remove).await
    }

    /// [`Self::retry`] for every entry that waits; how many there were.
    pub async fn retry_all(&self) -> Result<u64, StoreError> {
        self.inner.retry_where(|_| true).await
    }

    /// [`Self::retry`] for every entry with a recipient of this domain that waits; how many there were.
    pub async fn retry_domain(&self, domain: &Domain) -> Result<u64, StoreError> {
        let wanted = domain.to_ascii();
        self.inner.retry_where(move |queued| queued.recipient.address.domain().to_ascii() == wanted).await
    }
}

impl Inner {
    async fn control(self: &Arc<Self>, id: QueueId, control: Control) -> Result<Applied, StoreError> {
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
            let is_forced = matches!(control, Control::Retry | Control::Release) && done.is_ok();
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
        let entry = read.map_err(|_| StoreError::Closed("a thread ended early".to_owned()))??;
        let update = update_for(&entry, control, clock::wall());
        if update.recipients.is_empty() {
            return Ok(());
        }
        self.store.update(update).await?;
        tracing::info!(queue_id = %id, order = ?control, "changed by the postmaster");
        Ok(())
    }

    async fn retry_where(
        self: &Arc<Self>,
        wanted: impl Fn(&QueuedRecipient) -> bool + Send + Clone + 'static,
    ) -> Result<u64, StoreError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let (store, wanted) = (Arc::clone(&self.store), wanted.clone());
            let read = move || -> Result<_, StoreError> {
                let page = store.list(after, PAGE)?;
                let waits = |queued: &QueuedRecipient| {
                    matches!(queued.state, State::Waiting { .. }) && wanted(queued)
                };
                let ids =
                    page.iter().filter(|entry| entry.recipients.iter().any(&waits)).map(|entry| entry.id);
                Ok((ids.collect::<Vec<_>>(), page.last().map(|entry| entry.id)))
            };
            let read = tokio::task::spawn_blocking(read).await;
            let (ids, last) = read.map_err(|_| StoreError::Closed("a thread ended early".to_owned()))??;
            count += ids.len() as u64;
            for id in ids {
                match self.control(id, Control::Retry).await {
                    // It may have been delivered since the page was read.
                    Ok(_) | Err(StoreError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if last.is_none() {
                return Ok(count);
            }
            after = last;
        }
    }
}

fn update_for(entry: &Entry, control: &Control, now: Timestamp) -> Update {
    let change = |queued: &QueuedRecipient| {
        let state = match (control, &queued.state) {
            (Control::Retry, State::Waiting { .. }) | (Control::Release, State::Held { .. }) => {
                State::Waiting { due: now }
            }
            (Control::Hold { reason }, State::Waiting { .. }) => State::Held { reason: reason.clone() },
            (Control::Remove, State::Waiting { .. } | State::Held { .. }) => State::Removed,
            _ => return None,
        };
        Some(RecipientUpdate { state, ..RecipientUpdate::from(queued) })
    };
    Update { id: entry.id, recipients: entry.recipients.iter().filter_map(change).collect() }
}
