//! How many connections one destination is worked over at once: found by trying.
//!
//! The window begins at 2. Every transaction that goes well widens it: by 1 as long as it is below the mark, so that it doubles with each
//! round; by a part of 1 beyond, so that each round makes it wider by 1. A failure (a session that breaks, an answer that asks for less)
//! halves it, and half is the new mark; a connection that is refused while others stand makes it what stands. What fails in
//! the same round as an earlier failure tells nothing new and counts for nothing. It is the rule of TCP's congestion window (RFC 5681
//! section 3.1), with connections for segments.
//!
//! Limits: at least 1, at most what the caller says.

/// Connections once the first has been made.
const FIRST: f64 = 2.0;

#[derive(Debug)]
pub(crate) struct Window {
    size: f64,
    /// Half of what failed last; infinite before anything has.
    mark: f64,
    /// Transactions of the round of the last failure that are still to come back.
    echoes: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: FIRST, mark: f64::INFINITY, echoes: 0 }
    }
}

impl Window {
    /// Connections at most.
    pub(crate) fn size(&self, limit: usize) -> usize {
        // Between 1 and the limit, so that nothing is cut off.
        (self.size as usize).clamp(1, limit.max(1))
    }

    /// A transaction went well.
    pub(crate) fn widen(&mut self, limit: usize) {
        self.echoes = self.echoes.saturating_sub(1);
        self.size += if self.size < self.mark { 1.0 } else { 1.0 / self.size };
        self.size = self.size.min(limit.max(1) as f64);
    }

    /// A transaction failed as it would if there were too many.
    pub(crate) fn halve(&mut self) {
        if self.echoes > 0 {
            self.echoes -= 1;
            return;
        }
        self.echoes = (self.size as usize).saturating_sub(1);
        self.size = (self.size / 2.0).max(1.0);
        self.mark = self.size;
    }

    /// Nothing is reached any more: it begins anew, with half of what it was for a mark (RFC 5681 section 3.1, as after a time-out).
    pub(crate) fn begin_anew(&mut self) {
        self.mark = (self.size / 2.0).max(1.0).min(self.mark);
        self.size = self.size.min(FIRST);
        self.echoes = 0;
    }

    /// A connection was refused while so many stood.
    pub(crate) fn narrow_to(&mut self, standing: usize) {
        self.size = (standing as f64).clamp(1.0, self.size.max(1.0));
        self.mark = self.size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of as many transactions as the window has room for; the sizes after each.
    fn rounds(window: &mut Window, count: usize, limit: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        for _ in 0..count {
            for _ in 0..window.size(limit) {
                window.widen(limit);
            }
            sizes.push(window.size(limit));
        }
        sizes
    }

    #[test]
    fn it_doubles_until_something_fails_and_then_grows_by_one() {
        let mut window = Window::default();
        assert_eq!(rounds(&mut window, 5, 50), [4, 8, 16, 32, 50]);
        window.halve();
        assert_eq!(window.size(50), 25);
        let after = rounds(&mut window, 3, 50);
        assert!(after.iter().zip([26, 27, 28]).all(|(size, most)| (25..=most).contains(size)), "{after:?}");
    }

    #[test]
    fn failures_of_one_round_count_once() {
        let mut window = Window::default();
        rounds(&mut window, 3, 16);
        for _ in 0..16 {
            window.halve();
        }
        assert_eq!(window.size(16), 8);
        window.halve();
        assert_eq!(window.size(16), 4);
    }

    #[test]
    fn one_connection_is_always_left_and_the_limit_never_passed() {
        let mut window = Window::default();
        for _ in 0..100 {
            window.halve();
        }
        assert_eq!(window.size(20), 1);
        window.narrow_to(0);
        assert_eq!(window.size(20), 1);
        rounds(&mut window, 100, 3);
        assert_eq!((window.size(3), window.size(0)), (3, 1));
        window.narrow_to(2);
        assert_eq!(window.size(3), 2);
    }
}
