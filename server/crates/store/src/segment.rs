//! Segments: the files of the log, how they are begun, recycled, and walked record by record.

mod walk;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

pub(crate) use self::walk::Hole;
use self::walk::first_mark;
use crate::disk::{Disk, DiskFile};
use crate::record::{ALIGN, HEADER_OCTETS, Kind, Location, Record};

/// One file of the log. Whoever holds it may read it: it is neither overwritten nor closed under a reader.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) seq: u64,
    /// In every record of this segment.
    pub(crate) mark: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Octets that hold records.
    pub(crate) used: AtomicU64,
}

/// All segments, and the files that wait to become one.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    live: RwLock<BTreeMap<u64, Arc<Segment>>>,
    spares: Mutex<Vec<(PathBuf, Arc<dyn DiskFile>)>>,
}

impl Segments {
    /// Files that are kept for the next segments while mail flows.
    pub(crate) const MAX_SPARES: usize = 3;

    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, live: RwLock::default(), spares: Mutex::default() }
    }

    fn path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:08}.log"))
    }

    pub(crate) fn get(&self, seq: u64) -> Option<Arc<Segment>> {
        self.live.read().get(&seq).cloned()
    }

    /// The segment with the lowest number.
    pub(crate) fn oldest(&self) -> Option<Arc<Segment>> {
        self.live.read().values().next().cloned()
    }

    /// The highest number.
    pub(crate) fn newest_seq(&self) -> Option<u64> {
        self.live.read().keys().next_back().copied()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.live.read().values().cloned().collect()
    }

    /// Octets on the disk: whole files, spares too.
    pub(crate) fn disk_octets(&self) -> u64 {
        let files = |file: &Arc<dyn DiskFile>| file.len().unwrap_or(0);
        let live: u64 = self.live.read().values().map(|segment| files(&segment.file)).sum();
        live + self.spares.lock().iter().map(|(_, file)| files(file)).sum::<u64>()
    }

    /// Opens the segments that are there; those in which no record is valid are removed, and so are spares.
    /// One in the middle in which none is valid is damaged, and is moved to `corrupt`.
    pub(crate) fn load(&self, corrupt: &Path) -> io::Result<()> {
        let mut invalid = Vec::new();
        for name in self.disk.list(&self.dir)? {
            let path = self.dir.join(&name);
            let seq = name.strip_suffix(".log").and_then(|digits| digits.parse::<u64>().ok());
            let Some(seq) = seq else {
                if name.ends_with(".spare") {
                    self.disk.unlink(&path)?;
                }
                continue;
            };
            let file = self.disk.open(&path)?;
            match first_mark(&*file, seq)? {
                Some(mark) => {
                    let segment = Segment { seq, mark, file, used: AtomicU64::new(0) };
                    self.live.write().insert(seq, Arc::new(segment));
                }
                None => invalid.push((seq, path, name)),
            }
        }
        for (seq, path, name) in invalid {
            if self.newest_seq().is_some_and(|newest| newest > seq) {
                tracing::error!(segment = seq, "no record of a segment is valid; it is set aside");
                self.disk.rename(&path, &corrupt.join(name))?;
            } else {
                self.disk.unlink(&path)?;
            }
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Begins a segment, with an `Open` record and the records in `first`, all durable when this returns, with the
    /// places of the latter.
    pub(crate) fn begin(
        &self,
        seq: u64,
        before: Location,
        first: &[Record],
    ) -> io::Result<(Arc<Segment>, Vec<Location>)> {
        let path = self.path(seq);
        let file = match self.spares.lock().pop() {
            Some((spare, file)) => {
                self.disk.rename(&spare, &path)?;
                file
            }
            None => self.disk.create(&path)?,
        };
        let mark = random_mark(seq);
        let segment = Arc::new(Segment { seq, mark, file, used: AtomicU64::new(0) });
        let meta = before.offset.to_le_bytes().to_vec();
        let open = Record::new(Kind::Open, before.seq, meta, Vec::new());
        let records: Vec<&Record> = open.iter().chain(first).collect();
        // The name is durable before the first record: an old file under its old name must not come back half new.
        let written = self.disk.sync_dir(&self.dir).and_then(|()| segment.append(&records, 0, 0));
        let done = written.and_then(|places| segment.file.sync().map(|()| places));
        match done {
            Ok(mut places) => {
                places.remove(0);
                self.live.write().insert(seq, Arc::clone(&segment));
                Ok((segment, places))
            }
            Err(error) => {
                if let Err(left) = self.disk.unlink(&path) {
                    tracing::warn!(segment = seq, error = %left, "a segment that failed stays behind");
                }
                Err(error)
            }
        }
    }

    /// Takes a segment with nothing alive out of the log, and keeps its file when it may be overwritten.
    ///
    /// The name is gone durably when this returns: what stands in later segments about its entries may then go too.
    pub(crate) fn retire(&self, seq: u64, recycle: bool) -> io::Result<()> {
        let Some(segment) = self.live.write().remove(&seq) else { return Ok(()) };
        let path = self.path(seq);
        let keep = recycle && self.spares.lock().len() < Self::MAX_SPARES;
        // Nobody finds the segment any more; one that still holds it is reading from it.
        match Arc::try_unwrap(segment) {
            Ok(segment) if keep => {
                let spare = path.with_extension("spare");
                self.disk.rename(&path, &spare)?;
                self.spares.lock().push((spare, segment.file));
            }
            _ => self.disk.unlink(&path)?,
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Removes a spare; whether there was one.
    pub(crate) fn drop_spare(&self) -> io::Result<bool> {
        let Some((path, _)) = self.spares.lock().pop() else { return Ok(false) };
        self.disk.unlink(&path)?;
        Ok(true)
    }
}

impl Segment {
    /// Writes records one behind the other from `at` on and says where each is. Not yet durable.
    pub(crate) fn append(&self, records: &[&Record], at: u64, durable: u64) -> io::Result<Vec<Location>> {
        const ZEROS: [u8; ALIGN] = [0; ALIGN];
        let mut place = Location { seq: self.seq, offset: at };
        let mut places = Vec::with_capacity(records.len());
        let mut headers = Vec::with_capacity(records.len());
        for record in records {
            places.push(place);
            headers.push(record.header(place, durable, self.mark).encode());
            place.offset += record.total();
        }
        let mut slices = Vec::with_capacity(records.len() * 4);
        for (record, header) in records.iter().zip(&headers) {
            slices.push(io::IoSlice::new(header));
            slices.push(io::IoSlice::new(&record.meta));
            slices.extend(record.content.iter().map(|piece| io::IoSlice::new(piece)));
            let octets = HEADER_OCTETS + record.meta.len() + record.content_len as usize;
            slices.push(io::IoSlice::new(&ZEROS[..octets.next_multiple_of(ALIGN) - octets]));
        }
        self.file.write_all_at(at, &mut slices)?;
        self.used.fetch_max(place.offset, Ordering::AcqRel);
        Ok(places)
    }
}

/// A number that nobody outside can know: the standard library's hash keys are random.
fn random_mark(seq: u64) -> u32 {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(seq);
    (hasher.finish() >> 16) as u32
}
