//! What the host can say of its plugins, for `plugin list`, metrics and pages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks::Verdict;
use model::{Histogram, HistogramView, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use crate::failure::Failure;
use crate::history::Index;
use crate::plugin::Plugin;
use crate::state::Spent;
use crate::{Grants, Isolation, Kept, OnFailure, RolledBack};

const VERDICTS: [&str; 7] =
    ["proceed", "accept", "reject", "tempfail", "discard", "quarantine", "disconnect"];

/// All plugins and all refused files.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// In the order in which they are asked.
    pub plugins: Vec<PluginStatus>,
    /// Plugins that are required and do not run; their failure policies answer for them.
    pub missing: Vec<Missing>,
    /// Plugins that are left alone because an operator or the configuration says so.
    #[serde(skip)]
    pub disabled: Vec<DisabledPlugin>,
    /// Files that are no plugins; an older generation may still run.
    pub refused: Vec<Refusal>,
    /// Instances alive now, over all sessions.
    pub instances: u64,
    /// Instances that may be alive at once.
    pub instances_limit: u64,
    /// False when there was no address space to reserve for so many: each is mapped when it begins, which is slower.
    pub pooled: bool,
}

/// One plugin.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginStatus {
    pub name: String,
    pub generation: u64,
    /// Generations that are in memory: that one, and those that sessions began with and still use.
    pub generations_alive: u64,
    /// SHA-256 of the file.
    pub hash: String,
    /// Octets of the file.
    pub size: u64,
    pub hooks: Vec<String>,
    pub imports: Vec<String>,
    pub grants: Grants,
    pub on_failure: OnFailure,
    pub isolation: Isolation,
    /// Instances that wait for their next session; only with the isolation `reuse`.
    pub idle_instances: u64,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Hooks that were asked, failed ones included, over all generations.
    pub calls: u64,
    pub failures: u64,
    /// How often it failed in each way.
    pub failures_by_kind: BTreeMap<&'static str, u64>,
    /// Hooks that the failure policy answered without asking, while the breaker was open.
    pub not_asked: u64,
    /// How often each verdict was given.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Calls of the host's services by its hooks, and octets of bodies that it had read, searched, digested and decoded, and that it wrote.
    pub host_calls: u64,
    pub body_read_octets: u64,
    pub body_written_octets: u64,
    /// Microseconds of a hook with all its waiting.
    pub mean_us: f64,
    /// Half of the hooks took no longer than this, and 95 of a hundred no longer than that; upper bounds, from a histogram.
    pub p50_us: f64,
    pub p95_us: f64,
    pub max_us: f64,
    /// The same by its length, for metrics.
    #[serde(skip)]
    pub latency: HistogramView,
    /// The most linear memory that an instance had, in octets.
    pub peak_memory_octets: u64,
    pub last_error: Option<String>,
    /// What ran before and can be rolled back to; the last one ran last.
    pub kept: Vec<Kept>,
    /// What its file was rolled back to, for as long as the file stays what it is.
    pub rolled_back: Option<RolledBack>,
}

/// A plugin that is required and does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missing {
    pub name: String,
    pub reason: String,
    pub on_failure: OnFailure,
}

/// A plugin that nobody asks, and that nobody misses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledPlugin {
    pub name: String,
    /// When an operator disabled it; nothing when the configuration does.
    pub since: Option<Timestamp>,
    /// Mail would not pass without it, had not an operator said so.
    pub required: bool,
}

/// A file that is no plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The name that the plugin would have.
    pub name: String,
    pub reason: String,
}

/// Counts of one plugin's name.
#[derive(Debug)]
pub(crate) struct Stats {
    generations: AtomicU64,
    calls: AtomicU64,
    failures: [AtomicU64; Failure::KINDS.len()],
    not_asked: AtomicU64,
    verdicts: [AtomicU64; VERDICTS.len()],
    total_ns: AtomicU64,
    max_ns: AtomicU64,
    host_calls: AtomicU64,
    body_read: AtomicU64,
    body_written: AtomicU64,
    latency: Histogram,
    peak_memory: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            generations: AtomicU64::default(),
            calls: AtomicU64::default(),
            failures: Default::default(),
            not_asked: AtomicU64::default(),
            verdicts: Default::default(),
            total_ns: AtomicU64::default(),
            max_ns: AtomicU64::default(),
            host_calls: AtomicU64::default(),
            body_read: AtomicU64::default(),
            body_written: AtomicU64::default(),
            latency: Histogram::new(Histogram::SHORT_S),
            peak_memory: AtomicU64::default(),
            last_error: Mutex::default(),
        }
    }
}

