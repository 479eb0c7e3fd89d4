//! One destination: what waits for it, who works for it, and whether it can be reached.
//!
//! A destination has its own workers and its own back-off, so that a slow or dead one delays nobody else. Its first connection is
//! made alone; when that has worked, as many workers as [`Window`] says are made, up to the limit. When a further connection is
//! refused while others stand, the number that stand is the limit for a while.
//!
//! Where its route has rates, what is too early rests: one worker waits for the time, without a permit if that is long.

use std::time::{Duration, Instant};

use model::{QueueId, Reply};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::active::Job;
use crate::line::Line;
use crate::options::Limits;
use crate::pace::Pace;
use crate::site::Site;
use crate::window::Window;

/// Sessions that break in a row, with nothing delivered between, before the destination is left alone.
const BROKEN_IN_A_ROW: u32 = 3;
/// Jobs that a destination may have in memory however little room there is.
const LEAST_QUEUED: usize = 8;

#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) site: Site,
    messages: Pace,
    connections: Pace,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    line: Line<Job>,
    /// Entries that wait until the line is shorter; claimed, but not in memory.
    parked: Line<QueueId>,
    workers: usize,
    /// Workers that have a connection.
    connected: usize,
    /// Workers that wait for a job.
    idle: usize,
    /// Of those that waited: how many have been called and have not noticed yet.
    called: usize,
    /// A connection has been made since the last failure.
    is_proven: bool,
    window: Window,
    /// Connections that stood when a further one was refused, and until when they are enough.
    ceiling: Option<(usize, Instant)>,
    /// Nobody works until then, as a rate says; a timer runs.
    resting_until: Option<Instant>,
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
    /// A rate says: not before then.
    Rest(Instant),
    /// The worker is no longer counted and must end.
    Exit,
}

/// For statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationStats {
    /// The domain or its mail hosts, `relay:HOST:PORT`, `lmtp:...` or `maildir:PATTERN`.
    pub name: String,
    /// Attempts that wait, in memory or as ids.
    pub queued: usize,
    pub connections: usize,
    /// Connections that it is trusted with at the moment.
    pub window: usize,
    pub last_error: Option<String>,
    /// How long it is still left alone.
    pub backoff: Option<Duration>,
}

impl Destination {
    pub(crate) fn new(site: Site, now: Instant) -> Self {
        let route = site.route();
        let messages = Pace::per_minute(route.and_then(|route| route.messages_per_minute), now);
        let connections = Pace::per_minute(route.and_then(|route| route.connections_per_minute), now);
        // Writing to a disk needs no trial, nor does a program.
        let state = State::new(matches!(site, Site::Maildir(_) | Site::Pipe(_)), now);
        Self { site, messages, connections, state: Mutex::new(state), wake: Notify::new() }
    }

    /// Adds a job; true when the caller is to start a worker, which is counted already.
    pub(crate) fn push(&self, job: Job, limits: &Limits, now: Instant) -> bool {
        let mut state = self.state.lock();
        let priority = job.pass.priority;
        state.line.push(job, priority, now);
        if self.call_one(&mut state) {
            return false;
        }
        self.room_for_workers(&mut state, 1, limits, now) > 0
    }

    /// Keeps an id, if the line is too long; false when there is room for the entry itself.
    ///
    /// A full line has a job that will be taken, and [`Self::unpark`] is asked then.
    pub(crate) fn park_if_full(&self, id: QueueId, priority: i8, most: usize, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_full = state.is_full(priority, most);
        if is_full {
            state.parked.push(id, priority, now);
        }
        is_full
    }

    /// Whether a further entry is to be kept as an id only.
    pub(crate) fn is_full(&self, priority: i8, most: usize) -> bool {
        self.state.lock().is_full(priority, most)
    }

    /// Ids whose time has come, when the line is half as long as it may be.
    pub(crate) fn unpark(&self, most: usize) -> Vec<QueueId> {
        let mut state = self.state.lock();
        let most = most.max(LEAST_QUEUED);
        if state.parked.is_empty() || state.line.len() > most / 2 {
            return Vec::new();
        }
        let room = most.saturating_sub(state.line.len()).max(1);
        std::iter::from_fn(|| state.parked.pop()).take(room).collect()
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
        state.window.size(self.connection_limit(limits)).min(ceiling).max(1)
    }

    fn connection_limit(&self, limits: &Limits) -> usize {
        let own = self.site.route().and_then(|route| route.connections);
        own.unwrap_or(limits.connections_per_destination)
    }

    /// How many of these workers the caller is to start; they are counted.
    fn room_for_workers(&self, state: &mut State, wanted: usize, limits: &Limits, now: Instant) -> usize {
        if state.resting_until.is_some_and(|until| now < until) {
            return 0;
        }
        let room = self.worker_limit(state, limits, now).saturating_sub(state.workers);
        let started = room.min(wanted);
        state.workers += started;
        started
    }

    /// The next job. `may_wait` when the worker has a connection worth keeping.
    pub(crate) fn next(&self, may_wait: bool, limits: &Limits, now: Instant) -> Next {
        let mut state = self.state.lock();
        if state.workers > self.worker_limit(&state, limits, now) {
            state.workers -= 1;
            return Next::Exit;
        }
        if state.line.is_empty() {
            if may_wait {
                state.idle += 1;
                return Next::Idle;
            }
            state.workers -= 1;
            return Next::Exit;
        }
        // What is put off at once costs the rate nothing.
        if state.backing_off(now).is_none()
            && let Err(at) = self.messages.take(now)
        {
            return state.rest(at);
        }
        match state.line.pop() {
            Some(job) => Next::Job(Box::new(job)),
            None => Next::Exit,
        }
    }

