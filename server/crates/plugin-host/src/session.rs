//! The plugins of one session: asks them in order, stages what they edit, and answers for those that fail.

use std::sync::Arc;
use std::time::Instant;

use hooks::{
    Answer, BoxFuture, Request, SessionFacts, SessionHooks, Stage, Stages, TransactionFacts, Verdict,
};

use crate::Isolation;
use crate::call::{Account, Call, Kept, Meter};
use crate::failure::Failure;
use crate::host::Shared;
use crate::idle;
use crate::instance::Live;
use crate::overlay::Overlay;
use crate::places::Tenancy;
use crate::plugin::{Plugin, PluginSet};
use crate::state::Notes;
use crate::ticker::CpuMeter;

/// What a session has of one plugin.
#[derive(Default)]
struct Slot {
    place: Place,
    account: Account,
}

#[derive(Default)]
enum Place {
    /// No instance yet, or none any more: the next hook makes one.
    #[default]
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
    /// Places for its instances, when it has some.
    tenancy: Option<Tenancy>,
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
        Self { host, set, slots: Vec::new(), notes: Notes::default(), meter: None, tenancy: None }
    }

    async fn run(&mut self, question: Question<'_>) -> Answer {
        let set = self.set.clone();
        self.slots.resize_with(set.plugins.len(), Slot::default);
        let stage = question.request.stage();
        if let Some((verdict, name)) = set.verdict_of_absent(stage) {
            return Answer { verdict, by: Some(name), ..Answer::default() };
        }
        let mut overlay = Overlay::default();
        let mut answer = Answer::default();
        for (nth, plugin) in set.plugins.iter().enumerate() {
            let was_abandoned = matches!(self.slots[nth].place, Place::Asked);
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
                plugin.stats.failed(&failure, took);
                blame(plugin, question, &failure);
                plugin.verdict_for(&failure).unwrap_or_default()
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
        began: Instant,
    ) -> Result<(Verdict, Overlay, u64), Failure> {
        let transaction = question.transaction.map(|transaction| transaction.id);
        let is_one_transactions = plugin.options.isolation == Isolation::Transaction;
        let slot = &mut self.slots[nth];
        let mut kept = match std::mem::replace(&mut slot.place, Place::Asked) {
            Place::Empty => None,
            Place::Live(live) => {
                Some(live).filter(|live| !is_one_transactions || live.transaction == transaction)
            }
            Place::Asked => return Err(Failure::Abandoned),
        };
        let host = &self.host;
        let meter = self.meter.get_or_insert_with(|| Arc::new(CpuMeter::new(host.ticker.clone())));
        let want = self.set.plugins.len();
        let tenancy = self.tenancy.get_or_insert_with(|| host.places.tenancy(want));
        let call = Call { plugin, host, notes: &self.notes, meter, began };
        let keeps = Kept { live: &mut kept, account: &mut slot.account, tenancy };
        let outcome = call
            .run(keeps, async |live| {
                live.transaction = transaction;
                let state = live.store.data_mut();
                state.hook = question.request.stage().name();
                state.session = Some(question.session.clone());
                state.transaction = question.transaction.cloned();
                state.overlay = overlay;
                live.call(&question.request).await
            })
            .await;
        let is_over = transaction.is_none() || question.request.stage() == Stage::Message;
        slot.place = match kept {
            Some(live) if !(is_one_transactions && is_over) => Place::Live(live),
            _ => Place::Empty,
        };
        let held = self.slots.iter().filter(|slot| matches!(slot.place, Place::Live(_))).count();
        if let Some(tenancy) = &mut self.tenancy {
            tenancy.keep(held);
        }
        outcome
    }
}

impl Drop for PluginSession {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            if let Place::Live(live) = slot.place {
                idle::give_back(live);
            }
        }
    }
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
