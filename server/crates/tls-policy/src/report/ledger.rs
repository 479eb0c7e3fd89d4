//! The counts, in memory and on the disk: one file for a day, written whole when it is asked for. What was counted since the last
//! writing is lost with a crash.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Applied, Failure};

const MAX_DOMAINS: usize = 10_000;
const MAX_POLICIES: usize = 8;
const MAX_FAILURES: usize = 64;
/// Days after which a report that could not be sent is given up.
const MAX_AGE: u64 = 3;

/// A day in UTC: days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day(pub u64);

impl Day {
    const MS: u64 = 86_400_000;

    pub fn of(time: Timestamp) -> Self {
        Self(time.0 / Self::MS)
    }

    /// Its first and its last second.
    pub fn bounds(self) -> (Timestamp, Timestamp) {
        let start = self.0 * Self::MS;
        (Timestamp(start), Timestamp(start + Self::MS - 1_000))
    }
}

/// What became of the sessions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) policy: Applied,
    pub(crate) successes: u64,
    pub(crate) failures: Vec<(Failure, u64)>,
}

type Domains = BTreeMap<String, Vec<Tally>>;

/// Counts sessions. Whoever owns it has it written now and then.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    days: BTreeMap<Day, Domains>,
    is_changed: bool,
}

impl Ledger {
    /// Reads what an earlier one has written. A file that cannot be read is passed over, with a word in the log.
    pub fn open(folder: PathBuf) -> Self {
        let mut state = State::default();
        for file in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let Some(day) = day_of(&file) else { continue };
            let read = fs::read(&file).and_then(|text| Ok(serde_json::from_slice(&text)?));
            match read {
                Ok(domains) => _ = state.days.insert(day, domains),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "counts of TLS sessions cannot be read");
                }
            }
        }
        Self { folder, state: Mutex::new(state) }
    }

    /// Counts a session under a policy.
    pub fn count(&self, policy: Applied, failure: Option<Failure>, now: Timestamp) {
        let mut state = self.state.lock();
        let domains = state.days.entry(Day::of(now)).or_default();
        if domains.len() >= MAX_DOMAINS && !domains.contains_key(&policy.policy_domain) {
            return;
        }
        let tallies = domains.entry(policy.policy_domain.clone()).or_default();
        let place = match tallies.iter().position(|tally| tally.policy == policy) {
            Some(place) => place,
            None if tallies.len() >= MAX_POLICIES => return,
            None => {
                tallies.push(Tally { policy, successes: 0, failures: Vec::new() });
                tallies.len() - 1
            }
        };
        let Tally { successes, failures, .. } = &mut tallies[place];
        let Some(failure) = failure else {
            *successes += 1;
            state.is_changed = true;
            return;
        };
        match failures.iter().position(|(known, _)| *known == failure) {
            Some(place) => failures[place].1 += 1,
            None if failures.len() >= MAX_FAILURES => return,
            None => failures.push((failure, 1)),
        }
        state.is_changed = true;
    }

    /// The days that are over, with the domains that are still to be told. Those that are too old are forgotten.
    pub fn due(&self, now: Timestamp) -> Vec<(Day, String)> {
        let today = Day::of(now);
        let mut state = self.state.lock();
        let known = state.days.len();
        state.days.retain(|day, _| day.0 + MAX_AGE >= today.0);
        state.is_changed |= state.days.len() != known;
        let over = state.days.iter().filter(|(day, _)| **day < today);
        over.flat_map(|(day, domains)| domains.keys().map(|domain| (*day, domain.clone()))).collect()
    }

    /// The counts of a domain.
    pub(crate) fn tallies(&self, day: Day, domain: &str) -> Vec<Tally> {
        let state = self.state.lock();
        state.days.get(&day).and_then(|domains| domains.get(domain)).cloned().unwrap_or_default()
    }

    /// The domain has been told of the day, or does not want to know.
    pub fn done(&self, day: Day, domain: &str) {
        let mut state = self.state.lock();
        if let Some(domains) = state.days.get_mut(&day) {
            domains.remove(domain);
            if domains.is_empty() {
                state.days.remove(&day);
            }
            state.is_changed = true;
        }
    }

    /// Writes what has changed; may wait for the disk.
    ///
    /// # Errors
    /// What is on the disk is as it was; it is written with the next change, or the next call.
    pub fn write(&self) -> io::Result<()> {
        let days = {
            let mut state = self.state.lock();
            if !state.is_changed {
                return Ok(());
            }
            state.is_changed = false;
            state.days.clone()
        };
        self.write_days(&days).inspect_err(|_| self.state.lock().is_changed = true)
    }

    fn write_days(&self, days: &BTreeMap<Day, Domains>) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for (day, domains) in days {
            let mut beside = tempfile::NamedTempFile::new_in(&self.folder)?;
            beside.write_all(&serde_json::to_vec(domains)?)?;
            beside.as_file().sync_all()?;
            beside.persist(self.folder.join(format!("{}.json", day.0))).map_err(|error| error.error)?;
        }
        for file in fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()) {
            if day_of(&file).is_some_and(|day| !days.contains_key(&day)) {
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }
}

fn day_of(file: &Path) -> Option<Day> {
    file.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok().map(Day)
}
