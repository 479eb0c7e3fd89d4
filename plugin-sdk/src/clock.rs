//! Time, as the server has it.

use crate::host;
use std::time::Duration;

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn now_unix_ms() -> u64 {
    host::now_unix_ms()
}

/// Nanoseconds since some fixed moment; never goes back. For measuring.
#[must_use]
pub fn monotonic_ns() -> u64 {
    host::monotonic_ns()
}

/// So many seconds.
#[must_use]
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes.
#[must_use]
pub const fn minutes(n: u64) -> Duration {
    seconds(n.saturating_mul(60))
}

/// So many hours.
#[must_use]
pub const fn hours(n: u64) -> Duration {
    minutes(n.saturating_mul(60))
}

/// So many days of 24 hours.
#[must_use]
pub const fn days(n: u64) -> Duration {
    hours(n.saturating_mul(24))
}
