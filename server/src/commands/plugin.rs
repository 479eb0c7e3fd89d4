//! `plugin inspect`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use plugin_host::{Inspection, PluginHost};
use plugin_project::MadeWith;
use serde::Serialize;

use super::output::{print, print_json, printable, size};

/// What a file says of itself, and whether a server would load it.
pub(crate) fn inspect(file: &Path, json: bool) -> Result<()> {
    let named = || file.display().to_string();
    let inspection = PluginHost::inspect(file).with_context(named)?;
    let said = Said::of(&inspection, &std::fs::read(file).with_context(named)?);
    if json {
        print_json(&Inspected { inspection: &inspection, said })?;
    } else {
        let mut text = String::new();
        writeln!(text, "hash     {}\nsize     {}", inspection.hash, size(inspection.size))?;
        writeln!(text, "hooks    {}", inspection.hooks.join(" "))?;
        for (nth, import) in inspection.imports.iter().enumerate() {
            let title = if nth == 0 { "imports" } else { "" };
            writeln!(text, "{title:7}  {}", printable(import))?;
        }
        for (title, list) in [
            ("version", &said.interface_versions),
            ("grants", &said.grants),
            ("written", &said.languages),
            ("made by", &said.tools),
        ] {
            let list: Vec<String> = list.iter().map(|word| printable(word)).collect();
            writeln!(text, "{title:7}  {}", if list.is_empty() { "-".to_owned() } else { list.join(", ") })?;
        }
        print(&text)?;
    }
    // Compiles it, without running anything of it but what its start needs.
    let options = plugin_host::Options::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let host = PluginHost::of_file(
            file,
            "inspected",
            plugin_host::PluginOptions::default(),
            options.limits,
            plugin_host::Services::default(),
        );
        match host.await? {
            // Its settings are not known here.
            Ok(_) | Err(plugin_host::LoadError::Init(_)) => Ok(()),
            Err(error) => Err(error).with_context(named),
        }
    })
}

/// What a file is, as JSON.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    #[serde(flatten)]
    said: Said,
}

/// What an administrator wants to know beside hooks and imports.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Said {
    /// Of `waxwing:mail`.
    interface_versions: BTreeSet<String>,
    /// Services that it imports and that only a grant gives; a language's runtime may import what the plugin never calls.
    grants: BTreeSet<String>,
    languages: BTreeSet<String>,
    tools: BTreeSet<String>,
}

impl Said {
    fn of(inspection: &Inspection, octets: &[u8]) -> Self {
        let MadeWith { languages, tools } = MadeWith::of(octets);
        let ours = inspection
            .imports
            .iter()
            .filter_map(|import| import.strip_prefix("waxwing:mail/")?.split_once('@'));
        let ours: Vec<(&str, &str)> = ours.collect();
        let granted = |name: &str| GRANTED.iter().find(|(interface, _)| *interface == name);
        let mut grants: BTreeSet<String> =
            ours.iter().filter_map(|(name, _)| granted(name)).map(|(_, grant)| (*grant).to_owned()).collect();
        if inspection.imports.iter().any(|import| import.starts_with("wasi:http/")) {
            grants.insert("http".to_owned());
        }
        let interface_versions = ours.iter().map(|(_, version)| (*version).to_owned()).collect();
        Self { interface_versions, grants, languages, tools }
    }
}

/// The interfaces that answer `denied` without a grant, and the names of these.
const GRANTED: [(&str, &str); 5] =
    [("kv", "kv"), ("dns", "dns"), ("http", "http"), ("scanner", "clamd"), ("submission", "submit")];
