//! The entries that are being worked on: each at most once at a time, and what is to happen to it afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use model::{Content, QueueId};
use parking_lot::Mutex;
use queue::{Entry, Selection};

use crate::notice::Notice;
use crate::traits::Traits;

/// What the postmaster wants of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Waiting recipients are due now.
    Retry,
    /// Waiting recipients are held.
    Hold { reason: String },
    /// Held recipients are due now.
    Release,
    /// Waiting and held recipients are taken out, without a report.
    Remove,
}

/// An order, and for which of an entry's recipients it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) order: Order,
    pub(crate) only: Arc<Selection>,
}

/// One pass over an entry: an attempt for each recipient that is due.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) entry: Arc<Entry>,
    /// In memory from the start, or once an attempt has asked the store for it.
    pub(crate) content: Mutex<Option<Content>>,
    /// Octets of content that count against the budget.
    pub(crate) kept_octets: u64,
    /// Known once an attempt has looked at the content.
    pub(crate) traits: Mutex<Option<Arc<Traits>>>,
    /// Attempts that have not begun are not to begin.
    pub(crate) is_cancelled: AtomicBool,
    /// How urgent the message is (RFC 6710).
    pub(crate) priority: i8,
    pub(crate) progress: Mutex<Progress>,
}

impl Pass {
    /// A pass with so many jobs to be done.
    pub(crate) fn new(entry: Arc<Entry>, content: Option<Content>, kept_octets: u64, jobs: usize) -> Self {
        Self {
            priority: priority(&entry),
            entry,
            content: Mutex::new(content),
            kept_octets,
            traits: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            progress: Mutex::new(Progress { jobs, told: Vec::new() }),
        }
    }
}

/// How urgent an entry is, -9 to 9.
pub(crate) fn priority(entry: &Entry) -> i8 {
    entry.sender_param("MT-PRIORITY").and_then(model::parse_priority).unwrap_or(0)
}

/// How far a pass has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Jobs that are not done.
    pub(crate) jobs: usize,
    /// Recipients of whom the sender is told in one report, when all jobs are done; their states are recorded behind it.
    pub(crate) told: Vec<Notice>,
}

/// Some recipients of a pass that have the same next hop; made in one transaction.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) pass: Arc<Pass>,
    /// Places in the entry's list of recipients.
    pub(crate) recipients: Vec<usize>,
}

#[derive(Debug, Default)]
struct Slot {
    pass: Option<Arc<Pass>>,
    /// To be done when the pass is over.
    control: Option<Control>,
}

/// Who is claimed, and how much memory the passes take.
#[derive(Debug, Default)]
pub(crate) struct Active {
    slots: Mutex<HashMap<QueueId, Slot>>,
    passes: AtomicUsize,
    kept_octets: AtomicU64,
}

impl Active {
    /// Takes an id for the caller alone; false when somebody has it.
    pub(crate) fn claim(&self, id: QueueId) -> bool {
        let mut slots = self.slots.lock();
        match slots.entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Slot::default());
                true
            }
        }
    }

    /// Claims an id for a control, or leaves the control to whoever has it. True when it was claimed.
    pub(crate) fn claim_or_leave(&self, id: QueueId, control: &Control) -> bool {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(&id) else {
            slots.insert(id, Slot::default());
            return true;
        };
        if let (Some(pass), Order::Hold { .. } | Order::Remove) = (&slot.pass, &control.order) {
            pass.is_cancelled.store(true, Ordering::Relaxed);
        }
        slot.control = Some(control.clone());
        false
    }

    /// Notes the pass of a claimed id.
    pub(crate) fn begin(&self, id: QueueId, pass: &Arc<Pass>) {
        self.passes.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = self.slots.lock().get_mut(&id) {
            slot.pass = Some(Arc::clone(pass));
        }
    }

    /// The pass is over; the id stays claimed.
    pub(crate) fn end(&self, id: QueueId) {
        let pass = self.slots.lock().get_mut(&id).and_then(|slot| slot.pass.take());
        if let Some(pass) = pass {
            self.passes.fetch_sub(1, Ordering::Relaxed);
            self.kept_octets.fetch_sub(pass.kept_octets, Ordering::Relaxed);
        }
    }

    /// What was left to be done with a claimed id.
    pub(crate) fn take_control(&self, id: QueueId) -> Option<Control> {
        self.slots.lock().get_mut(&id)?.control.take()
    }

    /// Gives a claimed id back, unless something was left to be done with it: that comes back instead.
    pub(crate) fn release(&self, id: QueueId) -> Option<Control> {
        let mut slots = self.slots.lock();
        let left = slots.get_mut(&id).and_then(|slot| slot.control.take());
        if left.is_none() {
            slots.remove(&id);
        }
        left
    }

    /// Whether there is a pass over this entry.
    pub(crate) fn has_pass(&self, id: QueueId) -> bool {
        self.slots.lock().get(&id).is_some_and(|slot| slot.pass.is_some())
    }

    /// Passes under way.
    pub(crate) fn passes(&self) -> usize {
        self.passes.load(Ordering::Relaxed)
    }

    /// Octets of content that the budget counts.
    pub(crate) fn kept_octets(&self) -> u64 {
        self.kept_octets.load(Ordering::Relaxed)
    }

    /// Counts octets against the budget; false when they are too many.
    pub(crate) fn keep(&self, octets: u64, budget: u64) -> bool {
        let before = self.kept_octets.fetch_add(octets, Ordering::Relaxed);
        if before.saturating_add(octets) > budget {
            self.unkeep(octets);
            return false;
        }
        true
    }

    /// Takes back what [`Self::keep`] counted, when no pass came of it.
    pub(crate) fn unkeep(&self, octets: u64) {
        self.kept_octets.fetch_sub(octets, Ordering::Relaxed);
    }
}
