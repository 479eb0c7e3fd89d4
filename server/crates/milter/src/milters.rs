//! The milters of the configuration, as sessions ask them and as the postmaster looks at them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hooks::{Breaker, Hooks, NoHooks, SessionHooks};

use crate::conversation::Conversation;
use crate::options::MilterOptions;
use crate::status::{self, MilterStatus, Stats};

/// One milter, shared by all sessions.
#[derive(Debug)]
pub(crate) struct Milter {
    pub(crate) options: MilterOptions,
    pub(crate) breaker: Breaker,
    /// Counted over all changes of this name's options.
    pub(crate) stats: Arc<Stats>,
}

impl Milter {
    /// Whether sessions of this listener are told of.
    pub(crate) fn concerns(&self, listener: &str) -> bool {
        self.options.listeners.is_empty() || self.options.listeners.iter().any(|one| one == listener)
    }
}

/// All of them. A clone is the same milters.
#[derive(Debug, Clone, Default)]
pub struct Milters(Arc<ArcSwap<Vec<Arc<Milter>>>>);

impl Milters {
    /// The milters, in the order in which they are asked. None is connected to yet.
    pub fn new(options: Vec<MilterOptions>) -> Self {
        let milters = Self::default();
        milters.replace(options);
        milters
    }

    /// Other milters for the sessions that begin from now on. One that stays as it was keeps its breaker.
    pub fn replace(&self, options: Vec<MilterOptions>) {
        let before = self.0.load_full();
        let named = |options: &MilterOptions| before.iter().find(|one| one.options.name == options.name);
        let milter = |options: MilterOptions| match named(&options) {
            Some(same) if same.options == options => same.clone(),
            other => {
                let stats = other.map_or_else(Arc::default, |before| before.stats.clone());
                Arc::new(Milter { options, breaker: Breaker::default(), stats })
            }
        };
        self.0.store(Arc::new(options.into_iter().map(milter).collect()));
    }

    /// Those that are asked before the plugins.
    pub fn before_plugins(&self) -> Arc<dyn Hooks> {
        Arc::new(Half { milters: self.clone(), before_plugins: true })
    }

    /// Those that are asked after the plugins.
    pub fn after_plugins(&self) -> Arc<dyn Hooks> {
        Arc::new(Half { milters: self.clone(), before_plugins: false })
    }

    /// What is known of them now.
    pub fn status(&self) -> Vec<MilterStatus> {
        self.0.load().iter().map(|milter| status::of(milter)).collect()
    }
}

#[derive(Debug)]
struct Half {
    milters: Milters,
    before_plugins: bool,
}

impl Hooks for Half {
    fn begin(&self) -> Box<dyn SessionHooks> {
        let milters = self.milters.0.load();
        let asked = milters.iter().filter(|milter| milter.options.before_plugins == self.before_plugins);
        let conversation =
            |milter: &Arc<Milter>| Box::new(Conversation::new(milter.clone())) as Box<dyn SessionHooks>;
        let conversations: Vec<_> = asked.map(conversation).collect();
        if conversations.is_empty() { Box::new(NoHooks) } else { hooks::in_turn(conversations) }
    }
}
