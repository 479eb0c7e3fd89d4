//! `plugin list`, `reload`, `rollback`, `disable` and `enable`: the plugins of the running server, and its milters.

use std::fmt::Write;

use admin::{PluginDisabled, PluginLoaded, Request};
use anyhow::Result;
use serde_json::Value;

use super::connect;
use super::output::{print, print_json, printable, size, table};
use crate::cli::Reading;

/// Digits of a hash that tell one from another.
const HASH_DIGITS: usize = 12;

/// The plugins in the order in which they are asked, what is missing, the files that were refused, and the milters.
pub(crate) fn list(reading: &Reading) -> Result<()> {
    let status: Value = connect(&reading.file)?.call(&Request::PluginList)?;
    if reading.json {
        return print_json(&status);
    }
    print(&text(&status)?)
}

fn text(status: &Value) -> Result<String> {
    let plugins = members(&status["plugins"]);
    let mut text = match plugins.is_empty() {
        true => "no plugin is loaded\n".to_owned(),
        false => table(
            &[
                "NAME",
                "GENERATION",
                "HASH",
                "CALLS",
                "FAILURES",
                "P50",
                "P95",
                "MAX",
                "MEMORY",
                "BREAKER",
                "ISOLATION",
                "HOOKS",
            ],
            &plugins.iter().map(row).collect::<Vec<_>>(),
        ),
    };
    for plugin in &plugins {
        details(&mut text, plugin)?;
    }
    for missing in members(&status["missing"]) {
        let (name, reason) = (word(&missing["name"]), word(&missing["reason"]));
        writeln!(text, "missing: {name}: {reason}; answered for: {}", word(&missing["on-failure"]))?;
    }
    for disabled in members(&status["disabled"]) {
        writeln!(text, "{}", disabled_line(&disabled))?;
    }
    for refused in members(&status["refused"]) {
        writeln!(text, "refused: {}: {}", word(&refused["name"]), word(&refused["reason"]))?;
    }
    let milters = members(&status["milters"]);
    if !milters.is_empty() {
        let columns = ["MILTER", "ADDRESS", "CALLS", "FAILURES", "MEAN", "BREAKER"];
        write!(text, "\n{}", table(&columns, &milters.iter().map(milter_row).collect::<Vec<_>>()))?;
    }
    for milter in milters.iter().filter(|milter| milter["last-error"].is_string()) {
        writeln!(text, "{}: {}", word(&milter["name"]), word(&milter["last-error"]))?;
    }
    if status["pooled"] == false {
        writeln!(
            text,
            "no pool: there is no address space for so many instances (plugins.limits.instances)"
        )?;
    }
    Ok(text)
}

/// Loud where mail would not pass without the plugin.
fn disabled_line(disabled: &Value) -> String {
    let name = word(&disabled["name"]);
    match (disabled["since"].as_str(), disabled["required"] == true) {
        (Some(since), true) => {
            format!(
                "DISABLED: {name}: by an operator since {since}; it is required, and mail passes without it"
            )
        }
        (Some(since), false) => format!("disabled: {name}: by an operator since {since}"),
        (None, _) => format!("disabled: {name}: by the configuration"),
    }
}

fn row(plugin: &Value) -> Vec<String> {
    let time = |key: &str| format!("{:.0} us", plugin[key].as_f64().unwrap_or(0.0));
    vec![
        word(&plugin["name"]),
        word(&plugin["generation"]),
        short(&plugin["hash"]),
        word(&plugin["calls"]),
        word(&plugin["failures"]),
        time("p50-us"),
        time("p95-us"),
        time("max-us"),
        size(plugin["peak-memory-octets"].as_u64().unwrap_or(0)),
        word(&plugin["breaker"]),
        word(&plugin["isolation"]["kind"]),
        words(&plugin["hooks"]),
    ]
}

fn milter_row(milter: &Value) -> Vec<String> {
    let mean_us = milter["mean-us"].as_f64().unwrap_or(0.0);
    let named = ["name", "address", "calls", "failures"].map(|name| word(&milter[name]));
    named.into_iter().chain([format!("{mean_us:.0} us"), word(&milter["breaker"])]).collect()
}

