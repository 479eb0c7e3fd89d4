//! All listeners of a server, and what their sessions share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use model::{SessionId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::admission::Admission;
use crate::doors::Doors;
use crate::grants::{GrantError, RelayGrants};
use crate::live::Live;
use crate::options::{Options, Services};
use crate::rates::Rates;
use crate::reception::ContentMemory;
use crate::sender_reports::FailureBudget;
use crate::sockets::Sockets;
use crate::stats::{Stats, StatsSnapshot};

/// What all sessions share.
pub(crate) struct Shared {
    options: ArcSwap<Options>,
    pub(crate) services: Services,
    pub(crate) admission: Arc<Admission>,
    pub(crate) rates: Rates,
    pub(crate) content_memory: Arc<ContentMemory>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) live: Arc<Live>,
    pub(crate) failures_told: FailureBudget,
    /// Who may check a password now.
    pub(crate) password_checks: Semaphore,
    /// How long a reply may wait for a client that does not read.
    pub(crate) write_timeout: Duration,
    next_session: AtomicU64,
}

impl Shared {
    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    pub(crate) fn new_session_id(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Relaxed))
    }

    /// Counts a session as open until what comes back is dropped.
    pub(crate) fn count_session(&self, listener: &Arc<str>) -> OpenSession {
        self.stats.begun(listener);
        OpenSession(self.stats.clone())
    }
}

/// A session that counts as open.
pub(crate) struct OpenSession(Arc<Stats>);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The receiving side of the server.
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) doors: Doors,
    pub(crate) stop: watch::Sender<bool>,
    /// Every session holds a copy of the sender; when all are gone, the receiver says so.
    pub(crate) alive: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

/// How long a reply may wait for a client that does not read: RFC 5321 section 4.5.3.2.7 gives a command as much.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// Passwords that are checked at once: each keeps a core busy for tens of milliseconds.
const PASSWORD_CHECKS: usize = 2;

impl Server {
    /// Takes the sockets over; nothing is accepted yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says of a socket.
    pub fn new(options: Options, services: Services, sockets: Sockets) -> io::Result<Self> {
        let (alive, ended) = mpsc::channel(1);
        let rates = Rates::new(options.limits.rates.clone(), clock::now());
        let shared = Shared {
            rates,
            options: ArcSwap::from_pointee(options),
            services,
            admission: Arc::default(),
            content_memory: Arc::new(ContentMemory::new()),
            stats: Arc::default(),
            live: Arc::default(),
            failures_told: FailureBudget::default(),
            password_checks: Semaphore::new(PASSWORD_CHECKS),
            write_timeout: WRITE_TIMEOUT,
            // Session ids of one run rise, and do not meet those of the run before.
            next_session: AtomicU64::new(clock::wall().0 << 20),
        };
        Ok(Self {
            shared: Arc::new(shared),
            doors: Doors::new(sockets)?,
            stop: watch::Sender::new(false),
            alive: Mutex::new(Some(alive)),
            ended: tokio::sync::Mutex::new(ended),
        })
    }

    pub(crate) fn weak(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// New options for the sessions that begin from now on. Sockets stay as they are until [`Self::listen`]; one that no listener of the new
    /// options has turns its clients away.
    pub fn replace_options(&self, mut options: Options) {
        options.relay_grants = self.relay_grants();
        options.sender_ledger = self.shared.options().sender_ledger.clone();
        self.shared.rates.replace(&options.limits.rates);
        self.shared.options.store(Arc::new(options));
    }

    /// Who may relay for a while.
    pub fn relay_grants(&self) -> Arc<RelayGrants> {
        self.shared.options().relay_grants.clone()
    }

    /// Lets a network relay from now on, at most until the time that comes back. May wait for the disk.
    ///
    /// # Errors
    /// As [`RelayGrants::allow`].
    pub fn allow_relay(&self, network: IpNet, span: Duration) -> Result<Timestamp, GrantError> {
        let options = self.shared.options();
        options.relay_grants.allow(network, span, clock::wall(), options.limits.relay_grants)
    }

    /// The counters now.
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.stats.snapshot()
    }

    /// The sessions that are open, and what was lately refused.
    pub fn live(&self) -> &Live {
        &self.shared.live
    }

    /// Stops accepting, lets sessions finish what they are doing, and waits for them at most `patience`.
    /// Says whether all of them ended in time.
    pub async fn shut_down(&self, patience: Duration) -> bool {
        self.stop.send_replace(true);
        self.alive.lock().take();
        self.doors.close();
        let mut ended = self.ended.lock().await;
        tokio::time::timeout(patience, ended.recv()).await.is_ok()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addresses", &self.local_addresses()).finish_non_exhaustive()
    }
}
