//! How often something may be done at one destination: evenly spread, so that no minute sees more than its share.
//!
//! Limits: those of the route. The time is handed in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

const MINUTE: Duration = Duration::from_secs(60);

/// The time that it was last told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    type Instant = Duration;
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Duration>>;

/// A rate; without one everything may be done at once.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Told,
    began: Instant,
    limiter: Option<Limiter>,
}

impl Pace {
    pub(crate) fn per_minute(limit: Option<u32>, now: Instant) -> Self {
        let clock = Told::default();
        let quota =
            limit.and_then(NonZeroU32::new).and_then(|limit| Quota::with_period(MINUTE / limit.get()));
        let limiter = quota
            .map(|quota| RateLimiter::direct_with_clock(quota.allow_burst(NonZeroU32::MIN), clock.clone()));
        Self { clock, began: now, limiter }
    }

    /// Takes one; what comes back instead is when there will be one.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Instant> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let passed = now.saturating_duration_since(self.began);
        self.clock.0.fetch_max(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        limiter.check().map_err(|not_until| now + not_until.wait_time_from(self.clock.now()))
    }

    /// Whether something was taken so lately that it must be remembered.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        let passed = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        let last = self.clock.0.load(Ordering::Relaxed);
        self.limiter.is_some()
            && passed.saturating_sub(last) < u64::try_from(MINUTE.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_spread_evenly() {
        let began = clock::now();
        let pace = Pace::per_minute(Some(6), began);
        let (mut now, mut taken) = (began, Vec::new());
        while taken.len() < 7 {
            match pace.take(now) {
                Ok(()) => taken.push(now.duration_since(began).as_secs()),
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
        }
        assert_eq!(taken, [0, 10, 20, 30, 40, 50, 60]);
        // Who was quiet has not saved up for it.
        now += 10 * MINUTE;
        assert_eq!(pace.take(now), Ok(()));
        assert_eq!(pace.take(now), Err(now + MINUTE / 6));
    }

    #[test]
    fn without_a_rate_everything_may_be_done() {
        let pace = Pace::per_minute(None, clock::now());
        assert!((0..1_000).all(|_| pace.take(clock::now()).is_ok()));
    }
}
