//! Of what a sender is told, and when. Decides only; [`crate::report`] writes.
//!
//! Standards: RFC 3461 (4.1 NOTIFY, 5.2.2 relayed, 5.2.7 expanded), RFC 2852 (4: what is late), RFC 5321 section 4.5.5 (reports are
//! not reported).

use std::time::Duration;

use message::Action;
use model::{DeliverBy, EXPANDED, LateMode, Mailbox, Notify, Reply, ReversePath, Timestamp};
use queue::{Entry, QueuedRecipient, RecipientUpdate, State};

use crate::report::ReportOptions;

/// What a delivery was, for a sender who asked to hear of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Handover {
    /// The message is in its mailbox, or with whoever keeps that.
    #[default]
    Final,
    /// Given to a host that will not report.
    Relayed,
    /// Given to a host that took over to report (RFC 3461 section 5.2.1).
    Entrusted,
}

/// A new state, and of what its sender is told before it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) update: RecipientUpdate,
    /// At least one.
    pub(crate) actions: Vec<Action>,
}

/// What the sender is told of a recipient's new state; nothing more often than not. Notes a warning in the update.
pub(crate) fn actions(
    entry: &Entry,
    queued: &QueuedRecipient,
    update: &mut RecipientUpdate,
    handover: Handover,
    rules: &ReportOptions,
    now: Timestamp,
) -> Vec<Action> {
    let notify = notify(queued);
    let has_failed = matches!(update.state, State::Bounced | State::Expired);
    //= RFC 5321 section 4.5.5: nobody is told of a report that could not be delivered, but the postmaster who wants to know.
    if matches!(entry.sender, ReversePath::Null) {
        let wants = |postmaster: &Mailbox| *postmaster != queued.recipient.address;
        let is_told = has_failed && notify.failure && rules.double_bounces_to.as_ref().is_some_and(wants);
        return if is_told { vec![Action::Failed] } else { Vec::new() };
    }
    let mut actions = Vec::new();
    let is_first = queued.attempts == 0 && (update.attempts > 0 || update.state.is_final());
    if is_first && queued.recipient.param(EXPANDED).is_some() {
        actions.push(Action::Expanded);
    }
    match update.state {
        State::Bounced | State::Expired if notify.failure => actions.push(Action::Failed),
        State::Delivered => actions.extend(success(entry, notify, handover)),
        State::Waiting { .. } if notify.delay && is_late(entry, queued, rules.delay_warning, now) => {
            update.warned = Some(now);
            actions.push(Action::Delayed);
        }
        _ => {}
    }
    actions
}

/// What holds for a recipient.
fn notify(queued: &QueuedRecipient) -> Notify {
    //= RFC 3461 section 4.1: without NOTIFY, failures are told; with it, what it says.
    queued.recipient.param("NOTIFY").and_then(Notify::parse).unwrap_or(Notify::UNSAID)
}

fn success(entry: &Entry, notify: Notify, handover: Handover) -> Option<Action> {
    let traced = || deliver_by(entry).is_some_and(|by| by.trace) && notify != Notify::NEVER;
    match handover {
        Handover::Final if notify.success => Some(Action::Delivered),
        Handover::Relayed if notify.success => Some(Action::Relayed),
        //= RFC 2852 section 4: with the trace modifier each host says that it has passed the message on.
        Handover::Relayed | Handover::Entrusted if traced() => Some(Action::Relayed),
        _ => None,
    }
}

/// Whether a warning of the delay is due: once after the time that the configuration gives, and once when that of the sender is over.
fn is_late(entry: &Entry, queued: &QueuedRecipient, warning: Option<Duration>, now: Timestamp) -> bool {
    let is_slow = warning.is_some_and(|after| now >= entry.arrived + after) && queued.warned.is_none();
    let is_over = |at: Timestamp| now >= at && queued.warned.is_none_or(|warned| warned < at);
    is_slow || time_limit(entry, LateMode::Notify).is_some_and(is_over)
}

/// What the sender said of the time (RFC 2852).
pub(crate) fn deliver_by(entry: &Entry) -> Option<DeliverBy> {
    entry.sender_param("BY").and_then(DeliverBy::parse)
}

/// When the sender's time is over, if that has this consequence.
fn time_limit(entry: &Entry, mode: LateMode) -> Option<Timestamp> {
    let by = deliver_by(entry).filter(|by| by.mode == mode)?;
    let ms = entry.arrived.0.saturating_add_signed(by.seconds.saturating_mul(1000));
    Some(Timestamp(ms))
}

/// When to look at a waiting recipient: at `due`, or before when a time is over by then.
pub(crate) fn no_later_than(
    due: Timestamp,
    entry: &Entry,
    queued: &QueuedRecipient,
    now: Timestamp,
) -> Timestamp {
    let limits = [LateMode::Return, LateMode::Notify].map(|mode| time_limit(entry, mode));
    let news = |at: &Timestamp| *at > now && queued.warned.is_none_or(|warned| warned < *at);
    limits.into_iter().flatten().filter(news).fold(due, Timestamp::min)
}

/// The refusal of a message whose sender wants it back by now.
pub(crate) fn too_late(entry: &Entry, last: Option<&str>, now: Timestamp) -> Option<Reply> {
    //= RFC 2852 section 4: with mode R the message comes back when its time is over.
    time_limit(entry, LateMode::Return).filter(|at| now >= *at)?;
    let mut text = "the time that the sender gave for the delivery is over".to_owned();
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        text += &format!("; the last attempt: {last}");
    }
    Some(Reply::new(550, (5, 4, 7), text))
}

#[cfg(test)]
mod tests;
