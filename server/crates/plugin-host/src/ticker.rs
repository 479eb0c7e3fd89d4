//! Counts time for guests that compute: a thread of its own moves the engine's epoch on.
//!
//! A timer of the async runtime would not do: a guest that spins may hold the very thread that drives the
//! timers. The thread sleeps for good while no guest runs, so that an idle server wakes up for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::Engine;

/// The length of a tick: how finely CPU time is measured, and how long a guest computes before others get
/// their turn.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Ticks without any guest after which the thread sleeps.
const IDLE_TICKS: u32 = 200;

#[derive(Debug, Default)]
struct Shared {
    ticks: AtomicU64,
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// The thread that ticks; it ends with this value.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engine, state) = (engine.clone(), shared.clone());
        let handle =
            std::thread::Builder::new().name("plugin-epoch".into()).spawn(move || tick(&engine, &state))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Ticks since the start, less those that were slept through.
    pub(crate) fn ticks(&self) -> u64 {
        self.shared.ticks.load(Ordering::Relaxed)
    }

    /// Keeps the thread awake until the guard is dropped.
    pub(crate) fn awake(self: &Arc<Self>) -> Awake {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Awake(self.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A guest is running.
#[derive(Debug)]
pub(crate) struct Awake(Arc<Ticker>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > IDLE_TICKS {
            shared.asleep.store(true, Ordering::SeqCst);
            // Whoever begins to run from here on sees `asleep` and wakes the thread; whoever began before is
            // seen here.
            if shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        } else {
            std::thread::sleep(TICK);
        }
        shared.ticks.fetch_add(1, Ordering::Relaxed);
        engine.increment_epoch();
    }
}

/// The CPU time of one call. Counted in ticks while the call's future is being polled: what passes while it
/// waits, for a service or for its turn, is not the guest's.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    ticker: Arc<Ticker>,
    used: AtomicU64,
    since: AtomicU64,
    budget: AtomicU64,
}

/// The guest has used up its CPU time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of CPU time")]
pub(crate) struct OutOfCpu;

impl CpuMeter {
    pub(crate) fn new(ticker: Arc<Ticker>) -> Self {
        Self { ticker, used: AtomicU64::new(0), since: AtomicU64::new(0), budget: AtomicU64::new(0) }
    }

    /// Begins a call that may compute for `budget`, and at least for one tick.
    pub(crate) fn begin(&self, budget: Duration) {
        let ticks = budget.as_nanos().div_ceil(TICK.as_nanos()).max(1);
        self.budget.store(u64::try_from(ticks).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
    }

    /// What the call has used so far.
    pub(crate) fn used(&self) -> Duration {
        TICK * u32::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// A poll begins.
    pub(crate) fn resume(&self) {
        self.since.store(self.ticker.ticks(), Ordering::Relaxed);
    }

    /// A poll ends, or a slice of it.
    pub(crate) fn pause(&self) {
        let now = self.ticker.ticks();
        let since = self.since.swap(now, Ordering::Relaxed);
        self.used.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
    }

    /// A slice is over: how it goes on.
    pub(crate) fn slice(&self) -> Result<(), OutOfCpu> {
        self.pause();
        // The tick that began before the call did is not counted against it.
        if self.used.load(Ordering::Relaxed) > self.budget.load(Ordering::Relaxed) {
            return Err(OutOfCpu);
        }
        Ok(())
    }
}
