//! A circuit breaker: a plugin or another filter that keeps failing is not asked for a while, and then tried again.
//!
//! Closed: every hook asks. Five failures within a minute open it: the failure policy answers without asking.
//! When the pause is over one hook may try; if it succeeds the breaker closes, otherwise the pause doubles.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures that open the breaker.
const FAILURES: usize = 5;
/// The time within which they count.
const WINDOW: Duration = Duration::from_secs(60);
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Whether one filter may be asked; shared by all sessions.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether there is anything to look at: a plugin that never fails never takes the lock.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Instant>,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    pause: Duration,
    /// One hook is trying.
    trial: bool,
}

impl Breaker {
    /// Whether the plugin may be asked now. Who is told yes must say how it went, or that it gave up.
    pub fn allows(&self, now: Instant) -> bool {
        if !self.troubled.load(Ordering::Acquire) {
            return true;
        }
        let mut state = self.state.lock();
        match &mut state.open {
            None => true,
            Some(open) if now < open.until || open.trial => false,
            Some(open) => {
                open.trial = true;
                true
            }
        }
    }

    /// The filter answered.
    pub fn succeeded(&self) {
        if !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        // Without a trial it is a session that began to ask before the breaker opened.
        if state.open.is_some_and(|open| open.trial) {
            *state = State::default();
            self.troubled.store(false, Ordering::Release);
        }
    }

    /// Says whether the breaker opened by this failure.
    pub fn failed(&self, now: Instant) -> bool {
        self.troubled.store(true, Ordering::Release);
        let mut state = self.state.lock();
        if let Some(open) = state.open {
            if open.trial {
                let pause = (open.pause * 2).min(LONGEST_PAUSE);
                state.open = Some(Open { until: now + pause, pause, trial: false });
            }
            return open.trial;
        }
        while state.recent.front().is_some_and(|first| now.saturating_duration_since(*first) > WINDOW) {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        if state.recent.len() < FAILURES {
            return false;
        }
        state.recent.clear();
        state.open = Some(Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE, trial: false });
        true
    }

    /// The hook ended without an answer that says anything of the plugin: a trial is open to others again.
    pub fn gave_up(&self) {
        if self.troubled.load(Ordering::Acquire)
            && let Some(open) = &mut self.state.lock().open
        {
            open.trial = false;
        }
    }

    /// `closed`, `open` or `half-open`.
    pub fn name(&self, now: Instant) -> &'static str {
        match self.state.lock().open {
            None => "closed",
            Some(open) if now < open.until => "open",
            Some(_) => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (Breaker, Instant) {
        let (breaker, now) = (Breaker::default(), clock::now());
        let opens: Vec<bool> = (0..5).map(|_| breaker.failed(now)).collect();
        assert_eq!(opens, [false, false, false, false, true]);
        (breaker, now)
    }

    #[test]
    fn five_failures_in_a_minute_open_it() {
        let (breaker, now) = opened();
        assert!(!breaker.allows(now + Duration::from_secs(4)));
        assert_eq!(breaker.name(now), "open");
    }

    #[test]
    fn failures_that_are_far_apart_do_not() {
        let (breaker, now) = (Breaker::default(), clock::now());
        for nth in 0..20 {
            assert!(!breaker.failed(now + nth * Duration::from_secs(16)));
        }
        assert!(breaker.allows(now + Duration::from_secs(400)));
    }

    #[test]
    fn one_tries_after_the_pause_and_success_closes_it() {
        let (breaker, now) = opened();
        let later = now + Duration::from_secs(6);
        assert_eq!(breaker.name(later), "half-open");
        assert!(breaker.allows(later));
        assert!(!breaker.allows(later), "only one may try");
        breaker.succeeded();
        assert!(breaker.allows(later) && breaker.allows(later));
        assert_eq!(breaker.name(later), "closed");
    }

    #[test]
    fn pauses_grow_and_end_at_five_minutes() {
        let (breaker, mut now) = opened();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let mut pause = 0;
            while !breaker.allows(now + Duration::from_secs(pause)) {
                pause += 1;
            }
            pauses.push(pause);
            now += Duration::from_secs(pause);
            assert!(breaker.failed(now));
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_trial_that_was_given_up_leaves_room_for_another() {
        let (breaker, now) = opened();
        let later = now + Duration::from_secs(6);
        assert!(breaker.allows(later));
        breaker.gave_up();
        assert!(breaker.allows(later));
    }
}
