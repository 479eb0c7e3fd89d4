//! Random lives of a store whose power is cut again and again: what was acknowledged is there, whole, and never older than
//! what is known to be durable; what was not acknowledged is there whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use model::Piece;
use proptest::prelude::*;
use queue::StoreError;

use super::*;
use crate::fault::{Fault, FaultDisk};

#[derive(Debug, Clone)]
enum Step {
    /// Commit an entry with so many recipients and octets.
    Commit(usize, usize),
    /// Commit through a spool file.
    Large(usize),
    /// The nth entry's recipient is deferred or delivered.
    Update(usize, u32, bool),
    /// Let upkeep do its work.
    Rest,
    /// Writes or syncs fail for a while.
    Fault(u32, bool),
    /// Cut the power; sled stays, goes, or is an old one.
    Cut(Sled),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sled {
    Stays,
    Goes,
    IsOld,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1usize..12, 0usize..50_000).prop_map(|(recipients, octets)| Step::Commit(recipients, octets)),
        1 => (100_000usize..400_000).prop_map(Step::Large),
        12 => (any::<usize>(), 0u32..12, any::<bool>()).prop_map(|(nth, rcpt, done)| Step::Update(nth, rcpt, done)),
        1 => Just(Step::Rest),
        1 => (0u32..6, any::<bool>()).prop_map(|(after, full)| Step::Fault(after, full)),
        2 => prop_oneof![Just(Sled::Stays), Just(Sled::Goes), Just(Sled::IsOld)].prop_map(Step::Cut),
    ]
}

/// What is known of an entry: its states, the last of which it has while the store runs, and from which on it must be found.
#[derive(Debug)]
struct Known {
    states: Vec<Option<Entry>>,
    durable: usize,
    content: Bytes,
}

impl Known {
    /// Each recipient has a state from the durable one on. Records that were not durable may be torn one by one.
    fn may_be(&self, found: Option<&Entry>) -> bool {
        let states = &self.states[self.durable..];
        let Some(found) = found else { return states.contains(&None) };
        (0..found.recipients.len()).all(|nth| {
            states.iter().flatten().any(|state| {
                state.id == found.id
                    && state.sender == found.sender
                    && state.recipients.len() == found.recipients.len()
                    && state.recipients[nth] == found.recipients[nth]
            })
        })
    }
}

struct World {
    dir: tempfile::TempDir,
    disk: FaultDisk,
    store: Option<DiskStore>,
    known: BTreeMap<QueueId, Known>,
    /// Entries whose commit failed: there whole or not at all.
    unsure: BTreeMap<QueueId, (Arc<Entry>, Bytes)>,
    updates: u64,
}

