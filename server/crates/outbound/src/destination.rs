//! One destination: what waits for it, who works for it, and whether it can be reached.
//!
//! A destination has its own workers and its own back-off, so that a slow or dead one delays nobody else. Its first connection is
//! made alone; when that has worked, as many workers as there is work are made, up to the limit. When a further connection is
//! refused while others stand, the number that stand is the limit for a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::{QueueId, Reply};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::active::Job;
use crate::options::Limits;
use crate::site::Site;

/// Sessions that break in a row, with nothing delivered between, before the destination is left alone.
const BROKEN_IN_A_ROW: u32 = 3;

#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) site: Site,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    /// Entries that wait until the queue is shorter; claimed, but not in memory.
    parked: VecDeque<QueueId>,
    workers: usize,
    /// Workers that have a connection.
    connected: usize,
    /// Workers that wait for a job.
    idle: usize,
    /// Of those that waited: how many have been called and have not noticed yet.
    called: usize,
    /// A connection has been made since the last failure.
    is_proven: bool,
    /// Connections that stood when a further one was refused, and until when they are enough.
    ceiling: Option<(usize, Instant)>,
    /// Failures to connect in a row.
    failures: u32,
    /// Sessions that broke in a row.
    broken: u32,
    backoff_until: Option<Instant>,
    /// When the last failure was that the back-off is for.
    failed_at: Option<Instant>,
    last_error: Option<Reply>,
}

/// A destination is left alone.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    /// What it said last, or what became of the last connection.
    pub(crate) reply: Reply,
    /// When that was.
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

/// What a worker does next.
#[derive(Debug)]
pub(crate) enum Next {
    Job(Box<Job>),
    /// Wait with [`Destination::called`].
    Idle,
    /// The worker is no longer counted and must end.
    Exit,
}

/// For statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationStats {
    /// The domain, `relay:HOST:PORT`, `lmtp:...` or `maildir:PATTERN`.
    pub name: String,
    /// Attempts that wait, in memory or as ids.
    pub queued: usize,
    pub connections: usize,
    pub last_error: Option<String>,
    /// How long it is still left alone.
    pub backoff: Option<Duration>,
}

impl Destination {
    pub(crate) fn new(site: Site) -> Self {
        // Writing to a disk needs no trial, nor does a program.
        let is_proven = matches!(site, Site::Maildir(_) | Site::Pipe(_));
        Self { site, state: Mutex::new(State { is_proven, ..State::default() }), wake: Notify::new() }
    }

    /// Adds a job; true when the caller is to start a worker, which is counted already.
    pub(crate) fn push(&self, job: Job, limits: &Limits, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.queue.push_back(job);
        if self.call_one(&mut state) {
            return false;
        }
        let may_start = state.workers < self.worker_limit(&state, limits, now);
        state.workers += usize::from(may_start);
        may_start
    }

    /// Keeps an id, if the queue is full; false when there is room for the entry itself.
    ///
    /// A full queue has a job that will be taken, and [`Self::unpark`] is asked then.
    pub(crate) fn park_if_full(&self, id: QueueId, limits: &Limits) -> bool {
        let mut state = self.state.lock();
        let is_full = state.queue.len() >= limits.queued_per_destination.max(1);
        if is_full {
            state.parked.push_back(id);
        }
        is_full
    }

