//! The plugins' key-value space, in a sled database of its own, so that damage to one does not touch the other.
//!
//! A key is the space's name, a zero octet and the key; a value is its version (8), the end of its life in milliseconds (8,
//! all ones: never), both big-endian, and the octets. Every change is first written to a journal (not synced: it outlives
//! the process), and once a second sled is flushed and synced and the journal begun anew. Versions come from one
//! counter and never return, also when a key is deleted and made again.
//!
//! A value whose life is over is not there for anybody; it is removed by a sweep, or sooner when its space is full.
//!
//! Limits: [`KvLimits`]. Known gap: sled's file never shrinks; its room is used again.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hooks::{KeyValue, KvError, KvPage, KvValue};
use model::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::journal::{Change, Journal};
use crate::tree::open_sled;
use crate::{KvLimits, OpenError};

const NEVER: u64 = u64::MAX;
/// Keys in a page.
const PAGE: usize = 1000;
/// Between two syncs.
const SYNC: Duration = Duration::from_secs(1);
/// Keys that are looked at for the end of their life, each second.
const SWEEP: usize = 5000;
/// Between two sweeps of a space that is full.
const FULL_SWEEP: Duration = Duration::from_secs(10);
/// Where the highest version is; no key of a space begins with a zero octet.
const VERSION_KEY: &[u8] = b"\0version";

/// The key-value store; one space cannot see another.
#[derive(Debug)]
pub struct KvStore {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: KvLimits,
    /// Nothing while it is being opened again after it failed, and once it is closed.
    db: Mutex<Option<sled::Db>>,
    writing: Mutex<Writing>,
    closing: Mutex<bool>,
    wake: Condvar,
}

/// What only one writer at a time touches.
#[derive(Debug)]
struct Writing {
    journal: Journal,
    file: File,
    spaces: HashMap<String, Used>,
    version: u64,
    changed: bool,
    /// Where the sweep goes on.
    swept: Vec<u8>,
}

/// How much a space holds.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    keys: u64,
    octets: u64,
    swept: Option<Instant>,
}

impl Used {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.keys += 1;
        self.octets += (key.len() + value.len()) as u64;
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        self.keys = self.keys.saturating_sub(1);
        self.octets = self.octets.saturating_sub((key.len() + value.len()) as u64);
    }
}

impl KvStore {
    /// Opens the space in a directory, or makes it. One that is damaged is set aside: its values are gone, and that is said.
    pub(crate) fn open(dir: &Path, limits: KvLimits) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Disk { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut journal = Journal::open(dir).map_err(failed)?;
        let (db, file, version) = match open_db(dir, &mut journal) {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(%error, "the key-value store is damaged; it is set aside and begun anew");
                let kept = dir.join("corrupt-index");
                crate::settle::remove_dir(&kept).map_err(failed)?;
                std::fs::rename(index_dir(dir), kept).map_err(failed)?;
                open_db(dir, &mut journal)
                    .map_err(|error| OpenError::Index { path: dir.to_owned(), reason: error.to_string() })?
            }
        };
        let writing =
            Writing { journal, file, spaces: HashMap::new(), version, changed: false, swept: Vec::new() };
        let inner = Arc::new(Inner {
            dir: dir.to_owned(),
            limits,
            db: Mutex::new(Some(db)),
            writing: Mutex::new(writing),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        });
        let own = Arc::clone(&inner);
        let thread = std::thread::Builder::new().name("store-kv".to_owned()).spawn(move || own.run());
        Ok(Self { inner, thread: Mutex::new(Some(thread.map_err(failed)?)) })
    }

    /// Syncs and ends the thread; calls after this fail.
    pub(crate) fn close(&self) {
        *self.inner.closing.lock() = true;
        self.inner.wake.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
        self.inner.db.lock().take();
    }
}

impl Drop for KvStore {
    fn drop(&mut self) {
        self.close();
    }
}

fn index_dir(dir: &Path) -> PathBuf {
    dir.join("index")
}

/// Opens sled and brings it up to date with the journal; says the highest version.
fn open_db(dir: &Path, journal: &mut Journal) -> sled::Result<(sled::Db, File, u64)> {
    let (db, file) = open_sled(&index_dir(dir))?;
    let known =
        db.get(VERSION_KEY)?.and_then(|value| Some(u64::from_be_bytes(value.as_ref().try_into().ok()?)));
    let mut version = known.unwrap_or(0);
    for change in journal.read()? {
        version = version.max(change.version);
        let newer = db.get(&change.key)?.is_some_and(|value| version_of(&value) > change.version);
        match change.value {
            _ if newer => None,
            Some(value) => db.insert(change.key, value)?,
            None => db.remove(change.key)?,
        };
    }
    db.insert(VERSION_KEY, &version.to_be_bytes())?;
    db.flush()?;
    file.sync_data()?;
    journal.clear()?;
    Ok((db, file, version))
}

