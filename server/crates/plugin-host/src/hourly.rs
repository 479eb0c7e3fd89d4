//! How often each plugin has done something within the last hour.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const HOUR: Duration = Duration::from_secs(3_600);

/// What is left to each plugin, by name: it outlives generations. The allowance of an hour is there at once, and comes back evenly.
#[derive(Debug, Default)]
pub(crate) struct Hourly(Mutex<HashMap<Arc<str>, Left>>);

#[derive(Debug, Clone, Copy)]
struct Left {
    allowance: f64,
    at: Instant,
}

impl Hourly {
    /// Takes one off what this plugin may do, if something is left.
    pub(crate) fn take(&self, plugin: &Arc<str>, per_hour: u32, now: Instant) -> bool {
        let most = f64::from(per_hour);
        let mut plugins = self.0.lock();
        let left = plugins.entry(plugin.clone()).or_insert(Left { allowance: most, at: now });
        let since = now.saturating_duration_since(left.at);
        left.allowance = (left.allowance + most * since.div_duration_f64(HOUR)).min(most);
        left.at = now;
        let may = left.allowance >= 1.0;
        if may {
            left.allowance -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_so_many_and_they_come_back_evenly() {
        let (hourly, began) = (Hourly::default(), clock::now());
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let take = |plugin, minutes: u64| hourly.take(plugin, 4, began + Duration::from_secs(60 * minutes));
        assert_eq!(
            [0, 0, 0, 0, 0, 14].map(|minute| take(&one, minute)),
            [true, true, true, true, false, false]
        );
        assert!(take(&other, 14), "each has its own");
        assert!(take(&one, 16));
        assert!(!take(&one, 16));
        assert_eq!(
            [300, 300, 300, 300, 300].map(|minute| take(&one, minute)),
            [true, true, true, true, false]
        );
        assert!(!hourly.take(&"none".into(), 0, began));
    }
}
