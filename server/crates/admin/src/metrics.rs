//! What Prometheus is told: the numbers of the other rooms, at this moment. `docs/metrics.md` lists the families; a test holds it
//! against [`FAMILIES`].
//!
//! No label has more values than the configuration gives: listeners, plugins, kinds of next hop, and words of our own. Never a
//! domain, an address or a reply. What plugins count has the labels that they choose, as many series as their limit allows.

mod milters;

use std::collections::BTreeMap;

use model::HistogramView;
use plugin_host::{Series, SeriesValue};

use crate::calls::Services;
use crate::exposition::{Exposition, Kind};
use crate::process::ProcessView;

use Kind::{Counter, Gauge, Histogram};

/// Every family but those of plugins: name, kind, meaning.
pub(crate) const FAMILIES: &[(&str, Kind, &str)] = &[
    ("waxwing_info", Gauge, "Always 1; the version is its label."),
    ("waxwing_sessions_open", Gauge, "Sessions now."),
    ("waxwing_sessions_total", Counter, "Sessions, by listener."),
    ("waxwing_connections_refused_total", Counter, "Connections that got no session, by reason."),
    (
        "waxwing_messages_received_total",
        Counter,
        "Messages at the end of their data: accepted, refused or discarded.",
    ),
    ("waxwing_messages_submitted_total", Counter, "Messages of their own that plugins have queued."),
    ("waxwing_messages_held_total", Counter, "Accepted messages of which a recipient is held."),
    ("waxwing_received_octets_total", Counter, "Octets of accepted messages."),
    ("waxwing_recipients_refused_total", Counter, "Recipients that were refused."),
    (
        "waxwing_verdicts_total",
        Counter,
        "What plugins decided, by stage and verdict; a stage without plugins is not asked.",
    ),
    ("waxwing_sender_checks_total", Counter, "What SPF, DKIM, ARC and DMARC came to, by method and result."),
    ("waxwing_authentications_total", Counter, "AUTH exchanges, by result: ok or failed."),
    ("waxwing_tls_handshakes_total", Counter, "Handshakes with clients, by result: ok or failed."),
    ("waxwing_protocol_errors_total", Counter, "Commands and messages that the protocol refuses."),
    (
        "waxwing_queue_entries",
        Gauge,
        "Messages in the queue, by state: waiting or held; corrupt are set aside.",
    ),
    (
        "waxwing_queue_oldest_seconds",
        Gauge,
        "Age of the oldest recipient in the queue, to a quarter of an hour; 0 when there is none.",
    ),
    ("waxwing_queue_disk_octets", Gauge, "Octets that the queue takes on the disk."),
    ("waxwing_queue_free_octets", Gauge, "Octets that are free on its disk."),
    ("waxwing_queue_commit_seconds", Histogram, "How long it took to make a message durable."),
    ("waxwing_delivery_active", Gauge, "Messages with an attempt under way or about to be."),
    ("waxwing_delivery_memory_octets", Gauge, "Octets of fresh messages in memory."),
    (
        "waxwing_delivery_destinations",
        Gauge,
        "Destinations with work, a connection or a failure that is remembered.",
    ),
    ("waxwing_delivery_outcomes_total", Counter, "Attempts by recipient, by kind of next hop and outcome."),
    ("waxwing_delivery_reports_total", Counter, "Delivery status notifications that were queued."),
    ("waxwing_delivery_connections_total", Counter, "Connections to next hops, by result: ok or failed."),
    (
        "waxwing_delivery_transactions_total",
        Counter,
        "Transactions with next hops, by connection: fresh or reused.",
    ),
    ("waxwing_delivery_seconds", Histogram, "From arrival to delivery, by recipient."),
    (
        "waxwing_plugins",
        Gauge,
        "Plugins, by state: loaded, refused, disabled, or missing: required and not there.",
    ),
    ("waxwing_plugin_instances", Gauge, "Instances of plugins now."),
    ("waxwing_plugin_calls_total", Counter, "Hooks that a plugin was asked."),
    ("waxwing_plugin_host_calls_total", Counter, "Calls of the server's services by its hooks."),
    ("waxwing_plugin_verdicts_total", Counter, "What it answered."),
    (
        "waxwing_plugin_failures_total",
        Counter,
        "Hooks that failed, by kind: trap, memory, cpu, session-cpu, wall, busy (no place for an instance), edit, choice, abandoned.",
    ),
    ("waxwing_plugin_generation", Gauge, "The generation that sessions begin with."),
    (
        "waxwing_plugin_generations_alive",
        Gauge,
        "Generations in memory: that one, and those that sessions still use.",
    ),
    ("waxwing_plugin_breaker_open", Gauge, "1 while it is left alone because it failed too often, else 0."),
    ("waxwing_plugin_rolled_back", Gauge, "1 while an older content runs in place of its file, else 0."),
    ("waxwing_plugin_idle_instances", Gauge, "Reused instances that wait for their next session."),
    ("waxwing_plugin_memory_peak_octets", Gauge, "The most memory that an instance had."),
    (
        "waxwing_plugin_not_asked_total",
        Counter,
        "Hooks that its failure policy answered while it was left alone.",
    ),
    ("waxwing_plugin_call_seconds", Histogram, "How long a hook took with all its waiting."),
    ("waxwing_milter_verdicts_total", Counter, "What a milter answered, by verdict."),
    (
        "waxwing_milter_failures_total",
        Counter,
        "Stages at which it failed: no connection, no answer in time, or one that cannot be.",
    ),
    (
        "waxwing_milter_not_asked_total",
        Counter,
        "Stages that its failure policy answered while it was left alone.",
    ),
    ("waxwing_milter_call_seconds", Histogram, "How long a milter took at a stage with all its waiting."),
    ("process_start_time_seconds", Gauge, "When the process started, in seconds since 1970."),
    ("process_cpu_seconds_total", Counter, "CPU time, of user and system."),
    ("process_resident_memory_bytes", Gauge, "Resident memory."),
    ("process_virtual_memory_bytes", Gauge, "Virtual memory."),
    ("process_open_fds", Gauge, "Open file descriptors."),
    ("process_max_fds", Gauge, "Descriptors that may be open."),
    ("process_threads", Gauge, "Threads."),
];

