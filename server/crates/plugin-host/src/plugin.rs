//! A generation of a plugin, and the set of those that are asked.

use std::sync::Arc;

use hooks::{Breaker, Stage, Stages, Verdict};
use model::Reply;

use crate::component::Compiled;
use crate::failure::Failure;
use crate::idle::Idle;
use crate::status::Stats;
use crate::{Limits, PluginOptions};

/// One generation: a component with its configuration. It lives as long as a session uses it.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    /// 1 for the first that was loaded under this name; rises with every load and every change of options.
    pub(crate) generation: u64,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) options: PluginOptions,
    pub(crate) limits: Limits,
    pub(crate) breaker: Breaker,
    /// Instances between two uses.
    pub(crate) idle: Idle,
    /// Counted over all generations of this name.
    pub(crate) stats: Arc<Stats>,
}

impl Plugin {
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

/// The plugins of this moment, in the order in which they are asked.
#[derive(Default)]
pub(crate) struct PluginSet {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    pub(crate) stages: Stages,
}

impl PluginSet {
    /// The plugins named in `order` first, then the others by name.
    pub(crate) fn new(mut plugins: Vec<Arc<Plugin>>, order: &[String]) -> Self {
        let rank = |plugin: &Arc<Plugin>| {
            let place = order.iter().position(|name| **name == *plugin.name).unwrap_or(usize::MAX);
            (place, plugin.name.clone())
        };
        plugins.sort_by_cached_key(rank);
        let stages = plugins.iter().fold(Stages::NONE, |all, plugin| all.union(plugin.compiled.stages));
        Self { plugins, stages }
    }

    /// Whether anybody is to be asked.
    pub(crate) fn has(&self, stage: Stage) -> bool {
        self.stages.contains(stage)
    }
}
