//! `metrics`: what plugins count and observe. What is over a limit, or has no valid name, is left out and
//! logged once a hook.

use crate::bindings::waxwing::mail::metrics::Host;
use crate::state::State;

impl Host for State {
    fn count(&mut self, name: String, add: u64, labels: Vec<(String, String)>) {
        let limit = self.plugin.limits.metric_series_per_plugin;
        if !self.host.metrics.count(&self.plugin.name, limit, &name, add, labels) {
            self.left_out(&name);
        }
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        let limit = self.plugin.limits.metric_series_per_plugin;
        if !self.host.metrics.observe(&self.plugin.name, limit, &name, value, labels) {
            self.left_out(&name);
        }
    }
}

impl State {
    fn left_out(&mut self, name: &str) {
        if !std::mem::replace(&mut self.spent.metric_warned, true) {
            let name = crate::convert::one_line(name);
            tracing::warn!(plugin = %self.plugin.name, hook = self.hook, name, "a metric was left out: invalid, or too many series");
        }
    }
}