/// What does not fit a row, a line each; what is empty is left out.
fn details(text: &mut String, plugin: &Value) -> Result<()> {
    let failures = counts(&plugin["failures-by-kind"]);
    let last = plugin["last-error"].as_str().map(|last| format!("; the last: {}", printable(last)));
    let kept = members(&plugin["kept"]);
    let kept =
        kept.iter().map(|kept| format!("{} ({})", word(&kept["last-generation"]), short(&kept["hash"])));
    let rolled_back = match &plugin["rolled-back"]["file"] {
        Value::Null => String::new(),
        file => format!("its file {} counts for nothing until it changes", short(file)),
    };
    let lines = [
        ("grants", grants(&plugin["grants"])),
        ("imports", words(&plugin["imports"])),
        ("verdicts", counts(&plugin["verdicts"])),
        ("failures", if failures.is_empty() { failures } else { failures + &last.unwrap_or_default() }),
        ("kept", kept.collect::<Vec<_>>().join(", ")),
        ("rolled back", rolled_back),
    ];
    writeln!(text, "{}", word(&plugin["name"]))?;
    for (title, line) in lines.iter().filter(|(_, line)| !line.is_empty()) {
        writeln!(text, "  {title:11} {line}")?;
    }
    Ok(())
}

/// The services that were granted: a flag by its name, anything else with its value.
fn grants(grants: &Value) -> String {
    let granted = grants.as_object().into_iter().flatten().filter_map(|(name, value)| match value {
        Value::Bool(true) => Some(name.clone()),
        Value::Bool(false) | Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(_) => Some(format!("{name} ({})", words(value))),
        other => Some(format!("{name} ({})", word(other))),
    });
    granted.collect::<Vec<_>>().join(" ")
}

/// `3 proceed, 1 reject`.
fn counts(counts: &Value) -> String {
    let counted = counts.as_object().into_iter().flatten().filter(|(_, count)| count.as_u64() != Some(0));
    counted.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

fn members(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn words(value: &Value) -> String {
    members(value).iter().map(word).collect::<Vec<_>>().join(" ")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), printable)
}

fn short(hash: &Value) -> String {
    word(hash).chars().take(HASH_DIGITS).collect()
}

/// Reads files again.
pub(crate) fn reload(name: Option<String>, reading: &Reading) -> Result<()> {
    let loaded: Vec<PluginLoaded> = connect(&reading.file)?.call(&Request::PluginReload { name })?;
    say(reading, &loaded, &loaded)
}

/// Runs what ran before.
pub(crate) fn rollback(name: String, to: Option<String>, reading: &Reading) -> Result<()> {
    let loaded: PluginLoaded = connect(&reading.file)?.call(&Request::PluginRollback { name, to })?;
    say(reading, &loaded, std::slice::from_ref(&loaded))
}

/// Leaves a plugin alone.
pub(crate) fn disable(name: String, reading: &Reading) -> Result<()> {
    let disabled: PluginDisabled = connect(&reading.file)?.call(&Request::PluginDisable { name })?;
    if reading.json {
        return print_json(&disabled);
    }
    print(&format!("{}\n", disabled_line(&serde_json::to_value(&disabled)?)))
}

/// Lets a plugin run again.
pub(crate) fn enable(name: String, reading: &Reading) -> Result<()> {
    let loaded: PluginLoaded = connect(&reading.file)?.call(&Request::PluginEnable { name })?;
    say(reading, &loaded, std::slice::from_ref(&loaded))
}

fn say(reading: &Reading, answer: &impl serde::Serialize, loaded: &[PluginLoaded]) -> Result<()> {
    if reading.json {
        print_json(answer)?;
    } else {
        let mut text = String::new();
        for one in loaded {
            match (&one.generation, &one.refused) {
                (Some(generation), _) => writeln!(text, "{}: generation {generation}", printable(&one.name))?,
                (None, reason) => {
                    let reason = printable(reason.as_deref().unwrap_or_default());
                    writeln!(text, "refused: {}: {reason}", printable(&one.name))?;
                }
            }
        }
        print(&text)?;
    }
    anyhow::ensure!(loaded.iter().all(|one| one.refused.is_none()), "not every plugin was taken");
    Ok(())
}
