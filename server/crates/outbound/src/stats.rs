//! What has been done, for the control socket and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Histogram, HistogramView};
use queue::State;

pub use crate::destination::DestinationStats;

/// A kind of next hop. Counts are by these: there are as many destinations as there are domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Mailboxes and programs of this machine.
    Local,
    Lmtp,
    /// A host that the configuration names.
    Relay,
    Mx,
}

impl Class {
    const ALL: [(Self, &str); 4] =
        [(Self::Local, "local"), (Self::Lmtp, "lmtp"), (Self::Relay, "relay"), (Self::Mx, "mx")];
}

const OUTCOMES: [&str; 5] = ["delivered", "deferred", "held", "bounced", "expired"];

/// Counts since the start.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Recipients by kind of next hop and outcome.
    outcomes: [[AtomicU64; OUTCOMES.len()]; Class::ALL.len()],
    pub(crate) reports: AtomicU64,
    /// Connections that had a session.
    pub(crate) connections: AtomicU64,
    /// Addresses that had none for us.
    pub(crate) connections_failed: AtomicU64,
    pub(crate) transactions: AtomicU64,
    /// Of these, those over a connection that had one before.
    pub(crate) transactions_reused: AtomicU64,
    /// From arrival to delivery.
    latency: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            reports: AtomicU64::default(),
            connections: AtomicU64::default(),
            connections_failed: AtomicU64::default(),
            transactions: AtomicU64::default(),
            transactions_reused: AtomicU64::default(),
            latency: Histogram::new(Histogram::LONG_S),
        }
    }
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A recipient has come to this state, so long after its message arrived.
    pub(crate) fn outcome(&self, class: Class, state: &State, age: Duration) {
        let name = match state {
            State::Waiting { .. } => "deferred",
            other => other.name(),
        };
        if let Some(nth) = OUTCOMES.iter().position(|outcome| *outcome == name) {
            Self::add(&self.outcomes[class as usize][nth]);
        }
        if matches!(state, State::Delivered) {
            self.latency.observe(age);
        }
    }

    /// Everything but what is being done now.
    pub(crate) fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let of = |outcome: &str| {
            let nth = OUTCOMES.iter().position(|name| *name == outcome);
            nth.map_or(0, |nth| self.outcomes.iter().map(|outcomes| load(&outcomes[nth])).sum())
        };
        let of_class = |(class, class_name): (Class, &'static str)| {
            let counts = OUTCOMES.iter().zip(&self.outcomes[class as usize]);
            counts.map(move |(outcome, count)| (class_name, *outcome, load(count)))
        };
        Stats {
            delivered: of("delivered"),
            deferred: of("deferred"),
            bounced: of("bounced"),
            expired: of("expired"),
            outcomes: Class::ALL.into_iter().flat_map(of_class).collect(),
            reports: load(&self.reports),
            connections: load(&self.connections),
            connections_failed: load(&self.connections_failed),
            transactions: load(&self.transactions),
            transactions_reused: load(&self.transactions_reused),
            latency: self.latency.view(),
            ..Stats::default()
        }
    }
}

/// A picture of the engine at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// Recipients that a next hop took, since the start; likewise the three below.
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub expired: u64,
    /// The same by the names of the kind of next hop (`local`, `lmtp`, `relay`, `mx`) and of the outcome.
    pub outcomes: Vec<(&'static str, &'static str, u64)>,
    /// Connections that had a session, since the start.
    pub connections: u64,
    /// Addresses that had none for us.
    pub connections_failed: u64,
    /// Transactions that were begun.
    pub transactions: u64,
    /// Of these, those over a connection that had one before.
    pub transactions_reused: u64,
    /// From arrival to delivery, a recipient at a time.
    pub latency: HistogramView,
    /// Delivery status notifications that were queued, since the start.
    pub reports: u64,
    /// Entries with an attempt under way or about to be.
    pub active: usize,
    /// Octets of fresh content in memory.
    pub memory_octets: u64,
    /// Those with work, a connection, or a failure that is remembered; by name.
    pub destinations: Vec<DestinationStats>,
}
