//! What waits for the writer.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::QueueId;
use parking_lot::{Condvar, Mutex};
use queue::{Entry, StoreError};
use tokio::sync::oneshot;

use crate::large::Named;
use crate::record::{Location, Record};

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Job {
    /// A new entry; its waiter hears when it is durable.
    Commit {
        record: Record,
        entry: Arc<Entry>,
        large: Option<Named>,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
    /// States that the index has taken over already.
    Update { record: Record },
    /// An entry that moves from an old segment to the end of the log.
    Copy { record: Record, id: QueueId, from: Location, pending: Pending },
}

impl Job {
    pub(crate) fn record(&self) -> &Record {
        match self {
            Self::Commit { record, .. } | Self::Update { record } | Self::Copy { record, .. } => record,
        }
    }
}

/// Counts the copies that are under way; one less when it is dropped.
#[derive(Debug)]
pub(crate) struct Pending(Arc<AtomicUsize>);

impl Pending {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// Jobs that were ever put in.
    count: u64,
    closing: bool,
    /// Why nothing is taken any more.
    closed: Option<String>,
}

/// The line before the writer. What is put in first is written first.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// What [`Jobs::take`] found.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) jobs: Vec<Job>,
    /// The number of the last of all jobs up to these.
    pub(crate) last: u64,
    pub(crate) closing: bool,
}

impl Jobs {
    /// Puts a job in line and says its number. The caller may hold the index.
    pub(crate) fn push(&self, job: Job) -> Result<u64, StoreError> {
        let mut waiting = self.waiting.lock();
        if let Some(reason) = &waiting.closed {
            return Err(StoreError::Closed(reason.clone()));
        }
        if waiting.closing {
            return Err(StoreError::Closed("the server is stopping".to_owned()));
        }
        waiting.jobs.push(job);
        waiting.count += 1;
        let count = waiting.count;
        drop(waiting);
        self.wake.notify_one();
        Ok(count)
    }

    /// The number of the last job.
    pub(crate) fn last(&self) -> u64 {
        self.waiting.lock().count
    }

    /// Takes everything that waits; waits itself until there is something, or until `deadline`.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Taken {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() && !waiting.closing {
            match deadline {
                Some(deadline) => {
                    if self.wake.wait_until(&mut waiting, deadline).timed_out() {
                        break;
                    }
                }
                None => self.wake.wait(&mut waiting),
            }
        }
        Taken { jobs: mem::take(&mut waiting.jobs), last: waiting.count, closing: waiting.closing }
    }

    /// Takes nothing any more; what waits is still written.
    pub(crate) fn close(&self) {
        self.waiting.lock().closing = true;
        self.wake.notify_all();
    }

    /// Takes nothing any more, and throws away what waits: each waiter hears why.
    pub(crate) fn fail(&self, reason: &str) {
        let jobs = {
            let mut waiting = self.waiting.lock();
            waiting.closed.get_or_insert_with(|| reason.to_owned());
            mem::take(&mut waiting.jobs)
        };
        for job in jobs {
            if let Job::Commit { done, .. } = job {
                let _ = done.send(Err(StoreError::Closed(reason.to_owned())));
            }
        }
    }

    /// Why nothing is taken any more, if so.
    pub(crate) fn closed(&self) -> Option<String> {
        self.waiting.lock().closed.clone()
    }
}

/// How long update records may wait for a sync.
pub(crate) const UPDATE_SYNC: Duration = Duration::from_millis(900);
