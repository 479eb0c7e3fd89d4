//! The part of the index that is in memory: what changed in the last seconds. What is not here stands in sled as it is.
//!
//! A slot is made by a commit or when an older entry changes. It leaves once sled has its state durably; an entry that is
//! delivered before that never touches sled. The order of [`Table::dirty`] is that of the log, so its front says up to
//! where the log may be forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::{QueueId, Timestamp};
use queue::{Census, Due, Entry, QueuedRecipient, Update};

use crate::record::Location;

/// Where an entry's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Location,
    /// Octets of the record.
    pub(crate) octets: u32,
    /// The spool file that it names.
    pub(crate) large: Option<u64>,
}

/// What sled holds of an entry, or will when the batch that is being written is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) due: Option<Timestamp>,
    pub(crate) recipients: u32,
}

/// Which recipients changed since sled was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    All,
    /// Positions in the entry's list.
    Some(BTreeSet<usize>),
}

#[derive(Debug)]
pub(crate) struct Slot {
    /// Nothing when the entry is gone, and sled must still be told.
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) place: Place,
    pub(crate) stored: Option<Stored>,
    pub(crate) changed: Changed,
    pub(crate) version: u64,
    /// Whether it stands in `dirty`.
    queued: bool,
    /// The job that writes its newest change to the log: sled is never told of what the log may yet lose.
    job: u64,
}

/// A slot that sled must be told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirty {
    pub(crate) id: QueueId,
    /// The log before this place does not speak of the change.
    pub(crate) since: Location,
    pub(crate) when: Instant,
}

/// What sled is to be told of one entry.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) dirty: Dirty,
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) place: Place,
    /// What sled had before.
    pub(crate) before: Option<Stored>,
    pub(crate) changed: Changed,
    version: u64,
}

/// What is alive in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Alive {
    pub(crate) entries: u64,
    pub(crate) octets: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: BTreeMap<QueueId, Slot>,
    due: BTreeSet<Due>,
    dirty: VecDeque<Dirty>,
    /// Up to here the log is durable and in this table or in sled.
    pub(crate) applied: Location,
    pub(crate) waiting: u64,
    pub(crate) held: u64,
    /// Of all entries, those that only sled has too.
    pub(crate) census: Census,
    alive: BTreeMap<u64, Alive>,
    /// Recipients of all slots, and what is remembered of them: what the memory grows with.
    weight: usize,
    /// Entries that sled holds or is about to.
    pub(crate) in_sled: u64,
    /// Rises when a slot leaves: what was read from sled before may be old.
    pub(crate) evictions: u64,
    /// Keys of sled's schedule that speak of no entry.
    pub(crate) stale: Vec<Due>,
    versions: u64,
}

