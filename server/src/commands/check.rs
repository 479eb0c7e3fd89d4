//! `check`: what `serve` would find, without serving.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use config::Config;
use hooks::KeyValue;
use plugin_host::{LoadReport, PluginHost, Services};

use super::output::print;
use crate::cli::Check;
use crate::privileges;

/// Reads the configuration and the certificates and loads the plugins; every fault is said.
pub(crate) fn check(options: &Check) -> Result<()> {
    let config = Config::load(options.file.config.as_deref())?;
    let certificates = tls::check(&config.tls);
    let authorities = tls::client::Connector::open(&config.outbound.authorities);
    if privileges::stays_root(&config) {
        writeln!(std::io::stderr(), "waxwing: warning: {}", privileges::RUNS_AS_ROOT)?;
    }
    let resolver: Arc<dyn dns::Resolver> = Arc::new(dns::Hickory::new(&config.dns).context("dns")?);
    let plugins_dir = no_plugins_dir(&config);
    let reports = match options.without_plugins {
        true => Vec::new(),
        false => load(config.plugins, resolver)?,
    };
    let (warnings, mut refused) = match certificates {
        Ok(warnings) => (warnings, Vec::new()),
        Err(faults) => (Vec::new(), faults.0.iter().map(ToString::to_string).collect()),
    };
    refused.extend(authorities.err().iter().flat_map(|faults| &faults.0).map(ToString::to_string));
    for warning in warnings {
        // There is nobody left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "waxwing: warning: {warning}");
    }
    refused.extend(plugins_dir);
    let plugins = reports.into_iter().filter_map(|report| {
        let error = report.outcome.err()?;
        let what = report.file.map_or(report.name, |file| file.display().to_string());
        Some(format!("{what}: {error}"))
    });
    refused.extend(plugins);
    anyhow::ensure!(refused.is_empty(), "{}", refused.join("\nwaxwing: "));
    print(&format!("{}: ok\n", config.file.display()))
}

/// Loads every plugin, and drops it.
fn load(mut options: plugin_host::Options, resolver: Arc<dyn dns::Resolver>) -> Result<Vec<LoadReport>> {
    // A plugin's init may ask its key-value space; the server's own is in use.
    let scratch = Scratch::new()?;
    let services = Services { kv: Some(scratch.key_value()), dns: Some(resolver), ..Services::default() };
    // What is compiled is not kept: this process may be another user's than the server's.
    options.cache_dir = Default::default();
    options.history_dir = Default::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = PluginHost::open(options, services)?;
        anyhow::Ok(host.load_all().await)
    })
}

/// The fault of a plugins' directory that somebody counts on and that is none.
fn no_plugins_dir(config: &Config) -> Option<String> {
    let plugins = &config.plugins;
    let is_named = plugins.dir != config.data_dir.join("plugins");
    let is_wanted = is_named || !plugins.plugins.is_empty() || !plugins.order.is_empty();
    let file = config.file.display();
    (is_wanted && !plugins.dir.is_dir())
        .then(|| format!("{file}: plugins.dir: {} is no directory", plugins.dir.display()))
}

/// A key-value space in a folder that is gone afterwards.
pub(super) struct Scratch {
    store: store::DiskStore,
    _folder: tempfile::TempDir,
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("waxwing-").tempdir()?;
        let options = store::Options { min_free_octets: 0, ..store::Options::new(folder.path()) };
        let store = store::DiskStore::open(options)?;
        Ok(Self { store, _folder: folder })
    }

    pub(super) fn key_value(&self) -> Arc<dyn KeyValue> {
        self.store.key_value()
    }
}
