//! Counters over all sessions, for status and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hooks::{Stage, Verdict};
use parking_lot::Mutex;
use sender_auth::{Evaluation, Outcome};

/// Verdicts as they are counted.
const VERDICTS: [&str; 7] =
    ["proceed", "accept", "reject", "tempfail", "discard", "quarantine", "disconnect"];

/// What is checked of a sender, as it is counted.
const METHODS: [&str; 6] = ["iprev", "spf-helo", "spf", "dkim", "arc", "dmarc"];

/// Why a connection got no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// The server has as many sessions as it may.
    Sessions,
    /// Its address or network has.
    Address,
    /// Its address connects too often.
    Rate,
    /// A trusted proxy did not say for whom it connects.
    Proxy,
    /// A reload took the listener out.
    Listener,
}

impl TurnedAway {
    const ALL: [(Self, &str); 5] = [
        (Self::Sessions, "sessions"),
        (Self::Address, "address"),
        (Self::Rate, "rate"),
        (Self::Proxy, "proxy"),
        (Self::Listener, "listener"),
    ];
}

/// Counters; each only rises but for the ones that say *now*.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sessions, now.
    pub(crate) open: AtomicU64,
    pub(crate) sessions: AtomicU64,
    /// By the listener's name; a reload may change those, so they are looked up.
    by_listener: Mutex<BTreeMap<Arc<str>, u64>>,
    turned_away: [AtomicU64; TurnedAway::ALL.len()],
    verdicts: [[AtomicU64; VERDICTS.len()]; Stage::ALL.len()],
    /// Results of sender authentication.
    found: [[AtomicU64; Outcome::ALL.len()]; METHODS.len()],
    pub(crate) accepted: AtomicU64,
    pub(crate) accepted_octets: AtomicU64,
    pub(crate) submitted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) discarded: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) recipients_refused: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) authenticated: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsSnapshot {
    /// Sessions that are open.
    pub sessions_open: u64,
    /// Sessions since the start.
    pub sessions: u64,
    /// The same by the listener's name.
    pub sessions_by_listener: Vec<(Arc<str>, u64)>,
    /// Connections that got no session.
    pub turned_away: u64,
    /// The same by the reason's name.
    pub turned_away_for: Vec<(&'static str, u64)>,
    /// Verdicts of hooks by the names of stage and verdict; those that never came are left out.
    pub verdicts: Vec<(&'static str, &'static str, u64)>,
    /// Results of sender authentication by the names of method and result; those that never came are left out.
    pub senders: Vec<(&'static str, &'static str, u64)>,
    /// Messages that were answered 250 and queued.
    pub accepted: u64,
    /// Their octets.
    pub accepted_octets: u64,
    /// Messages of plugins that were queued.
    pub submitted: u64,
    /// Messages that were refused at the end of their data.
    pub refused: u64,
    /// Messages that were answered 250 and dropped because a plugin said so.
    pub discarded: u64,
    /// Messages of which a recipient is held because a plugin said so.
    pub held: u64,
    /// Recipients that were refused.
    pub recipients_refused: u64,
    /// What sessions refused by themselves: commands and messages that are not as the protocol has them.
    pub protocol_errors: u64,
    /// Successful authentications.
    pub authenticated: u64,
    /// Failed ones.
    pub auth_failures: u64,
    /// TLS handshakes that were finished.
    pub handshakes: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
}

impl Stats {
    /// The counters now.
    pub fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            sessions_open: self.open.load(Relaxed),
            sessions: self.sessions.load(Relaxed),
            sessions_by_listener: self.by_listener.lock().clone().into_iter().collect(),
            turned_away: self.turned_away.iter().map(|count| count.load(Relaxed)).sum(),
            turned_away_for: TurnedAway::ALL
                .iter()
                .map(|(why, name)| (*name, self.turned_away[*why as usize].load(Relaxed)))
                .collect(),
            verdicts: self.verdicts(),
            senders: self.senders(),
            accepted: self.accepted.load(Relaxed),
            accepted_octets: self.accepted_octets.load(Relaxed),
            submitted: self.submitted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
            held: self.held.load(Relaxed),
            recipients_refused: self.recipients_refused.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            authenticated: self.authenticated.load(Relaxed),
            auth_failures: self.auth_failures.load(Relaxed),
            handshakes: self.handshakes.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
        }
    }
}

impl Stats {
    /// A session has begun.
    pub(crate) fn begun(&self, listener: &Arc<str>) {
        count(&self.sessions);
        count(&self.open);
        *self.by_listener.lock().entry(Arc::clone(listener)).or_default() += 1;
    }

    pub(crate) fn turned_away(&self, why: TurnedAway) {
        count(&self.turned_away[why as usize]);
    }

    /// A hook was asked and gave this verdict.
    pub(crate) fn judged(&self, stage: Stage, verdict: &Verdict) {
        if let Some(nth) = VERDICTS.iter().position(|name| *name == verdict.name()) {
            count(&self.verdicts[stage as usize][nth]);
        }
    }

    /// A message's sender was checked.
    pub(crate) fn checked(&self, evaluation: &Evaluation) {
        let (name, helo) = (evaluation.reverse_dns, evaluation.spf_helo.outcome);
        // Of several signatures the one that did best, which is what a message goes by.
        let dkim = evaluation.dkim.iter().map(|finding| finding.outcome);
        let dkim = dkim.min_by_key(|outcome| *outcome != Outcome::Pass).unwrap_or_default();
        let found =
            [name, helo, evaluation.spf.outcome, dkim, evaluation.arc.outcome, evaluation.dmarc.outcome];
        for (counts, outcome) in self.found.iter().zip(found) {
            count(&counts[outcome as usize]);
        }
    }

    fn senders(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of_method = |(method, counts): (&'static str, &[AtomicU64; Outcome::ALL.len()])| {
            let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
            Outcome::ALL.into_iter().zip(counts).map(move |(outcome, count)| (method, outcome.name(), count))
        };
        METHODS.into_iter().zip(&self.found).flat_map(of_method).filter(|(.., count)| *count > 0).collect()
    }

    fn verdicts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of_stage = |stage: Stage| {
            let counts = VERDICTS.iter().zip(&self.verdicts[stage as usize]);
            counts.map(move |(verdict, count)| (stage.name(), *verdict, count.load(Relaxed)))
        };
        Stage::ALL.into_iter().flat_map(of_stage).filter(|(.., count)| *count > 0).collect()
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
