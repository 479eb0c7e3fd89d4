//! `/v1/outcomes`: what came in and what became of it, by minutes for six hours and by hours for two weeks.
//!
//! The counters of `inbound` and `outbound` are looked at every five seconds, and what they rose by is added to the minute and the
//! hour of then. It is saved every minute and at the end, so that a start goes on with it; a crash forgets the last minute.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use model::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Reading;
use crate::problem::Problem;
use crate::router::Parameters;
use crate::site::Site;

/// Between two looks at the counters.
const LOOK: Duration = Duration::from_secs(5);
/// Minutes that are kept.
const MINUTES: usize = 6 * 60;
/// Looks between two savings.
const LOOKS_UNTIL_SAVED: u32 = 12;
/// Hours that are kept.
const HOURS: usize = 14 * 24;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What happened in a minute or an hour. Messages that came in, recipients that went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Tally {
    /// Messages that were taken in.
    accepted: u64,
    /// Messages and recipients that were refused.
    refused: u64,
    delivered: u64,
    /// Attempts that failed for now.
    deferred: u64,
    /// Recipients that failed for good, or whose time was over.
    bounced: u64,
}

impl Tally {
    /// What came since an earlier look. Counters only rise.
    fn since(self, before: Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            refused: self.refused.saturating_sub(before.refused),
            delivered: self.delivered.saturating_sub(before.delivered),
            deferred: self.deferred.saturating_sub(before.deferred),
            bounced: self.bounced.saturating_sub(before.bounced),
        }
    }

    fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.refused += more.refused;
        self.delivered += more.delivered;
        self.deferred += more.deferred;
        self.bounced += more.bounced;
    }
}

/// A row of steps of the same length, the last one under way.
#[derive(Debug)]
struct Steps {
    length_ms: u64,
    kept: usize,
    /// When the last step began, in steps since 1970.
    last: u64,
    tallies: VecDeque<Tally>,
}

impl Steps {
    fn new(length_ms: u64, kept: usize) -> Self {
        Self { length_ms, kept, last: 0, tallies: VecDeque::new() }
    }

    fn add(&mut self, more: Tally, now: Timestamp) {
        let step = now.0 / self.length_ms;
        let missing = step.saturating_sub(self.last).min(self.kept as u64);
        let missing = if self.tallies.is_empty() { 1 } else { missing };
        for _ in 0..missing {
            if self.tallies.len() == self.kept {
                self.tallies.pop_front();
            }
            self.tallies.push_back(Tally::default());
        }
        // A clock that was set back adds to the last step.
        self.last = self.last.max(step);
        if let Some(last) = self.tallies.back_mut() {
            last.add(more);
        }
    }

    fn saved(&self) -> Saved {
        Saved { last: self.last, tallies: self.tallies.clone() }
    }

    /// Goes on with what was saved, unless that is of a time to come: a clock that was wrong then.
    fn go_on(&mut self, mut saved: Saved, now: Timestamp) {
        if saved.last <= now.0 / self.length_ms {
            saved.tallies.drain(..saved.tallies.len().saturating_sub(self.kept));
            (self.last, self.tallies) = (saved.last, saved.tallies);
        }
    }

    fn view(&self) -> Series {
        let first = (self.last + 1).saturating_sub(self.tallies.len() as u64);
        let at = |nth: u64| admin::rfc3339(Timestamp((first + nth) * self.length_ms));
        let points = (0..).zip(&self.tallies).map(|(nth, tally)| Point { at: at(nth), tally: *tally });
        Series { step_s: self.length_ms / 1000, points: points.collect() }
    }
}

/// A row as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    last: u64,
    tallies: VecDeque<Tally>,
}

/// What has happened lately.
#[derive(Debug)]
pub(crate) struct Outcomes(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    counters: Tally,
    minutes: Steps,
    hours: Steps,
}

impl Default for Outcomes {
    fn default() -> Self {
        let (minutes, hours) = (Steps::new(MINUTE_MS, MINUTES), Steps::new(HOUR_MS, HOURS));
        Self(Mutex::new(Kept { counters: Tally::default(), minutes, hours }))
    }
}

impl Outcomes {
    /// Goes on with what was saved before this start; with nothing when that cannot be read.
    pub(crate) fn of(saved: Option<Vec<u8>>, now: Timestamp) -> Self {
        let outcomes = Self::default();
        if let Some(Ok([minutes, hours])) = saved.map(|octets| serde_json::from_slice::<[Saved; 2]>(&octets))
        {
            let mut kept = outcomes.0.lock();
            kept.minutes.go_on(minutes, now);
            kept.hours.go_on(hours, now);
        }
        outcomes
    }

    pub(crate) fn saved(&self) -> Vec<u8> {
        let rows = {
            let kept = self.0.lock();
            [kept.minutes.saved(), kept.hours.saved()]
        };
        serde_json::to_vec(&rows).unwrap_or_default()
    }

