//! What became of the files: the set that sessions begin with, what is missing from it, and what the log says.

use std::sync::Arc;

use super::Loader;
use crate::failure::LoadError;
use crate::plugin::{Absent, PluginSet};
use crate::{DisabledPlugin, LoadReport, Options};

impl Loader {
    /// Says how a file fared; a refusal that was said before is not said again.
    pub(super) fn note(&self, name: &str, outcome: &Result<u64, LoadError>) {
        let running = self.state.lock().loaded.get(name).cloned();
        match outcome {
            Ok(generation) => {
                self.shared.refused.lock().remove(name);
                let Some(plugin) = running else { return };
                let inspection = &plugin.compiled.inspection;
                let (hooks, hash) = (inspection.hooks.join(" "), &inspection.hash[..16]);
                tracing::info!(plugin = name, generation, hash, hooks, "plugin loaded");
            }
            Err(error) => {
                let reason = error.to_string();
                let before = self.shared.refused.lock().insert(name.to_owned(), reason.clone());
                if before.as_ref() == Some(&reason) {
                    return tracing::debug!(plugin = name, reason, "plugin refused again");
                }
                let keeps = running.map_or(0, |plugin| plugin.generation);
                tracing::error!(plugin = name, running_generation = keeps, reason, "plugin refused");
            }
        }
    }

    pub(super) fn unload(&self, name: &str) {
        let removed = self.state.lock().loaded.remove(name);
        if let Some(plugin) = removed {
            plugin.idle.retire();
            tracing::info!(plugin = name, generation = plugin.generation, "plugin unloaded");
            self.publish();
        }
    }

    /// Swaps the set that sessions begin with.
    pub(super) fn publish(&self) {
        let state = self.state.lock();
        let plugins = state.loaded.values().cloned().collect();
        let refused = self.shared.refused.lock();
        let absent = state.required().filter(|name| !state.loaded.contains_key(*name)).map(|name| {
            let reason =
                refused.get(name).cloned().unwrap_or_else(|| self.no_file(&state.options, name).to_string());
            let hooks = self.shared.history.of(name).kept.pop().map(|kept| kept.hooks).unwrap_or_default();
            Absent::new(name, state.options.of(name).on_failure, &hooks, reason)
        });
        self.shared.set.store(Arc::new(PluginSet::new(plugins, absent.collect(), &state.options.order)));
    }

    /// What is required and has no file.
    pub(super) fn missing(&self) -> Vec<LoadReport> {
        let state = self.state.lock();
        let refused = self.shared.refused.lock();
        let missing =
            state.required().filter(|name| !state.loaded.contains_key(*name) && !refused.contains_key(*name));
        let report = |name: &str| {
            let error = self.no_file(&state.options, name);
            tracing::error!(plugin = name, reason = %error, "a plugin is required and not there; its failure policy answers for it");
            LoadReport { name: name.to_owned(), file: None, outcome: Err(error) }
        };
        missing.map(report).collect()
    }

    pub(super) fn no_file(&self, options: &Options, name: &str) -> LoadError {
        LoadError::Missing { name: name.to_owned(), dir: options.dir.clone() }
    }

    /// The plugins that are left alone because an operator, or the configuration, says so.
    pub(crate) fn disabled(&self) -> Vec<DisabledPlugin> {
        let state = self.state.lock();
        let required = state.options.required();
        let by_operator = state.disabled.iter().map(|(name, since)| DisabledPlugin {
            name: name.to_owned(),
            since: Some(since),
            required: required.contains(name),
        });
        let by_configuration = state
            .options
            .plugins
            .keys()
            .filter(|name| !state.options.enables(name) && state.disabled.since(name).is_none());
        let by_configuration =
            by_configuration.map(|name| DisabledPlugin { name: name.clone(), since: None, required: false });
        let mut all: Vec<_> = by_operator.chain(by_configuration).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Says which plugins an operator has disabled, so that nobody forgets them.
    pub(super) fn remind(&self) {
        for plugin in self.disabled().into_iter().filter(|plugin| plugin.since.is_some()) {
            warn_disabled(&plugin);
        }
    }
}

pub(super) fn warn_disabled(plugin: &DisabledPlugin) {
    let name = plugin.name.as_str();
    match plugin.required {
        true => tracing::warn!(
            plugin = name,
            "a plugin that is required is disabled by an operator: mail passes without it"
        ),
        false => tracing::warn!(plugin = name, "a plugin is disabled by an operator"),
    }
}
