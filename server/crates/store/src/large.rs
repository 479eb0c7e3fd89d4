//! Spool files: content that is too large for a record, one file each, written as it arrives.
//!
//! A file lives as long as an entry names it or somebody holds it open. What an entry names is durable: `finish` syncs the
//! file and its directory before any record can name it. Files that no record names are removed at start. The record has the
//! CRC-32 of the file, which is held against it when the file is opened for the first time after a start.

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{QueueId, Source};
use parking_lot::Mutex;
use queue::SpoolWriter;

use crate::disk::{Disk, DiskFile};
use crate::record::LargeContent;

/// Octets that are read at once when a file is looked through.
const READ_OCTETS: usize = 256 << 10;

/// Who uses a spool file.
#[derive(Debug, Default)]
struct Use {
    /// Entries in the queue.
    entries: u32,
    /// Writers and sources.
    open: u32,
    octets: u64,
    /// Its octets were written by this process, or agreed with their checksum since.
    is_sound: bool,
}

/// The spool files that are in use.
#[derive(Debug)]
pub(crate) struct LargeFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    uses: Mutex<HashMap<u64, Use>>,
}

impl LargeFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, uses: Mutex::default() }
    }

    fn path(&self, file: u64) -> PathBuf {
        self.dir.join(QueueId(file).to_string())
    }

    /// Forgets who names what.
    pub(crate) fn forget(&self) {
        self.uses.lock().clear();
    }

    /// Counts one more entry that names the file.
    pub(crate) fn named(&self, file: u64) {
        self.uses.lock().entry(file).or_default().entries += 1;
    }

    /// Counts one entry less. Call this only once it is durable that the entry is gone.
    pub(crate) fn released(&self, file: u64) {
        self.less(file, |used| used.entries = used.entries.saturating_sub(1));
    }

    fn closed(&self, file: u64) {
        self.less(file, |used| used.open = used.open.saturating_sub(1));
    }

    fn less(&self, file: u64, change: impl FnOnce(&mut Use)) {
        let mut uses = self.uses.lock();
        let Some(used) = uses.get_mut(&file) else { return };
        change(used);
        if used.entries == 0 && used.open == 0 {
            uses.remove(&file);
            if let Err(error) = self.disk.unlink(&self.path(file))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %QueueId(file), %error, "a spool file stays behind");
            }
        }
    }

    /// Octets of all files.
    pub(crate) fn disk_octets(&self) -> u64 {
        self.uses.lock().values().map(|used| used.octets).sum()
    }

    /// Removes the files that no entry names, and measures the others; says how many were removed.
    pub(crate) fn remove_orphans(&self) -> io::Result<usize> {
        let mut removed = 0;
        for name in self.disk.list(&self.dir)? {
            let path = self.dir.join(&name);
            let mut uses = self.uses.lock();
            match name.parse::<QueueId>().ok().and_then(|file| uses.get_mut(&file.0)) {
                Some(used) => used.octets = self.disk.open(&path)?.len()?,
                None => {
                    self.disk.unlink(&path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Moves a file away, as its entry is damaged.
    pub(crate) fn set_aside(&self, file: u64, to: &Path) -> io::Result<()> {
        self.uses.lock().remove(&file);
        self.disk.rename(&self.path(file), to)
    }

    /// The highest number of a file that is there.
    pub(crate) fn newest(&self) -> io::Result<u64> {
        let names = self.disk.list(&self.dir)?;
        Ok(names.iter().filter_map(|name| name.parse::<QueueId>().ok()).map(|id| id.0).max().unwrap_or(0))
    }

    /// Begins a file. `limit` is the free space below which a write is refused.
    pub(crate) fn create(self: &Arc<Self>, file: u64, reserve: u64) -> io::Result<LargeWriter> {
        self.uses.lock().entry(file).or_default().open += 1;
        let open = Arc::new(Open { files: Arc::clone(self), file });
        let disk_file = self.disk.create(&self.path(file))?;
        let crc = crc32fast::Hasher::new();
        Ok(LargeWriter { open, disk_file, octets: 0, crc, checked: 0, reserve })
    }

    /// Opens a file that an entry names, and looks once whether it is what was written.
    ///
    /// # Errors
    /// `NotFound`; `UnexpectedEof` and `InvalidData` for a file that is damaged.
    pub(crate) fn source(
        self: &Arc<Self>,
        file: u64,
        written: &LargeContent,
    ) -> io::Result<Arc<LargeSource>> {
        let is_sound = {
            let mut uses = self.uses.lock();
            let used = uses.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
            used.open += 1;
            used.is_sound
        };
        let open = Arc::new(Open { files: Arc::clone(self), file });
        let disk_file = self.disk.open(&self.path(file))?;
        let octets = disk_file.len()?;
        if octets != written.octets {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let source = LargeSource { open, disk_file, octets, crc: written.crc };
        if let Some(crc) = written.crc.filter(|_| !is_sound) {
            if source.checksum()? != crc {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.uses.lock().entry(file).or_default().is_sound = true;
        }
        Ok(Arc::new(source))
    }
}

/// A file that a record is about to name: released again unless the record became durable.
#[derive(Debug)]
pub(crate) struct Named {
    files: Arc<LargeFiles>,
    file: u64,
    kept: bool,
}

impl Named {
    pub(crate) fn new(files: &Arc<LargeFiles>, file: u64) -> Self {
        files.named(file);
        Self { files: Arc::clone(files), file, kept: false }
    }

    /// The record is durable; says the file's number.
    pub(crate) fn keep(mut self) -> u64 {
        self.kept = true;
        self.file
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.kept {
            self.files.released(self.file);
        }
    }
}

/// Holds a file open; the last holder of a file that no entry names removes it.
#[derive(Debug)]
struct Open {
    files: Arc<LargeFiles>,
    file: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.files.closed(self.file);
    }
}

/// A spool file that is being written.
#[derive(Debug)]
pub(crate) struct LargeWriter {
    open: Arc<Open>,
    disk_file: Arc<dyn DiskFile>,
    octets: u64,
    crc: crc32fast::Hasher,
    /// Octets at which the free space was looked at last.
    checked: u64,
    reserve: u64,
}

impl LargeWriter {
    /// Octets between two looks at the free space.
    const CHECK_EVERY: u64 = 16 << 20;

    fn check_space(&mut self) -> io::Result<()> {
        if self.octets - self.checked >= Self::CHECK_EVERY {
            self.checked = self.octets;
            if self.open.files.disk.free_octets(&self.open.files.dir)? < self.reserve {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "less free space than the reserve"));
            }
        }
        Ok(())
    }

    pub(crate) fn complete(self) -> io::Result<Arc<LargeSource>> {
        self.disk_file.sync()?;
        self.open.files.disk.sync_dir(&self.open.files.dir)?;
        if let Some(used) = self.open.files.uses.lock().get_mut(&self.open.file) {
            used.octets = self.octets;
            used.is_sound = true;
        }
        let crc = Some(self.crc.finalize());
        Ok(Arc::new(LargeSource { open: self.open, disk_file: self.disk_file, octets: self.octets, crc }))
    }
}

impl SpoolWriter for LargeWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.check_space()?;
        self.disk_file.write_all_at(self.octets, &mut [IoSlice::new(octets)])?;
        self.crc.update(octets);
        self.octets += octets.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Arc<dyn Source>> {
        Ok(self.complete()?)
    }
}

/// A spool file that is whole.
#[derive(Debug)]
pub(crate) struct LargeSource {
    open: Arc<Open>,
    disk_file: Arc<dyn DiskFile>,
    octets: u64,
    /// Not known of a file that an older version wrote.
    crc: Option<u32>,
}

impl LargeSource {
    /// The file's number, if it is one of these files.
    pub(crate) fn file_in(&self, files: &Arc<LargeFiles>) -> Option<u64> {
        Arc::ptr_eq(&self.open.files, files).then_some(self.open.file)
    }

    /// What the record that names the file says of its octets.
    pub(crate) fn crc(&self) -> Option<u32> {
        self.crc
    }

    /// Reads the whole file.
    fn checksum(&self) -> io::Result<u32> {
        let (mut crc, mut buffer, mut offset) = (crc32fast::Hasher::new(), vec![0; READ_OCTETS], 0);
        loop {
            let count = self.disk_file.read_at(offset, &mut buffer)?;
            if count == 0 {
                return Ok(crc.finalize());
            }
            crc.update(&buffer[..count]);
            offset += count as u64;
        }
    }
}

impl Source for LargeSource {
    fn len(&self) -> u64 {
        self.octets
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk_file.read_at(offset, buffer)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
