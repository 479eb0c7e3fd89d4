//! The ledger: what was promised with a 250, and each copy and each report that came of it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::harness::{Received, Setup, proved};

/// A message that was answered 250.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) id: String,
    pub(super) queue_id: String,
    pub(super) recipients: Vec<&'static str>,
    /// Crashes before it began: those since may each have cost a record of what was delivered.
    pub(super) crashes_before: usize,
}

/// What became of a recipient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) copies: usize,
    pub(super) reports: usize,
}

/// What was promised, shared with those who send.
#[derive(Debug, Default)]
pub(super) struct Promises {
    list: Mutex<Vec<Promise>>,
    crashes: AtomicUsize,
}

impl Promises {
    pub(super) fn list(&self) -> MutexGuard<'_, Vec<Promise>> {
        self.list.lock().expect("the promises")
    }

    /// Crashes so far. Read before a message begins: its 250 may be heard when the server that gave it is dead already.
    pub(super) fn crashes(&self) -> usize {
        self.crashes.load(Ordering::SeqCst)
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) promises: Arc<Promises>,
    fates: BTreeMap<(String, String), Fate>,
    /// Files of mailboxes that were read.
    seen: HashSet<PathBuf>,
}

impl Ledger {
    /// Reads what has arrived since. Every copy is whole, or this fails.
    pub(super) fn gather(&mut self, mailboxes: &Path, relayed: Vec<Received>) {
        for message in self.new_files(&mailboxes.join("alice/new")) {
            self.fate(proved(&message), "alice@example.org").copies += 1;
        }
        for report in self.new_files(&mailboxes.join("bob/new")) {
            self.report(&report);
        }
        for message in relayed {
            let id = proved(&message.content);
            for recipient in message.to {
                self.fate(id.clone(), &recipient).copies += 1;
            }
        }
    }

    /// What is new in a mailbox, which is taken out of it, lest many rounds fill the disk. A file that is back after a power cut is known.
    fn new_files(&mut self, folder: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        let new = paths.into_iter().filter(|path| self.seen.insert(path.clone()));
        new.map(|path| {
            let octets = std::fs::read(&path).expect("a message");
            // A disk that can only be read keeps it.
            let _ = std::fs::remove_file(&path);
            String::from_utf8_lossy(&octets).into_owned()
        })
        .collect()
    }

    /// A report of failure has the header of the message that it is about, and its recipients.
    fn report(&mut self, report: &str) {
        if !report.contains("Action: failed") {
            return;
        }
        let field = |name: &str| -> Vec<String> {
            let values = report.lines().filter_map(|line| line.trim_end().strip_prefix(name));
            values.map(|value| value.trim().to_owned()).collect()
        };
        let ids = field("X-Ledger: ");
        let id = ids.first().and_then(|line| line.split(' ').next()).expect("the message's id");
        for recipient in field("Final-Recipient: rfc822;") {
            self.fate(id.to_owned(), &recipient).reports += 1;
        }
    }

    fn fate(&mut self, id: String, recipient: &str) -> &mut Fate {
        self.fates.entry((id, recipient.to_owned())).or_default()
    }

    fn of(&self, id: &str, recipient: &str) -> Fate {
        self.fates.get(&(id.to_owned(), recipient.to_owned())).copied().unwrap_or_default()
    }

    /// Recipients that were promised and have neither a copy nor a report.
    pub(super) fn open(&self) -> Vec<(Promise, &'static str)> {
        let promises = self.promises.list();
        let mut open = Vec::new();
        for promise in promises.iter() {
            let without = |to: &&&str| self.of(&promise.id, to) == Fate::default();
            open.extend(promise.recipients.iter().filter(without).map(|to| (promise.clone(), *to)));
        }
        open
    }

    /// A crash: what was delivered shortly before may be delivered again.
    pub(super) fn crashed(&self) {
        self.promises.crashes.fetch_add(1, Ordering::SeqCst);
    }

    /// More copies or reports than one, all told, as far as crashes explain them.
    ///
    /// A crash costs the record of a delivery at the most: one more copy. It costs that of a failure as well, which is then reported anew,
    /// by a message that may itself be delivered once more with each crash that follows.
    pub(super) fn duplicates(&self) -> usize {
        let promises = self.promises.list();
        let mut duplicates = 0;
        for Promise { id, recipients, crashes_before, .. } in promises.iter() {
            let crashes = self.promises.crashes() - crashes_before;
            for to in recipients {
                let Fate { copies, reports } = self.of(id, to);
                let (most_copies, most_reports) = (crashes + 1, (crashes + 1) * (crashes + 2) / 2);
                let explained = copies <= most_copies && reports <= most_reports;
                let is_either = crashes > 0 || copies == 0 || reports == 0;
                assert!(
                    explained && is_either,
                    "{id} for {to}: {copies} copies, {reports} reports, {crashes} crashes"
                );
                duplicates += (copies + reports).saturating_sub(1);
            }
        }
        duplicates
    }

    pub(super) fn promised(&self) -> usize {
        self.promises.list().len()
    }

    /// Copies and reports, all told; those of messages that were not promised as well.
    pub(super) fn sums(&self) -> Fate {
        self.fates.values().fold(Fate::default(), |sum, fate| Fate {
            copies: sum.copies + fate.copies,
            reports: sum.reports + fate.reports,
        })
    }
}

/// Ids of the messages that are in the queue.
pub(super) fn queued(setup: &Setup) -> HashSet<String> {
    let listed = setup.json(&["queue", "list"]);
    listed
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// What was set aside as damaged: names of files, which begin with the id of the message where that could be known.
pub(super) fn set_aside(data: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(data.join("corrupt")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
