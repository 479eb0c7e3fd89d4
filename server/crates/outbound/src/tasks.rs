//! The tasks of the engine: counted, so that a shutdown can wait for them, and known, so that it can end them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: Mutex<Running>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    handles: HashMap<u64, Option<AbortHandle>>,
    is_closed: bool,
}

/// Counts a task out when it ends, however it ends.
struct Ended {
    tasks: Arc<Tasks>,
    number: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.tasks.running.lock().handles.remove(&self.number);
        self.tasks.ended.notify_waiters();
    }
}

impl Tasks {
    /// Starts a task on the current runtime; nothing after [`Self::abort`].
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock();
        if running.is_closed {
            return;
        }
        let number = running.next;
        running.next += 1;
        let ended = Ended { tasks: Arc::clone(self), number };
        running.handles.insert(number, None);
        drop(running);
        let handle = tokio::spawn(async move {
            let _ended = ended;
            task.await;
        });
        let mut running = self.running.lock();
        if running.is_closed {
            // The end came between the two looks.
            handle.abort();
        }
        if let Some(place) = running.handles.get_mut(&number) {
            *place = Some(handle.abort_handle());
        }
    }

    /// Returns when none is left.
    pub(crate) async fn all_ended(&self) {
        loop {
            let notified = self.ended.notified();
            if self.running.lock().handles.is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// Ends all of them where they wait, and takes no more.
    pub(crate) fn abort(&self) {
        let mut running = self.running.lock();
        running.is_closed = true;
        for handle in running.handles.values().flatten() {
            handle.abort();
        }
    }
}
