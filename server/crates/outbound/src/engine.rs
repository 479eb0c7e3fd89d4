//! The engine: takes entries, shares them out among destinations, and knows who works.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dns::Resolver;
use hooks::{DeliveryHooks, NoHooks};
use model::{Content, QueueId, Reply};
use parking_lot::{Mutex, RwLock};
use queue::{Courier, Entry, Store};
use reporting::Ledger;
use sender_auth::report as senders;
use tls_policy::{Https, MtaSts, report as sessions};
use tokio::sync::{Notify, Semaphore};

use crate::active::{Active, Job, Pass, priority};
use crate::control::Applied;
use crate::daily;
use crate::destination::Destination;
use crate::lookups::Lookups;
use crate::options::{Limits, MtaStsOptions, Options};
use crate::outcome::{Attempt, postponement};
use crate::plan::{self, Plan};
use crate::scheduler::{self, Schedule};
use crate::site::Site;
use crate::stats::{Counters, Stats};
use crate::tasks::Tasks;
use crate::telling::{self, Teller};
use crate::worker;

/// The delivery engine. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    options: RwLock<Arc<Options>>,
    /// Finds policies as these options say.
    mta_sts: RwLock<Option<Arc<MtaSts>>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) hooks: Arc<dyn DeliveryHooks>,
    pub(crate) teller: Teller,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) active: Active,
    destinations: Mutex<HashMap<Site, Arc<Destination>>>,
    pub(crate) schedule: Schedule,
    pub(crate) counters: Counters,
    /// A permit for each connection, over all destinations.
    pub(crate) deliveries: Arc<Semaphore>,
    /// Workers that wait for one.
    pub(crate) without_permit: AtomicUsize,
    parked: AtomicUsize,
    pub(crate) tasks: Arc<Tasks>,
    /// Counts sessions, when domains are to be told.
    pub(crate) ledger: Option<Arc<sessions::Ledger>>,
    /// Counts messages in the names of domains, when those are to be told.
    senders: Option<Arc<senders::Ledger>>,
    is_stopping: AtomicBool,
    has_halted: AtomicBool,
    stopped: Notify,
    runtime: tokio::runtime::Handle,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("passes", &self.inner.active.passes()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts delivering what the store holds, on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(options: Arc<Options>, store: Arc<dyn Store>, resolver: Arc<dyn Resolver>) -> Self {
        Self::start_with(options, store, resolver, Arc::new(NoHooks))
    }

    /// The same, with plugins that are asked.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_with(
        options: Arc<Options>,
        store: Arc<dyn Store>,
        resolver: Arc<dyn Resolver>,
        hooks: Arc<dyn DeliveryHooks>,
    ) -> Self {
        let deliveries = Arc::new(Semaphore::new(options.limits.deliveries.clamp(1, Semaphore::MAX_PERMITS)));
        let (teller, waiting) = Teller::new();
        let sessions = options.tls_report.as_ref().map(|told| &told.folder);
        let ledger = sessions.map(|folder| Arc::new(Ledger::open(folder.clone(), sessions::ROOM)));
        let messages = options.dmarc_report.as_ref().map(|told| &told.folder);
        let senders = messages.map(|folder| Arc::new(Ledger::open(folder.clone(), senders::ROOM)));
        let inner = Arc::new(Inner {
            mta_sts: RwLock::new(finder(&options, &resolver)),
            options: RwLock::new(options),
            store,
            resolver,
            hooks: Arc::clone(&hooks),
            teller,
            lookups: Arc::default(),
            active: Active::default(),
            destinations: Mutex::default(),
            schedule: Schedule::default(),
            counters: Counters::default(),
            deliveries,
            without_permit: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            tasks: Arc::default(),
            ledger,
            senders,
            is_stopping: AtomicBool::new(false),
            has_halted: AtomicBool::new(false),
            stopped: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        });
        // Not among the tasks that a shutdown waits for: what is told changes nothing.
        tokio::spawn(telling::run(hooks, waiting));
        inner.tasks.spawn(scheduler::run(Arc::clone(&inner)));
        if let Some(ledger) = inner.ledger.clone() {
            inner.tasks.spawn(daily::run(Arc::clone(&inner), ledger));
        }
        if let Some(ledger) = inner.senders.clone() {
            inner.tasks.spawn(daily::run(Arc::clone(&inner), ledger));
        }
        Self { inner }
    }

    /// Where messages are counted that came in the names of domains; nothing when the start's options tell nobody.
    pub fn sender_ledger(&self) -> Option<Arc<senders::Ledger>> {
        self.inner.senders.clone()
    }

    /// Swaps the options; attempts under way keep the old ones. `limits.deliveries` keeps its first value.
    pub fn reload(&self, options: Arc<Options>) {
        *self.inner.mta_sts.write() = finder(&options, &self.inner.resolver);
        *self.inner.options.write() = options;
        self.inner.lookups.forget();
    }

    /// Stops: no further attempt begins, those under way may end until the time is over. What was not done stays in the store.
    pub async fn shutdown(&self, within: Duration) {
        let inner = &self.inner;
        inner.stop();
        if tokio::time::timeout(within, inner.tasks.all_ended()).await.is_err() {
            tracing::warn!("deliveries that did not end in time were broken off and will be made again");
        }
        inner.tasks.abort();
        inner.tasks.all_ended().await;
    }

    /// Whether deliveries have ended as the queue cannot record what becomes of them: until another start.
    pub fn has_halted(&self) -> bool {
        self.inner.has_halted.load(Ordering::Relaxed)
    }

    /// What has been done and what is being done.
    pub fn stats(&self) -> Stats {
        let (inner, now) = (&self.inner, clock::now());
        let limits = inner.options().limits.clone();
        let all: Vec<_> = inner.destinations.lock().values().map(Arc::clone).collect();
        let mut destinations: Vec<_> =
            all.iter().map(|destination| destination.stats(&limits, now)).collect();
        destinations.sort_by(|a, b| a.name.cmp(&b.name));
        Stats {
            active: inner.active.passes(),
            memory_octets: inner.active.kept_octets(),
            destinations,
            ..inner.counters.stats()
        }
    }
}

