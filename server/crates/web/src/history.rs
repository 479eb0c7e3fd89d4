//! `/v1/messages/{id}`: a message's whole history. What waits is in the queue; of what is done the last outcomes are remembered here.
//!
//! [`History`] stands between delivery and the plugins' outcome hook, and takes no part in any decision.
//!
//! Limits: [`MESSAGES`] messages, [`OUTCOMES`] outcomes of each, [`TEXT_OCTETS`] of a reply. A journal keeps them over a start, within its own
//! limits.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use admin::{EntryView, Request};
use axum::Json;
use axum::extract::State;
use hooks::{
    BoxFuture, DeliveryHooks, OutcomeKind, OutcomeReport, RouteChoice, RouteRequest, Stage, Stages,
    TransactionFacts,
};
use model::{QueueId, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Reading;
use crate::journal::{self, Journal};
use crate::problem::Problem;
use crate::router::Id;
use crate::site::Site;

/// Messages that are remembered.
const MESSAGES: usize = 5_000;
/// Outcomes of one message that are remembered, the last ones.
const OUTCOMES: usize = 100;
/// Octets of a reply that are remembered.
const TEXT_OCTETS: usize = 1_000;

/// What became of messages.
#[derive(Debug)]
pub struct History {
    plugins: Arc<dyn DeliveryHooks>,
    kept: Mutex<Kept>,
    /// Nothing when a start is to forget.
    pub(crate) journal: Option<Journal>,
    /// What was counted over time before this start, until somebody wants it.
    before: Mutex<Option<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: HashMap<QueueId, Message>,
    /// The oldest first.
    order: VecDeque<QueueId>,
}

#[derive(Debug, Clone, Default)]
struct Message {
    sender: String,
    outcomes: VecDeque<Outcome>,
}

/// How an attempt ended for a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Outcome {
    at: String,
    recipient: String,
    /// `delivered`, `deferred`, `bounced` or `expired`.
    outcome: Cow<'static, str>,
    /// Nothing when it was this host that said the reply.
    host: Option<String>,
    reply: String,
    /// Which attempt it was; counts from 1.
    attempt: u32,
}

/// What is told of a message at once; a line of the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    id: String,
    /// Empty for the null sender.
    sender: String,
    outcomes: Vec<Outcome>,
}

impl Kept {
    fn take(&mut self, id: QueueId, sender: String, outcomes: Vec<Outcome>) {
        if !self.messages.contains_key(&id) {
            if self.order.len() == MESSAGES
                && let Some(oldest) = self.order.pop_front()
            {
                self.messages.remove(&oldest);
            }
            self.order.push_back(id);
        }
        let known = self.messages.entry(id).or_insert_with(|| Message { sender, ..Message::default() });
        for outcome in outcomes {
            if known.outcomes.len() == OUTCOMES {
                known.outcomes.pop_front();
            }
            known.outcomes.push_back(outcome);
        }
    }
}

impl History {
    /// Hands everything on to these, and remembers what the journal has, if there is one. Reads the disk.
    pub fn open(plugins: Arc<dyn DeliveryHooks>, journal: Option<journal::Options>) -> Self {
        let mut kept = Kept::default();
        let before = journal.as_ref().and_then(Journal::outcomes);
        if let Some(options) = &journal {
            Journal::read(options, |line| {
                if let Ok(told) = serde_json::from_slice::<Told>(line)
                    && let Ok(id) = told.id.parse()
                {
                    kept.take(id, told.sender, told.outcomes);
                }
            });
        }
        let journal = journal.map(Journal::open);
        Self { plugins, kept: Mutex::new(kept), journal, before: Mutex::new(before) }
    }

    fn record(&self, message: &TransactionFacts, reports: &[OutcomeReport], now: Timestamp) {
        let at = admin::rfc3339(now);
        let outcome = |report: &OutcomeReport| Outcome {
            at: at.clone(),
            recipient: report.recipient.to_string(),
            outcome: name(report.kind).into(),
            host: report.host.clone(),
            reply: report.reply.chars().take(TEXT_OCTETS).collect(),
            attempt: report.attempt,
        };
        let sender = message.envelope.sender.mailbox().map(ToString::to_string).unwrap_or_default();
        let outcomes = reports.iter().map(outcome).collect();
        let told = Told { id: message.id.to_string(), sender, outcomes };
        if let Some(journal) = &self.journal
            && let Ok(line) = serde_json::to_vec(&told)
        {
            journal.add(line);
        }
        self.kept.lock().take(message.id, told.sender, told.outcomes);
    }

    /// What was counted over time before this start. Nothing for a second caller.
    pub(crate) fn take_outcomes(&self) -> Option<Vec<u8>> {
        self.before.lock().take()
    }

    fn of(&self, id: QueueId) -> Option<Message> {
        self.kept.lock().messages.get(&id).cloned()
    }
}

