//! What is counted of milters.

use milter::MilterStatus;

use super::{Page, labelled};

/// The families of milters; the name of the milter is their label.
pub(super) fn of_milters(page: &mut Page, milters: &[MilterStatus]) {
    let counts = |of: fn(&MilterStatus) -> u64| {
        let count = |milter: &'_ MilterStatus| (milter.name.clone(), of(milter));
        milters.iter().map(count).collect::<Vec<_>>()
    };
    for (name, counts) in [
        ("waxwing_milter_failures_total", counts(|milter| milter.failures)),
        ("waxwing_milter_not_asked_total", counts(|milter| milter.not_asked)),
    ] {
        let counts: Vec<_> =
            counts.iter().map(|(milter, count)| ([("milter", milter.as_str())], *count)).collect();
        page.numbers(name, &labelled(&counts));
    }
    let verdicts = milters.iter().flat_map(|milter| {
        let labels = |verdict: &&'static str| [("milter", milter.name.as_str()), ("verdict", *verdict)];
        milter.verdicts.iter().map(move |(verdict, count)| (labels(verdict), *count))
    });
    page.numbers("waxwing_milter_verdicts_total", &labelled(&verdicts.collect::<Vec<_>>()));
    let latencies: Vec<_> =
        milters.iter().map(|milter| ([("milter", milter.name.as_str())], &milter.latency)).collect();
    let latencies: Vec<_> = latencies.iter().map(|(labels, view)| (labels.as_slice(), *view)).collect();
    page.histograms("waxwing_milter_call_seconds", &latencies);
}
