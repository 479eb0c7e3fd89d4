//! Durations counted by their length, for metrics. Whoever measures hands them in; nothing here reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts durations in buckets. Costs a few atomic additions for each.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in seconds; they rise.
    bounds_s: &'static [f64],
    /// One for each bound, and one for what lies above.
    counts: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistogramView {
    /// How many took at most as many seconds; the bounds rise, infinity is left out.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum_s: f64,
}

impl Histogram {
    /// For what takes less than a second mostly: a sync, a hook.
    pub const SHORT_S: &'static [f64] =
        &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    /// For what takes from milliseconds to days: a delivery.
    pub const LONG_S: &'static [f64] =
        &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 432_000.0];

    /// Nothing counted yet. The bounds are in seconds and rise.
    pub fn new(bounds_s: &'static [f64]) -> Self {
        let counts = (0..=bounds_s.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds_s, counts, sum_us: AtomicU64::new(0) }
    }

    /// One more.
    pub fn observe(&self, took: Duration) {
        let bucket = self.bounds_s.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The counts now.
    pub fn view(&self) -> HistogramView {
        let mut count = 0;
        let mut up_to = |bucket: usize| {
            count += self.counts[bucket].load(Ordering::Relaxed);
            count
        };
        let buckets = self.bounds_s.iter().enumerate().map(|(nth, bound)| (*bound, up_to(nth))).collect();
        let count = up_to(self.bounds_s.len());
        HistogramView { buckets, count, sum_s: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_what_is_at_most_as_long_as_its_bound() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for took_ms in [50, 100, 101, 1_000, 60_000] {
            histogram.observe(Duration::from_millis(took_ms));
        }
        let view = histogram.view();
        assert_eq!((view.buckets, view.count), (vec![(0.1, 2), (1.0, 4)], 5));
        assert!((view.sum_s - 61.251).abs() < 1e-9);
    }
}
