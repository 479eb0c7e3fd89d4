//! What became of messages, on disk, so that a start knows of the time before. A convenience and no record: it is not synced, a line that
//! cannot be read is passed over, and when lines come faster than they are written some are left out. Mail never waits for it.
//!
//! A folder with `messages.jsonl`, a JSON object a line, and `messages.old.jsonl`, which that file becomes when it has half of the room;
//! and `outcomes.json`, what was counted over time.
//!
//! Limits: the octets of both files of messages, [`Options::octets`]; a line has half of that at most; [`WAITING`] lines that wait to be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tracing::warn;

/// Lines that wait to be written; more are left out.
const WAITING: usize = 4_096;
const NEW: &str = "messages.jsonl";
const OLD: &str = "messages.old.jsonl";
const OUTCOMES: &str = "outcomes.json";

/// Where it is, and how large it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Made when it is not there.
    pub folder: PathBuf,
    /// Octets of what is kept of messages.
    pub octets: u64,
}

/// A journal that is written. Its thread ends with [`Self::close`].
#[derive(Debug)]
pub(crate) struct Journal {
    options: Options,
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Begins to write behind what is there. What it cannot do is logged, once.
    pub(crate) fn open(options: Options) -> Self {
        let (sender, lines) = sync_channel(WAITING);
        let files = Files { options: options.clone(), open: None, has_failed: false };
        let writer = std::thread::spawn(move || write(files, &lines));
        Self { options, lines: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) }
    }

    /// Adds a line, which has no line end, unless too many wait.
    pub(crate) fn add(&self, line: Vec<u8>) {
        if let Some(lines) = &*self.lines.lock() {
            // Full, or the thread is gone: it is a convenience.
            let _ = lines.try_send(line);
        }
    }

    /// Writes what waits. Nothing is added any more.
    pub(crate) fn close(&self) {
        self.lines.lock().take();
        if let Some(writer) = self.writer.lock().take() {
            // It ends when the last line is written.
            let _ = writer.join();
        }
    }

    /// Every line that is there, the oldest first; of files that are larger than they may be, the end.
    pub(crate) fn read(options: &Options, mut line: impl FnMut(&[u8])) {
        for name in [OLD, NEW] {
            match read_end(&options.folder.join(name), options.octets) {
                Ok(octets) => octets.split(|octet| *octet == b'\n').for_each(&mut line),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warn!(%error, file = name, "what became of messages before cannot be read"),
            }
        }
    }

    /// What was counted over time, as it was saved.
    pub(crate) fn outcomes(options: &Options) -> Option<Vec<u8>> {
        fs::read(options.folder.join(OUTCOMES)).ok()
    }

    /// Saves what was counted over time. May wait for the disk.
    pub(crate) fn save_outcomes(&self, octets: &[u8]) -> io::Result<()> {
        let folder = &self.options.folder;
        fs::create_dir_all(folder)?;
        let half_done = folder.join("outcomes.new");
        fs::write(&half_done, octets)?;
        fs::rename(half_done, folder.join(OUTCOMES))
    }
}

fn read_end(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let octets = file.metadata()?.len();
    file.seek(SeekFrom::Start(octets.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok(end)
}

fn write(mut files: Files, lines: &Receiver<Vec<u8>>) {
    while let Ok(first) = lines.recv() {
        let written = files.append(&first).and_then(|()| {
            lines.try_iter().try_for_each(|line| files.append(&line))?;
            files.flush()
        });
        match written {
            Ok(()) => files.has_failed = false,
            Err(error) => files.fail(&error),
        }
    }
}

/// The files, as the thread has them.
struct Files {
    options: Options,
    /// The newer one, with its octets.
    open: Option<(BufWriter<File>, u64)>,
    has_failed: bool,
}

impl Files {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let octets = line.len() as u64 + 1;
        if octets > self.options.octets / 2 {
            // It would take the room of all others.
            return Ok(());
        }
        let is_full = |(_, size): &(BufWriter<File>, u64)| *size + octets > self.options.octets / 2;
        let (mut file, size) = match self.open.take() {
            Some(open) if !is_full(&open) => open,
            Some((mut file, _)) => {
                file.flush()?;
                self.begin()?
            }
            None => self.go_on()?,
        };
        file.write_all(line)?;
        file.write_all(b"\n")?;
        self.open = Some((file, size + octets));
        Ok(())
    }

    fn begin(&self) -> io::Result<(BufWriter<File>, u64)> {
        let folder = &self.options.folder;
        fs::rename(folder.join(NEW), folder.join(OLD))?;
        Ok((BufWriter::new(File::create(folder.join(NEW))?), 0))
    }

    /// Behind what is there. The last line of it may have been cut.
    fn go_on(&self) -> io::Result<(BufWriter<File>, u64)> {
        fs::create_dir_all(&self.options.folder)?;
        let mut file = OpenOptions::new().append(true).create(true).open(self.options.folder.join(NEW))?;
        let size = file.metadata()?.len();
        if size > 0 {
            file.write_all(b"\n")?;
        }
        Ok((BufWriter::new(file), size))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }

    /// The next line begins with the file anew.
    fn fail(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            warn!(%error, folder = %self.options.folder.display(), "what became of messages cannot be written, and is forgotten by a restart");
        }
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(options: &Options) -> Vec<String> {
        let mut lines = Vec::new();
        Journal::read(options, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines.retain(|line| !line.is_empty());
        lines
    }

    #[test]
    fn the_last_lines_are_there_after_another_start_within_the_room() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().join("history"), octets: 1_000 };
        for start in 0..3 {
            let journal = Journal::open(options.clone());
            (0..50).for_each(|nth| journal.add(format!("line {start} {nth}").into_bytes()));
            journal.close();
            journal.add(b"too late".to_vec());
        }
        let read = lines(&options);
        assert_eq!(read.last().map(String::as_str), Some("line 2 49"));
        assert!((40..100).contains(&read.len()), "{read:?}");
        let sizes = [OLD, NEW].map(|name| fs::metadata(options.folder.join(name)).unwrap().len());
        assert!(sizes.iter().sum::<u64>() <= 1_000, "{sizes:?}");
    }

    #[test]
    fn a_line_that_is_larger_than_a_file_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), octets: 100 };
        let journal = Journal::open(options.clone());
        [&b"before"[..], &[b'x'; 50], b"after"].iter().for_each(|line| journal.add(line.to_vec()));
        journal.close();
        assert_eq!(lines(&options), ["before", "after"]);
    }

    #[test]
    fn a_line_that_was_cut_spoils_no_other_and_a_folder_that_cannot_be_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), octets: 1_000 };
        fs::write(folder.path().join(NEW), b"whole\ncu").unwrap();
        let journal = Journal::open(options.clone());
        journal.add(b"next".to_vec());
        journal.close();
        assert_eq!(lines(&options), ["whole", "cu", "next"]);
        // Larger than it may be by now.
        assert_eq!(lines(&Options { octets: 7, ..options.clone() }), ["u", "next"]);
        let nowhere = Options { folder: folder.path().join(NEW), octets: 1_000 };
        let journal = Journal::open(nowhere.clone());
        journal.add(b"lost".to_vec());
        journal.close();
        assert!(lines(&nowhere).is_empty() && journal.save_outcomes(b"{}").is_err());
    }
}