    /// Whether a further entry is to be kept as an id only.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.state.lock().queue.len() >= limits.queued_per_destination.max(1)
    }

    /// Ids whose time has come, when the queue is half empty.
    pub(crate) fn unpark(&self, limits: &Limits) -> Vec<QueueId> {
        let mut state = self.state.lock();
        if state.parked.is_empty() || state.queue.len() > limits.queued_per_destination / 2 {
            return Vec::new();
        }
        let room =
            limits.queued_per_destination.saturating_sub(state.queue.len()).max(1).min(state.parked.len());
        state.parked.drain(..room).collect()
    }

    fn worker_limit(&self, state: &State, limits: &Limits, now: Instant) -> usize {
        match &self.site {
            Site::Maildir(_) => return limits.maildir_writers.max(1),
            Site::Pipe(pipe) => return pipe.concurrency.max(1),
            _ => {}
        }
        if !state.is_proven {
            return 1;
        }
        let ceiling = state.ceiling.filter(|(_, until)| now < *until).map_or(usize::MAX, |(count, _)| count);
        limits.connections_per_destination.min(ceiling).max(1)
    }

    /// The next job. `may_wait` when the worker has a connection worth keeping.
    pub(crate) fn next(&self, may_wait: bool) -> Next {
        let mut state = self.state.lock();
        if let Some(job) = state.queue.pop_front() {
            return Next::Job(Box::new(job));
        }
        if may_wait {
            state.idle += 1;
            return Next::Idle;
        }
        state.workers -= 1;
        Next::Exit
    }

    /// Up to `count` further jobs, for a worker that does many at once.
    pub(crate) fn more(&self, count: usize) -> Vec<Job> {
        let mut state = self.state.lock();
        let count = count.min(state.queue.len());
        state.queue.drain(..count).collect()
    }

    /// Returns when an idle worker is called.
    pub(crate) async fn called(&self) {
        loop {
            // Made before the look, so that no call between the two is missed.
            let notified = self.wake.notified();
            if self.was_called() {
                return;
            }
            notified.await;
        }
    }

    fn was_called(&self) -> bool {
        let mut state = self.state.lock();
        let was_called = state.called > 0;
        state.called -= usize::from(was_called);
        was_called
    }

    /// An idle worker gives up waiting. False when it has been called meanwhile and must go on.
    pub(crate) fn stop_waiting(&self) -> bool {
        let mut state = self.state.lock();
        if state.called > 0 {
            state.called -= 1;
            return false;
        }
        state.idle -= 1;
        true
    }

    /// A worker that is neither idle nor at [`Next::Exit`] ends. False when it is the last and there is work: it must go on.
    pub(crate) fn may_leave(&self) -> bool {
        let mut state = self.state.lock();
        if state.workers == 1 && !state.queue.is_empty() {
            return false;
        }
        state.workers -= 1;
        true
    }

    /// A worker is gone that could not say goodbye; with it goes its place.
    pub(crate) fn forget_worker(&self) {
        let mut state = self.state.lock();
        state.workers = state.workers.saturating_sub(1);
    }

    /// Puts back a job that was not begun.
    pub(crate) fn give_back(&self, job: Job) {
        let mut state = self.state.lock();
        state.queue.push_front(job);
        self.call_one(&mut state);
    }

    /// Calls an idle worker, if there is one.
    fn call_one(&self, state: &mut State) -> bool {
        let is_any = state.idle > 0;
        if is_any {
            state.idle -= 1;
            state.called += 1;
            self.wake.notify_one();
        }
        is_any
    }

    /// A connection was made. How many workers the caller is to start, which are counted already.
    pub(crate) fn connected(&self, limits: &Limits, now: Instant) -> usize {
        let mut state = self.state.lock();
        state.connected += 1;
        state.is_proven = true;
        (state.failures, state.backoff_until) = (0, None);
        let room = self.worker_limit(&state, limits, now).saturating_sub(state.workers);
        let started = room.min(state.queue.len());
        state.workers += started;
        started
    }

    pub(crate) fn disconnected(&self) {
        let mut state = self.state.lock();
        state.connected = state.connected.saturating_sub(1);
    }

    /// No connection could be made. True when others stand: then they are enough for now, and the job is to be put back.
    pub(crate) fn could_not_connect(&self, reply: &Reply, limits: &Limits, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.last_error = Some(reply.clone());
        if state.connected > 0 {
            state.ceiling = Some((state.connected, now + limits.backoff));
            return true;
        }
        state.back_off(limits, now);
        false
    }

    /// A transaction came to an end that the peer determined.
    pub(crate) fn went_well(&self) {
        self.state.lock().broken = 0;
    }

    /// A session broke in the middle of a transaction.
    pub(crate) fn broke(&self, reply: &Reply, limits: &Limits, now: Instant) {
        let mut state = self.state.lock();
        state.broken += 1;
        state.last_error = Some(reply.clone());
        if state.broken >= BROKEN_IN_A_ROW {
            state.broken = 0;
            state.back_off(limits, now);
        }
    }

    /// Why nothing is to be tried now.
    pub(crate) fn backing_off(&self, now: Instant) -> Option<Backoff> {
        let state = self.state.lock();
        let until = state.backoff_until.filter(|until| now < *until)?;
        let reply = state.last_error.clone()?;
        Some(Backoff { reply, since: state.failed_at.unwrap_or(now), until })
    }

    /// The postmaster wants an attempt.
    pub(crate) fn clear_backoff(&self) {
        self.state.lock().backoff_until = None;
    }

    /// Whether it can be forgotten: nothing to do, and nothing learned that still matters.
    pub(crate) fn is_dormant(&self, limits: &Limits, now: Instant) -> bool {
        let state = self.state.lock();
        let is_quiet = state.workers == 0 && state.queue.is_empty() && state.parked.is_empty();
        is_quiet && state.backoff_until.is_none_or(|until| now > until + limits.backoff_max)
    }

    pub(crate) fn stats(&self, now: Instant) -> DestinationStats {
        let state = self.state.lock();
        DestinationStats {
            name: self.site.to_string(),
            queued: state.queue.len() + state.parked.len(),
            connections: state.connected,
            last_error: state.last_error.as_ref().map(ToString::to_string),
            backoff: state.backoff_until.and_then(|until| until.checked_duration_since(now)),
        }
    }

    /// Wakes the idle, for them to see that the engine stops.
    pub(crate) fn call_all(&self) {
        let mut state = self.state.lock();
        state.called += std::mem::take(&mut state.idle);
        self.wake.notify_waiters();
    }
}

impl State {
    fn back_off(&mut self, limits: &Limits, now: Instant) {
        let doubled = limits.backoff.saturating_mul(1 << self.failures.min(16));
        self.backoff_until = Some(now + doubled.min(limits.backoff_max));
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.is_proven = false;
    }
}
