//! Failed authentications, counted for a while, so that passwords cannot be tried without end.
//!
//! An attempt is charged before it is checked, and given back when it succeeds: attempts side by side cannot slip past a
//! limit. Windows slide: an attempt counts until it is as old as its window. The time is handed in.
//!
//! Limits: [`AttemptLimits`]; over them 454 4.7.0, without a check.
//! Known gaps: whoever has more addresses than `max_entries` can make the table forget older ones.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many attempts may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Failures for one name from one IPv4 address or IPv6 /64 within [`Self::per_user_window`].
    pub per_user: usize,
    pub per_user_window: Duration,
    /// Failures from one IPv4 address or IPv6 /64, whatever the names, within [`Self::per_address_window`].
    pub per_address: usize,
    pub per_address_window: Duration,
    /// Names with addresses that are remembered, and as many addresses; the oldest is forgotten first.
    pub max_entries: usize,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            per_user: 10,
            per_user_window: Duration::from_secs(15 * 60),
            per_address: 50,
            per_address_window: Duration::from_secs(60 * 60),
            max_entries: 50_000,
        }
    }
}

/// The failures of the recent past. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    limits: AttemptLimits,
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    by_user: Table<(String, IpAddr)>,
    by_address: Table<IpAddr>,
}

impl Attempts {
    pub fn new(limits: AttemptLimits) -> Self {
        Self { limits, tables: Arc::default() }
    }

    /// The same memory under other limits, as after a reload.
    #[must_use]
    pub fn with_limits(&self, limits: AttemptLimits) -> Self {
        Self { limits, tables: self.tables.clone() }
    }

    /// Charges an attempt for this name from this address. Says whether it may be checked; one that may not costs nothing.
    pub fn charge(&self, name: &str, address: IpAddr, now: Instant) -> bool {
        let (limits, address) = (&self.limits, network_of(address));
        let key = (name.to_owned(), address);
        let mut tables = self.tables.lock();
        let full = tables.by_user.count(&key, limits.per_user_window, now) >= limits.per_user
            || tables.by_address.count(&address, limits.per_address_window, now) >= limits.per_address;
        if !full {
            tables.by_user.add(key, now, limits.max_entries);
            tables.by_address.add(address, now, limits.max_entries);
        }
        !full
    }

    /// Whether an address, and this name from it if there is one, is over its limit; nothing is charged.
    pub fn is_full(&self, name: Option<&str>, address: IpAddr, now: Instant) -> bool {
        let (limits, address) = (&self.limits, network_of(address));
        let mut tables = self.tables.lock();
        let user_full = name.is_some_and(|name| {
            let key = (name.to_owned(), address);
            tables.by_user.count(&key, limits.per_user_window, now) >= limits.per_user
        });
        user_full || tables.by_address.count(&address, limits.per_address_window, now) >= limits.per_address
    }

    /// The attempt that was charged last for this name succeeded: the name's failures from this address are forgotten, and
    /// the address gets its attempt back.
    pub fn succeeded(&self, name: &str, address: IpAddr) {
        let address = network_of(address);
        let mut tables = self.tables.lock();
        tables.by_user.forget(&(name.to_owned(), address));
        tables.by_address.give_back(&address);
    }

    /// Names with addresses, and addresses, that are remembered.
    pub fn entries(&self) -> (usize, usize) {
        let tables = self.tables.lock();
        (tables.by_user.entries.len(), tables.by_address.entries.len())
    }
}

/// The times of failures by key, and the keys by how long ago they failed last.
#[derive(Debug)]
struct Table<K> {
    entries: HashMap<K, Entry>,
    /// The keys by [`Entry::turn`].
    oldest: BTreeMap<u64, K>,
    next_turn: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// Never more than a limit: over it nothing is added.
    times: VecDeque<Instant>,
    turn: u64,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entries: HashMap::new(), oldest: BTreeMap::new(), next_turn: 0 }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn count(&mut self, key: &K, window: Duration, now: Instant) -> usize {
        let Some(entry) = self.entries.get_mut(key) else { return 0 };
        while entry.times.front().is_some_and(|time| now.saturating_duration_since(*time) >= window) {
            entry.times.pop_front();
        }
        let count = entry.times.len();
        if count == 0 {
            self.forget(key);
        }
        count
    }

    fn add(&mut self, key: K, now: Instant, max_entries: usize) {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.times.push_back(now);
        self.oldest.remove(&entry.turn);
        self.next_turn += 1;
        entry.turn = self.next_turn;
        self.oldest.insert(entry.turn, key);
        while self.entries.len() > max_entries.max(1)
            && let Some((_, oldest)) = self.oldest.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    fn give_back(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.times.pop_back();
        if entry.times.is_empty() {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.oldest.remove(&entry.turn);
        }
    }
}

/// An IPv6 client has a whole /64 to call from; an IPv4 address in IPv6 is itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