fn options_for(dir: &Path) -> Options {
    Options { settle_delay: Duration::ZERO, ..options(dir) }
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(seed);
        let store = DiskStore::open_on(options_for(dir.path()), Arc::new(disk.clone())).unwrap();
        let store = Some(store);
        Self { dir, disk, store, known: BTreeMap::new(), unsure: BTreeMap::new(), updates: 0 }
    }

    fn store(&self) -> &DiskStore {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(recipients, octets) => {
                let id = self.store().new_id();
                let content = text(id, *octets);
                self.commit(entry(id, *recipients), content.clone(), Content::from(content));
            }
            Step::Large(octets) => self.large(*octets),
            Step::Update(nth, recipient, done) => self.update(*nth, *recipient, *done),
            Step::Rest => {
                self.store().core().wake_upkeep();
                std::thread::sleep(Duration::from_millis(20));
                let old = self.dir.path().join("old");
                let _ = fs::remove_dir_all(&old);
                copy_dir(&self.dir.path().join("queue"), &old);
            }
            Step::Fault(after, full) => {
                let kind = if *full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
                self.disk.set_fault(Some(Fault { after: *after, count: 1, kind }));
            }
            Step::Cut(sled) => self.cut(*sled),
        }
    }

    fn commit(&mut self, entry: Arc<Entry>, bytes: Bytes, content: Content) {
        let id = entry.id;
        match wait(self.store().commit(Arc::clone(&entry), content)) {
            Ok(()) => {
                // The updates before it stand before it in the log.
                self.known.values_mut().for_each(|known| known.durable = known.states.len() - 1);
                let known = Known { states: vec![Some(Entry::clone(&entry))], durable: 0, content: bytes };
                self.known.insert(id, known);
            }
            Err(_) => {
                self.unsure.insert(id, (entry, bytes));
            }
        }
    }

    fn large(&mut self, octets: usize) {
        let id = self.store().new_id();
        let all = text(id, octets);
        let written = self.store().spool(id).map_err(io::Error::other).and_then(|mut writer| {
            all.chunks(60_000).try_for_each(|chunk| writer.write(chunk))?;
            writer.finish()
        });
        let Ok(source) = written else { return };
        let head = Bytes::from_static(b"Received: x\r\n");
        let pieces = vec![Piece::New(head.clone()), Piece::Stored { offset: 0, len: all.len() as u64 }];
        let content = Content::spliced(source, pieces).unwrap();
        self.commit(entry(id, 1), [head, all].concat().into(), content);
    }

    fn update(&mut self, nth: usize, recipient: u32, done: bool) {
        let alive: Vec<QueueId> = self
            .known
            .iter()
            .filter(|(_, known)| known.states.last().is_some_and(Option::is_some))
            .map(|(id, _)| *id)
            .collect();
        let Some(id) = alive.get(nth % alive.len().max(1)).copied() else { return };
        self.updates += 1;
        let state = if done { State::Delivered } else { State::Waiting { due: Timestamp(self.updates) } };
        let update = change(id, recipient, state);
        let Some(Some(mut entry)) = self.known[&id].states.last().cloned() else { return };
        entry.apply(&update);
        match wait(self.store.as_ref().unwrap().update(update)) {
            Ok(()) => {
                let entry = Some(entry).filter(|entry| !entry.is_finished());
                self.known.get_mut(&id).unwrap().states.push(entry);
            }
            Err(error) => assert!(matches!(error, StoreError::Closed(_)), "{error}"),
        }
    }

    fn cut(&mut self, sled: Sled) {
        let disk = self.disk.power_cut();
        self.store.take().unwrap().crash();
        let queue = self.dir.path().join("queue");
        let old = self.dir.path().join("old");
        if sled == Sled::Goes || (sled == Sled::IsOld && old.exists()) {
            fs::remove_dir_all(&queue).unwrap();
        }
        if sled == Sled::IsOld && old.exists() {
            copy_dir(&old, &queue);
        }
        self.disk = disk;
        let store = DiskStore::open_on(options_for(self.dir.path()), Arc::new(self.disk.clone())).unwrap();
        self.store = Some(store);
        self.check_found();
    }

    fn check_found(&mut self) {
        let store = self.store.take().unwrap();
        let mut found: BTreeMap<QueueId, Entry> =
            store.list(None, usize::MAX).unwrap().into_iter().map(|entry| (entry.id, entry)).collect();
        for (id, known) in &mut self.known {
            let entry = found.remove(id);
            assert!(known.may_be(entry.as_ref()), "{id}: {entry:#?} is none of {known:#?}");
            if entry.is_some() {
                assert_eq!(read(&store, *id), known.content);
            }
            known.states.push(entry);
        }
        for (id, entry) in found {
            let (expected, content) =
                self.unsure.remove(&id).unwrap_or_else(|| panic!("{id} came from nowhere"));
            assert_eq!((&entry, read(&store, id)), (&*expected, content.clone()));
            self.known.insert(id, Known { states: vec![Some(entry)], durable: 0, content });
        }
        assert_eq!(store.totals().corrupt, 0);
        self.store = Some(store);
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_dir(&item.path(), &target);
        } else {
            // Snapshots come and go.
            let _ = fs::copy(item.path(), target);
        }
    }
}

/// 24, or as many as PROPTEST_CASES says: `make torture` has more.
#[expect(clippy::disallowed_methods, reason = "a test is told how many cases it has")]
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_half_is_seen(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        world.cut(Sled::Goes);
        world.cut(Sled::Stays);
    }
}