impl Table {
    pub(crate) fn slot(&self, id: QueueId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn alive(&self, seq: u64) -> Alive {
        self.alive.get(&seq).copied().unwrap_or_default()
    }

    /// Octets of all records that are alive.
    pub(crate) fn alive_octets(&self) -> u64 {
        self.alive.values().map(|alive| alive.octets).sum()
    }

    pub(crate) fn live(&self) -> u64 {
        self.waiting + self.held
    }

    /// Forgets what was counted of a sled that is of no use.
    pub(crate) fn forget_counts(&mut self) {
        *self = Self::default();
    }

    /// Counts an entry that comes in.
    pub(crate) fn count_in(&mut self, due: Option<Timestamp>, place: Place) {
        *if due.is_some() { &mut self.waiting } else { &mut self.held } += 1;
        let alive = self.alive.entry(place.at.seq).or_default();
        alive.entries += 1;
        alive.octets += u64::from(place.octets);
    }

    fn count_out(&mut self, due: Option<Timestamp>, place: Place) {
        *if due.is_some() { &mut self.waiting } else { &mut self.held } -= 1;
        if let Some(alive) = self.alive.get_mut(&place.at.seq) {
            alive.entries -= 1;
            alive.octets -= u64::from(place.octets);
            if alive.entries == 0 {
                self.alive.remove(&place.at.seq);
            }
        }
    }

    /// Takes over an entry from sled, which is counted already.
    pub(crate) fn load(&mut self, entry: Arc<Entry>, place: Place) {
        let (id, due) = (entry.id, entry.due());
        self.due.extend(due.map(|at| Due { at, id }));
        self.weight += weight(&entry);
        let recipients = count(&entry);
        let changed = Changed::Some(BTreeSet::new());
        let stored = Some(Stored { due, recipients });
        let slot = Slot { entry: Some(entry), place, stored, changed, version: 0, queued: false, job: 0 };
        self.slots.insert(id, slot);
    }

    /// Puts an entry in, in the place of what was there. A `loaded` slot must be here if sled has the entry.
    pub(crate) fn insert(&mut self, entry: Arc<Entry>, place: Place, since: Location, now: Instant) {
        let id = entry.id;
        let stored = self.take_out(id);
        let due = entry.due();
        self.count_in(due, place);
        self.census.count_in(&entry);
        self.due.extend(due.map(|at| Due { at, id }));
        self.weight += weight(&entry);
        let slot = Slot {
            entry: Some(entry),
            place,
            stored,
            changed: Changed::All,
            version: 0,
            queued: false,
            job: 0,
        };
        self.slots.insert(id, slot);
        self.mark_dirty(id, since, now, 0);
    }

    /// Takes a slot out with everything that is counted of it; says what sled has.
    fn take_out(&mut self, id: QueueId) -> Option<Stored> {
        let slot = self.slots.remove(&id)?;
        if let Some(entry) = &slot.entry {
            let due = entry.due();
            self.count_out(due, slot.place);
            self.census.count_out(entry);
            due.map(|at| self.due.remove(&Due { at, id }));
            self.weight -= weight(entry);
        }
        slot.stored
    }

    /// Takes an entry away; says its place. Nothing when it is not here.
    pub(crate) fn remove(&mut self, id: QueueId, now: Instant, job: u64) -> Option<Place> {
        let slot = self.slots.get(&id)?;
        slot.entry.as_ref()?;
        let place = slot.place;
        let stored = self.take_out(id);
        if stored.is_some() {
            let changed = Changed::All;
            self.slots
                .insert(id, Slot { entry: None, place, stored, changed, version: 0, queued: false, job: 0 });
            self.mark_dirty(id, self.applied, now, job);
        }
        Some(place)
    }

    /// Puts new states in. The entry must be here and must not be finished by it.
    pub(crate) fn update(&mut self, update: &Update, now: Instant, job: u64) {
        let Some(slot) = self.slots.get_mut(&update.id) else { return };
        let Some(entry) = &mut slot.entry else { return };
        let before = entry.due();
        let changed = |entry: &Entry, count: &mut dyn FnMut(&QueuedRecipient)| {
            let places = update.recipients.iter().filter_map(|change| entry.position(change.id));
            places.for_each(|at| count(&entry.recipients[at]));
        };
        changed(entry, &mut |queued| {
            self.census.recipient_out(entry.arrived, queued);
            self.weight -= weight_of(queued);
        });
        Arc::make_mut(entry).apply(update);
        changed(entry, &mut |queued| {
            self.census.recipient_in(entry.arrived, queued);
            self.weight += weight_of(queued);
        });
        let after = entry.due();
        if let Changed::Some(positions) = &mut slot.changed {
            positions.extend(update.recipients.iter().filter_map(|change| entry.position(change.id)));
        }
        let place = slot.place;
        if before != after {
            before.map(|at| self.due.remove(&Due { at, id: update.id }));
            self.due.extend(after.map(|at| Due { at, id: update.id }));
            self.count_out(before, place);
            self.count_in(after, place);
        }
        self.mark_dirty(update.id, self.applied, now, job);
    }

    /// The entry's record was copied. Nothing happens when it went away or elsewhere meanwhile.
    pub(crate) fn moved(&mut self, id: QueueId, from: Location, to: Place, now: Instant) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let Some(entry) = slot.entry.as_ref().filter(|_| slot.place.at == from) else { return };
        let (due, old) = (entry.due(), slot.place);
        slot.place = Place { large: old.large, ..to };
        let place = slot.place;
        self.count_out(due, old);
        self.count_in(due, place);
        self.mark_dirty(id, to.at, now, 0);
    }

