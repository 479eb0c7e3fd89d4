//! One read-and-change of a key, under the lock that all writers share, and within the limits of its space.

use std::time::Instant;

use hooks::KvError;
use model::Timestamp;
use parking_lot::MutexGuard;

use super::{FULL_SWEEP, Inner, Used, Writing, failed, full_key, is_alive, prefix};
use crate::KvLimits;
use crate::journal::Change;

/// One read-and-change under the lock.
pub(super) struct Turn<'a> {
    inner: &'a Inner,
    db: sled::Db,
    writing: MutexGuard<'a, Writing>,
    space: &'a str,
    key: Vec<u8>,
    now: Timestamp,
}

impl<'a> Turn<'a> {
    pub(super) fn begin(
        inner: &'a Inner,
        space: &'a str,
        key: &str,
        now: Timestamp,
    ) -> Result<Self, KvError> {
        let key = full_key(space, key)?;
        let writing = inner.writing.lock();
        let db = inner.db()?;
        Ok(Self { inner, db, writing, space, key, now })
    }

    /// What stands there, alive or not.
    pub(super) fn raw(&self) -> Result<Option<sled::IVec>, KvError> {
        self.db.get(&self.key).map_err(failed)
    }

    pub(super) fn alive(&self) -> Result<Option<sled::IVec>, KvError> {
        Ok(self.raw()?.filter(|value| is_alive(value, self.now)))
    }

    pub(super) fn put(&mut self, octets: &[u8], expires: u64) -> Result<u64, KvError> {
        if octets.len() > KvLimits::VALUE_OCTETS {
            return Err(KvError::Quota("a value has at most 65,536 octets"));
        }
        let version = self.writing.version + 1;
        let mut value = Vec::with_capacity(16 + octets.len());
        value.extend(version.to_be_bytes());
        value.extend(expires.to_be_bytes());
        value.extend(octets);
        let before = self.raw()?;
        self.make_room(before.as_ref().map_or(0, |before| before.len()), value.len(), before.is_none())?;
        self.change(version, Some(value), before)?;
        Ok(version)
    }

    pub(super) fn remove(&mut self, before: sled::IVec) -> Result<(), KvError> {
        let version = self.writing.version + 1;
        self.change(version, None, Some(before))
    }

    fn change(
        &mut self,
        version: u64,
        value: Option<Vec<u8>>,
        before: Option<sled::IVec>,
    ) -> Result<(), KvError> {
        let change = Change { version, key: self.key.clone(), value };
        self.used()?;
        let writing = &mut *self.writing;
        writing.journal.append(&change).map_err(failed)?;
        writing.version = version;
        writing.changed = true;
        let done = match &change.value {
            Some(value) => self.db.insert(&self.key, value.as_slice()),
            None => self.db.remove(&self.key),
        };
        if let Some(used) = writing.spaces.get_mut(self.space) {
            before.iter().for_each(|before| used.take(&self.key, before));
            change.value.iter().for_each(|value| used.add(&self.key, value));
        }
        done.map_err(failed)?;
        Ok(())
    }

    /// How much the space holds; counted when it is first written to.
    fn used(&mut self) -> Result<Used, KvError> {
        if let Some(used) = self.writing.spaces.get(self.space) {
            return Ok(*used);
        }
        let mut used = Used::default();
        for item in self.db.scan_prefix(prefix(self.space, "")?) {
            let (key, value) = item.map_err(failed)?;
            used.add(&key, &value);
        }
        self.writing.spaces.insert(self.space.to_owned(), used);
        Ok(used)
    }

    fn make_room(&mut self, before: usize, after: usize, is_new: bool) -> Result<(), KvError> {
        let limits = self.inner.limits;
        let more = if is_new { after + self.key.len() } else { after.saturating_sub(before) } as u64;
        let fits =
            |used: Used| used.keys + u64::from(is_new) <= limits.keys && used.octets + more <= limits.octets;
        let used = self.used()?;
        let now = clock::now();
        if !fits(used) && used.swept.is_none_or(|at| now.duration_since(at) > FULL_SWEEP) {
            self.sweep_space(now)?;
        }
        if fits(self.used()?) { Ok(()) } else { Err(KvError::Quota("the space is full")) }
    }

    /// Removes what is over from a space that is full.
    fn sweep_space(&mut self, now: Instant) -> Result<(), KvError> {
        let mut over = Vec::new();
        for item in self.db.scan_prefix(prefix(self.space, "")?) {
            let (key, value) = item.map_err(failed)?;
            if !is_alive(&value, self.now) {
                over.push((key, value));
            }
        }
        for (key, value) in over {
            self.db.remove(&key).map_err(failed)?;
            if let Some(used) = self.writing.spaces.get_mut(self.space) {
                used.take(&key, &value);
            }
        }
        if let Some(used) = self.writing.spaces.get_mut(self.space) {
            used.swept = Some(now);
        }
        Ok(())
    }
}
