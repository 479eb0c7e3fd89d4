//! `[plugins]` and `[plugins.NAME]`.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use hooks::FilterAddress;
use hooks::Networks;
use plugin_host::{
    Grants, HttpHost, Isolation, LimitOverrides, Limits, OnFailure, Options, Pin, PluginOptions, Signer,
    everywhere,
};
use serde_json::Value;
use store::KvLimits;
use toml::de::DeValue;

use crate::network;
use crate::reader::{Item, Table};

/// Keys of `[plugins]` that are no plugin's name.
const RESERVED: [&str; 6] = ["dir", "order", "limits", "signers", "compile-threads", "kept-generations"];
/// Settings in settings in settings.
const MAX_DEPTH: usize = 32;
const MINUTE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

/// The host's options, and the limits of each plugin's key-value space.
pub(crate) fn plugins(root: &Table<'_>, data_dir: &Path) -> (Options, KvLimits) {
    let mut options = Options {
        dir: data_dir.join("plugins"),
        cache_dir: data_dir.join("plugin-cache"),
        history_dir: data_dir.join("plugin-history"),
        ..Options::default()
    };
    let mut space = KvLimits::default();
    let Some(item) = root.get("plugins") else { return (options, space) };
    let table = item.table_of_tables("plugins");
    if let Some(dir) = table.path("dir") {
        options.dir = dir;
    }
    let order = table.list("order", |text| Ok::<_, String>(text.to_owned())).unwrap_or_default();
    for (item, name) in order {
        if options.order.contains(&name) {
            item.fault(format!("names \"{name}\" twice"));
        } else {
            options.order.push(name);
        }
    }
    options.signers = signers(&table);
    table.set_count("compile-threads", &mut options.compile_threads, 1..=1_000);
    table.set_count("kept-generations", &mut options.kept_generations, 0..=1_000);
    let of_all = table.table("limits", "plugins.limits");
    options.limits = limits(&of_all);
    of_all.set_count("kv-keys", &mut space.keys, 1..=1_000_000_000);
    of_all.set_size("kv-size", &mut space.octets, 1 << 10..=1 << 40);
    options.plugins = single_plugins(&table);
    (options, space)
}

fn single_plugins(table: &Table<'_>) -> HashMap<String, PluginOptions> {
    // Values that are no tables were noted as unknown keys already.
    let named = table
        .entries()
        .filter(|(name, item)| !RESERVED.contains(name) && matches!(item.value(), DeValue::Table(_)));
    named.map(|(name, item)| (name.to_owned(), plugin(&item.table("plugins.NAME")))).collect()
}

fn plugin(table: &Table<'_>) -> PluginOptions {
    let mut options = PluginOptions::default();
    table.set_bool("enabled", &mut options.enabled);
    table.set_bool("required", &mut options.required);
    options.pin = table.parse("sha256", Pin::parse);
    options.signers = signers(table);
    let policies = [
        ("tempfail", OnFailure::Tempfail),
        ("proceed", OnFailure::Proceed),
        ("quarantine", OnFailure::Quarantine),
    ];
    table.set_choice("on-failure", &mut options.on_failure, &policies);
    options.isolation = isolation(table);
    options.grants = grants(&table.table("grants", "plugins.NAME.grants"));
    if let Some(item) = table.get("settings") {
        match item.value() {
            DeValue::Table(_) => options.settings = json(&item, item.value(), 0),
            _ => item.fault("is a table"),
        }
    }
    options.limits = overrides(&table.table("limits", "plugins.NAME.limits"));
    options
}

fn signers(table: &Table<'_>) -> Vec<Signer> {
    let signers = table.list("signers", Signer::parse).unwrap_or_default();
    signers.into_iter().map(|(_, signer)| signer).collect()
}

fn isolation(table: &Table<'_>) -> Isolation {
    let (mut max_uses, mut max_idle) = (100, 16);
    let bounds = [table.get("max-uses"), table.get("max-idle")];
    table.set_count("max-uses", &mut max_uses, 1..=1_000_000);
    table.set_count("max-idle", &mut max_idle, 0..=100_000);
    let reuse = Isolation::Reuse { max_uses: NonZeroU32::new(max_uses).unwrap_or(NonZeroU32::MIN), max_idle };
    let kinds = [("session", Isolation::Session), ("transaction", Isolation::Transaction), ("reuse", reuse)];
    let mut isolation = Isolation::default();
    table.set_choice("isolation", &mut isolation, &kinds);
    for item in bounds.into_iter().flatten().filter(|_| isolation != reuse) {
        item.fault("counts only with `isolation = \"reuse\"`");
    }
    isolation
}

fn grants(table: &Table<'_>) -> Grants {
    let mut grants = Grants::default();
    table.set_bool("kv", &mut grants.kv);
    table.set_bool("dns", &mut grants.dns);
    grants.clamd = table.parse("clamd", FilterAddress::parse);
    table.set_bool("submit", &mut grants.submit);
    let hosts = table.list("http", str::parse::<HttpHost>).unwrap_or_default();
    grants.http = hosts.into_iter().map(|(_, host)| host).collect();
    if let Some(item) = table.get("http-private") {
        grants.http_private = match item.value() {
            DeValue::Boolean(true) => everywhere(),
            DeValue::Boolean(false) => Networks::default(),
            _ => {
                let networks = table.list("http-private", network::network).unwrap_or_default();
                Networks(networks.into_iter().map(|(_, network)| network).collect())
            }
        };
    }
    grants
}