    /// The counters stand like this now.
    fn record(&self, counters: Tally, now: Timestamp) {
        let mut kept = self.0.lock();
        let more = counters.since(kept.counters);
        kept.counters = counters;
        kept.minutes.add(more, now);
        kept.hours.add(more, now);
    }
}

fn counters(site: &Site) -> Tally {
    let (received, sent) = (site.services.inbound.stats(), site.services.engine.stats());
    Tally {
        accepted: received.accepted,
        refused: received.refused + received.recipients_refused,
        delivered: sent.delivered,
        deferred: sent.deferred,
        bounced: sent.bounced + sent.expired,
    }
}

/// Looks at the counters for as long as it is let.
pub(crate) async fn keep(site: Arc<Site>) {
    let mut looks = tokio::time::interval(LOOK);
    for look in 1u32.. {
        looks.tick().await;
        look_at_counters(&site);
        if look.is_multiple_of(LOOKS_UNTIL_SAVED) {
            let site = Arc::clone(&site);
            // A folder that cannot be written is told of by the journal.
            let _ = tokio::task::spawn_blocking(move || site.save_outcomes()).await;
        }
    }
}

/// Adds what has happened since the last look.
pub(crate) fn look_at_counters(site: &Site) {
    site.outcomes.record(counters(site), clock::wall());
}

/// How long a step is.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// The last six hours.
    #[default]
    Minute,
    /// The last two weeks.
    Hour,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Span {
    /// `minute`, the last six hours, or `hour`, the last two weeks.
    #[param(inline)]
    by: By,
}

/// Steps of the same length without a gap, the oldest first; the last one is under way.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Series {
    step_s: u64,
    points: Vec<Point>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// When the step began.
    at: String,
    #[serde(flatten)]
    tally: Tally,
}

/// What came in and what became of it lately.
#[utoipa::path(get, path = "/v1/outcomes", tag = "server", params(Span), responses((status = 200, body = Series)))]
pub(crate) async fn outcomes(
    _: Reading,
    State(site): State<Arc<Site>>,
    Parameters(Span { by }): Parameters<Span>,
) -> Result<Json<Series>, Problem> {
    look_at_counters(&site);
    let kept = site.outcomes.0.lock();
    Ok(Json(match by {
        By::Minute => kept.minutes.view(),
        By::Hour => kept.hours.view(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(count: u64) -> Tally {
        Tally { delivered: count, ..Tally::default() }
    }

    fn of(series: &Series) -> Vec<(&str, u64)> {
        series.points.iter().map(|point| (point.at.as_str(), point.tally.delivered)).collect()
    }

    #[test]
    fn what_counters_rose_by_is_in_its_minute_and_its_hour_and_quiet_minutes_are_there() {
        let outcomes = Outcomes::default();
        for (count, second) in [(2, 0), (5, 59), (5, 60), (9, 200)] {
            outcomes.record(delivered(count), Timestamp(3_600_000 + second * 1000));
        }
        let kept = outcomes.0.lock();
        assert_eq!(
            of(&kept.minutes.view()),
            [
                ("1970-01-01T01:00:00Z", 5),
                ("1970-01-01T01:01:00Z", 0),
                ("1970-01-01T01:02:00Z", 0),
                ("1970-01-01T01:03:00Z", 4)
            ]
        );
        assert_eq!(of(&kept.hours.view()), [("1970-01-01T01:00:00Z", 9)]);
    }

    #[test]
    fn no_more_is_kept_than_is_said_and_a_clock_that_jumps_does_no_harm() {
        let mut steps = Steps::new(MINUTE_MS, 3);
        for minute in [10, 11, 12, 13] {
            steps.add(delivered(minute), Timestamp(minute * MINUTE_MS));
        }
        steps.add(delivered(1), Timestamp(0));
        assert_eq!(steps.tallies, [delivered(11), delivered(12), delivered(14)]);
        steps.add(delivered(7), Timestamp(u64::MAX / 2));
        assert_eq!(steps.tallies, [delivered(0), delivered(0), delivered(7)]);
    }

    #[test]
    fn a_start_goes_on_with_what_was_saved_and_not_with_a_time_to_come() {
        let now = Timestamp(100 * HOUR_MS);
        let outcomes = Outcomes::default();
        outcomes.record(delivered(3), now);
        let saved = outcomes.saved();
        let later = Timestamp(now.0 + 2 * MINUTE_MS);
        let again = Outcomes::of(Some(saved.clone()), later);
        again.record(delivered(4), later);
        let deliveries = |outcomes: &Outcomes| {
            let kept = outcomes.0.lock();
            let row = |steps: &Steps| steps.tallies.iter().map(|tally| tally.delivered).collect::<Vec<_>>();
            (row(&kept.minutes), row(&kept.hours))
        };
        assert_eq!(deliveries(&again), (vec![3, 0, 4], vec![7]));
        for (saved, now) in [(Some(saved), Timestamp(0)), (Some(b"[]".to_vec()), later), (None, later)] {
            assert_eq!(deliveries(&Outcomes::of(saved, now)), (Vec::new(), Vec::new()));
        }
    }
}