impl Stats {
    pub(crate) fn answered(&self, verdict: &Verdict, took: Duration, memory: u64) {
        self.called(took);
        if let Some(nth) = VERDICTS.iter().position(|name| *name == verdict.name()) {
            self.verdicts[nth].fetch_add(1, Ordering::Relaxed);
        }
        if memory > self.peak_memory.load(Ordering::Relaxed) {
            self.peak_memory.fetch_max(memory, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self, failure: &Failure, took: Duration) {
        self.called(took);
        if let Some(nth) = Failure::KINDS.iter().position(|kind| *kind == failure.kind()) {
            self.failures[nth].fetch_add(1, Ordering::Relaxed);
        }
        *self.last_error.lock() = Some(failure.to_string());
    }

    pub(crate) fn generation_begins(&self) {
        self.generations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn generation_ends(&self) {
        self.generations.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn not_asked(&self) {
        self.not_asked.fetch_add(1, Ordering::Relaxed);
    }

    /// What a hook has used of the host, however it ended.
    pub(crate) fn used(&self, spent: &Spent) {
        for (sum, more) in [
            (&self.host_calls, spent.host_calls),
            (&self.body_read, spent.body_read),
            (&self.body_written, spent.body_octets),
        ] {
            if more > 0 {
                sum.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    fn called(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.latency.observe(took);
        self.total_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.max_ns.fetch_max(took_ns, Ordering::Relaxed);
    }
}

/// What is known of a plugin now.
pub(crate) fn of(plugin: &Plugin, index: Index) -> PluginStatus {
    let stats = &plugin.stats;
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let calls = load(&stats.calls);
    let inspection = &plugin.compiled.inspection;
    let (latency, max_us) = (stats.latency.view(), load(&stats.max_ns) as f64 / 1e3);
    PluginStatus {
        name: plugin.name.to_string(),
        generation: plugin.generation,
        generations_alive: load(&stats.generations),
        hash: inspection.hash.clone(),
        size: inspection.size,
        hooks: inspection.hooks.clone(),
        imports: inspection.imports.clone(),
        grants: plugin.options.grants.clone(),
        on_failure: plugin.options.on_failure,
        isolation: plugin.options.isolation,
        idle_instances: plugin.idle.len() as u64,
        breaker: plugin.breaker.name(clock::now()),
        calls,
        failures: stats.failures.iter().map(load).sum(),
        failures_by_kind: Failure::KINDS
            .iter()
            .zip(&stats.failures)
            .map(|(kind, count)| (*kind, load(count)))
            .collect(),
        not_asked: load(&stats.not_asked),
        verdicts: VERDICTS.iter().zip(&stats.verdicts).map(|(name, count)| (*name, load(count))).collect(),
        host_calls: load(&stats.host_calls),
        body_read_octets: load(&stats.body_read),
        body_written_octets: load(&stats.body_written),
        mean_us: load(&stats.total_ns) as f64 / 1e3 / calls.max(1) as f64,
        p50_us: quantile_us(&latency, 0.5, max_us),
        p95_us: quantile_us(&latency, 0.95, max_us),
        max_us,
        latency,
        peak_memory_octets: load(&stats.peak_memory),
        last_error: stats.last_error.lock().clone(),
        rolled_back: index.rolled_back.filter(|rolled_back| rolled_back.to == inspection.hash),
        kept: index.kept,
    }
}

/// The upper bound of the bucket that this part of all observations reaches; the longest where that is less.
fn quantile_us(latency: &HistogramView, part: f64, max_us: f64) -> f64 {
    let wanted = (latency.count as f64 * part).ceil();
    let bucket = latency.buckets.iter().find(|(_, count)| *count as f64 >= wanted);
    bucket.map_or(max_us, |(bound_s, _)| (bound_s * 1e6).min(max_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds_and_never_above_the_longest() {
        let buckets = vec![(0.001, 50), (0.01, 94), (0.1, 99)];
        let view = HistogramView { buckets, count: 100, sum_s: 1.0 };
        assert_eq!(quantile_us(&view, 0.5, 5e5), 1_000.0);
        assert_eq!(quantile_us(&view, 0.95, 5e5), 100_000.0);
        assert_eq!(quantile_us(&view, 0.95, 7e4), 70_000.0);
        assert_eq!(quantile_us(&view, 1.0, 5e5), 500_000.0);
    }
}
