//! The engine: takes entries, shares them out among destinations, and knows who works.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dns::Resolver;
use model::{Content, QueueId, Timestamp};
use parking_lot::{Mutex, RwLock};
use queue::{Courier, Entry, State, Store};
use tls_policy::{Https, MtaSts};
use tokio::sync::Semaphore;

use crate::active::{Active, Job, Pass, Progress};
use crate::control::Applied;
use crate::destination::Destination;
use crate::options::{MtaStsOptions, Options};
use crate::scheduler::{self, Schedule};
use crate::site::Site;
use crate::stats::{Counters, Stats};
use crate::tasks::Tasks;
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
    pub(crate) active: Active,
    destinations: Mutex<HashMap<Site, Arc<Destination>>>,
    pub(crate) schedule: Schedule,
    pub(crate) counters: Counters,
    /// A permit for each connection, over all destinations.
    pub(crate) deliveries: Arc<Semaphore>,
    parked: AtomicUsize,
    pub(crate) tasks: Arc<Tasks>,
    is_stopping: AtomicBool,
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
        let deliveries = Arc::new(Semaphore::new(options.limits.deliveries.clamp(1, Semaphore::MAX_PERMITS)));
        let inner = Arc::new(Inner {
            mta_sts: RwLock::new(finder(&options, &resolver)),
            options: RwLock::new(options),
            store,
            resolver,
            active: Active::default(),
            destinations: Mutex::default(),
            schedule: Schedule::default(),
            counters: Counters::default(),
            deliveries,
            parked: AtomicUsize::new(0),
            tasks: Arc::default(),
            is_stopping: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::current(),
        });
        inner.tasks.spawn(scheduler::run(Arc::clone(&inner)));
        Self { inner }
    }

    /// Swaps the options; attempts under way keep the old ones. `limits.deliveries` keeps its first value.
    pub fn reload(&self, options: Arc<Options>) {
        *self.inner.mta_sts.write() = finder(&options, &self.inner.resolver);
        *self.inner.options.write() = options;
    }

    /// Stops: no further attempt begins, those under way may end until the time is over. What was not done stays in the store.
    pub async fn shutdown(&self, within: Duration) {
        let inner = &self.inner;
        inner.is_stopping.store(true, Ordering::Relaxed);
        inner.schedule.wake();
        for destination in inner.destinations.lock().values() {
            destination.call_all();
        }
        if tokio::time::timeout(within, inner.tasks.all_ended()).await.is_err() {
            tracing::warn!("deliveries that did not end in time were broken off and will be made again");
        }
        inner.tasks.abort();
        inner.tasks.all_ended().await;
    }

    /// What has been done and what is being done.
    pub fn stats(&self) -> Stats {
        let (inner, now) = (&self.inner, clock::now());
        let all: Vec<_> = inner.destinations.lock().values().map(Arc::clone).collect();
        let mut destinations: Vec<_> = all.iter().map(|destination| destination.stats(now)).collect();
        destinations.sort_by(|a, b| a.name.cmp(&b.name));
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            delivered: count(&inner.counters.delivered),
            deferred: count(&inner.counters.deferred),
            bounced: count(&inner.counters.bounced),
            expired: count(&inner.counters.expired),
            reports: count(&inner.counters.reports),
            active: inner.active.passes(),
            memory_octets: inner.active.kept_octets(),
            destinations,
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
        // Content on a disk costs no memory.
        let octets = if content.source().as_bytes().is_some() { content.len() } else { 0 };
        let kept = self.active.keep(octets, limits.memory_octets).then_some((content, octets));
        self.activate(entry, kept, false);
    }

    /// Begins a pass over a claimed entry. `forced` after the postmaster's word: back-offs are lifted.
    pub(crate) fn activate(self: &Arc<Self>, entry: Arc<Entry>, kept: Option<(Content, u64)>, forced: bool) {
        let options = self.options();
        let (content, kept_octets) = kept.map_or((None, 0), |(content, octets)| (Some(content), octets));
        let jobs = split(&entry, &options, clock::wall());
        if jobs.is_empty() {
            self.active.unkeep(kept_octets);
            return self.give_up_claim(entry.id);
        }
        if let [(site, _)] = jobs.as_slice()
            && !forced
            && self.park(site, &entry, &options)
        {
            return self.active.unkeep(kept_octets);
        }
        let pass = Arc::new(Pass {
            content: Mutex::new(content),
            kept_octets,
            traits: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            progress: Mutex::new(Progress { jobs: jobs.len(), told: Vec::new() }),
            entry,
        });
        self.active.begin(pass.entry.id, &pass);
        for (site, recipients) in jobs {
            self.enqueue(site, Job { pass: Arc::clone(&pass), recipients }, &options, forced);
        }
    }

    fn enqueue(self: &Arc<Self>, site: Site, job: Job, options: &Options, forced: bool) {
        // Under the map's lock, so that no destination is forgotten between being found and being used.
        let mut destinations = self.destinations.lock();
        let destination =
            destinations.entry(site).or_insert_with_key(|site| Arc::new(Destination::new(site.clone())));
        if forced {
            destination.clear_backoff();
        }
        let starts = destination.push(job, &options.limits, clock::now());
        let destination = Arc::clone(destination);
        drop(destinations);
        if starts {
            self.start_worker(&destination);
        }
    }

    /// Starts a worker that was counted already.
    pub(crate) fn start_worker(self: &Arc<Self>, destination: &Arc<Destination>) {
        let _runtime = self.runtime.enter();
        self.tasks.spawn(worker::run(Arc::clone(self), Arc::clone(destination)));
    }

    /// Runs a task of the engine, whoever asks for it.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.tasks.spawn(task);
    }

    /// Keeps the id only, when its destination has more than enough to do.
    fn park(self: &Arc<Self>, site: &Site, entry: &Arc<Entry>, options: &Options) -> bool {
        let destinations = self.destinations.lock();
        let Some(destination) = destinations.get(site).filter(|found| found.is_full(&options.limits)) else {
            return false;
        };
        if self.parked.load(Ordering::Relaxed) < options.limits.parked_entries {
            // Counted before: whoever takes it up counts it out.
            self.parked.fetch_add(1, Ordering::Relaxed);
            let is_parked = destination.park_if_full(entry.id, &options.limits);
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
        let ids = destination.unpark(&options.limits);
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

/// The recipients that are due, by site, in transactions of the size that the limits allow.
fn split(entry: &Entry, options: &Options, now: Timestamp) -> Vec<(Site, Vec<usize>)> {
    let size = options.limits.recipients_per_transaction.max(1);
    let mut jobs: Vec<(Site, Vec<usize>)> = Vec::new();
    let mut open: HashMap<(Site, Option<&str>), usize> = HashMap::new();
    for (nth, queued) in entry.recipients.iter().enumerate() {
        if !matches!(queued.state, State::Waiting { due } if due <= now) {
            continue;
        }
        let site = Site::of(&queued.recipient.address, options);
        // A transaction has one sender, and forwarded mail has one of its own.
        let key = (site, queued.recipient.forwarded_as());
        match open.get(&key) {
            Some(at) if jobs[*at].1.len() < size => jobs[*at].1.push(nth),
            _ => {
                if entry.recipients.len() > 1 {
                    open.insert(key.clone(), jobs.len());
                }
                jobs.push((key.0, vec![nth]));
            }
        }
    }
    jobs
}
