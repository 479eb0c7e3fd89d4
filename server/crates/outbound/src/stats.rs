//! What has been done, for the control socket and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::destination::DestinationStats;

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) bounced: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) reports: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A picture of the engine at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Recipients that a next hop took, since the start; likewise the three below.
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub expired: u64,
    /// Delivery status notifications that were queued, since the start.
    pub reports: u64,
    /// Entries with an attempt under way or about to be.
    pub active: usize,
    /// Octets of fresh content in memory.
    pub memory_octets: u64,
    /// Those with work, a connection, or a failure that is remembered; by name.
    pub destinations: Vec<DestinationStats>,
}
