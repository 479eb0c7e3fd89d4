//! The one place that reads the system's clocks; every other room is handed the time.

#![expect(clippy::disallowed_methods, reason = "this is the one room where the clocks are read")]

use std::time::{Instant, SystemTime};

use model::Timestamp;

/// The monotonic clock: for deadlines and for measuring, never for what is stored.
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock: for what is stored and shown. It may jump both ways; a time before 1970 counts as 1970.
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
