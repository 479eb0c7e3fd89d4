//! What an operator orders of one plugin, beside what its file and the configuration say.

use super::Loader;
use crate::LoadReport;
use crate::component::hash;
use crate::failure::LoadError;
use crate::folder;
use crate::history::RolledBack;
use crate::pin::Demands;

impl Loader {
    /// Reads files again, all of them or a plugin's, and makes a new generation of each even if nothing has changed.
    pub(crate) fn reload(&self, name: Option<&str>) -> Vec<LoadReport> {
        let mut found = match self.scan() {
            Ok(found) => found,
            Err(report) => return vec![report],
        };
        self.forget_missing(&found);
        if let Some(name) = name {
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
        let (options, history) = (self.options(), &self.shared.history);
        let (index, limit) = (history.of(name), options.limits.component_octets);
        let running =
            self.state.lock().loaded.get(name).map(|plugin| plugin.compiled.inspection.hash.clone());
        let file = folder::read(&options.dir, name, limit).map_err(|error| format!("{name}: {error}"))?;
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
        let fail = |error: &dyn std::fmt::Display| format!("{name}: {error}");
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
}
