//! What can be said of milters, for `waxwing plugin list` and metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks::{OnFailure, Verdict};
use model::{Histogram, HistogramView};
use parking_lot::Mutex;
use serde::Serialize;

use crate::milters::Milter;

/// One milter.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MilterStatus {
    pub name: String,
    pub address: String,
    /// None: all.
    pub listeners: Vec<String>,
    pub before_plugins: bool,
    pub on_failure: OnFailure,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Stages that it was asked at, failed ones included.
    pub calls: u64,
    pub failures: u64,
    /// Stages that the failure policy answered without asking, while the breaker was open.
    pub not_asked: u64,
    /// How often each verdict was given.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Microseconds of a stage with all its waiting.
    pub mean_us: f64,
    /// The same by its length, for metrics.
    #[serde(skip)]
    pub latency: HistogramView,
    pub last_error: Option<String>,
}

/// Counts of one milter's name.
#[derive(Debug)]
pub(crate) struct Stats {
    failures: AtomicU64,
    not_asked: AtomicU64,
    verdicts: Mutex<BTreeMap<&'static str, u64>>,
    latency: Histogram,
    last_error: Mutex<Option<String>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            failures: AtomicU64::default(),
            not_asked: AtomicU64::default(),
            verdicts: Mutex::default(),
            latency: Histogram::new(Histogram::SHORT_S),
            last_error: Mutex::default(),
        }
    }
}

impl Stats {
    pub(crate) fn answered(&self, verdict: &Verdict, took: Duration) {
        self.latency.observe(took);
        *self.verdicts.lock().entry(verdict.name()).or_default() += 1;
    }

    pub(crate) fn failed(&self, reason: String, took: Duration) {
        self.latency.observe(took);
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(reason);
    }

    pub(crate) fn not_asked(&self) {
        self.not_asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is known of a milter now.
pub(crate) fn of(milter: &Milter) -> MilterStatus {
    let (options, stats) = (&milter.options, &milter.stats);
    let latency = stats.latency.view();
    MilterStatus {
        name: options.name.to_string(),
        address: options.address.to_string(),
        listeners: options.listeners.clone(),
        before_plugins: options.before_plugins,
        on_failure: options.on_failure,
        breaker: milter.breaker.name(clock::now()),
        calls: latency.count,
        failures: stats.failures.load(Ordering::Relaxed),
        not_asked: stats.not_asked.load(Ordering::Relaxed),
        verdicts: stats.verdicts.lock().clone(),
        mean_us: latency.sum_s * 1e6 / latency.count.max(1) as f64,
        latency,
        last_error: stats.last_error.lock().clone(),
    }
}
