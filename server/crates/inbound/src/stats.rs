//! Counters over all sessions, for status and metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters; each only rises but for the ones that say *now*.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sessions, now.
    pub(crate) open: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) accepted_octets: AtomicU64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsSnapshot {
    /// Sessions that are open.
    pub sessions_open: u64,
    /// Sessions since the start.
    pub sessions: u64,
    /// Connections that a limit turned away.
    pub turned_away: u64,
    /// Messages that were answered 250 and queued.
    pub accepted: u64,
    /// Their octets.
    pub accepted_octets: u64,
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
            turned_away: self.turned_away.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            accepted_octets: self.accepted_octets.load(Relaxed),
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

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
