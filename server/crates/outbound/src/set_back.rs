//! A wall clock that was set back: what was given its time before would wait until the clock is there again.
//!
//! An entry that waits for longer than any pause, and arrived or was tried at a time that has not come yet, was dated by a clock that was
//! wrong. It is tried now. What waits as long for other reasons (FUTURERELEASE, a plugin) has no such date, and keeps waiting.
//!
//! Only what is due beyond the longest pause is looked at: mostly nothing, however long the queue.

use std::sync::Arc;
use std::time::Duration;

use model::{QueueId, Timestamp};
use queue::{Due, Entry, StoreError};

use crate::active::{Control, Order};
use crate::engine::Inner;

/// Entries that are read at once.
const PAGE: usize = 500;
/// How far ahead a date may be that is not thought to be wrong.
const TOLERANCE: Duration = Duration::from_secs(60);

/// Looks for such entries and gives order to try them.
pub(crate) async fn catch_up(inner: &Arc<Inner>) {
    let now = clock::wall();
    let longest = inner.options().retry.longest();
    let mut behind = Due { at: now + longest + TOLERANCE, id: QueueId(u64::MAX) };
    loop {
        let (reader, after) = (Arc::clone(inner), behind);
        let found = match tokio::task::spawn_blocking(move || misdated(&reader, now, after)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::error!(%error, "the queue cannot be searched for what the clock left behind");
                return;
            }
            // The engine stops.
            Err(_) => return,
        };
        for id in found.ids {
            tracing::warn!(queue_id = %id, "dated by a clock that was set back since: tried now");
            let retry = Control { order: Order::Retry, only: Arc::default() };
            if let Err(error) = inner.control(id, retry).await {
                tracing::error!(queue_id = %id, %error, "the entry keeps its wrong time");
            }
        }
        match found.last {
            Some(last) => behind = last,
            None => return,
        }
    }
}

struct Found {
    ids: Vec<QueueId>,
    /// Where the next page begins; nothing when this was the last.
    last: Option<Due>,
}

fn misdated(inner: &Inner, now: Timestamp, after: Due) -> Result<Found, StoreError> {
    let due = inner.store.due(Timestamp(u64::MAX), Some(after), PAGE)?;
    let last = due.last().copied().filter(|_| due.len() == PAGE);
    let is_misdated = |entry: &Entry| {
        let tried = entry.recipients.iter().filter_map(|queued| queued.last.as_ref()).map(|last| last.at);
        tried.chain([entry.arrived]).any(|at| at > now + TOLERANCE)
    };
    // One that cannot be read any more is for the look that finds it due.
    let entries = due.iter().filter_map(|due| inner.store.entry(due.id).ok());
    Ok(Found { ids: entries.filter(is_misdated).map(|entry| entry.id).collect(), last })
}
