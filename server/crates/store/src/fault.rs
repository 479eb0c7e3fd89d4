//! A disk in memory that forgets what was not synced when its power is cut, tears what was being written, and fails when it
//! is told to.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// The disk.
#[derive(Debug, Clone)]
pub(crate) struct FaultDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: HashMap<u64, Octets>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    next: u64,
    random: u64,
    /// Writes and syncs until one fails, and how.
    fault: Option<Fault>,
    free: u64,
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) after: u32,
    /// How many operations fail then.
    pub(crate) count: u32,
    pub(crate) kind: io::ErrorKind,
}

#[derive(Debug, Default, Clone)]
struct Octets {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => {
                octets.resize(octets.len().max(at + new.len()), 0);
                octets[*at..*at + new.len()].copy_from_slice(new);
            }
            Self::Len(len) => octets.resize(*len, 0),
        }
    }
}

impl State {
    fn chance(&mut self) -> bool {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 40 & 1 == 1
    }

    fn operate(&mut self) -> io::Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let kind = fault.kind;
        fault.count -= 1;
        if fault.count == 0 {
            self.fault = None;
        }
        Err(io::Error::new(kind, "the disk was told to fail"))
    }

    /// Some sectors of what was not synced reach the platter, some do not.
    fn tear(&mut self, file: u64) {
        let Some(mut octets) = self.files.remove(&file) else { return };
        for change in std::mem::take(&mut octets.pending) {
            match change {
                Change::Write(at, new) => {
                    let mut from = 0;
                    while from < new.len() {
                        let to = new.len().min(from + SECTOR - (at + from) % SECTOR);
                        if self.chance() {
                            Change::Write(at + from, new[from..to].to_vec()).apply(&mut octets.durable);
                        }
                        from = to;
                    }
                }
                len @ Change::Len(_) if self.chance() => len.apply(&mut octets.durable),
                Change::Len(_) => {}
            }
        }
        self.files.insert(file, octets);
    }
}

impl FaultDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: HashMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            next: 1,
            random: seed,
            fault: None,
            free: 1 << 40,
        })))
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().fault = fault;
    }

    pub(crate) fn set_free(&self, octets: u64) {
        self.0.lock().free = octets;
    }

    /// The disk as it is found when the power comes back.
    pub(crate) fn power_cut(&self) -> Self {
        let mut state = self.0.lock();
        let files: Vec<u64> = state.files.keys().copied().collect();
        for file in files {
            state.tear(file);
        }
        let mut found = State {
            files: state.files.clone(),
            names: state.durable_names.clone(),
            durable_names: state.durable_names.clone(),
            next: state.next,
            random: state.random,
            fault: None,
            free: state.free,
        };
        let named: Vec<u64> = found.names.values().copied().collect();
        found.files.retain(|file, _| named.contains(file));
        found.files.values_mut().for_each(|octets| octets.now.clone_from(&octets.durable));
        Self(Arc::new(Mutex::new(found)))
    }

    fn file(&self, file: u64) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile { disk: Arc::downgrade(&self.0), file })
    }
}

impl Disk for FaultDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.operate()?;
        let file = state.next;
        state.next += 1;
        state.names.insert(path.to_owned(), file);
        state.files.insert(file, Octets::default());
        drop(state);
        Ok(self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.lock().names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.0.lock().names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let inside = |name: &PathBuf| name.parent() == Some(path);
        let names: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, file)| (name.clone(), *file))
            .collect();
        state.durable_names.retain(|name, _| !inside(name));
        state.durable_names.extend(names);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn free_octets(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.0.lock().free)
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: Weak<Mutex<State>>,
    file: u64,
}

impl FaultFile {
    fn with<T>(&self, work: impl FnOnce(&mut State, &mut Octets) -> io::Result<T>) -> io::Result<T> {
        let disk = self.disk.upgrade().ok_or_else(|| io::Error::other("the disk is gone"))?;
        let mut state = disk.lock();
        let mut octets = state.files.remove(&self.file).ok_or(io::ErrorKind::NotFound)?;
        let done = work(&mut state, &mut octets);
        state.files.insert(self.file, octets);
        done
    }
}

impl DiskFile for FaultFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|_, octets| {
            let from = (offset as usize).min(octets.now.len());
            let count = buffer.len().min(octets.now.len() - from);
            buffer[..count].copy_from_slice(&octets.now[from..from + count]);
            Ok(count)
        })
    }

    fn write_all_at(&self, offset: u64, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.with(|state, octets| {
            let done = state.operate();
            // A write that fails may have been carried out in part.
            let all = if done.is_err() { all[..all.len() / 2].to_vec() } else { all };
            let change = Change::Write(offset as usize, all);
            change.apply(&mut octets.now);
            octets.pending.push(change);
            done
        })
    }

    fn sync(&self) -> io::Result<()> {
        let done = self.with(|state, octets| {
            state.operate()?;
            for change in std::mem::take(&mut octets.pending) {
                change.apply(&mut octets.durable);
            }
            Ok(())
        });
        if done.is_err()
            && let Some(disk) = self.disk.upgrade()
        {
            // As Linux has it: what could not be written counts as clean afterwards.
            disk.lock().tear(self.file);
        }
        done
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        self.with(|state, file| {
            state.operate()?;
            let change = Change::Len(octets as usize);
            change.apply(&mut file.now);
            file.pending.push(change);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|_, octets| Ok(octets.now.len() as u64))
    }
}
