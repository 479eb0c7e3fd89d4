//! `[[milter]]`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hooks::{FilterAddress, OnFailure};
use inbound::{Insider, ListenerOptions};
use milter::{MilterOptions, Timeouts};

use crate::reader::{Table, did_you_mean};

/// Octets of a milter's name, and of a macro's name and value.
const MAX_NAME_OCTETS: usize = 64;
const MAX_MACRO_OCTETS: usize = 1_024;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The milters, in the order of the file.
pub(crate) fn milters(root: &Table<'_>, listeners: &[Arc<ListenerOptions>]) -> Vec<MilterOptions> {
    let mut names = HashSet::new();
    let tables = root.tables("milter", "milter");
    tables.iter().filter_map(|table| milter(table, listeners, &mut names)).collect()
}

fn milter(
    table: &Table<'_>,
    listeners: &[Arc<ListenerOptions>],
    names: &mut HashSet<String>,
) -> Option<MilterOptions> {
    for key in ["name", "address"] {
        if !table.has(key) {
            table.missing(key, "is missing");
        }
    }
    let name = table.parse("name", |text| name(text, names));
    let address = table.parse("address", FilterAddress::parse);
    let known = address.is_some();
    // The rest is read whatever its address: every fault of a file is found.
    let address = address.unwrap_or_else(|| FilterAddress::Unix("/".into()));
    let mut options = MilterOptions::new(&name.unwrap_or_default(), address);
    table.set_choice(
        "on-failure",
        &mut options.on_failure,
        &[
            ("tempfail", OnFailure::Tempfail),
            ("proceed", OnFailure::Proceed),
            ("quarantine", OnFailure::Quarantine),
        ],
    );
    options.listeners = chosen_listeners(table, listeners);
    table.set_bool("before-plugins", &mut options.before_plugins);
    options.macros = macros(table);
    options.timeouts = timeouts(&table.table("timeouts", "milter.timeouts"));
    table.set_size("replaced-body-size", &mut options.body_octets, 0..=4 << 30);
    known.then_some(options)
}

/// The names of listeners, and those that stand in the place of one.
fn chosen_listeners(table: &Table<'_>, listeners: &[Arc<ListenerOptions>]) -> Vec<String> {
    let named = listeners.iter().map(|listener| &*listener.name);
    let known: Vec<&str> = named.chain(Insider::LISTENERS).collect();
    let of_listener = |text: &str| match known.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "\"{text}\" is the name of no [[listener]], nor \"{}\" or \"{}\"{}",
            Insider::HTTP,
            Insider::SENDMAIL,
            did_you_mean(text, &known)
        )),
    };
    let chosen = table.list("listeners", of_listener);
    if let Some(item) = table.get("listeners").filter(|item| item.items().is_empty()) {
        item.fault("has no name, so that the milter would hear of nothing; leave it out for all");
    }
    chosen.unwrap_or_default().into_iter().map(|(_, name)| name).collect()
}

fn name(text: &str, names: &mut HashSet<String>) -> Result<String, String> {
    let is_name = (1..=MAX_NAME_OCTETS).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_name {
        return Err(format!("may have letters, digits, '-', '_' and '.', {MAX_NAME_OCTETS} at most"));
    }
    if !names.insert(text.to_owned()) {
        return Err(format!("\"{text}\" is another milter's name as well"));
    }
    Ok(text.to_owned())
}

fn macros(table: &Table<'_>) -> Vec<(String, String)> {
    let Some(item) = table.get("macros") else { return Vec::new() };
    let read = |text: &str| match text.len() <= MAX_MACRO_OCTETS && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("has control characters, or more than {MAX_MACRO_OCTETS} octets")),
    };
    let entries = item.table_of_names("milter.macros");
    let one = |(name, item): (&str, crate::reader::Item<'_>)| {
        let bare = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        let is_name = (1..=MAX_NAME_OCTETS).contains(&bare.len())
            && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            item.fault("is no macro's name, such as \"daemon_name\"");
            return None;
        }
        Some((bare.to_owned(), item.parse(read)?))
    };
    let mut macros: Vec<_> = entries.entries().filter_map(one).collect();
    macros.sort();
    macros
}

fn timeouts(table: &Table<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    table.set_duration("connect", &mut timeouts.connect, MS..=HOUR);
    table.set_duration("command", &mut timeouts.command, MS..=HOUR);
    table.set_duration("content", &mut timeouts.content, MS..=HOUR);
    table.set_duration("end-of-message", &mut timeouts.end_of_message, MS..=HOUR);
    table.set_duration("message", &mut timeouts.message, MS..=HOUR);
    timeouts
}
