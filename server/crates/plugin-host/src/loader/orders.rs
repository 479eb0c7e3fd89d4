//! What an operator orders of one plugin, beside what its file and the configuration say.

use std::fmt::Display;

use super::publish::warn_disabled;
use super::{Loader, State, file_of};
use crate::component::hash;
use crate::failure::LoadError;
use crate::folder::{self, Fingerprint, check_name};
use crate::history::RolledBack;
use crate::pin::Demands;
use crate::{DisabledPlugin, LoadReport};

const BY_CONFIGURATION: LoadError = LoadError::Disabled("the configuration: its key `enabled` says so");
const BY_OPERATOR: LoadError = LoadError::Disabled("an operator: `waxwing plugin enable` takes that back");

impl Loader {
    /// Reads files again, all of them or a plugin's, and makes a new generation of each even if nothing has changed.
    pub(crate) fn reload(&self, name: Option<&str>) -> Vec<LoadReport> {
        let mut found = match self.scan() {
            Ok(found) => found,
            Err(report) => return vec![report],
        };
        self.forget_missing(&found);
        if let Some(name) = name {
            if let Some(why) = self.why_disabled(name) {
                return vec![LoadReport { name: name.to_owned(), file: None, outcome: Err(why) }];
            }
            found.retain(|other, _| other == name);
            if found.is_empty() {
                let missing = LoadError::Missing { name: name.to_owned(), dir: self.options().dir.clone() };
                return vec![LoadReport { name: name.to_owned(), file: None, outcome: Err(missing) }];
            }
        }
        let mut reports = self.load_many(found.into_iter().collect(), true);
        if name.is_none() {
            reports.extend(self.missing());
        }
        reports
    }

    /// Runs a content that ran before in place of the file, for as long as the file stays what it is; also after a restart.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub(crate) fn roll_back(&self, name: &str, wanted: Option<&str>) -> Result<u64, String> {
        let fail = |error: &dyn Display| format!("{name}: {error}");
        if let Some(why) = self.why_disabled(name) {
            return Err(fail(&why));
        }
        let (options, history) = (self.options(), &self.shared.history);
        let (index, limit) = (history.of(name), options.limits.component_octets);
        let running =
            self.state.lock().loaded.get(name).map(|plugin| plugin.compiled.inspection.hash.clone());
        let file = folder::read(&options.dir, name, limit).map_err(|error| fail(&error))?;
        let file = hash(&file.wasm);
        let kept = index.find(wanted, running.as_deref().or(Some(&file))).ok_or_else(|| {
            let kept = index.kept.iter().map(|kept| format!("{} ({:.16})", kept.last_generation, kept.hash));
            let kept = kept.collect::<Vec<_>>().join(", ");
            format!(
                "{name}: nothing like that is kept; what is: {}",
                if kept.is_empty() { "nothing" } else { &kept }
            )
        })?;
        let to = kept.hash.clone();
        let octets = history.read(name, &to, limit).map_err(|error| fail(&error))?;
        let demands = Demands::of(&options, name);
        let compiled = self.compile(&octets, &demands).map_err(|error| fail(&error))?;
        let rolled_back = (to != file).then_some(RolledBack { file, to });
        let generation = self.install(name, compiled, demands, None, None).map_err(|error| fail(&error))?;
        self.shared.history.set_rolled_back(name, rolled_back).map_err(|error| fail(&error))?;
        self.publish();
        self.note(name, &Ok(generation));
        Ok(generation)
    }

    /// Leaves a plugin alone from now on, also after a restart.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub(crate) fn disable(&self, name: &str) -> Result<DisabledPlugin, String> {
        let fail = |error: &dyn Display| format!("{name}: {error}");
        check_name(name).map_err(|error| fail(&error))?;
        let plugin = {
            let mut state = self.state.lock();
            if !state.knows_of(name) && !self.shared.refused.lock().contains_key(name) {
                return Err(fail(&self.no_file(&state.options, name)));
            }
            let since = state.disabled.since(name).unwrap_or_else(clock::wall);
            let kept = state.disabled.set(name, Some(since));
            kept.map_err(|error| format!("{name}: it could not be kept, so nothing changes: {error}"))?;
            let required = state.options.required().contains(name);
            DisabledPlugin { name: name.to_owned(), since: Some(since), required }
        };
        self.unload(name);
        self.shared.refused.lock().remove(name);
        self.publish();
        warn_disabled(&plugin);
        Ok(plugin)
    }

    /// Lets a plugin run again that was disabled. One that runs already runs on as it is.
    ///
    /// # Errors
    /// A sentence that says why everything stays as it was.
    pub(crate) fn enable(&self, name: &str) -> Result<LoadReport, String> {
        let dir = {
            let mut state = self.state.lock();
            if state.disabled.since(name).is_some() {
                let kept = state.disabled.set(name, None);
                kept.map_err(|error| format!("{name}: it could not be kept, so nothing changes: {error}"))?;
                state.seen.remove(name);
                tracing::info!(plugin = name, "a plugin is disabled by an operator no more");
            }
            if !state.options.enables(name) {
                return Err(format!("{name}: {BY_CONFIGURATION}"));
            }
            state.options.dir.clone()
        };
        let report = |file, outcome| LoadReport { name: name.to_owned(), file, outcome };
        let running = || self.state.lock().loaded.get(name).map(|plugin| plugin.generation);
        if let Some(generation) = running() {
            return Ok(report(Some(file_of(&dir, name)), Ok(generation)));
        }
        let Some(fingerprint) = Fingerprint::of(&dir, name) else {
            self.publish();
            return Ok(report(None, Err(LoadError::Missing { name: name.to_owned(), dir })));
        };
        let loaded = self.load(name, fingerprint, false);
        // Whoever watches the directory may have been faster.
        Ok(loaded
            .unwrap_or_else(|| report(Some(file_of(&dir, name)), running().ok_or(LoadError::Superseded))))
    }

    fn why_disabled(&self, name: &str) -> Option<LoadError> {
        let state = self.state.lock();
        let by_operator = state.disabled.since(name).map(|_| BY_OPERATOR);
        by_operator.or_else(|| (!state.options.enables(name)).then_some(BY_CONFIGURATION))
    }
}

impl State {
    /// Whether the name is one of the configuration, of a file, or of what was disabled before.
    fn knows_of(&self, name: &str) -> bool {
        let options = &self.options;
        options.plugins.contains_key(name)
            || options.order.iter().any(|ordered| ordered == name)
            || self.disabled.since(name).is_some()
            || Fingerprint::of(&options.dir, name).is_some()
    }
}
