//! From what a next hop said to the new states of recipients, the log, and the report to the sender.
//!
//! Order matters: the report is committed first, then the states are recorded. A crash between the two may report twice, never not at
//! all. The report on a report is not written: its sender is null (RFC 5321 section 4.5.5).

use std::sync::Arc;
use std::time::Duration;

use model::{Reply, Timestamp};
use queue::{Diagnostic, Entry, QueuedRecipient, RecipientUpdate, RetrySchedule, State, StoreError, Update};
use rand::RngExt;
use smtp::client::Fate;

use crate::active::{Job, Pass};
use crate::destination::Backoff;
use crate::engine::Inner;
use crate::notice::{self, Handover, Notice};
use crate::opening::failure_reply;
use crate::options::Options;
use crate::report;
use crate::site::Way;
use crate::stats::Counters;

/// Octets of a reply that are kept and logged.
const MAX_REPLY_OCTETS: usize = 1000;
/// How long an entry rests that neither memory nor its destination has room for; half as long again at random.
const POSTPONED: Duration = Duration::from_secs(60);

/// What an attempt came to, for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// Later may be better.
    Deferred,
    /// Refused for good.
    Refused,
    /// The destination is left alone: it failed at `since` for somebody else, and is asked again from `until` on. No attempt.
    BackedOff {
        since: Timestamp,
        until: Timestamp,
    },
    /// The postmaster is to look at it first; the reply says why. No attempt.
    Held,
    /// Nobody was asked: the attempt did not begin.
    Untouched,
}

/// The end of an attempt for one recipient.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) verdict: Verdict,
    /// Who said it; nothing when it was this host.
    pub(crate) host: Option<String>,
    pub(crate) reply: Option<Reply>,
    /// What was agreed with the host in a TLS handshake, for the log.
    pub(crate) tls: Option<Arc<str>>,
    /// What it was when it was delivered.
    pub(crate) handover: Handover,
}

impl Attempt {
    /// This host's own judgement; 2xx, 4xx or 5xx.
    pub(crate) fn own(reply: Reply) -> Self {
        Self { host: None, ..Self::said(String::new(), reply) }
    }

    /// The judgement of a host.
    pub(crate) fn said(host: String, reply: Reply) -> Self {
        let verdict = match reply.code {
            500.. => Verdict::Refused,
            400.. => Verdict::Deferred,
            _ => Verdict::Delivered,
        };
        Self { verdict, host: Some(host), reply: Some(reply), tls: None, handover: Handover::Final }
    }

    /// The destination is being left alone.
    pub(crate) fn backed_off(backoff: &Backoff) -> Self {
        let (now, wall) = (clock::now(), clock::wall());
        let ago = now.saturating_duration_since(backoff.since).as_millis() as u64;
        let since = Timestamp(wall.0.saturating_sub(ago));
        let until = wall + backoff.until.saturating_duration_since(now);
        let verdict = Verdict::BackedOff { since, until };
        Self { verdict, ..Self::own(backoff.reply.clone()) }
    }

    /// No attempt before a time is over.
    pub(crate) fn put_off(reply: Reply, delay: Duration) -> Self {
        let now = clock::wall();
        let verdict = Verdict::BackedOff { since: now, until: now + delay };
        Self { verdict, ..Self::own(reply) }
    }

    /// No attempt until the postmaster says so.
    pub(crate) fn held(reason: &str) -> Self {
        Self { verdict: Verdict::Held, ..Self::own(Reply::new(450, (4, 2, 1), reason)) }
    }

    pub(crate) fn untouched() -> Self {
        Self { verdict: Verdict::Untouched, host: None, reply: None, tls: None, handover: Handover::Final }
    }

    /// The same, where a delivery was such a handing over.
    pub(crate) fn handed(self, handover: Handover) -> Self {
        Self { handover, ..self }
    }

    /// What a session says became of a recipient.
    pub(crate) fn from_fate(fate: Fate, host: &str) -> Self {
        match fate {
            Fate::Accepted(reply) | Fate::Refused { reply, .. } => Self::said(host.to_owned(), reply),
            // The connection makes transactions until nobody is left.
            Fate::LeftOver(reply) => {
                let none = || Reply::new(452, (4, 5, 3), "too many recipients");
                Self::said(host.to_owned(), reply.unwrap_or_else(none))
            }
            Fate::Unsendable(unsendable) => {
                Self { host: Some(host.to_owned()), ..Self::own(unsendable.reply()) }
            }
            // A reply that says "for good" speaks of the session then, not of the message.
            Fate::Failed(failure) => Self {
                verdict: Verdict::Deferred,
                host: Some(host.to_owned()),
                reply: Some(failure_reply(&failure)),
                tls: None,
                handover: Handover::Final,
            },
        }
    }
}