/// What is told of each plugin as it is now.
type OfPlugin = fn(&plugin_host::PluginStatus) -> u64;
const STATE_OF_A_PLUGIN: [(&str, OfPlugin); 6] = [
    ("waxwing_plugin_generation", |plugin| plugin.generation),
    ("waxwing_plugin_generations_alive", |plugin| plugin.generations_alive),
    ("waxwing_plugin_breaker_open", |plugin| u64::from(plugin.breaker != "closed")),
    ("waxwing_plugin_rolled_back", |plugin| u64::from(plugin.rolled_back.is_some())),
    ("waxwing_plugin_idle_instances", |plugin| plugin.idle_instances),
    ("waxwing_plugin_memory_peak_octets", |plugin| plugin.peak_memory_octets),
];

/// Families whose names a plugin chose begin with this; the plugin is a label.
pub(crate) const OF_PLUGINS: &str = "waxwing_plugin_custom_";

/// Collects samples, then writes them by family.
#[derive(Default)]
struct Page {
    text: Exposition,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// A family with samples of plain numbers; one that has none is left out.
    fn numbers(&mut self, name: &str, samples: &[(Labels<'_>, f64)]) {
        if !samples.is_empty() && self.begin(name) {
            samples.iter().for_each(|(labels, value)| self.text.sample(labels, *value));
        }
    }

    fn one(&mut self, name: &str, value: f64) {
        self.numbers(name, &[(&[], value)]);
    }

    fn maybe(&mut self, name: &str, value: Option<f64>) {
        value.into_iter().for_each(|value| self.one(name, value));
    }

    fn histograms(&mut self, name: &str, samples: &[(Labels<'_>, &HistogramView)]) {
        if !samples.is_empty() && self.begin(name) {
            samples.iter().for_each(|(labels, view)| self.text.histogram(labels, view));
        }
    }

    fn begin(&mut self, name: &str) -> bool {
        let family = FAMILIES.iter().find(|(known, ..)| *known == name);
        debug_assert!(family.is_some(), "{name} is not among the families");
        family.inspect(|(name, kind, help)| self.text.family(name, *kind, help)).is_some()
    }
}

impl Services {
    /// The whole page.
    pub(crate) fn metrics(&self) -> String {
        let mut page = Page::default();
        page.numbers("waxwing_info", &[(&[("version", self.version)], 1.0)]);
        self.sessions(&mut page);
        self.queue(&mut page);
        self.deliveries(&mut page);
        self.plugin_calls(&mut page);
        milters::of_milters(&mut page, &self.milters.status());
        self.process(&mut page);
        let mut text = page.text;
        of_plugins(&mut text, self.plugins.metrics());
        text.into_text()
    }

    fn sessions(&self, page: &mut Page) {
        let stats = self.inbound.stats();
        page.one("waxwing_sessions_open", stats.sessions_open as f64);
        let by_listener: Vec<_> = stats
            .sessions_by_listener
            .iter()
            .map(|(name, count)| ([("listener", &**name)], *count))
            .collect();
        page.numbers("waxwing_sessions_total", &labelled(&by_listener));
        let refused: Vec<_> =
            stats.turned_away_for.iter().map(|(reason, count)| ([("reason", *reason)], *count)).collect();
        page.numbers("waxwing_connections_refused_total", &labelled(&refused));
        page.numbers(
            "waxwing_messages_received_total",
            &labelled(&[
                ([("outcome", "accepted")], stats.accepted),
                ([("outcome", "refused")], stats.refused),
                ([("outcome", "discarded")], stats.discarded),
            ]),
        );
        page.one("waxwing_messages_submitted_total", stats.submitted as f64);
        page.one("waxwing_messages_held_total", stats.held as f64);
        page.one("waxwing_received_octets_total", stats.accepted_octets as f64);
        page.one("waxwing_recipients_refused_total", stats.recipients_refused as f64);
        let verdicts: Vec<_> = stats
            .verdicts
            .iter()
            .map(|(stage, verdict, count)| ([("stage", *stage), ("verdict", *verdict)], *count))
            .collect();
        page.numbers("waxwing_verdicts_total", &labelled(&verdicts));
        let senders: Vec<_> = stats
            .senders
            .iter()
            .map(|(method, result, count)| ([("method", *method), ("result", *result)], *count))
            .collect();
        page.numbers("waxwing_sender_checks_total", &labelled(&senders));
        page.numbers("waxwing_authentications_total", &results(stats.authenticated, stats.auth_failures));
        page.numbers("waxwing_tls_handshakes_total", &results(stats.handshakes, stats.handshakes_failed));
        page.one("waxwing_protocol_errors_total", stats.protocol_errors as f64);
    }

    fn queue(&self, page: &mut Page) {
        let totals = self.store.totals();
        page.numbers(
            "waxwing_queue_entries",
            &labelled(&[
                ([("state", "waiting")], totals.waiting),
                ([("state", "held")], totals.held),
                ([("state", "corrupt")], totals.corrupt),
            ]),
        );
        let age = totals.oldest.map_or(0.0, |oldest| clock::wall().since(oldest).as_secs_f64());
        page.one("waxwing_queue_oldest_seconds", age);
        page.one("waxwing_queue_disk_octets", totals.disk_octets as f64);
        page.maybe("waxwing_queue_free_octets", totals.free_octets.map(|free| free as f64));
        page.histograms("waxwing_queue_commit_seconds", &[(&[], &self.store.commit_latency())]);
    }

    fn deliveries(&self, page: &mut Page) {
        let stats = self.engine.stats();
        page.one("waxwing_delivery_active", stats.active as f64);
        page.one("waxwing_delivery_memory_octets", stats.memory_octets as f64);
        page.one("waxwing_delivery_destinations", stats.destinations.len() as f64);
        let outcomes: Vec<_> = stats
            .outcomes
            .iter()
            .map(|(class, outcome, count)| ([("class", *class), ("outcome", *outcome)], *count))
            .collect();
        page.numbers("waxwing_delivery_outcomes_total", &labelled(&outcomes));
        page.one("waxwing_delivery_reports_total", stats.reports as f64);
        page.numbers(
            "waxwing_delivery_connections_total",
            &results(stats.connections, stats.connections_failed),
        );
        let fresh = stats.transactions.saturating_sub(stats.transactions_reused);
        page.numbers(
            "waxwing_delivery_transactions_total",
            &labelled(&[
                ([("connection", "fresh")], fresh),
                ([("connection", "reused")], stats.transactions_reused),
            ]),
        );
        page.histograms("waxwing_delivery_seconds", &[(&[], &stats.latency)]);
    }

    fn plugin_calls(&self, page: &mut Page) {
        let status = self.plugins.status();
        page.numbers(
            "waxwing_plugins",
            &labelled(&[
                ([("state", "loaded")], status.plugins.len() as u64),
                ([("state", "refused")], status.refused.len() as u64),
                ([("state", "missing")], status.missing.len() as u64),
                ([("state", "disabled")], status.disabled.len() as u64),
            ]),
        );
        page.one("waxwing_plugin_instances", status.instances as f64);
        let counts = |of: fn(&plugin_host::PluginStatus) -> u64| {
            let count = |plugin: &'_ plugin_host::PluginStatus| (plugin.name.clone(), of(plugin));
            status.plugins.iter().map(count).collect::<Vec<_>>()
        };
        for (name, counts) in [
            ("waxwing_plugin_calls_total", counts(|plugin| plugin.calls)),
            ("waxwing_plugin_host_calls_total", counts(|plugin| plugin.host_calls)),
            ("waxwing_plugin_not_asked_total", counts(|plugin| plugin.not_asked)),
        ] {
            let counts: Vec<_> =
                counts.iter().map(|(plugin, count)| ([("plugin", plugin.as_str())], *count)).collect();
            page.numbers(name, &labelled(&counts));
        }
        let verdicts = status.plugins.iter().flat_map(|plugin| {
            let labels = |verdict: &&'static str| [("plugin", plugin.name.as_str()), ("verdict", *verdict)];
            plugin.verdicts.iter().map(move |(verdict, count)| (labels(verdict), *count))
        });
        page.numbers("waxwing_plugin_verdicts_total", &labelled(&verdicts.collect::<Vec<_>>()));
        let failures = status.plugins.iter().flat_map(|plugin| {
            let labels = |kind: &&'static str| [("plugin", plugin.name.as_str()), ("kind", *kind)];
            plugin.failures_by_kind.iter().map(move |(kind, count)| (labels(kind), *count))
        });
        page.numbers("waxwing_plugin_failures_total", &labelled(&failures.collect::<Vec<_>>()));
        for (name, of) in STATE_OF_A_PLUGIN {
            let values: Vec<_> = status
                .plugins
                .iter()
                .map(|plugin| ([("plugin", plugin.name.as_str())], of(plugin)))
                .collect();
            page.numbers(name, &labelled(&values));
        }
        let latencies: Vec<_> = status
            .plugins
            .iter()
            .map(|plugin| ([("plugin", plugin.name.as_str())], &plugin.latency))
            .collect();
        let latencies: Vec<_> = latencies.iter().map(|(labels, view)| (labels.as_slice(), *view)).collect();
        page.histograms("waxwing_plugin_call_seconds", &latencies);
    }

    fn process(&self, page: &mut Page) {
        let view = ProcessView::read();
        let octets = |count: Option<u64>| count.map(|count| count as f64);
        page.one("process_start_time_seconds", self.started.0 as f64 / 1e3);
        page.maybe("process_cpu_seconds_total", view.cpu_s);
        page.maybe("process_resident_memory_bytes", octets(view.resident_octets));
        page.maybe("process_virtual_memory_bytes", octets(view.virtual_octets));
        page.maybe("process_open_fds", octets(view.open_files));
        page.maybe("process_max_fds", octets(view.max_files));
        page.maybe("process_threads", octets(view.threads));
    }
}

fn labelled<'a, const N: usize>(samples: &'a [([(&'a str, &'a str); N], u64)]) -> Vec<(Labels<'a>, f64)> {
    samples.iter().map(|(labels, count)| (labels.as_slice(), *count as f64)).collect()
}

fn results(ok: u64, failed: u64) -> [(Labels<'static>, f64); 2] {
    [(&[("result", "ok")], ok as f64), (&[("result", "failed")], failed as f64)]
}

/// What plugins count and observe. Plugins may give the same name to different kinds: the kind is part of the family's name.
fn of_plugins(text: &mut Exposition, series: Vec<Series>) {
    let mut families: BTreeMap<(String, bool), Vec<Series>> = BTreeMap::new();
    for series in series {
        let is_count = matches!(series.value, SeriesValue::Count { .. });
        families.entry((series.name.clone(), is_count)).or_default().push(series);
    }
    for ((name, is_count), series) in families {
        let (kind, suffix) = if is_count { (Counter, "_total") } else { (Histogram, "") };
        text.family(&format!("{OF_PLUGINS}{name}{suffix}"), kind, "Of plugins.");
        for Series { plugin, labels, value, .. } in &series {
            // A label of the plugin's own that is called like one of ours would make the line unreadable.
            let own = labels.iter().filter(|(name, _)| !matches!(name.as_str(), "plugin" | "le"));
            let mut all = vec![("plugin", plugin.as_str())];
            all.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
            all.dedup_by(|a, b| a.0 == b.0);
            match value {
                SeriesValue::Count { total } => text.sample(&all, *total as f64),
                SeriesValue::Observed { count, sum, buckets } => {
                    let view = HistogramView { buckets: buckets.clone(), count: *count, sum_s: *sum };
                    text.histogram(&all, &view);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_metrics_lists_every_family_and_no_other() {
        let page = include_str!("../../../../docs/metrics.md");
        let rows = page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned);
        let expected: Vec<String> = FAMILIES
            .iter()
            .map(|(name, kind, help)| format!("| `{name}` | {} | {help} |", kind.name()))
            .collect();
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_plugins_count_cannot_break_the_page() {
        let series = |name: &str, value: SeriesValue| Series {
            plugin: "p".to_owned(),
            name: name.to_owned(),
            labels: vec![("le".to_owned(), "x".to_owned()), ("zone".to_owned(), "a\"\\".to_owned())],
            value,
        };
        let mut text = Exposition::default();
        let observed = SeriesValue::Observed { count: 1, sum: 2.0, buckets: vec![(1.0, 0)] };
        of_plugins(
            &mut text,
            vec![series("seen", SeriesValue::Count { total: 3 }), series("seen", observed)],
        );
        let text = text.into_text();
        let zone = "plugin=\"p\",zone=\"a\\\"\\\\\"";
        for line in [
            format!("waxwing_plugin_custom_seen_total{{{zone}}} 3"),
            format!("waxwing_plugin_custom_seen_bucket{{{zone},le=\"+Inf\"}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
