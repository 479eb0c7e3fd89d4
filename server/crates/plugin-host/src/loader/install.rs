//! From the octets of a file to a generation that runs: checked, compiled, configured, tried, and only then put in place.

use std::path::Path;
use std::sync::Arc;

use super::{Loader, limits_of};
use crate::component::{self, Compiled, hash};
use crate::failure::LoadError;
use crate::folder::{self, Fingerprint, Octets};
use crate::pin::Demands;
use crate::plugin::Plugin;
use crate::trial::try_out;
use crate::{Limits, Options, PluginOptions};

/// Why a content is loaded.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    /// The file as it was seen; a content that the file is not concerned with has none.
    pub(super) fingerprint: Option<Fingerprint>,
    /// The same content as the running one makes a new generation too.
    pub(super) anew: bool,
}

impl Loader {
    /// Loads a file of any place as the plugin `name`.
    pub(crate) fn load_file(&self, name: &str, file: &Path) -> Result<(), LoadError> {
        let wasm = folder::read_file(file, self.options().limits.component_octets)?;
        let demands = Demands::default();
        let compiled = self.compile(&Octets { wasm, signature: None }, &demands)?;
        self.install(name, compiled, demands, None, None)?;
        self.publish();
        Ok(())
    }

    pub(super) fn load_content(&self, name: &str, options: &Options, wish: Wish) -> Result<u64, LoadError> {
        let limit = options.limits.component_octets;
        let demands = Demands::of(options, name);
        let file = folder::read(&options.dir, name, limit)?;
        let history = &self.shared.history;
        let index = history.of(name);
        let rolled_back = index.rolled_back.filter(|rolled_back| rolled_back.file == hash(&file.wasm));
        let octets = match &rolled_back {
            Some(rolled_back) => history.read(name, &rolled_back.to, limit)?,
            None => file,
        };
        let installed = self.compile(&octets, &demands).and_then(|compiled| {
            let running = self.state.lock().loaded.get(name).cloned();
            match running
                .filter(|plugin| !wish.anew && plugin.compiled.inspection.hash == compiled.inspection.hash)
            {
                Some(same) if same.demands == demands && same.options == options.of(name) => {
                    Ok(same.generation)
                }
                _ => self.install(name, compiled, demands.clone(), wish.fingerprint, Some(&octets)),
            }
        });
        match &installed {
            Ok(_) if rolled_back.is_none() => {
                if let Err(error) = history.set_rolled_back(name, None) {
                    tracing::warn!(plugin = name, %error, "what was rolled back cannot be forgotten");
                }
            }
            Err(error) if *error != LoadError::Superseded => {
                self.run_the_last(name, options, &demands, &hash(&octets.wasm))
            }
            _ => {}
        }
        installed
    }

    /// Where nothing runs in place of a file that was refused, what ran last does.
    fn run_the_last(&self, name: &str, options: &Options, demands: &Demands, refused: &str) {
        if self.state.lock().loaded.contains_key(name) {
            return;
        }
        let index = self.shared.history.of(name);
        let Some(last) = index.kept.last().filter(|last| last.hash != refused) else { return };
        let octets = self.shared.history.read(name, &last.hash, options.limits.component_octets);
        let ran = octets
            .and_then(|octets| self.compile(&octets, demands))
            .and_then(|compiled| self.install(name, compiled, demands.clone(), None, None));
        match ran {
            Ok(generation) => {
                let hash = format!("{:.16}", last.hash);
                tracing::warn!(
                    plugin = name,
                    generation,
                    hash,
                    "the file was refused; what ran last runs on"
                );
            }
            Err(error) => tracing::warn!(plugin = name, reason = %error, "what ran last cannot run either"),
        }
    }

    /// Checks and compiles a content, in the threads that are there for it.
    pub(super) fn compile(&self, octets: &Octets, demands: &Demands) -> Result<Arc<Compiled>, LoadError> {
        let hash = hash(&octets.wasm);
        demands.check(octets, &hash)?;
        let cache = self.state.lock().cache.clone();
        component::compile(
            &self.shared.engine,
            &self.shared.linker,
            cache.as_deref(),
            &octets.wasm,
            &self.threads,
        )
    }

    /// Configures a component, tries an instance of it, runs its init, and makes it the plugin of this name.
    pub(super) fn install(
        &self,
        name: &str,
        compiled: Arc<Compiled>,
        demands: Demands,
        fingerprint: Option<Fingerprint>,
        octets: Option<&Octets>,
    ) -> Result<u64, LoadError> {
        let ceiling = self.shared.memory_ceiling;
        loop {
            let (options, limits) = self.options_and_limits(name);
            if limits.memory_octets > ceiling {
                return Err(LoadError::MemoryCeiling { limit: limits.memory_octets, ceiling });
            }
            let generation = self.shared.history.of(name).generation + 1;
            let stats = self.state.lock().stats.entry(name.to_owned()).or_default().clone();
            let plugin =
                Plugin::new(name, generation, compiled.clone(), demands.clone(), (options, limits), stats);
            let plugin = Arc::new(plugin);
            self.runtime.block_on(try_out(&self.shared, &plugin))?;
            let mut state = self.state.lock();
            let is_superseded = fingerprint
                .is_some_and(|ours| state.seen.get(name).is_none_or(|seen| seen.fingerprint != ours));
            if is_superseded || !state.enables(name) {
                return Err(LoadError::Superseded);
            }
            if fingerprint.is_some() && demands != Demands::of(&state.options, name) {
                state.seen.remove(name);
                return Err(LoadError::Superseded);
            }
            // Its settings changed meanwhile, or another generation came: once more, with what counts now.
            let is_next = self.shared.history.of(name).generation + 1 == generation;
            if !is_next
                || (&plugin.options, &plugin.limits)
                    != (&state.options.of(name), &limits_of(&state.options, name))
            {
                continue;
            }
            let inspection = &compiled.inspection;
            self.shared.history.ran(name, generation, &inspection.hash, &inspection.hooks, octets);
            if let Some(old) = state.loaded.insert(name.to_owned(), plugin) {
                old.idle.retire();
            }
            return Ok(generation);
        }
    }

    fn options_and_limits(&self, name: &str) -> (PluginOptions, Limits) {
        let options = self.options();
        (options.of(name), limits_of(&options, name))
    }
}