fn limits(table: &Table<'_>) -> Limits {
    let mut limits = Limits::default();
    table.set_duration("cpu-per-hook", &mut limits.cpu_per_hook, MS..=10 * MINUTE);
    table.set_duration("wall-per-hook", &mut limits.wall_per_hook, MS..=10 * MINUTE);
    table.set_duration("cpu-per-session", &mut limits.cpu_per_session, MS..=1_440 * MINUTE);
    table.set_duration("cpu-for-init", &mut limits.cpu_for_init, MS..=10 * MINUTE);
    table.set_duration("wall-for-init", &mut limits.wall_for_init, MS..=10 * MINUTE);
    table.set_size("memory", &mut limits.memory_octets, 64 << 10..=4 << 30);
    table.set_count("table-elements", &mut limits.table_elements, 0..=100_000_000);
    table.set_count("instances", &mut limits.instances, 1..=100_000);
    table.set_size("component-size", &mut limits.component_octets, 1..=4 << 30);
    table.set_count("log-lines-per-hook", &mut limits.log_lines_per_hook, 0..=1_000_000);
    table.set_size("log-line-size", &mut limits.log_line_octets, 64..=1 << 20);
    table.set_count("dns-questions-per-hook", &mut limits.dns_questions_per_hook, 0..=100_000);
    table.set_count("http-requests-per-hook", &mut limits.http_requests_per_hook, 0..=10_000);
    table.set_count("http-requests-per-session", &mut limits.http_requests_per_session, 0..=1_000_000);
    table.set_count("http-requests-at-once", &mut limits.http_requests_at_once, 1..=100_000);
    table.set_duration("http-time", &mut limits.http_time, MS..=10 * MINUTE);
    table.set_size("http-request-size", &mut limits.http_request_octets, 1..=1 << 30);
    table.set_size("http-answer-size", &mut limits.http_answer_octets, 0..=1 << 30);
    table.set_count("scans-per-hook", &mut limits.scans_per_hook, 0..=1_000);
    table.set_count("scans-at-once", &mut limits.scans_at_once, 1..=100_000);
    table.set_count("submissions-per-hook", &mut limits.submissions_per_hook, 0..=10_000);
    table.set_count("submissions-per-hour", &mut limits.submissions_per_hour, 0..=10_000_000);
    table.set_size("submission-size", &mut limits.submission_octets, 1..=1 << 30);
    table.set_count("submission-recipients", &mut limits.submission_recipients, 1..=100_000);
    table.set_count("kv-calls-per-hook", &mut limits.kv_calls_per_hook, 0..=1_000_000);
    table.set_size("kv-key-size", &mut limits.kv_key_octets, 1..=KvLimits::KEY_OCTETS as u64);
    table.set_size("kv-value-size", &mut limits.kv_value_octets, 1..=KvLimits::VALUE_OCTETS as u64);
    table.set_count("notes-per-session", &mut limits.notes_per_session, 0..=1_000_000);
    table.set_size("note-size", &mut limits.note_octets, 1..=1 << 30);
    table.set_size("header-field-size", &mut limits.header_field_octets, 1..=1 << 30);
    table.set_count("additions-per-hook", &mut limits.additions_per_hook, 0..=1_000_000);
    table.set_size("call-size", &mut limits.call_octets, 64 << 10..=1 << 30);
    table.set_size("body-read-size", &mut limits.body_read_octets, 0..=1 << 40);
    table.set_size("body-written-size", &mut limits.body_written_octets, 0..=1 << 40);
    table.set_count("body-pieces", &mut limits.body_pieces, 0..=10_000_000);
    table.set_count("recipients", &mut limits.recipients, 1..=1_000_000);
    table.set_count("metric-series", &mut limits.metric_series_per_plugin, 0..=1_000_000);
    limits
}

fn overrides(table: &Table<'_>) -> LimitOverrides {
    let mut cpu = Duration::ZERO;
    let mut wall = Duration::ZERO;
    let mut session = Duration::ZERO;
    let mut memory = 0;
    table.set_duration("cpu-per-hook", &mut cpu, MS..=10 * MINUTE);
    table.set_duration("wall-per-hook", &mut wall, MS..=10 * MINUTE);
    table.set_duration("cpu-per-session", &mut session, MS..=1_440 * MINUTE);
    table.set_size("memory", &mut memory, 64 << 10..=4 << 30);
    LimitOverrides {
        cpu_per_hook: (!cpu.is_zero()).then_some(cpu),
        cpu_per_session: (!session.is_zero()).then_some(session),
        wall_per_hook: (!wall.is_zero()).then_some(wall),
        memory_octets: (memory != 0).then_some(memory),
    }
}

/// Settings as the plugin reads them. A date becomes a text.
fn json(item: &Item<'_>, value: &DeValue<'_>, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        item.fault(format!("is deeper than {MAX_DEPTH} tables"));
        return Value::Null;
    }
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(at) => Value::from(at.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => {
                item.fault(format!("has a number that is too large: {number}"));
                Value::Null
            }
        },
        DeValue::Float(number) => match number.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Value::Number(number),
            None => {
                item.fault(format!("has a number that plugins cannot be given: {number}"));
                Value::Null
            }
        },
        DeValue::Array(array) => array.iter().map(|value| json(item, value.get_ref(), depth + 1)).collect(),
        DeValue::Table(table) => {
            let member =
                |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                    (key.get_ref().to_string(), json(item, value.get_ref(), depth + 1))
                };
            Value::Object(table.iter().map(member).collect())
        }
    }
}
