//! How often an address may ask in a minute, and how often with a wrong token.
//!
//! Limits: `web.requests-per-minute`, `web.failed-tokens-per-minute`; an address is an IPv4 address or an IPv6 /64; 50,000 are
//! remembered, with more than that at work in a minute all of them begin anew.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::RwLock;

/// Addresses that a measure remembers.
const MAX_ADDRESSES: usize = 50_000;

/// The clock of the limiters: it shows what it was told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    type Instant = Duration;
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

type Limiter = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, Told, NoOpMiddleware<Duration>>;

/// One rate, for every address by itself.
pub(crate) struct Rate {
    clock: Told,
    started: Instant,
    limiter: RwLock<(u32, Option<Limiter>)>,
}

impl Rate {
    /// So many in a minute; 0 is no limit.
    pub(crate) fn per_minute(limit: u32, now: Instant) -> Self {
        let rate = Self { clock: Told::default(), started: now, limiter: RwLock::new((0, None)) };
        rate.replace(limit);
        rate
    }

    /// Another limit, from now on.
    pub(crate) fn replace(&self, limit: u32) {
        let mut limiter = self.limiter.write();
        if limiter.0 != limit {
            *limiter = (limit, self.anew(limit));
        }
    }

    fn anew(&self, limit: u32) -> Option<Limiter> {
        let limit = NonZeroU32::new(limit)?;
        Some(RateLimiter::hashmap_with_clock(Quota::per_minute(limit), self.clock.clone()))
    }

    /// Takes one of an address, if it has one left.
    pub(crate) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.started);
        self.clock.0.fetch_max(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        let (admitted, crowded) = {
            let limiter = self.limiter.read();
            let Some(limiter) = &limiter.1 else { return true };
            (limiter.check_key(&network_of(address)).is_ok(), limiter.len() > MAX_ADDRESSES)
        };
        if crowded {
            self.make_room();
        }
        admitted
    }

    fn make_room(&self) {
        let mut limiter = self.limiter.write();
        let limit = limiter.0;
        if let Some(known) = &limiter.1 {
            known.retain_recent();
            if known.len() > MAX_ADDRESSES / 2 {
                limiter.1 = self.anew(limit);
            }
        }
    }
}

/// An IPv6 client has a whole /64 to call from.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_rate_and_gets_it_back_with_time() {
        let now = clock::now();
        let rate = Rate::per_minute(2, now);
        let [one, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(rate.admits(one, now) && rate.admits(neighbour, now));
        assert!(!rate.admits(one, now) && rate.admits(other, now));
        assert!(rate.admits(one, now + Duration::from_secs(31)));
        rate.replace(0);
        assert!((0..100).all(|_| rate.admits(one, now)));
    }
}
