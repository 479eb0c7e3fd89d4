//! When an attempt that failed is made again (RFC 5321 section 4.5.4.1).

use std::time::Duration;

use model::Timestamp;
use rand::{Rng, RngExt};

/// Pauses between attempts, and when to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The pause after the first, second, ... attempt; the last repeats. Never empty.
    pauses: Vec<Duration>,
    /// An entry older than this is given up after its next failure.
    pub expire: Duration,
}

impl RetrySchedule {
    /// How far a pause is stretched or shortened at random, in percent, so that a host that comes back is not met
    /// by everything at once.
    pub const JITTER_PERCENT: u64 = 10;

    /// A schedule; nothing when there is no pause, or one of zero.
    pub fn new(pauses: Vec<Duration>, expire: Duration) -> Option<Self> {
        let usable = !pauses.is_empty() && pauses.iter().all(|pause| !pause.is_zero());
        usable.then_some(Self { pauses, expire })
    }

    /// When to try again after `attempts` attempts; nothing when the entry is to be given up.
    ///
    /// The last attempt is made when the entry expires, not a whole pause before.
    pub fn next(
        &self,
        arrived: Timestamp,
        now: Timestamp,
        attempts: u32,
        rng: &mut impl Rng,
    ) -> Option<Timestamp> {
        let deadline = self.deadline(arrived);
        if now >= deadline {
            return None;
        }
        let nth = (attempts.max(1) as usize - 1).min(self.pauses.len() - 1);
        Some((now + jittered(self.pauses[nth], rng)).min(deadline))
    }

    /// When to look again at what was not tried, as its destination is left alone until `until`: then or later.
    ///
    /// The pause is the one that an entry of this age would have come to, had it been tried all the time. So a destination that is
    /// down for long costs no more than one that refuses, and nothing is given up for attempts that nobody made.
    pub fn untried(
        &self,
        arrived: Timestamp,
        now: Timestamp,
        until: Timestamp,
        rng: &mut impl Rng,
    ) -> Timestamp {
        let mut age = now.since(arrived);
        let reached = self.pauses.iter().find(|pause| match age.checked_sub(**pause) {
            Some(rest) => {
                age = rest;
                false
            }
            None => true,
        });
        let pause = reached.or(self.pauses.last()).copied().unwrap_or_default();
        (now + jittered(pause, rng)).min(self.deadline(arrived)).max(until)
    }

    /// No pause is longer.
    pub fn longest(&self) -> Duration {
        let longest = self.pauses.iter().max().copied().unwrap_or_default();
        longest + longest.mul_f64(Self::JITTER_PERCENT as f64 / 100.0)
    }

    /// When an entry is too old: an attempt that fails then is its last.
    pub fn deadline(&self, arrived: Timestamp) -> Timestamp {
        arrived + self.expire
    }
}

fn jittered(pause: Duration, rng: &mut impl Rng) -> Duration {
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX / 200);
    let spread = pause_ms.saturating_mul(RetrySchedule::JITTER_PERCENT) / 100;
    let jittered = pause_ms - spread + rng.random_range(0..=spread.saturating_mul(2));
    Duration::from_millis(jittered.max(1))
}

impl Default for RetrySchedule {
    /// After 5 and 15 minutes, 1 hour, then every 4 hours; given up after 5 days.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            pauses: vec![minutes(5), minutes(15), minutes(60), minutes(240)],
            expire: Duration::from_secs(5 * 24 * 60 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_pause_repeats_until_expiry_cuts_it_short() {
        let schedule = RetrySchedule::default();
        let rng = &mut rand::rng();
        let start = Timestamp(0);
        let first = schedule.next(start, start, 1, rng).unwrap().0;
        assert!((270_000..=330_000).contains(&first), "{first}");
        let late = start + Duration::from_secs(5 * 86_400 - 60);
        assert_eq!(schedule.next(start, late, 40, rng), Some(start + schedule.expire));
        assert_eq!(schedule.next(start, start + schedule.expire, 41, rng), None);
    }

    #[test]
    fn a_schedule_without_a_pause_is_none() {
        assert_eq!(RetrySchedule::new(Vec::new(), Duration::from_secs(1)), None);
        assert_eq!(RetrySchedule::new(vec![Duration::ZERO], Duration::from_secs(1)), None);
    }

    #[test]
    fn what_was_not_tried_waits_as_long_as_its_age_says_and_at_least_until_the_back_off_ends() {
        let schedule = RetrySchedule::default();
        let rng = &mut rand::rng();
        let start = Timestamp(0);
        let fresh = schedule.untried(start, start, Timestamp(60_000), rng).0;
        assert!((270_000..=330_000).contains(&fresh), "{fresh}");
        let hours = |count: u64| Duration::from_secs(3600 * count);
        let old = schedule.untried(start, start + hours(30), start + hours(30), rng).0;
        let pause = old - hours(30).as_millis() as u64;
        assert!((12_960_000..=15_840_000).contains(&pause), "{pause}");
        let until = start + schedule.expire + hours(1);
        assert_eq!(schedule.untried(start, start + schedule.expire, until, rng), until);
    }

    proptest! {
        #[test]
        fn the_next_attempt_lies_ahead_and_never_behind_the_expiry(now in 0u64..500_000_000, attempts in 0u32..50) {
            let schedule = RetrySchedule::default();
            match schedule.next(Timestamp(0), Timestamp(now), attempts, &mut rand::rng()) {
                Some(at) => prop_assert!(at.0 > now && at <= Timestamp(0) + schedule.expire),
                None => prop_assert!(Timestamp(now) >= Timestamp(0) + schedule.expire),
            }
        }
    }
}
