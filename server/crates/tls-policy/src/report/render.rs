//! A report's text: JSON, as RFC 8460 section 4.4 has it, compressed with gzip.

use reporting::{Day, Reporter, gzip, rfc3339};
use serde::Serialize;

use super::ledger::{Tallies, Tally};
use super::{Applied, Failure};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Text<'a> {
    organization_name: &'a str,
    date_range: Range,
    contact_info: &'a str,
    report_id: String,
    policies: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry<'a> {
    policy: &'a Applied,
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Details<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Details<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    failed_session_count: u64,
}

/// The report on a domain's day, by gzip; nothing when there is nothing to tell.
pub fn compressed(tallies: &Tallies, day: Day, domain: &str, reporter: &Reporter) -> Option<Vec<u8>> {
    let Tallies(tallies) = tallies;
    if tallies.is_empty() {
        return None;
    }
    let text = text(tallies, day, domain, reporter).ok()?;
    gzip(&text).ok()
}

pub(super) fn text(
    tallies: &[Tally],
    day: Day,
    domain: &str,
    reporter: &Reporter,
) -> serde_json::Result<Vec<u8>> {
    let (start, end) = day.bounds();
    let entry = |tally: &Tally| -> Summary {
        Summary {
            total_successful_session_count: tally.successes,
            total_failure_session_count: tally.failures.iter().map(|(_, count)| count).sum(),
        }
    };
    let policies = tallies.iter().map(|tally| Entry {
        policy: &tally.policy,
        summary: entry(tally),
        failure_details: tally
            .failures
            .iter()
            .map(|(failure, count)| Details { failure, failed_session_count: *count })
            .collect(),
    });
    serde_json::to_vec(&Text {
        organization_name: &reporter.organization,
        date_range: Range { start_datetime: rfc3339(start), end_datetime: rfc3339(end) },
        contact_info: &reporter.contact,
        report_id: reporter.identifier(day, domain),
        policies: policies.collect(),
    })
}
