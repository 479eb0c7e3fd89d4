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

mod turn;
mod upkeep;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hooks::{KeyValue, KvError, KvPage, KvValue};
use model::Timestamp;
use parking_lot::{Condvar, Mutex};

use self::turn::Turn;
use crate::journal::Journal;
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
