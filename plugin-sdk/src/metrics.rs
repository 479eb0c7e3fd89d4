//! Numbers for the operator, in the server's Prometheus page under the plugin's name.

use crate::host;

/// Adds to a counter.
pub fn count(name: &str, add: u64, labels: &[(&str, &str)]) {
    host::count(name, add, &owned(labels));
}

/// Puts a value into a histogram.
pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
    host::observe(name, value, &owned(labels));
}

pub(crate) fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