fn name(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Delivered => "delivered",
        OutcomeKind::Deferred => "deferred",
        OutcomeKind::Bounced => "bounced",
        OutcomeKind::Expired => "expired",
    }
}

impl DeliveryHooks for History {
    fn delivery_stages(&self) -> Stages {
        self.plugins.delivery_stages().with(Stage::Outcome)
    }

    fn route<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        requests: &'a [RouteRequest<'a>],
    ) -> BoxFuture<'a, Vec<Option<RouteChoice>>> {
        self.plugins.route(message, requests)
    }

    fn outcome<'a>(
        &'a self,
        message: &'a Arc<TransactionFacts>,
        reports: &'a [OutcomeReport],
    ) -> BoxFuture<'a, ()> {
        self.record(message, reports, clock::wall());
        match self.plugins.delivery_stages().contains(Stage::Outcome) {
            true => self.plugins.outcome(message, reports),
            false => Box::pin(std::future::ready(())),
        }
    }
}

/// All that is known of a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MessageHistory {
    id: String,
    /// `queued` while a recipient waits or is held, `done` afterwards.
    state: &'static str,
    /// Empty for the null sender.
    sender: String,
    /// As it is in the queue; nothing when it is done.
    entry: Option<EntryView>,
    /// How attempts ended, the last hundred that are remembered.
    outcomes: Vec<Outcome>,
}

/// A message's whole history: what waits, and of the last 5,000 messages what became of them.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = MessageHistory), (status = 404, body = Problem)))]
pub(crate) async fn message(
    _: Reading,
    State(site): State<Arc<Site>>,
    Id(id): Id,
) -> Result<Json<MessageHistory>, Problem> {
    let known = site.history.of(id);
    let entry = match site.ask(Request::QueueShow { id }).await {
        Ok(Json(entry)) => serde_json::from_value::<EntryView>(entry).ok(),
        Err(problem) if problem.status == axum::http::StatusCode::NOT_FOUND => None,
        Err(problem) => return Err(problem),
    };
    if entry.is_none() && known.is_none() {
        return Err(Problem::not_found(format!(
            "{id} is not in the queue, nor among the last {MESSAGES} messages that delivery was tried for"
        )));
    }
    let known = known.unwrap_or_default();
    Ok(Json(MessageHistory {
        id: id.to_string(),
        state: if entry.is_some() { "queued" } else { "done" },
        sender: entry.as_ref().map_or(known.sender, |entry| entry.sender.clone()),
        entry,
        outcomes: known.outcomes.into(),
    }))
}

#[cfg(test)]
mod tests {
    use hooks::NoHooks;
    use model::{Envelope, Mailbox, ReversePath};

    use super::*;

    fn facts(id: u64) -> TransactionFacts {
        let envelope = Envelope::new(ReversePath::Null, Vec::new());
        TransactionFacts { id: QueueId(id), envelope, content: None, findings: Vec::new() }
    }

    fn report(attempt: u32) -> OutcomeReport {
        OutcomeReport {
            recipient: Mailbox::parse("ann@example.org").unwrap(),
            kind: OutcomeKind::Deferred,
            host: None,
            reply: "4".repeat(3_000),
            attempt,
        }
    }

    #[test]
    fn the_last_messages_and_the_last_outcomes_of_each_are_remembered() {
        let history = History::open(Arc::new(NoHooks), None);
        for attempt in 1..=150 {
            history.record(&facts(1), &[report(attempt)], Timestamp(0));
        }
        let outcomes = history.of(QueueId(1)).unwrap().outcomes;
        assert_eq!((outcomes.len(), outcomes[0].attempt, outcomes[99].attempt), (100, 51, 150));
        assert_eq!(outcomes[0].reply.len(), 1_000);
        for id in 2..=MESSAGES as u64 + 1 {
            history.record(&facts(id), &[report(1)], Timestamp(0));
        }
        assert!(history.of(QueueId(1)).is_none() && history.of(QueueId(2)).is_some());
        assert!(history.delivery_stages().contains(Stage::Outcome));
    }

    #[test]
    fn another_start_remembers_what_the_journal_has() {
        let folder = tempfile::tempdir().unwrap();
        let options = journal::Options { folder: folder.path().to_owned(), octets: 1 << 20 };
        let open = || History::open(Arc::new(NoHooks), Some(options.clone()));
        let history = open();
        history.record(&facts(7), &[report(1)], Timestamp(0));
        history.record(&facts(7), &[report(2)], Timestamp(1_000));
        let before = history.of(QueueId(7)).unwrap().outcomes;
        history.journal.as_ref().unwrap().close();
        let odd = [&b"{}"[..], b"\xff", br#"{"id":"?","sender":"","outcomes":[]}"#];
        let journal = Journal::open(options.clone());
        odd.iter().for_each(|line| journal.add(line.to_vec()));
        journal.close();
        assert_eq!(open().of(QueueId(7)).unwrap().outcomes, before);
        assert_eq!(open().kept.lock().order.len(), 1);
    }
}
