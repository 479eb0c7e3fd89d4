//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine, the compilation of large plugins included; met only when a test fails.
pub(crate) const LONG: Duration = Duration::from_secs(120);

const LOOK: Duration = Duration::from_millis(10);

/// Asks until there is an answer, at most [`LONG`].
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Asks until it is so, at most [`LONG`].
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
