//! Numbers that plugins count and observe, kept until somebody asks for them.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

/// Labels of one series.
const MAX_LABELS: usize = 8;
/// Octets of a name, a label's name or its value.
const MAX_TEXT_OCTETS: usize = 128;
/// Upper bounds of the buckets of what is observed; one more counts what lies above.
const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 1000.0];

/// One series at this moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub plugin: String,
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: SeriesValue,
}

/// What a series has come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SeriesValue {
    Count {
        total: u64,
    },
    Observed {
        count: u64,
        sum: f64,
        /// How many observations were at most as large as each bound; the bounds rise, infinity is left out.
        buckets: Vec<(f64, u64)>,
    },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    plugin: String,
    name: String,
    labels: Vec<(String, String)>,
}

/// The series of all plugins.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    series: Mutex<BTreeMap<Key, SeriesValue>>,
}

impl Registry {
    /// Adds to a counter; false when the name is not valid or the plugin has too many series.
    pub(crate) fn count(&self, plugin: &str, limit: usize, name: &str, add: u64, labels: Labels) -> bool {
        self.change(plugin, limit, name, labels, |value| match value {
            None => Some(SeriesValue::Count { total: add }),
            Some(SeriesValue::Count { total }) => {
                *total = total.saturating_add(add);
                None
            }
            Some(SeriesValue::Observed { .. }) => None,
        })
    }

    /// Notes a value; false as for `count`. What is no finite number is left out.
    pub(crate) fn observe(&self, plugin: &str, limit: usize, name: &str, seen: f64, labels: Labels) -> bool {
        seen.is_finite()
            && self.change(plugin, limit, name, labels, |value| match value {
                None => {
                    let mut buckets: Vec<_> = BOUNDS.iter().map(|bound| (*bound, 0)).collect();
                    fill(&mut buckets, seen);
                    Some(SeriesValue::Observed { count: 1, sum: seen, buckets })
                }
                Some(SeriesValue::Observed { count, sum, buckets }) => {
                    *count += 1;
                    *sum += seen;
                    fill(buckets, seen);
                    None
                }
                Some(SeriesValue::Count { .. }) => None,
            })
    }

    fn change(
        &self,
        plugin: &str,
        limit: usize,
        name: &str,
        mut labels: Labels,
        change: impl FnOnce(Option<&mut SeriesValue>) -> Option<SeriesValue>,
    ) -> bool {
        if !is_valid(name, &labels) {
            return false;
        }
        labels.sort();
        let key = Key { plugin: plugin.to_owned(), name: name.to_owned(), labels };
        let mut series = self.series.lock();
        if let Some(value) = series.get_mut(&key) {
            change(Some(value));
            return true;
        }
        if series.keys().filter(|other| other.plugin == plugin).count() >= limit {
            return false;
        }
        if let Some(value) = change(None) {
            series.insert(key, value);
        }
        true
    }

    pub(crate) fn snapshot(&self) -> Vec<Series> {
        let series = self.series.lock();
        let copy = |(key, value): (&Key, &SeriesValue)| Series {
            plugin: key.plugin.clone(),
            name: key.name.clone(),
            labels: key.labels.clone(),
            value: value.clone(),
        };
        series.iter().map(copy).collect()
    }
}

type Labels = Vec<(String, String)>;

fn fill(buckets: &mut [(f64, u64)], seen: f64) {
    for (bound, count) in buckets {
        *count += u64::from(seen <= *bound);
    }
}

/// Names are such that every metrics format takes them; values are any text without control characters.
fn is_valid(name: &str, labels: &Labels) -> bool {
    let is_name = |text: &str| {
        (1..=MAX_TEXT_OCTETS).contains(&text.len())
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_value = |text: &str| text.len() <= MAX_TEXT_OCTETS && !text.contains(char::is_control);
    is_name(name)
        && labels.len() <= MAX_LABELS
        && labels.iter().all(|(label, value)| is_name(label) && is_value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, value: &str) -> Labels {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn series_add_up_by_labels() {
        let registry = Registry::default();
        assert!(registry.count("a", 10, "seen", 2, label("zone", "x")));
        assert!(registry.count("a", 10, "seen", 3, label("zone", "x")));
        assert!(registry.count("a", 10, "seen", 1, label("zone", "y")));
        assert!(registry.observe("b", 10, "seconds", 0.02, Vec::new()));
        let series = registry.snapshot();
        assert_eq!(series.len(), 3);
        assert_eq!(series[0].value, SeriesValue::Count { total: 5 });
        let SeriesValue::Observed { count: 1, buckets, .. } = &series[2].value else { panic!("{series:?}") };
        assert_eq!((buckets[2], buckets[3]), ((0.01, 0), (0.05, 1)));
    }

    #[test]
    fn a_plugin_has_only_so_many_series() {
        let registry = Registry::default();
        let made = (0..100).filter(|nth| registry.count("a", 7, &format!("n{nth}"), 1, Vec::new())).count();
        assert_eq!(made, 7);
        assert!(registry.count("b", 7, "n", 1, Vec::new()), "another plugin has its own");
    }

    #[test]
    fn names_that_no_format_takes_are_refused() {
        let registry = Registry::default();
        for bad in ["", "1a", "a b", "ä", "a\n"] {
            assert!(!registry.count("a", 10, bad, 1, Vec::new()), "{bad:?}");
        }
        assert!(!registry.count("a", 10, "a", 1, label("l", "a\nb")));
        assert!(!registry.observe("a", 10, "a", f64::NAN, Vec::new()));
    }
}
