//! Brings what changed to sled, in steps that a crash may come between.
//!
//! 1. Changes that are older than [`settle_delay`](crate::Options::settle_delay) go to sled in small batches.
//! 2. Sled is flushed and its file synced.
//! 3. The checkpoint says up to where the log is in sled; it never runs ahead of what is durable there and in the log.
//! 4. What did not change meanwhile leaves the memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::checkpoint::{Checkpoint, CheckpointFile};
use crate::core::Core;
use crate::table::Change;
use crate::tree::{BATCH, Tree, broken};

/// Entries between two syncs of sled.
const ROUND: usize = 50_000;

#[derive(Debug)]
pub(crate) struct Settler {
    core: Arc<Core>,
    file: CheckpointFile,
    pub(crate) checkpoint: Checkpoint,
    /// Whether no checkpoint was written of this sled yet.
    fresh: bool,
}

/// Where sled is.
pub(crate) fn tree_dir(dir: &Path) -> PathBuf {
    dir.join("queue")
}

impl Settler {
    pub(crate) fn new(core: Arc<Core>, file: CheckpointFile, checkpoint: Checkpoint, fresh: bool) -> Self {
        Self { core, file, checkpoint, fresh }
    }

    /// Brings the changes from before `before` to sled; says whether there may be more.
    pub(crate) fn settle(&mut self, before: Instant) -> sled::Result<bool> {
        let core = Arc::clone(&self.core);
        let tree = core.tree.read();
        let Some(tree) = &*tree else { return Ok(false) };
        let mut taken = Vec::new();
        let mut touched = self.fresh;
        let mut done = self.apply(tree, before, &mut taken, &mut touched);
        let unchanged = {
            let table = core.table.lock();
            !touched && table.settled_up_to() == self.checkpoint.at
        };
        if done.is_ok() && unchanged {
            return Ok(false);
        }
        // Mail that was delivered at once moves the checkpoint and leaves sled alone.
        let number = self.checkpoint.number + u64::from(touched);
        if touched {
            done = done.and_then(|()| tree.set_mark(self.checkpoint.mark, number)).and_then(|()| tree.sync());
        }
        let mut table = core.table.lock();
        if let Err(error) = done {
            table.unsettled(taken);
            return Err(error);
        }
        table.settled(&taken);
        let at = table.settled_up_to();
        drop(table);
        let last_id = core.last_id.load(Ordering::Acquire);
        let serial = self.checkpoint.serial + 1;
        let next = Checkpoint { serial, number, at, last_id, ..self.checkpoint };
        match self.file.write(next) {
            Ok(()) => (self.checkpoint, self.fresh) = (next, false),
            // Sled is ahead of its checkpoint now, which costs time at the next start and nothing else.
            Err(error) => tracing::error!(%error, "the checkpoint could not be written"),
        }
        Ok(taken.len() >= ROUND)
    }

    fn apply(
        &self,
        tree: &Tree,
        before: Instant,
        taken: &mut Vec<Change>,
        touched: &mut bool,
    ) -> sled::Result<()> {
        let durable = self.core.durable_job.load(Ordering::Acquire);
        while taken.len() < ROUND {
            let (changes, stale) = {
                let mut table = self.core.table.lock();
                let stale = table.stale.len().saturating_sub(BATCH);
                (table.take_dirty(before, durable, BATCH), table.stale.split_off(stale))
            };
            if changes.is_empty() && stale.is_empty() {
                break;
            }
            *touched = true;
            let applied = tree.apply(&changes, &stale);
            taken.extend(changes);
            if applied.is_err() {
                self.core.table.lock().stale.extend(stale);
                return applied;
            }
        }
        Ok(())
    }

    /// Opens sled again after it failed. What it had durably is there; everything since is still in memory.
    pub(crate) fn reopen(&self) -> sled::Result<()> {
        let mut slot = self.core.tree.write();
        drop(slot.take());
        let tree = Tree::open(&tree_dir(&self.core.options.dir))?;
        let sound = tree
            .mark()?
            .is_some_and(|(mark, number)| mark == self.checkpoint.mark && number >= self.checkpoint.number);
        if !sound && self.checkpoint.number > 0 {
            return Err(broken("sled lost what it had"));
        }
        *slot = Some(tree);
        Ok(())
    }
}

/// Writes sled anew without the room that it no longer needs. Its file never shrinks by itself. Nobody else may write
/// to sled meanwhile.
pub(crate) fn compact(core: &Core) -> sled::Result<()> {
    let dir = tree_dir(&core.options.dir);
    let (new, old) = (dir.with_extension("new"), dir.with_extension("old"));
    for left in [&new, &old] {
        remove_dir(left)?;
    }
    if let Some(tree) = &*core.tree.read() {
        tree.copy_to(&new)?;
    }
    // From here nobody reads; sled lets go of its names before they change.
    let mut slot = core.tree.write();
    drop(slot.take());
    std::fs::rename(&dir, &old)?;
    std::fs::rename(&new, &dir)?;
    std::fs::File::open(&core.options.dir)?.sync_all()?;
    *slot = Some(Tree::open(&dir)?);
    drop(slot);
    remove_dir(&old)?;
    Ok(())
}

/// Removes a directory, if it is there.
pub(crate) fn remove_dir(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