impl Attempt {
    /// The same, over a connection with or without TLS.
    pub(crate) fn over(self, tls: Option<&Arc<str>>) -> Self {
        Self { tls: tls.cloned(), ..self }
    }
}

impl Inner {
    /// The same end for all recipients of a job.
    pub(crate) async fn finish_all(self: &Arc<Self>, job: Job, attempt: Attempt) {
        let attempts = vec![attempt; job.recipients.len()];
        self.finish(job, attempts).await;
    }

    /// Records the ends of a job, one for each of its recipients; when it was the pass's last, reports and releases the entry.
    pub(crate) async fn finish(self: &Arc<Self>, job: Job, attempts: Vec<Attempt>) {
        let (options, now) = (self.options(), clock::wall());
        let entry = &job.pass.entry;
        let (mut recorded, mut told) = (Vec::new(), Vec::new());
        for (nth, attempt) in job.recipients.iter().zip(attempts) {
            let queued = &entry.recipients[*nth];
            let handover = attempt.handover;
            let Some(mut update) = self.judge(entry, queued, attempt, &options, now) else { continue };
            let actions = notice::actions(entry, queued, &mut update, handover, &options.reports, now);
            match actions.is_empty() {
                true => recorded.push(update),
                false => told.push(Notice { update, actions }),
            }
        }
        let is_last = {
            let mut progress = job.pass.progress.lock();
            progress.told.append(&mut told);
            progress.jobs -= 1;
            if progress.jobs == 0 {
                told.append(&mut progress.told);
            }
            progress.jobs == 0
        };
        let report = match told.is_empty() {
            true => None,
            false => self.report(&job.pass, &mut told, &options, now).await,
        };
        recorded.extend(told.into_iter().map(|notice| notice.update));
        self.teller.tell(self.hooks.as_ref(), entry, &recorded);
        self.record(entry, recorded).await;
        if let Some((entry, content)) = report {
            self.take(entry, content);
        }
        if is_last {
            self.end_pass(&job.pass);
        }
    }

    /// The new state of a recipient, with its line in the log; nothing when nobody was asked.
    fn judge(
        &self,
        entry: &Entry,
        queued: &QueuedRecipient,
        mut attempt: Attempt,
        options: &Options,
        now: Timestamp,
    ) -> Option<RecipientUpdate> {
        if let Verdict::Deferred | Verdict::BackedOff { .. } = attempt.verdict
            && let Some(reply) = notice::too_late(entry, Some(&short(attempt.reply.as_ref())), now)
        {
            attempt = Attempt { host: attempt.host, ..Attempt::own(reply) };
        }
        let reply = short(attempt.reply.as_ref());
        let is_attempt = !matches!(attempt.verdict, Verdict::BackedOff { .. } | Verdict::Held);
        let attempts = queued.attempts.saturating_add(u32::from(is_attempt));
        let waiting = |due| State::Waiting { due: notice::no_later_than(due, entry, queued, now) };
        let state = match attempt.verdict {
            Verdict::Untouched => return None,
            Verdict::Held => {
                let reason = attempt.reply.as_ref().map(|reply| reply.text.clone()).unwrap_or_default();
                State::Held { reason }
            }
            Verdict::BackedOff { since, until } => {
                match after_back_off(entry, queued, &options.retry, since, until, now) {
                    Some(due) => waiting(due),
                    None => State::Expired,
                }
            }
            Verdict::Delivered => State::Delivered,
            Verdict::Refused => State::Bounced,
            Verdict::Deferred => match options.retry.next(entry.arrived, now, attempts, &mut rand::rng()) {
                Some(due) => waiting(due),
                None => State::Expired,
            },
        };
        let class = Way::of(&queued.recipient.address, options).class();
        self.counters.outcome(class, &state, now.since(entry.arrived));
        let (host, tls) = (attempt.host.as_deref().unwrap_or("-"), attempt.tls.as_deref().unwrap_or("-"));
        let (rcpt, delay_ms) = (&queued.recipient.address, now.since(entry.arrived).as_millis() as u64);
        match &state {
            State::Delivered => {
                tracing::info!(queue_id = %entry.id, %rcpt, host, tls, reply, attempt = attempts, delay_ms, "delivered");
            }
            State::Waiting { due } => {
                let next_ms = due.since(now).as_millis() as u64;
                tracing::info!(queue_id = %entry.id, %rcpt, host, tls, reply, attempt = attempts, delay_ms, next_ms, "deferred");
            }
            State::Held { reason } => {
                tracing::info!(queue_id = %entry.id, %rcpt, reason, attempt = attempts, delay_ms, "held");
            }
            State::Expired => {
                tracing::info!(queue_id = %entry.id, %rcpt, host, tls, reply, attempt = attempts, delay_ms, "expired");
            }
            _ => {
                tracing::info!(queue_id = %entry.id, %rcpt, host, tls, reply, attempt = attempts, delay_ms, "bounced");
            }
        }
        let last = Some(Diagnostic { at: now, host: attempt.host, reply });
        Some(RecipientUpdate { id: queued.recipient.id, state, attempts, last, warned: queued.warned })
    }