fn version_of(value: &[u8]) -> u64 {
    value.get(..8).and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn expires_of(value: &[u8]) -> u64 {
    value.get(8..16).and_then(|octets| octets.try_into().ok()).map_or(NEVER, u64::from_be_bytes)
}

fn is_alive(value: &[u8], now: Timestamp) -> bool {
    now.0 < expires_of(value)
}

fn failed(error: impl std::fmt::Display) -> KvError {
    KvError::Failed(error.to_string())
}

/// The key in sled.
fn full_key(space: &str, key: &str) -> Result<Vec<u8>, KvError> {
    let mut full = prefix(space, "")?;
    if key.is_empty() {
        return Err(KvError::BadInput("the key is empty".to_owned()));
    }
    if key.len() > KvLimits::KEY_OCTETS {
        return Err(KvError::Quota("a key has at most 512 octets"));
    }
    full.extend(key.as_bytes());
    Ok(full)
}

fn prefix(space: &str, begin: &str) -> Result<Vec<u8>, KvError> {
    if space.is_empty() || space.len() > KvLimits::SPACE_OCTETS || space.contains('\0') {
        return Err(KvError::BadInput("the space has no valid name".to_owned()));
    }
    let mut full = Vec::with_capacity(space.len() + 1 + begin.len());
    full.extend(space.as_bytes());
    full.push(0);
    full.extend(begin.as_bytes());
    Ok(full)
}

/// One read-and-change under the lock.
struct Turn<'a> {
    inner: &'a Inner,
    db: sled::Db,
    writing: MutexGuard<'a, Writing>,
    space: &'a str,
    key: Vec<u8>,
    now: Timestamp,
}

impl<'a> Turn<'a> {
    fn begin(inner: &'a Inner, space: &'a str, key: &str, now: Timestamp) -> Result<Self, KvError> {
        let key = full_key(space, key)?;
        let writing = inner.writing.lock();
        let db = inner.db()?;
        Ok(Self { inner, db, writing, space, key, now })
    }

    /// What stands there, alive or not.
    fn raw(&self) -> Result<Option<sled::IVec>, KvError> {
        self.db.get(&self.key).map_err(failed)
    }

    fn alive(&self) -> Result<Option<sled::IVec>, KvError> {
        Ok(self.raw()?.filter(|value| is_alive(value, self.now)))
    }

    fn put(&mut self, octets: &[u8], expires: u64) -> Result<u64, KvError> {
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

    fn remove(&mut self, before: sled::IVec) -> Result<(), KvError> {
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

impl Inner {
    fn db(&self) -> Result<sled::Db, KvError> {
        self.db.lock().clone().ok_or_else(|| KvError::Failed("it is not open".to_owned()))
    }

    fn run(&self) {
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

fn expires(lifetime: Option<Duration>, now: Timestamp) -> u64 {
    lifetime.map_or(NEVER, |lifetime| (now + lifetime).0)
}

impl KeyValue for KvStore {
    fn get(&self, space: &str, key: &str, now: Timestamp) -> Result<Option<KvValue>, KvError> {
        let value = self.inner.db()?.get(full_key(space, key)?).map_err(failed)?;
        let value = value.filter(|value| value.len() >= 16 && is_alive(value, now));
        Ok(value.map(|value| KvValue {
            value: value[16..].to_vec(),
            version: version_of(&value),
            expires: Some(expires_of(&value)).filter(|at| *at != NEVER).map(Timestamp),
        }))
    }

    fn set(
        &self,
        space: &str,
        key: &str,
        value: &[u8],
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<u64, KvError> {
        Turn::begin(&self.inner, space, key, now)?.put(value, expires(lifetime, now))
    }

    fn delete(&self, space: &str, key: &str, now: Timestamp) -> Result<bool, KvError> {
        let mut turn = Turn::begin(&self.inner, space, key, now)?;
        let Some(before) = turn.raw()? else { return Ok(false) };
        let alive = is_alive(&before, now);
        turn.remove(before)?;
        Ok(alive)
    }

    fn increment(
        &self,
        space: &str,
        key: &str,
        by: i64,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<i64, KvError> {
        let mut turn = Turn::begin(&self.inner, space, key, now)?;
        let (number, expires) = match turn.alive()? {
            Some(value) => {
                let text = std::str::from_utf8(value.get(16..).unwrap_or_default()).ok();
                let number = text.and_then(|text| text.parse::<i64>().ok());
                let number =
                    number.ok_or_else(|| KvError::BadInput("the value is not a number".to_owned()))?;
                (number, expires_of(&value))
            }
            None => (0, expires(lifetime, now)),
        };
        let sum = number.checked_add(by);
        let sum = sum.ok_or_else(|| KvError::BadInput("the sum is beyond 64 bits".to_owned()))?;
        turn.put(sum.to_string().as_bytes(), expires)?;
        Ok(sum)
    }

    fn compare_and_set(
        &self,
        space: &str,
        key: &str,
        version: Option<u64>,
        value: &[u8],
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<bool, KvError> {
        let mut turn = Turn::begin(&self.inner, space, key, now)?;
        if turn.alive()?.map(|value| version_of(&value)) != version {
            return Ok(false);
        }
        turn.put(value, expires(lifetime, now))?;
        Ok(true)
    }

    fn scan(
        &self,
        space: &str,
        begin: &str,
        cursor: Option<&str>,
        limit: u32,
        now: Timestamp,
    ) -> Result<KvPage, KvError> {
        let (space_prefix, prefix) = (prefix(space, "")?, prefix(space, begin)?);
        let from = match cursor {
            // The key itself was on the page before: the next one is at least a zero octet longer.
            Some(cursor) => [space_prefix.as_slice(), cursor.as_bytes(), &[0]].concat().max(prefix.clone()),
            None => prefix.clone(),
        };
        let limit = (limit as usize).min(PAGE);
        let mut page = KvPage::default();
        for item in self.inner.db()?.range(from..) {
            let (key, value) = item.map_err(failed)?;
            if !key.starts_with(&prefix) {
                break;
            }
            if !is_alive(&value, now) {
                continue;
            }
            if page.keys.len() >= limit {
                page.cursor = page.keys.last().cloned();
                break;
            }
            page.keys.push(String::from_utf8_lossy(&key[space_prefix.len()..]).into_owned());
        }
        Ok(page)
    }
}
