//! The thread of the key-value space: once a second it makes changes durable and removes what is over.

use hooks::KvError;
use model::Timestamp;

use super::{Inner, SWEEP, SYNC, VERSION_KEY, failed, is_alive, open_db};

impl Inner {
    pub(super) fn db(&self) -> Result<sled::Db, KvError> {
        self.db.lock().clone().ok_or_else(|| KvError::Failed("it is not open".to_owned()))
    }

    pub(super) fn run(&self) {
        loop {
            let closing = {
                let mut closing = self.closing.lock();
                if !*closing {
                    self.wake.wait_for(&mut closing, SYNC);
                }
                *closing
            };
            if let Err(error) = self.sync().and_then(|()| self.sweep(clock::wall())) {
                tracing::error!(%error, "the key-value store failed; it is opened again");
                if let Err(error) = self.reopen() {
                    tracing::error!(%error, "the key-value store cannot be opened again");
                }
            }
            if closing {
                return;
            }
        }
    }

    /// Makes durable what was changed since the last time.
    fn sync(&self) -> Result<(), KvError> {
        let db = self.db()?;
        let file = {
            let mut writing = self.writing.lock();
            if !writing.changed {
                return Ok(());
            }
            db.insert(VERSION_KEY, &writing.version.to_be_bytes()).map_err(failed)?;
            writing.journal.turn().map_err(failed)?;
            writing.changed = false;
            writing.file.try_clone().map_err(failed)?
        };
        let done = db.flush().map_err(failed).and_then(|_| file.sync_data().map_err(failed));
        let mut writing = self.writing.lock();
        if let Err(error) = done {
            writing.changed = true;
            return Err(error);
        }
        writing.journal.forget().map_err(failed)
    }

    /// Opens sled again: what it had durably and the journal are all there is to know.
    fn reopen(&self) -> Result<(), KvError> {
        let mut writing = self.writing.lock();
        self.db.lock().take();
        let (db, file, version) = open_db(&self.dir, &mut writing.journal).map_err(failed)?;
        writing.file = file;
        writing.version = writing.version.max(version);
        writing.spaces.clear();
        *self.db.lock() = Some(db);
        Ok(())
    }

    /// Looks at some keys, in turn, and removes those whose life is over.
    fn sweep(&self, now: Timestamp) -> Result<(), KvError> {
        let db = self.db()?;
        let from = self.writing.lock().swept.clone();
        let (mut over, mut last, mut seen) = (Vec::new(), Vec::new(), 0);
        for item in db.range(from..).take(SWEEP) {
            let (key, value) = item.map_err(failed)?;
            seen += 1;
            if key.first() != Some(&0) && !is_alive(&value, now) {
                over.push(key.clone());
            }
            last = key.to_vec();
        }
        for key in over {
            self.remove_if_over(&db, &key, now)?;
        }
        last.push(0);
        self.writing.lock().swept = if seen < SWEEP { Vec::new() } else { last };
        Ok(())
    }

    fn remove_if_over(&self, db: &sled::Db, key: &[u8], now: Timestamp) -> Result<(), KvError> {
        let mut writing = self.writing.lock();
        let value = db.get(key).map_err(failed)?.filter(|value| !is_alive(value, now));
        let Some(value) = value else { return Ok(()) };
        db.remove(key).map_err(failed)?;
        let space = key.split(|octet| *octet == 0).next().and_then(|name| std::str::from_utf8(name).ok());
        if let Some(used) = space.and_then(|space| writing.spaces.get_mut(space)) {
            used.take(key, &value);
        }
        Ok(())
    }
}