    /// Commits a report on recipients. When that fails, those that have failed are put off instead: the sender must hear of them.
    async fn report(
        &self,
        pass: &Pass,
        told: &mut [Notice],
        options: &Options,
        now: Timestamp,
    ) -> Option<(Arc<Entry>, model::Content)> {
        let content = pass.content.lock().clone();
        match report::commit(&self.store, &pass.entry, content, told, options, now).await {
            Ok(None) => None,
            Ok(Some(report)) => {
                Counters::add(&self.counters.reports);
                tracing::info!(queue_id = %pass.entry.id, report_id = %report.0.id, "reported to the sender");
                Some(report)
            }
            Err(error) => {
                tracing::error!(queue_id = %pass.entry.id, %error, "the report to the sender could not be queued");
                told.iter_mut().for_each(|notice| put_off(notice, now));
                None
            }
        }
    }

    async fn record(&self, entry: &Entry, recipients: Vec<RecipientUpdate>) {
        if recipients.is_empty() {
            return;
        }
        let due = recipients.iter().filter_map(|update| match update.state {
            State::Waiting { due } => Some(due),
            _ => None,
        });
        let due = due.min();
        if let Err(error) = self.store.update(Update { id: entry.id, recipients }).await {
            // The attempt will be made again: a duplicate, not a loss; but one, and not one with each look at the queue.
            tracing::error!(queue_id = %entry.id, %error, "the outcome could not be recorded");
            if !matches!(error, StoreError::NotFound(_)) {
                self.halt();
            }
        }
        if let Some(due) = due {
            self.schedule.note_due(due);
        }
    }

    fn end_pass(self: &Arc<Self>, pass: &Pass) {
        self.active.end(pass.entry.id);
        self.give_up_claim(pass.entry.id);
        self.schedule.note_room(self.has_room());
    }

    /// Puts off an entry that there is no room for, without counting an attempt.
    pub(crate) async fn postpone(self: &Arc<Self>, entry: &Entry) {
        let due = clock::wall() + postponement();
        let waits = |queued: &&QueuedRecipient| matches!(queued.state, State::Waiting { .. });
        let put_off =
            |queued| RecipientUpdate { state: State::Waiting { due }, ..RecipientUpdate::from(queued) };
        self.record(entry, entry.recipients.iter().filter(waits).map(put_off).collect()).await;
        self.give_up_claim(entry.id);
    }
}

/// When a recipient of a destination that is left alone is tried; nothing when it is given up.
///
/// A failure of the destination counts as the last attempt only if it came when the time was over already and since this recipient was
/// last looked at: mail is not given up that nobody has tried to deliver.
fn after_back_off(
    entry: &Entry,
    queued: &QueuedRecipient,
    retry: &RetrySchedule,
    since: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let was_tried = since >= retry.deadline(entry.arrived);
    let is_news = queued.last.as_ref().is_some_and(|last| last.at < since);
    (!(was_tried && is_news)).then(|| retry.untried(entry.arrived, now, until, &mut rand::rng()))
}

/// Takes back what cannot be told: a failure, or that a warning was sent. What was delivered stays so.
fn put_off(notice: &mut Notice, now: Timestamp) {
    let update = &mut notice.update;
    match update.state {
        State::Bounced | State::Expired => update.state = State::Waiting { due: now + postponement() },
        State::Waiting { .. } if update.warned == Some(now) => update.warned = None,
        _ => {}
    }
}

/// How long what there is no room for rests.
pub(crate) fn postponement() -> Duration {
    POSTPONED + rand::rng().random_range(Duration::ZERO..POSTPONED / 2)
}

/// In one line, cut at a character.
fn short(reply: Option<&Reply>) -> String {
    let mut text = reply.map(ToString::to_string).unwrap_or_default();
    if text.len() > MAX_REPLY_OCTETS {
        let end = (0..=MAX_REPLY_OCTETS).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
