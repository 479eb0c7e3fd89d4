//! How often an address may ask in a minute, and how often with a wrong token.
//!
//! Limits: `web.requests-per-minute`, `web.failed-tokens-per-minute`; an address is an IPv4 address or an IPv6 /64; 50,000 are
//! remembered, with more than that at work in a minute all of them begin anew.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use inbound::{Meter, MeterClock, network_of};
use parking_lot::RwLock;

/// Addresses that a measure remembers.
const MAX_ADDRESSES: usize = 50_000;

const MINUTE: Duration = Duration::from_secs(60);

/// One rate, for every address by itself.
#[derive(Debug)]
pub(crate) struct Rate {
    name: &'static str,
    clock: MeterClock,
    meter: RwLock<(u32, Meter<IpAddr>)>,
}

impl Rate {
    /// So many in a minute; 0 is no limit.
    pub(crate) fn per_minute(name: &'static str, limit: u32, now: Instant) -> Self {
        let clock = MeterClock::new(now);
        let meter = Meter::new(name, limit, MINUTE, MAX_ADDRESSES, &clock);
        Self { name, clock, meter: RwLock::new((limit, meter)) }
    }

    /// Another limit, from now on.
    pub(crate) fn replace(&self, limit: u32) {
        let mut meter = self.meter.write();
        if meter.0 != limit {
            *meter = (limit, Meter::new(self.name, limit, MINUTE, MAX_ADDRESSES, &self.clock));
        }
    }

    /// Takes one of an address, if it has one left.
    pub(crate) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        self.clock.advance(now);
        self.meter.read().1.admit(&network_of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_rate_and_gets_it_back_with_time() {
        let now = clock::now();
        let rate = Rate::per_minute("some", 2, now);
        let [one, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(rate.admits(one, now) && rate.admits(neighbour, now));
        assert!(!rate.admits(one, now) && rate.admits(other, now));
        assert!(rate.admits(one, now + Duration::from_secs(31)));
        rate.replace(0);
        assert!((0..100).all(|_| rate.admits(one, now)));
    }
}
