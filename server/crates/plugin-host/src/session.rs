//! The plugins of one session: asks them in order, stages what they edit, and answers for those that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks::{
    Answer, BoxFuture, Request, SessionFacts, SessionHooks, Stage, Stages, TransactionFacts, Verdict,
};

use crate::call::{Budgeted, Meter};
use crate::failure::Failure;
use crate::host::Shared;
use crate::instance::Live;
use crate::overlay::Overlay;
use crate::plugin::{Plugin, PluginSet};
use crate::state::{Notes, Spent};
use crate::ticker::CpuMeter;

/// A plugin's place in a session.
enum Slot {
    /// No instance yet, or none any more: the next hook makes one.
    Empty,
    Live(Box<Live>),
    /// A hook is running; left behind when its question was dropped.
    Asked,
}

pub(crate) struct PluginSession {
    host: Arc<Shared>,
    set: Arc<PluginSet>,
    /// As many as the set has plugins, once somebody was asked.
    slots: Vec<Slot>,
    notes: Notes,
    meter: Option<Meter>,
}

/// A question with its facts.
#[derive(Clone, Copy)]
struct Question<'a> {
    request: Request<'a>,
    session: &'a Arc<SessionFacts>,
    transaction: Option<&'a Arc<TransactionFacts>>,
}

impl SessionHooks for PluginSession {
    fn stages(&self) -> Stages {
        self.set.stages
    }

    fn ask<'a>(
        &'a mut self,
        request: Request<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, Answer> {
        if !self.set.has(request.stage()) {
            return Box::pin(std::future::ready(Answer::default()));
        }
        Box::pin(self.run(Question { request, session, transaction }))
    }
}

impl PluginSession {
    pub(crate) fn new(host: Arc<Shared>, set: Arc<PluginSet>) -> Self {
        Self { host, set, slots: Vec::new(), notes: Notes::default(), meter: None }
    }

    async fn run(&mut self, question: Question<'_>) -> Answer {
        let set = self.set.clone();
        self.slots.resize_with(set.plugins.len(), || Slot::Empty);
        let stage = question.request.stage();
        let mut overlay = Overlay::default();
        let mut answer = Answer::default();
        for (nth, plugin) in set.plugins.iter().enumerate() {
            let was_abandoned = matches!(self.slots[nth], Slot::Asked);
            if !plugin.compiled.stages.contains(stage) || (was_abandoned && stage == Stage::Disconnect) {
                continue;
            }
            let verdict = self.ask_one(nth, plugin, question, &mut overlay).await;
            if verdict != Verdict::Proceed && stage != Stage::Disconnect {
                answer.verdict = verdict;
                answer.by = Some(plugin.name.clone());
                break;
            }
        }
        match overlay.finish() {
            Ok(edited) => {
                answer.envelope = edited.envelope;
                answer.content = edited.content;
                answer.recipients = edited.recipients;
            }
            // Nothing of a message whose edits are lost may go on as if they had never been asked for.
            Err(error) => {
                tracing::error!(session = %question.session.id, %error, "the edited message could not be put together");
                let text = "temporary failure in a mail filter, please try again";
                answer.verdict = Verdict::TempFail(model::Reply::new(451, (4, 3, 0), text));
            }
        }
        answer
    }

    /// One plugin's verdict, or its failure policy's; what it edited is in `overlay` when its hook ended
    /// well.
    async fn ask_one(
        &mut self,
        nth: usize,
        plugin: &Arc<Plugin>,
        question: Question<'_>,
        overlay: &mut Overlay,
    ) -> Verdict {
        let began = clock::now();
        if !plugin.breaker.allows(began) {
            plugin.stats.not_asked();
            return plugin.failure_verdict().unwrap_or_default();
        }
        let trial = GiveUp::of(plugin);
        let outcome = self.call(nth, plugin, question, overlay.clone(), began).await;
        trial.defuse();
        let took = clock::now().saturating_duration_since(began);
        let outcome = outcome.and_then(|(verdict, mut staged, memory)| {
            if matches!(verdict, Verdict::Proceed | Verdict::Accept) {
                staged.settle().map_err(|error| Failure::Edit(error.to_string()))?;
                *overlay = staged;
            }
            Ok((verdict, memory))
        });
        match outcome {
            Ok((verdict, memory)) => {
                plugin.breaker.succeeded();
                plugin.stats.answered(&verdict, took, memory);
                report(plugin, question, &verdict);
                verdict
            }
            Err(failure) => {
                plugin.stats.failed(failure.to_string(), took);
                blame(plugin, question, &failure);
                plugin.failure_verdict().unwrap_or_default()
            }
        }
    }