    /// Up to `count` further jobs, for a worker that does many at once.
    pub(crate) fn more(&self, count: usize) -> Vec<Job> {
        let mut state = self.state.lock();
        std::iter::from_fn(|| state.line.pop()).take(count).collect()
    }

    /// Whether one more connection may be made now; else when.
    pub(crate) fn may_connect(&self, now: Instant) -> Result<(), Instant> {
        self.connections.take(now)
    }

    /// The job of a worker that may not connect yet is put back; what the worker does instead.
    pub(crate) fn too_early(&self, job: Job, at: Instant) -> Next {
        let mut state = self.state.lock();
        state.line.put_back(job);
        state.rest(at)
    }

    /// The last worker leaves and is not counted any more; a timer of the caller's calls [`Self::awake`] then.
    pub(crate) fn leave_until(&self, at: Instant) {
        let mut state = self.state.lock();
        state.workers = state.workers.saturating_sub(1);
        state.resting_until = Some(at);
    }

    /// The rest is over; true when the caller is to start a worker, which is counted already.
    pub(crate) fn awake(&self, limits: &Limits, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.resting_until = None;
        let wanted = usize::from(!state.line.is_empty() && state.workers == 0);
        self.room_for_workers(&mut state, wanted, limits, now) > 0
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
        if state.workers == 1 && !state.line.is_empty() {
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
        state.line.put_back(job);
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
        let waiting = state.line.len();
        self.room_for_workers(&mut state, waiting, limits, now)
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
            let standing = state.connected;
            state.window.narrow_to(standing);
            state.ceiling = Some((standing, now + limits.backoff));
            return true;
        }
        state.back_off(limits, now);
        false
    }

    /// A transaction came to an end that the peer determined. How many workers the caller is to start, which are counted already.
    pub(crate) fn went_well(&self, limits: &Limits, now: Instant) -> usize {
        let mut state = self.state.lock();
        state.broken = 0;
        state.window.widen(self.connection_limit(limits));
        let waiting = state.line.len();
        self.room_for_workers(&mut state, waiting, limits, now)
    }

    /// A session broke in the middle of a transaction.
    pub(crate) fn broke(&self, reply: &Reply, limits: &Limits, now: Instant) {
        let mut state = self.state.lock();
        state.broken += 1;
        state.window.halve();
        state.last_error = Some(reply.clone());
        if state.broken >= BROKEN_IN_A_ROW {
            state.broken = 0;
            state.back_off(limits, now);
        }
    }

    /// The destination asks for less: fewer connections, and no more for a while if it says so of the session.
    pub(crate) fn asks_for_less(&self, reply: &Reply, of_session: bool, limits: &Limits, now: Instant) {
        let mut state = self.state.lock();
        state.window.halve();
        state.last_error = Some(reply.clone());
        if of_session {
            state.back_off(limits, now);
        }
    }

    /// Why nothing is to be tried now.
    pub(crate) fn backing_off(&self, now: Instant) -> Option<Backoff> {
        let state = self.state.lock();
        let until = state.backing_off(now)?;
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
        let is_quiet = state.workers == 0 && state.line.is_empty() && state.parked.is_empty();
        let is_over = |until: Option<Instant>| until.is_none_or(|until| now > until + limits.backoff_max);
        // A rate is kept as long as a minute, so that nobody gets around it.
        is_quiet
            && is_over(state.backoff_until)
            && !self.messages.is_fresh(now)
            && !self.connections.is_fresh(now)
    }

    pub(crate) fn stats(&self, limits: &Limits, now: Instant) -> DestinationStats {
        let state = self.state.lock();
        DestinationStats {
            name: self.site.to_string(),
            queued: state.line.len() + state.parked.len(),
            connections: state.connected,
            window: self.worker_limit(&state, limits, now),
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
    fn new(is_proven: bool, now: Instant) -> Self {
        Self {
            line: Line::new(now),
            parked: Line::new(now),
            workers: 0,
            connected: 0,
            idle: 0,
            called: 0,
            is_proven,
            window: Window::default(),
            ceiling: None,
            resting_until: None,
            failures: 0,
            broken: 0,
            backoff_until: None,
            failed_at: None,
            last_error: None,
        }
    }

    /// What is urgent may fill the line twice.
    fn is_full(&self, priority: i8, most: usize) -> bool {
        let most = most.max(LEAST_QUEUED);
        self.line.len() >= if priority > 0 { most.saturating_mul(2) } else { most }
    }

    /// One worker is enough to wait for a rate.
    fn rest(&mut self, at: Instant) -> Next {
        if self.workers > 1 {
            self.workers -= 1;
            return Next::Exit;
        }
        Next::Rest(at)
    }

    fn backing_off(&self, now: Instant) -> Option<Instant> {
        self.backoff_until.filter(|until| now < *until)
    }

    fn back_off(&mut self, limits: &Limits, now: Instant) {
        let doubled = limits.backoff.saturating_mul(1 << self.failures.min(16));
        self.backoff_until = Some(now + doubled.min(limits.backoff_max));
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.is_proven = false;
        self.window.begin_anew();
    }
}
