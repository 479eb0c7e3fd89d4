//! Days in UTC.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// A day in UTC: days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub u64);

impl Day {
    const MS: u64 = 86_400_000;

    pub fn of(time: Timestamp) -> Self {
        Self(time.0 / Self::MS)
    }

    /// Its first and its last second.
    pub fn bounds(self) -> (Timestamp, Timestamp) {
        let start = self.0.saturating_mul(Self::MS);
        (Timestamp(start), Timestamp(start.saturating_add(Self::MS - 1_000)))
    }

    /// When this domain is told of it by this host: some time after its end, another one for each pair of them, and the same each time.
    pub(crate) fn told_at(self, domain: &str, hostname: &str, spread: Duration) -> Timestamp {
        let mut hasher = DefaultHasher::new();
        (domain, hostname).hash(&mut hasher);
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        let delay_ms = if spread_ms == 0 { 0 } else { hasher.finish() % spread_ms };
        Timestamp(self.0.saturating_add(1).saturating_mul(Self::MS).saturating_add(delay_ms))
    }
}

/// A time in UTC, as RFC 3339 writes it.
pub fn rfc3339(time: Timestamp) -> String {
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_told_at_different_times_after_the_day_within_the_spread() {
        let (day, spread) = (Day(3), Duration::from_secs(4 * 3600));
        let at = |domain: &str, hostname: &str| day.told_at(domain, hostname, spread).0 - 4 * Day::MS;
        let times = ["a.example", "b.example", "c.example"].map(|domain| at(domain, "mx.example"));
        assert!(times.iter().all(|time| *time < 4 * 3_600_000), "{times:?}");
        assert!(times[0] != times[1] && times[1] != times[2]);
        assert_ne!(at("a.example", "mx.example"), at("a.example", "mx2.example"));
        assert_eq!(day.told_at("a.example", "mx.example", Duration::ZERO), Timestamp(4 * Day::MS));
    }
}
