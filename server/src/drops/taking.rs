//! Takes what lies in the folder, one file after the other, each as a session of its owner's.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use config::{Config, SubmissionSocket};
use model::Recipient;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::folder::Folder;
use super::{ASIDE, BEGUN};

/// What is there is looked for this often.
const EVERY: Duration = Duration::from_secs(5);
/// Files that are taken before the folder is looked at again.
pub(super) const AT_ONCE: usize = 1000;
/// Files whose next attempt is remembered; what is beyond is tried at each look, unless somebody had a copy.
const MAX_WAITING: usize = 10_000;
/// The pause after a first refusal for now; each one after it is twice as long, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(1800));

/// The folder is looked at until this is dropped; what is being taken then is finished.
#[derive(Debug)]
pub(crate) struct Taking {
    _ends_when_dropped: Sender<()>,
}

/// How what is there is taken.
#[derive(Debug)]
pub(crate) struct Options {
    pub(super) rules: SubmissionSocket,
    pub(super) message_octets: u64,
    /// Of an address without one.
    pub(super) domain: String,
}

impl Options {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            rules: config.submission.clone(),
            message_octets: config.inbound.insiders.session.limits.message_size,
            domain: config.inbound.programs.domain.clone(),
        }
    }
}

/// Begins to take what is there, and what comes. Needs a tokio runtime.
pub(crate) fn start(options: Options, inbound: Arc<inbound::Server>) -> Option<Taking> {
    let path = options.rules.drop_dir.as_deref()?;
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(error) => {
            let path = path.display();
            warn!(%path, %error, "is not looked at: mail that programs send while the server is down is not taken");
            return None;
        }
    };
    let (sender, stop) = channel();
    let runtime = Handle::current();
    let mut taker = Taker { folder, inbound, runtime, options, waiting: HashMap::new(), aside: 0, stop };
    tokio::task::spawn_blocking(move || taker.run());
    Some(Taking { _ends_when_dropped: sender })
}

/// A file that is tried again.
#[derive(Debug, Default)]
struct Waiting {
    attempts: u32,
    /// Nothing: not again in this run of the server.
    due: Option<Instant>,
    /// Those who are left, after some had their copy.
    left: Option<Vec<Recipient>>,
}

/// What becomes of a file.
pub(super) enum End {
    /// The queue has what there was to have.
    Taken,
    /// Later, for these; for all when nothing.
    Later(String, Option<Vec<Recipient>>),
    Aside(String),
    /// The server takes nothing for the moment.
    Busy(String),
    Gone,
}

/// What came of a look at one file.
enum Came {
    Removed,
    Stays,
    Busy,
}

pub(super) struct Taker {
    pub(super) folder: Folder,
    pub(super) inbound: Arc<inbound::Server>,
    pub(super) runtime: Handle,
    pub(super) options: Options,
    waiting: HashMap<String, Waiting>,
    /// Files that are set aside, as the log knows.
    aside: usize,
    stop: Receiver<()>,
}

impl Taker {
    fn run(&mut self) {
        let mut rest = Duration::ZERO;
        while matches!(self.stop.recv_timeout(rest), Err(RecvTimeoutError::Timeout)) {
            rest = match self.look() {
                Ok(true) => Duration::ZERO,
                Ok(false) => EVERY,
                Err(error) => {
                    let path = self.folder.path.display();
                    warn!(%path, %error, "cannot be looked at for now");
                    EVERY
                }
            };
        }
    }

    /// Takes what is due. Whether there may be more.
    fn look(&mut self) -> io::Result<bool> {
        let now = clock::now();
        let is_due = |name: &str| {
            // A file that is begun with is known by the name that it had.
            self.waiting.get(name).is_none_or(|waiting| waiting.due.is_some_and(|due| due <= now))
        };
        let found = self.folder.look(AT_ONCE, clock::wall().0 / 1000, is_due)?;
        if found.aside > self.aside {
            let path = self.folder.path.display();
            warn!(%path, count = found.aside, "files are set aside here: the log of when that was says why");
        }
        self.aside = found.aside;
        let mut is_full = found.names.len() == AT_ONCE;
        let mut is_changed = false;
        for name in found.names {
            if !matches!(self.stop.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                return Ok(false);
            }
            match self.take_and_note(&name) {
                Came::Removed => is_changed = true,
                Came::Stays => {}
                Came::Busy => {
                    is_full = false;
                    break;
                }
            }
        }
        if is_changed {
            self.folder.sync()?;
        }
        Ok(is_full)
    }

    fn take_and_note(&mut self, name: &str) -> Came {
        // A name that can be changed is one that can be removed: nothing is sent that would be found again and again.
        let begun = match self.folder.rename(name, BEGUN) {
            Ok(begun) => begun,
            Err(error) => {
                warn!(file = name, %error, "cannot be taken");
                self.wait_for(name.to_owned());
                return Came::Stays;
            }
        };
        let before = self.waiting.remove(&begun).unwrap_or_default();
        match self.take(&begun, before.left.as_deref()) {
            End::Gone => Came::Stays,
            End::Taken => match self.folder.remove(&begun) {
                Ok(()) => Came::Removed,
                Err(error) => {
                    error!(file = begun, %error, "was taken and cannot be removed; it would be sent again after a restart");
                    self.waiting.insert(begun, Waiting::default());
                    Came::Stays
                }
            },
            End::Busy(why) => {
                info!(why, "nothing is taken from the folder for the moment");
                if before.attempts > 0 {
                    self.waiting.insert(begun, Waiting { due: Some(clock::now()), ..before });
                }
                Came::Busy
            }
            End::Later(why, left) => {
                info!(file = begun, why, "is not taken yet, and tried again");
                let left = left.or(before.left);
                // Whoever had a copy is remembered, lest there be a second one.
                if left.is_some() || self.waiting.len() < MAX_WAITING {
                    self.waiting.insert(begun.clone(), Waiting { left, ..before });
                    self.wait_for(begun);
                }
                Came::Stays
            }
            End::Aside(why) => {
                self.set_aside(&begun, &why);
                Came::Stays
            }
        }
    }

    fn wait_for(&mut self, name: String) {
        let waiting = self.waiting.entry(name).or_default();
        waiting.due = Some(clock::now() + pause(waiting.attempts));
        waiting.attempts = waiting.attempts.saturating_add(1);
    }

    fn set_aside(&mut self, name: &str, why: &str) {
        match self.folder.rename(name, ASIDE) {
            Ok(aside) => {
                self.aside += 1;
                warn!(file = %self.folder.path.join(aside).display(), why, "no message that can be taken: it is set aside");
            }
            Err(error) => {
                warn!(file = name, why, %error, "no message that can be taken, and it cannot be set aside");
                self.waiting.insert(name.to_owned(), Waiting::default());
            }
        }
    }
}

fn pause(attempts: u32) -> Duration {
    PAUSES.0.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(PAUSES.1)
}
