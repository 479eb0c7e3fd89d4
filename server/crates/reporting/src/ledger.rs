//! The counts, in memory and on the disk: one file for a day, written whole when it is asked for. What was counted since the last
//! writing is lost with a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::day::Day;
use crate::reporter::Reporter;

/// Days after which a report that could not be sent is given up.
const MAX_AGE: u64 = 3;

/// What is counted for one domain on one day.
pub trait Counts: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is about, in the log.
    const WHAT: &'static str;

    /// Things that are counted apart; each costs memory.
    fn rows(&self) -> usize;
}

/// What one day has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub domains: usize,
    /// Of all domains together.
    pub rows: usize,
}

/// Counts by day and by domain. Whoever owns it has it written now and then.
#[derive(Debug)]
pub struct Ledger<C> {
    folder: PathBuf,
    room: Room,
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    days: BTreeMap<Day, Page<C>>,
    /// Days that are not on the disk as they are here.
    changed: BTreeSet<Day>,
}

#[derive(Debug)]
struct Page<C> {
    domains: BTreeMap<String, C>,
    rows: usize,
    /// What there was no room for: once a day is enough to hear of it.
    is_warned: bool,
}

impl<C: Counts> Page<C> {
    fn new(domains: BTreeMap<String, C>) -> Self {
        let rows = domains.values().map(C::rows).sum();
        Self { domains, rows, is_warned: false }
    }
}

impl<C: Counts> Ledger<C> {
    /// Reads what an earlier one has written. A file that cannot be read is passed over, with a word in the log.
    pub fn open(folder: PathBuf, room: Room) -> Self {
        let mut days = BTreeMap::new();
        for file in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let Some(day) = day_of(&file) else { continue };
            let read = fs::read(&file).and_then(|text| Ok(serde_json::from_slice(&text)?));
            match read {
                Ok(domains) => _ = days.insert(day, Page::new(domains)),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, what = C::WHAT, "counts cannot be read");
                }
            }
        }
        Self { folder, room, state: Mutex::new(State { days, changed: BTreeSet::new() }) }
    }

    /// Counts something for a domain; `change` hears whether there is room for a further row, and says whether it has counted.
    pub fn count(&self, domain: &str, now: Timestamp, change: impl FnOnce(&mut C, bool) -> bool) {
        let day = Day::of(now);
        let mut state = self.state.lock();
        let page = state.days.entry(day).or_insert_with(|| Page::new(BTreeMap::new()));
        if page.domains.len() >= self.room.domains && !page.domains.contains_key(domain) {
            return Self::warn(page, day);
        }
        let has_room = page.rows < self.room.rows;
        let counts = page.domains.entry(domain.to_owned()).or_default();
        let before = counts.rows();
        let is_changed = change(counts, has_room);
        page.rows += counts.rows().saturating_sub(before);
        if !has_room {
            Self::warn(page, day);
        }
        if is_changed {
            state.changed.insert(day);
        }
    }

    fn warn(page: &mut Page<C>, day: Day) {
        if !std::mem::replace(&mut page.is_warned, true) {
            let (domains, rows) = (page.domains.len(), page.rows);
            tracing::warn!(
                what = C::WHAT,
                day = day.0,
                domains,
                rows,
                "there is no room to count more of this day"
            );
        }
    }

    /// The days that are over, with the domains that are still to be told and whose moment has come. Those that are too old are forgotten.
    pub fn due(&self, now: Timestamp, reporter: &Reporter) -> Vec<(Day, String)> {
        let today = Day::of(now);
        let mut state = self.state.lock();
        let State { days, changed } = &mut *state;
        days.retain(|day, page| {
            let is_kept = day.0.saturating_add(MAX_AGE) >= today.0;
            if !is_kept {
                changed.insert(*day);
                let domains = page.domains.len();
                tracing::warn!(what = C::WHAT, day = day.0, domains, "a day is too old to be reported");
            }
            is_kept
        });
        let over = days.iter().filter(|(day, _)| **day < today);
        let pairs = over.flat_map(|(day, page)| page.domains.keys().map(|domain| (*day, domain)));
        let has_come =
            |(day, domain): &(Day, &String)| day.told_at(domain, &reporter.hostname, reporter.spread) <= now;
        pairs.filter(has_come).map(|(day, domain)| (day, domain.clone())).collect()
    }

    /// The counts of a domain.
    pub fn get(&self, day: Day, domain: &str) -> C {
        let state = self.state.lock();
        state.days.get(&day).and_then(|page| page.domains.get(domain)).cloned().unwrap_or_default()
    }

    /// The domain has been told of the day, or does not want to know.
    pub fn done(&self, day: Day, domain: &str) {
        let mut state = self.state.lock();
        if let Some(page) = state.days.get_mut(&day) {
            let told = page.domains.remove(domain);
            page.rows = page.rows.saturating_sub(told.map_or(0, |counts| counts.rows()));
            if page.domains.is_empty() {
                state.days.remove(&day);
            }
            state.changed.insert(day);
        }
    }

    /// Writes what has changed; may wait for the disk.
    ///
    /// # Errors
    /// What is on the disk is as it was; it is written with the next change, or the next call.
    pub fn write(&self) -> io::Result<()> {
        let changed: Vec<_> = {
            let mut state = self.state.lock();
            let days = std::mem::take(&mut state.changed);
            let domains = |day| state.days.get(&day).map(|page| page.domains.clone());
            days.into_iter().map(|day| (day, domains(day))).collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        self.write_days(&changed).inspect_err(|_| {
            self.state.lock().changed.extend(changed.iter().map(|(day, _)| *day));
        })
    }

    fn write_days(&self, days: &[(Day, Option<BTreeMap<String, C>>)]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for (day, domains) in days {
            let file = self.folder.join(format!("{}.json", day.0));
            let Some(domains) = domains else {
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => continue,
                }
            };
            let mut beside = tempfile::NamedTempFile::new_in(&self.folder)?;
            beside.write_all(&serde_json::to_vec(domains)?)?;
            beside.as_file().sync_all()?;
            beside.persist(file).map_err(|error| error.error)?;
        }
        fs::File::open(&self.folder)?.sync_all()
    }
}