    /// Puts a slot in line for sled.
    pub(crate) fn mark_dirty(&mut self, id: QueueId, since: Location, now: Instant, job: u64) {
        self.versions += 1;
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.version = self.versions;
        slot.job = slot.job.max(job);
        if !slot.queued {
            slot.queued = true;
            self.dirty.push_back(Dirty { id, since, when: now });
        }
    }

    /// Takes at most `limit` changes out of the line that are older than `before`; all jobs up to `durable` are so in the log.
    pub(crate) fn take_dirty(&mut self, before: Instant, durable: u64, limit: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < limit
            && let Some(dirty) = self.dirty.front().copied()
            && dirty.when <= before
            && self.slots.get(&dirty.id).is_none_or(|slot| slot.job <= durable)
        {
            self.dirty.pop_front();
            let Some(slot) = self.slots.get_mut(&dirty.id).filter(|slot| slot.queued) else { continue };
            slot.queued = false;
            let before = slot.stored;
            slot.stored =
                slot.entry.as_ref().map(|entry| Stored { due: entry.due(), recipients: count(entry) });
            match (before, slot.stored) {
                (None, Some(_)) => self.in_sled += 1,
                (Some(_), None) => self.in_sled -= 1,
                _ => {}
            }
            changes.push(Change {
                dirty,
                entry: slot.entry.clone(),
                place: slot.place,
                before,
                changed: std::mem::replace(&mut slot.changed, Changed::Some(BTreeSet::new())),
                version: slot.version,
            });
        }
        changes
    }

    /// Sled has these durably: what did not change since leaves.
    pub(crate) fn settled(&mut self, changes: &[Change]) {
        for change in changes {
            let id = change.dirty.id;
            let same = |slot: &&Slot| slot.version == change.version && !slot.queued;
            let Some(slot) = self.slots.get(&id).filter(same) else { continue };
            if let Some(entry) = &slot.entry {
                self.weight -= weight(entry);
                entry.due().map(|at| self.due.remove(&Due { at, id }));
            }
            self.slots.remove(&id);
            self.evictions += 1;
        }
    }

    /// Sled did not take these: they go back to the front of the line.
    pub(crate) fn unsettled(&mut self, changes: Vec<Change>) {
        for change in changes.into_iter().rev() {
            let id = change.dirty.id;
            self.stale.extend(change.before.and_then(|stored| stored.due).map(|at| Due { at, id }));
            if let Some(slot) = self.slots.get_mut(&id) {
                if slot.stored.is_none() && change.before.is_some() {
                    slot.stored = change.before;
                    self.in_sled += 1;
                }
                slot.changed = Changed::All;
                slot.queued = true;
                self.dirty.push_front(change.dirty);
            }
        }
    }

    /// Up to where the log is of no more use to sled, when everything that was taken is durable there.
    pub(crate) fn settled_up_to(&self) -> Location {
        self.dirty.front().map_or(self.applied, |dirty| dirty.since.min(self.applied))
    }

    /// When the change was made that waits longest for sled.
    #[cfg(test)]
    pub(crate) fn oldest_dirty(&self) -> Option<Instant> {
        self.dirty.front().map(|dirty| dirty.when)
    }

    /// Entries here that are due from behind `after` up to `now`.
    pub(crate) fn due_range(&self, after: Option<Due>, now: Timestamp, limit: usize) -> Vec<Due> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let to = Included(Due { at: now, id: QueueId(u64::MAX) });
        if after.is_some_and(|after| after.at > now) {
            return Vec::new();
        }
        self.due.range((from, to)).take(limit).copied().collect()
    }

    /// Slots from behind `after` on, those of entries that are gone too.
    pub(crate) fn after(&self, after: Option<QueueId>) -> impl Iterator<Item = (&QueueId, &Slot)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.slots.range((after.map_or(Unbounded, Excluded), Unbounded))
    }
}

/// About a kibibyte each.
fn weight(entry: &Entry) -> usize {
    entry.recipients.iter().map(weight_of).sum()
}

fn weight_of(queued: &QueuedRecipient) -> usize {
    1 + queued.history.len() / 4
}

fn count(entry: &Entry) -> u32 {
    u32::try_from(entry.recipients.len()).unwrap_or(u32::MAX)
}