/// Whoever finds MTA-STS policies. What an earlier one has fetched it reads from the disk.
fn finder(options: &Options, resolver: &Arc<dyn Resolver>) -> Option<Arc<MtaSts>> {
    let MtaStsOptions { folder, port } = options.mta_sts.clone()?;
    let fetcher = Https::new(Arc::clone(resolver), options.tls.web_pki(), port);
    Some(Arc::new(MtaSts::new(tls_policy::Options { folder }, Arc::clone(resolver), Arc::new(fetcher))))
}

impl Courier for Engine {
    fn take(&self, entry: Arc<Entry>, content: Content) {
        self.inner.take(entry, content);
    }
}

impl Inner {
    pub(crate) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.read())
    }

    pub(crate) fn mta_sts(&self) -> Option<Arc<MtaSts>> {
        self.mta_sts.read().clone()
    }

    /// No further attempt begins.
    fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.schedule.wake();
        self.stopped.notify_waiters();
        for destination in self.destinations.lock().values() {
            destination.call_all();
        }
    }

    /// The queue is closed: whatever is delivered now is delivered again after the next start.
    pub(crate) fn halt(&self) {
        if !self.has_halted.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "nothing more is delivered, as the queue cannot record it; start the server again"
            );
            self.stop();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether enough passes have ended for the scheduler to begin others.
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.options().limits.active_entries;
        self.active.passes() < limit - limit / 4
    }

    /// Takes a fresh entry. What there is no room for is found through the store.
    pub(crate) fn take(self: &Arc<Self>, entry: Arc<Entry>, content: Content) {
        let Some(due) = entry.due().filter(|_| !self.is_stopping()) else { return };
        // Its sender asked for it to wait (RFC 4865): it is found through the store when its time has come.
        if due > clock::wall() {
            return self.schedule.note_due(due);
        }
        let limits = &self.options().limits;
        if self.active.passes() >= limits.active_entries {
            self.schedule.note_backlog();
            // The last pass may have ended between the question and the note.
            return self.schedule.note_room(self.has_room());
        }
        if !self.active.claim(entry.id) {
            return;
        }
        // It could be found in the store since it was committed: a pass over it may be over already.
        let is_fresh = self.store.entry(entry.id).is_ok_and(|stored| stored.due() == Some(due));
        if !is_fresh {
            self.schedule.note_backlog();
            return self.give_up_claim(entry.id);
        }
        // Content on a disk costs no memory.
        let octets = if content.source().as_bytes().is_some() { content.len() } else { 0 };
        let kept = self.active.keep(octets, limits.memory_octets).then_some((content, octets));
        self.activate(entry, kept, false);
    }

    /// Begins a pass over a claimed entry. `forced` after the postmaster's word: back-offs are lifted.
    pub(crate) fn activate(self: &Arc<Self>, entry: Arc<Entry>, kept: Option<(Content, u64)>, forced: bool) {
        let options = self.options();
        let (content, kept_octets) = kept.map_or((None, 0), |(content, octets)| (Some(content), octets));
        let due = plan::due(&entry, clock::wall());
        if due.is_empty() {
            self.active.unkeep(kept_octets);
            return self.give_up_claim(entry.id);
        }
        let Some(jobs) = self.plan_at_once(&entry, &due, &options) else {
            return self.plan(entry, content, kept_octets, due, options, forced);
        };
        if let [(site, _)] = jobs.as_slice()
            && !forced
            && self.park(site, &entry, &options)
        {
            return self.active.unkeep(kept_octets);
        }
        let pass = Arc::new(Pass::new(entry, content, kept_octets, jobs.len()));
        self.active.begin(pass.entry.id, &pass);
        self.enqueue_all(&pass, jobs, &options, forced);
    }

    /// The same for an entry that plugins or DNS have to be asked about first.
    fn plan(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        content: Option<Content>,
        kept_octets: u64,
        due: Vec<usize>,
        options: Arc<Options>,
        forced: bool,
    ) {
        if !forced && !self.may_plan(&entry, &due, &options) {
            self.active.unkeep(kept_octets);
            let inner = Arc::clone(self);
            return self.spawn(async move { inner.postpone(&entry).await });
        }
        let pass = Arc::new(Pass::new(entry, content, kept_octets, 1));
        self.active.begin(pass.entry.id, &pass);
        let plan = Plan::new(Arc::clone(self), pass, &due, options, forced);
        self.spawn(plan.run(due));
    }

    /// Gives a pass's jobs to their destinations; the pass has counted them.
    pub(crate) fn enqueue_all(
        self: &Arc<Self>,
        pass: &Arc<Pass>,
        jobs: Vec<(Site, Vec<usize>)>,
        options: &Options,
        forced: bool,
    ) {
        let most = self.room_for_one(&options.limits);
        let is_alone = jobs.len() == 1;
        for (site, recipients) in jobs {
            let job = Job { pass: Arc::clone(pass), recipients };
            match forced || is_alone || !self.is_full(&site, pass.priority, most) {
                true => self.enqueue(site, job, options, forced),
                false => self.leave_for_later(&site, job),
            }
        }
    }

    fn is_full(&self, site: &Site, priority: i8, most: usize) -> bool {
        self.destinations.lock().get(site).is_some_and(|found| found.is_full(priority, most))
    }

    /// A destination has more than enough to do: it is not to keep a message in memory that others wait for as well.
    fn leave_for_later(self: &Arc<Self>, site: &Site, job: Job) {
        let (inner, text) = (Arc::clone(self), format!("too much waits for {site}"));
        self.spawn(async move {
            inner.finish_all(job, Attempt::put_off(Reply::new(451, (4, 3, 2), text), postponement())).await;
        });
    }

    fn enqueue(self: &Arc<Self>, site: Site, job: Job, options: &Options, forced: bool) {
        let now = clock::now();
        // Under the map's lock, so that no destination is forgotten between being found and being used.
        let mut destinations = self.destinations.lock();
        let destination =
            destinations.entry(site).or_insert_with_key(|site| Arc::new(Destination::new(site.clone(), now)));
        if forced {
            destination.clear_backoff();
        }
        let starts = destination.push(job, &options.limits, now);
        let destination = Arc::clone(destination);
        drop(destinations);
        if starts {
            self.start_worker(&destination);
        }
    }

    /// Lets every destination be tried again at once.
    pub(crate) fn lift_backoffs(&self) {
        self.destinations.lock().values().for_each(|destination| destination.clear_backoff());
    }

    /// Starts a worker that was counted already.
    pub(crate) fn start_worker(self: &Arc<Self>, destination: &Arc<Destination>) {
        let _runtime = self.runtime.enter();
        self.tasks.spawn(worker::run(Arc::clone(self), Arc::clone(destination)));
    }

    /// Starts a worker for a destination that rests, when its time has come and there is work.
    pub(crate) fn awake_at(self: &Arc<Self>, destination: &Arc<Destination>, at: Instant) {
        let (inner, destination) = (Arc::clone(self), Arc::clone(destination));
        self.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = inner.stopped() => return,
            }
            if destination.awake(&inner.options().limits, clock::now()) {
                inner.start_worker(&destination);
            }
        });
    }

    /// Runs a task of the engine, whoever asks for it.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.tasks.spawn(task);
    }

    /// Returns when the engine is to stop.
    pub(crate) async fn stopped(&self) {
        let stopped = self.stopped.notified();
        if !self.is_stopping() {
            stopped.await;
        }
    }

    /// Attempts that may wait in memory for one destination: never more than there is room for others.
    ///
    /// So the destinations that have much to do share the room evenly among them, and one part is left for those that come next
    /// (the dynamic thresholds of Choudhury and Hahne, 1998, with a factor of 1).
    fn room_for_one(&self, limits: &Limits) -> usize {
        limits.queued_per_destination.min(limits.active_entries.saturating_sub(self.active.passes()))
    }

    /// Keeps the id only, when its destination has more than enough to do.
    fn park(self: &Arc<Self>, site: &Site, entry: &Arc<Entry>, options: &Options) -> bool {
        let (most, priority) = (self.room_for_one(&options.limits), priority(entry));
        let destinations = self.destinations.lock();
        let Some(destination) = destinations.get(site).filter(|found| found.is_full(priority, most)) else {
            return false;
        };
        if self.parked.load(Ordering::Relaxed) < options.limits.parked_entries {
            // Counted before: whoever takes it up counts it out.
            self.parked.fetch_add(1, Ordering::Relaxed);
            let is_parked = destination.park_if_full(entry.id, priority, most, clock::now());
            self.parked.fetch_sub(usize::from(!is_parked), Ordering::Relaxed);
            return is_parked;
        }
        let (inner, entry) = (Arc::clone(self), Arc::clone(entry));
        drop(destinations);
        self.spawn(async move { inner.postpone(&entry).await });
        true
    }

    /// Takes up what was parked at a destination that has room again.
    pub(crate) fn unpark(self: &Arc<Self>, destination: &Destination, options: &Options) {
        let ids = destination.unpark(self.room_for_one(&options.limits));
        if ids.is_empty() {
            return;
        }
        self.parked.fetch_sub(ids.len(), Ordering::Relaxed);
        let inner = Arc::clone(self);
        self.spawn(async move { inner.resume(ids, false).await });
    }

    /// Reads claimed entries from the store and begins their passes.
    pub(crate) async fn resume(self: &Arc<Self>, ids: Vec<QueueId>, forced: bool) {
        let store = Arc::clone(&self.store);
        let claimed = ids.clone();
        let read = move || ids.into_iter().map(|id| (id, store.entry(id))).collect::<Vec<_>>();
        let Ok(entries) = tokio::task::spawn_blocking(read).await else {
            claimed.into_iter().for_each(|id| drop(self.active.release(id)));
            return;
        };
        for (id, entry) in entries {
            match entry {
                Ok(_) if self.is_stopping() => drop(self.active.release(id)),
                Ok(entry) => self.activate(Arc::new(entry), None, forced),
                Err(queue::StoreError::NotFound(_)) => drop(self.active.release(id)),
                Err(error) => {
                    tracing::error!(queue_id = %id, %error, "the entry cannot be read");
                    drop(self.active.release(id));
                }
            }
        }
    }

    /// Ends a claim; does first what was left to be done with the entry.
    pub(crate) fn give_up_claim(self: &Arc<Self>, id: QueueId) {
        if let Some(control) = self.active.release(id) {
            let inner = Arc::clone(self);
            self.spawn(async move {
                let _: Result<Applied, _> = inner.apply_claimed(id, control).await;
            });
        }
    }

    /// Forgets destinations that have nothing to do and nothing to remember.
    pub(crate) fn prune(&self) {
        let (limits, now) = (&self.options().limits, clock::now());
        self.destinations.lock().retain(|_, destination| !destination.is_dormant(limits, now));
    }
}
