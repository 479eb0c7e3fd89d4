//! What waits for one destination, the most urgent first.
//!
//! A message's priority (RFC 6710) moves it forward in the line as if it had come earlier, by [`STEP`] for each level: so what is
//! urgent overtakes, and what is not is overtaken for a while only, however much comes behind it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What one level of priority is worth; between the highest and the lowest there are 18.
pub(crate) const STEP: Duration = Duration::from_secs(60);

/// A place in the line: milliseconds from the line's beginning, then the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(i64, u64);

#[derive(Debug)]
pub(crate) struct Line<T> {
    began: Instant,
    arrivals: u64,
    jobs: BTreeMap<Place, T>,
}

impl<T> Line<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, arrivals: 0, jobs: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Lines up behind what is as urgent.
    pub(crate) fn push(&mut self, job: T, priority: i8, now: Instant) {
        let waited = now.saturating_duration_since(self.began).as_millis();
        let ahead = i64::from(priority) * STEP.as_millis() as i64;
        self.insert(i64::try_from(waited).unwrap_or(i64::MAX).saturating_sub(ahead), job);
    }

    /// What was not begun goes before everything else.
    pub(crate) fn put_back(&mut self, job: T) {
        self.insert(i64::MIN, job);
    }

    fn insert(&mut self, at: i64, job: T) {
        self.arrivals += 1;
        self.jobs.insert(Place(at, self.arrivals), job);
    }

    /// The most urgent.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.jobs.pop_first().map(|(_, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mut line: Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.pop()).collect()
    }

    #[test]
    fn equals_keep_their_order_and_the_urgent_overtake() {
        let now = clock::now();
        let mut line = Line::new(now);
        for (job, priority) in [("a", 0), ("b", 0), ("low", -3), ("high", 4), ("higher", 9), ("c", 0)] {
            line.push(job, priority, now);
        }
        assert_eq!(drain(line), ["higher", "high", "a", "b", "c", "low"]);
    }

    #[test]
    fn what_has_waited_long_is_overtaken_no_more() {
        let now = clock::now();
        let mut line = Line::new(now);
        line.push("low", -9, now);
        let mut overtook = 0;
        // Something urgent comes every minute, for ever.
        for minute in 1..100 {
            line.push("urgent", 9, now + minute * STEP);
            match line.pop() {
                Some("urgent") => overtook += 1,
                _ => break,
            }
        }
        assert_eq!(overtook, 17);
    }

    #[test]
    fn what_is_put_back_is_next() {
        let now = clock::now();
        let mut line = Line::new(now);
        line.push("first", 0, now);
        line.push("second", 0, now);
        let job = line.pop().unwrap();
        line.push("urgent", 9, now);
        line.put_back(job);
        assert_eq!(drain(line), ["first", "urgent", "second"]);
    }
}
