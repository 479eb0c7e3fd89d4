//! The right to have a connection, of which there are so many for all destinations together.
//!
//! Who has it gives it back after a while ([`MESSAGES`], [`LONGEST`]) if others wait, and lines up behind them: so a destination with
//! much to do delays another by one turn at most, and never for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::Inner;

/// Messages of one turn, while others wait.
const MESSAGES: usize = 50;
/// How long a turn is, while others wait; a message that is under way goes to its end.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
    messages: usize,
}

/// Counts one who waits, however the waiting ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Waits for a turn, in the order of asking; nothing when there will be none any more.
    pub(crate) async fn wait(inner: &Inner) -> Option<Self> {
        inner.without_permit.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&inner.without_permit);
        let permit = Arc::clone(&inner.deliveries).acquire_owned();
        tokio::select! {
            permit = permit => Some(Self { permit: Some(permit.ok()?), began: clock::now(), messages: 0 }),
            () = inner.stopped() => None,
        }
    }

    /// So many messages were tried.
    pub(crate) fn count(&mut self, messages: usize) {
        self.messages += messages;
    }

    /// Makes room for others when it is over, and waits for the next; false when there is none.
    pub(crate) async fn goes_on(&mut self, inner: &Inner) -> bool {
        if self.is_over(inner) {
            // Before another is waited for.
            self.permit = None;
            match Self::wait(inner).await {
                Some(next) => *self = next,
                None => return false,
            }
        }
        true
    }

    /// Whether somebody waits for one.
    pub(crate) fn is_wanted(&self, inner: &Inner) -> bool {
        inner.without_permit.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody else is to have it.
    pub(crate) fn is_over(&self, inner: &Inner) -> bool {
        self.is_wanted(inner)
            && (self.messages >= MESSAGES || clock::now().saturating_duration_since(self.began) >= LONGEST)
    }
}
