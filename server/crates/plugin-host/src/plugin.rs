//! A generation of a plugin, and the set of those that are asked.

use std::sync::Arc;

use hooks::{Breaker, Stage, Stages, Verdict};
use model::Reply;

use crate::component::Compiled;
use crate::failure::Failure;
use crate::idle::Idle;
use crate::pin::Demands;
use crate::status::Stats;
use crate::{Limits, OnFailure, PluginOptions};

/// One generation: a component with its configuration. It lives as long as a session uses it.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    /// 1 for the first that was loaded under this name; rises with every load and every change of options.
    pub(crate) generation: u64,
    pub(crate) compiled: Arc<Compiled>,
    /// What its file had to fulfil.
    pub(crate) demands: Demands,
    pub(crate) options: PluginOptions,
    pub(crate) limits: Limits,
    pub(crate) breaker: Breaker,
    /// Instances between two uses.
    pub(crate) idle: Idle,
    /// Counted over all generations of this name.
    pub(crate) stats: Arc<Stats>,
}

impl Plugin {
    pub(crate) fn new(
        name: &str,
        generation: u64,
        compiled: Arc<Compiled>,
        demands: Demands,
        (options, limits): (PluginOptions, Limits),
        stats: Arc<Stats>,
    ) -> Self {
        let (breaker, idle) = (Breaker::default(), Idle::default());
        stats.generation_begins();
        Self { name: name.into(), generation, compiled, demands, options, limits, breaker, idle, stats }
    }

    /// What is answered when a hook failed; nothing: go on. That there was no place for an instance is no failure of the plugin's, and
    /// a hook must not be left out for it, whatever the policy.
    pub(crate) fn verdict_for(&self, failure: &Failure) -> Option<Verdict> {
        match failure {
            Failure::Busy(_) => {
                let text = "too many sessions use mail filters at this moment, please try again";
                Some(Verdict::TempFail(Reply::new(451, (4, 3, 2), text)))
            }
            _ => self.failure_verdict(),
        }
    }

    /// What the failure policy says; nothing: go on.
    pub(crate) fn failure_verdict(&self) -> Option<Verdict> {
        self.options.on_failure.verdict(&self.name)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.stats.generation_ends();
    }
}

/// A plugin that is required and does not run.
pub(crate) struct Absent {
    pub(crate) name: Arc<str>,
    pub(crate) reason: String,
    pub(crate) on_failure: OnFailure,
    /// Where it is answered for: at MAIL, which all mail passes, whatever of a session it hooks; before a next hop is picked if it is known
    /// to have a say in that.
    stages: Stages,
}

impl Absent {
    pub(crate) fn new(name: &str, on_failure: OnFailure, hooks: &[String], reason: String) -> Self {
        let hooked = |stage: Stage| hooks.iter().any(|hook| hook == stage.name());
        // Nothing can be decided at the last two.
        let in_sessions = Stage::ALL.into_iter().any(|stage| {
            !matches!(stage, Stage::Route | Stage::Disconnect | Stage::Outcome) && hooked(stage)
        });
        let mut stages = Stages::NONE;
        if hooks.is_empty() || in_sessions {
            stages = stages.with(Stage::Mail);
        }
        if hooked(Stage::Route) {
            stages = stages.with(Stage::Route);
        }
        if on_failure == OnFailure::Proceed {
            stages = Stages::NONE;
        }
        Self { name: name.into(), reason, on_failure, stages }
    }
}

/// The plugins of this moment, in the order in which they are asked.
#[derive(Default)]
pub(crate) struct PluginSet {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    /// Those that are required beside them; they come first.
    pub(crate) absent: Vec<Absent>,
    pub(crate) stages: Stages,
}

impl PluginSet {
    /// The plugins named in `order` first, then the others by name.
    pub(crate) fn new(mut plugins: Vec<Arc<Plugin>>, absent: Vec<Absent>, order: &[String]) -> Self {
        let rank = |plugin: &Arc<Plugin>| {
            let place = order.iter().position(|name| **name == *plugin.name).unwrap_or(usize::MAX);
            (place, plugin.name.clone())
        };
        plugins.sort_by_cached_key(rank);
        let stages = plugins.iter().fold(Stages::NONE, |all, plugin| all.union(plugin.compiled.stages));
        let stages = absent.iter().fold(stages, |all, absent| all.union(absent.stages));
        Self { plugins, absent, stages }
    }

    /// What is answered for a required plugin that is not there, and its name.
    pub(crate) fn verdict_of_absent(&self, stage: Stage) -> Option<(Verdict, Arc<str>)> {
        let absent = self.absent.iter().find(|absent| absent.stages.contains(stage))?;
        Some((absent.on_failure.verdict(&absent.name)?, absent.name.clone()))
    }

    /// Whether anybody is to be asked.
    pub(crate) fn has(&self, stage: Stage) -> bool {
        self.stages.contains(stage)
    }
}