    /// Calls the hook in this session's instance, which is made when there is none.
    async fn call(
        &mut self,
        nth: usize,
        plugin: &Arc<Plugin>,
        question: Question<'_>,
        overlay: Overlay,
        began: std::time::Instant,
    ) -> Result<(Verdict, Overlay, u64), Failure> {
        let mut live = match std::mem::replace(&mut self.slots[nth], Slot::Asked) {
            Slot::Empty => None,
            Slot::Live(live) => Some(live),
            Slot::Asked => return Err(Failure::Abandoned),
        };
        let (host, notes) = (self.host.clone(), self.notes.clone());
        let meter = self.meter.get_or_insert_with(|| Arc::new(CpuMeter::new(host.ticker.clone()))).clone();
        let (cpu, wall) = (plugin.limits.cpu_per_hook, plugin.limits.wall_per_hook);
        meter.begin(cpu);
        let waiting = AtomicBool::new(false);
        let asking = async {
            if live.is_none() {
                live = Some(Box::new(Live::make(plugin, &host, &notes, &meter, &waiting).await?));
            }
            let Some(live) = live.as_mut() else { return Ok(Verdict::Proceed) };
            prepare(live, question, overlay, Spent::within(began, wall));
            live.call(&question.request).await
        };
        let outcome = Budgeted::new(asking, &meter, host.ticker.awake(), began, wall).await;
        let mut refused_memory = None;
        let mut staged = Overlay::default();
        let mut memory = 0;
        if let Some(live) = live.as_mut() {
            let state = live.store.data_mut();
            staged = std::mem::take(&mut state.overlay);
            memory = state.memory.used;
            refused_memory = state.memory.refused.then_some(plugin.limits.memory_octets);
            state.end_hook();
        }
        self.slots[nth] = Slot::Empty;
        match outcome {
            Ok(Ok(verdict)) => {
                if let Some(live) = live {
                    self.slots[nth] = Slot::Live(live);
                }
                Ok((verdict, staged, memory))
            }
            Ok(Err(error)) => Err(Failure::from_guest(&error, cpu, refused_memory)),
            Err(_) if waiting.load(Ordering::Relaxed) => Err(Failure::Busy(wall)),
            Err(_) => Err(Failure::Wall(wall)),
        }
    }
}

/// Hands the hook its facts and a clean account.
fn prepare(live: &mut Live, question: Question<'_>, overlay: Overlay, spent: Spent) {
    let state = live.store.data_mut();
    state.hook = question.request.stage().name();
    state.session = Some(question.session.clone());
    state.transaction = question.transaction.cloned();
    state.overlay = overlay;
    state.spent = spent;
    state.memory.refused = false;
}

fn report(plugin: &Plugin, question: Question<'_>, verdict: &Verdict) {
    let (hook, session) = (question.request.stage().name(), question.session.id);
    let reason = match verdict {
        Verdict::Proceed | Verdict::Accept => {
            tracing::trace!(plugin = %plugin.name, hook, %session, verdict = verdict.name());
            return;
        }
        Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => reply.to_string(),
        Verdict::Discard(reason) | Verdict::Quarantine(reason) => reason.clone(),
    };
    tracing::info!(plugin = %plugin.name, hook, %session, verdict = verdict.name(), reason, "plugin verdict");
}

fn blame(plugin: &Plugin, question: Question<'_>, failure: &Failure) {
    tracing::error!(
        plugin = %plugin.name,
        hook = question.request.stage().name(),
        generation = plugin.generation,
        session = %question.session.id,
        reason = %failure,
        backtrace = failure.backtrace(),
        "plugin failed"
    );
    count_failure(plugin, failure);
}

/// Tells the breaker, if the plugin is to blame.
pub(crate) fn count_failure(plugin: &Plugin, failure: &Failure) {
    if !failure.counts() {
        return plugin.breaker.gave_up();
    }
    if plugin.breaker.failed(clock::now()) {
        tracing::error!(plugin = %plugin.name, "plugin fails too often and is not asked for a while");
    }
}

/// Frees the breaker's trial when the question is dropped while the plugin is being asked.
pub(crate) struct GiveUp<'a>(Option<&'a Arc<Plugin>>);

impl<'a> GiveUp<'a> {
    pub(crate) fn of(plugin: &'a Arc<Plugin>) -> Self {
        Self(Some(plugin))
    }

    pub(crate) fn defuse(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(plugin) = self.0 {
            plugin.breaker.gave_up();
        }
    }
}