fn day_of(file: &Path) -> Option<Day> {
    file.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok().map(Day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    const DAY: u64 = 86_400_000;

    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    struct Words(BTreeMap<String, u64>);

    impl Counts for Words {
        const WHAT: &'static str = "words";

        fn rows(&self) -> usize {
            self.0.len()
        }
    }

    fn add(ledger: &Ledger<Words>, domain: &str, word: &str, now: Timestamp) {
        ledger.count(domain, now, |words, has_room| {
            if !has_room && !words.0.contains_key(word) {
                return false;
            }
            *words.0.entry(word.to_owned()).or_default() += 1;
            true
        });
    }

    fn reporter() -> Reporter {
        Reporter {
            organization: String::new(),
            contact: String::new(),
            hostname: "mx.example".to_owned(),
            spread: Duration::ZERO,
        }
    }

    fn ledger(folder: &tempfile::TempDir) -> Ledger<Words> {
        Ledger::open(folder.path().join("words"), Room { domains: 2, rows: 3 })
    }

    #[test]
    fn a_day_has_room_for_so_many_domains_and_rows_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (first, now) = (ledger(&folder), Timestamp(DAY));
        for (domain, word) in [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")] {
            add(&first, domain, word, now);
        }
        first.write().unwrap();
        let again = ledger(&folder);
        for (domain, word) in [("a", "3"), ("a", "1"), ("c", "1")] {
            add(&again, domain, word, now);
        }
        assert_eq!(again.get(Day(1), "a").0, BTreeMap::from([("1".to_owned(), 2), ("2".to_owned(), 1)]));
        assert_eq!(again.get(Day(1), "b").rows(), 1);
        assert_eq!(again.get(Day(1), "c"), Words::default());
        // A day has room of its own.
        add(&again, "c", "1", Timestamp(2 * DAY));
        assert_eq!(again.get(Day(2), "c").rows(), 1);
    }

    #[test]
    fn a_domain_waits_for_its_moment_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        add(&ledger, "a", "1", Timestamp(DAY));
        let late = Reporter { spread: Duration::from_secs(3_600), ..reporter() };
        assert!(ledger.due(Timestamp(2 * DAY - 1), &reporter()).is_empty(), "the day is not over");
        assert!(ledger.due(Timestamp(2 * DAY), &late).is_empty());
        let due = [(Day(1), "a".to_owned())];
        assert_eq!(ledger.due(Timestamp(2 * DAY + 3_600_000), &late), due);
        assert_eq!(ledger.due(Timestamp(2 * DAY), &reporter()), due);
        ledger.write().unwrap();
        ledger.done(Day(1), "a");
        ledger.write().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("words")).unwrap().count(), 0);
        add(&ledger, "b", "1", Timestamp(3 * DAY));
        assert!(ledger.due(Timestamp(7 * DAY), &reporter()).is_empty(), "too old to be of use");
    }

    #[test]
    fn what_could_not_be_written_is_written_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder);
        add(&ledger, "a", "1", Timestamp(DAY));
        // A file where the folder should be.
        fs::write(folder.path().join("words"), "").unwrap();
        assert!(ledger.write().is_err());
        fs::remove_file(folder.path().join("words")).unwrap();
        ledger.write().unwrap();
        assert_eq!(self::ledger(&folder).get(Day(1), "a").rows(), 1);
        fs::write(folder.path().join("words/1.json"), "{").unwrap();
        assert_eq!(self::ledger(&folder).get(Day(1), "a").rows(), 0, "a damaged file is passed over");
    }
}
