//! The sessions that are open now, and what was lately decided that was not a yes, for the postmaster's page.
//!
//! Limits: [`VERDICTS`] decisions are remembered.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hooks::{SessionFacts, Stage};
use model::{QueueId, SessionId, Timestamp};
use parking_lot::Mutex;

/// Decisions that are remembered over all sessions.
const VERDICTS: usize = 200;

/// A session that is open.
#[derive(Debug, Clone)]
pub struct SessionView {
    pub id: SessionId,
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    /// Confirmed by a forward lookup.
    pub peer_name: Option<String>,
    pub helo: Option<String>,
    pub user: Option<String>,
    /// The version, when there is TLS.
    pub tls: Option<String>,
    pub began: Timestamp,
    /// Messages that were taken in.
    pub messages: u64,
    /// The message under way.
    pub queue_id: Option<QueueId>,
    /// The last decision that was not a yes.
    pub verdict: Option<Arc<VerdictView>>,
}

/// A decision that was not a yes.
#[derive(Debug, Clone)]
pub struct VerdictView {
    pub at: Timestamp,
    pub session: SessionId,
    pub listener: Arc<str>,
    pub peer: IpAddr,
    /// Nothing when the client broke the protocol.
    pub stage: Option<Stage>,
    /// The plugin; nothing when it was the server itself.
    pub by: Option<Arc<str>>,
    /// `reject`, `tempfail`, `discard` or `quarantine`.
    pub verdict: &'static str,
    /// The reply, or the reason.
    pub text: String,
    pub queue_id: Option<QueueId>,
}

/// What is known of all sessions. Shared by them.
#[derive(Debug, Default)]
pub struct Live {
    open: Mutex<BTreeMap<SessionId, Arc<Mutex<SessionView>>>>,
    verdicts: Mutex<VecDeque<Arc<VerdictView>>>,
}

impl Live {
    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest sessions, the newest first, at most so many.
    pub fn sessions(&self, limit: usize) -> Vec<SessionView> {
        let newest: Vec<_> = self.open.lock().values().rev().take(limit).cloned().collect();
        newest.iter().map(|session| session.lock().clone()).collect()
    }

    /// The last decisions that were not a yes, the newest first.
    pub fn verdicts(&self) -> Vec<Arc<VerdictView>> {
        self.verdicts.lock().iter().rev().cloned().collect()
    }

    /// A session has begun; it is over when what comes back is dropped.
    pub(crate) fn begin(self: &Arc<Self>, facts: &SessionFacts, now: Timestamp) -> LiveSession {
        let view = Arc::new(Mutex::new(SessionView {
            id: facts.id,
            listener: Arc::clone(&facts.listener),
            peer: facts.peer,
            peer_name: None,
            helo: None,
            user: None,
            tls: None,
            began: now,
            messages: 0,
            queue_id: None,
            verdict: None,
        }));
        self.open.lock().insert(facts.id, Arc::clone(&view));
        LiveSession { id: facts.id, view, live: Arc::clone(self) }
    }
}

/// A session that is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct LiveSession {
    id: SessionId,
    view: Arc<Mutex<SessionView>>,
    live: Arc<Live>,
}

impl LiveSession {
    /// What is known of the client has changed.
    pub(crate) fn knows(&self, facts: &SessionFacts) {
        let mut view = self.view.lock();
        view.peer = facts.peer;
        view.peer_name.clone_from(&facts.peer_name);
        view.helo.clone_from(&facts.helo);
        view.user.clone_from(&facts.auth_user);
        view.tls = facts.tls.as_ref().map(|tls| tls.version.clone());
    }

    /// A message has begun, or is over.
    pub(crate) fn message(&self, id: Option<QueueId>) {
        self.view.lock().queue_id = id;
    }

    /// A message was taken in.
    pub(crate) fn taken(&self) {
        self.view.lock().messages += 1;
    }

    /// Something was decided that is not a yes.
    pub(crate) fn decided(&self, verdict: VerdictView) {
        let verdict = Arc::new(verdict);
        self.view.lock().verdict = Some(Arc::clone(&verdict));
        let mut verdicts = self.live.verdicts.lock();
        if verdicts.len() == VERDICTS {
            verdicts.pop_front();
        }
        verdicts.push_back(verdict);
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.live.open.lock().remove(&self.id);
    }
}
