//! A rate that many share a limit of, each measured by itself: a bucket of as many as the limit says, which fills again evenly over its time.
//!
//! Known gaps: with more keys at work in one time than may be remembered, all of them begin anew, which the log says.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::RwLock;
use tracing::warn;

/// Checks between two looks at how many are remembered.
pub(crate) const CHECKS_BETWEEN_LOOKS: u32 = 256;
/// Below this many nothing is forgotten that could be.
pub(crate) const FEW_KEYS: usize = 10_000;

/// The clock of meters: it shows what it was told, so that the time can be handed in.
#[derive(Debug, Clone)]
pub struct MeterClock {
    started: Instant,
    passed: Arc<AtomicU64>,
}

impl MeterClock {
    pub fn new(now: Instant) -> Self {
        Self { started: now, passed: Arc::default() }
    }

    /// Sets it. Two tasks may come in the wrong order; the clock does not run back for it.
    pub fn advance(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.started);
        self.passed.fetch_max(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Clock for MeterClock {
    type Instant = Duration;
    fn now(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Relaxed))
    }
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MeterClock, NoOpMiddleware<Duration>>;

/// One rate, for every address or user by itself; with a limit of 0 everybody is admitted.
pub struct Meter<K: Hash + Eq + Clone> {
    name: &'static str,
    quota: Option<Quota>,
    most: usize,
    clock: MeterClock,
    limiter: RwLock<Option<Limiter<K>>>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    /// So many in this time; at most `most` keys are remembered. The log calls it by its name.
    pub fn new(name: &'static str, limit: u32, span: Duration, most: usize, clock: &MeterClock) -> Self {
        let quota = NonZeroU32::new(limit)
            .and_then(|limit| Some(Quota::with_period(span / limit.get())?.allow_burst(limit)));
        let (clock, limiter) = (clock.clone(), RwLock::default());
        let meter = Self { name, quota, most, clock, limiter, checks: AtomicU32::new(0) };
        meter.begin_anew();
        meter
    }

    fn begin_anew(&self) {
        let limiter = |quota| RateLimiter::hashmap_with_clock(quota, self.clock.clone());
        *self.limiter.write() = self.quota.map(limiter);
    }

    /// Takes one of a key, if it has one left.
    pub fn admit(&self, key: &K) -> bool {
        if self.quota.is_none() {
            return true;
        }
        if self.checks.fetch_add(1, Relaxed) % CHECKS_BETWEEN_LOOKS == CHECKS_BETWEEN_LOOKS - 1 {
            self.shrink();
        }
        self.limiter.read().as_ref().is_none_or(|limiter| limiter.check_key(key).is_ok())
    }

    /// How many keys are remembered, if anything is measured.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> Option<usize> {
        self.limiter.read().as_ref().map(RateLimiter::len)
    }

    /// Forgets those whose bucket is full again: they are like new. When that leaves too many, it forgets all.
    fn shrink(&self) {
        let left = {
            let limiter = self.limiter.read();
            let Some(limiter) = limiter.as_ref().filter(|limiter| limiter.len() > FEW_KEYS) else { return };
            limiter.retain_recent();
            limiter.shrink_to_fit();
            limiter.len()
        };
        // Until the next look there may be as many more as there are checks.
        if left + CHECKS_BETWEEN_LOOKS as usize > self.most {
            warn!(limit = self.name, most = self.most, "too many clients at once; all of them begin anew");
            self.begin_anew();
        }
    }
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Meter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An IPv6 client has a whole /64 to call from.
pub fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}
