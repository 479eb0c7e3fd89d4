//! Local delivery into Maildirs.
//!
//! A message is written to `tmp`, synced, renamed into `new`, and the directory is synced: a reader never sees half of it, and what
//! was reported as delivered is there after a power cut. Directories are made as needed, mode 0700; files have mode 0600.
//!
//! Maildir files end their lines in LF, as the programs that read them expect: CRLF becomes LF, nothing else is altered. On top come
//! Return-Path (RFC 5321 section 4.4) and Delivered-To, by which a message that comes back is known.
//!
//! Names: `SECONDS.M<microseconds>P<process>Q<count>.HOST,S=<octets>`.
//! Everything here waits for the disk: call it from a thread that may.
//! Errors: [`io::Error`]; each is worth another attempt, since a disk can be emptied and a mode be mended.
//! Known gaps: no quota, no mbox.

mod pattern;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Content, Mailbox, Timestamp};

pub use pattern::{MaildirPattern, PatternError};

/// Octets that are read and converted at a time.
const BLOCK_OCTETS: usize = 128 * 1024;

/// Writes messages, many to a round: the directories they went to are synced once, when the round ends.
#[derive(Debug, Default)]
pub(crate) struct MaildirWriter {
    /// Reused from message to message.
    block: Vec<u8>,
    converted: Vec<u8>,
    unsynced: HashSet<PathBuf>,
}

impl MaildirWriter {
    /// Writes one message into a Maildir. It counts as delivered once [`Self::finish`] said so of its directory.
    pub(crate) fn write(
        &mut self,
        maildir: &Path,
        file: &FileName<'_>,
        top: &str,
        content: &Content,
    ) -> io::Result<PathBuf> {
        let draft = Draft::create(maildir, file)?;
        let octets = self.copy(&draft.file, top, content)?;
        draft.file.sync_data()?;
        let new = maildir.join("new");
        draft.publish(&new.join(file.text(Some(octets))))?;
        self.unsynced.insert(new.clone());
        Ok(new)
    }

    /// Makes the names durable. The directories that failed, with their errors.
    pub(crate) fn finish(&mut self) -> Vec<(PathBuf, io::Error)> {
        let sync = |path: PathBuf| match File::open(&path).and_then(|directory| directory.sync_all()) {
            Ok(()) => None,
            Err(error) => Some((path, error)),
        };
        self.unsynced.drain().filter_map(sync).collect()
    }

    /// Writes the fields on top and the content; a small message is one write.
    pub(crate) fn copy(&mut self, mut file: &File, top: &str, content: &Content) -> io::Result<u64> {
        self.converted.clear();
        self.converted.extend(top.bytes().filter(|octet| *octet != b'\r'));
        let (mut offset, mut written, mut held_cr) = (0, 0, false);
        self.block.resize(BLOCK_OCTETS, 0);
        while offset < content.len() {
            let count = content.read_at(offset, &mut self.block)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += count as u64;
            to_lf(&self.block[..count], &mut held_cr, &mut self.converted);
            if offset < content.len() {
                file.write_all(&self.converted)?;
                written += self.converted.len() as u64;
                self.converted.clear();
            }
        }
        if held_cr {
            self.converted.push(b'\r');
        }
        file.write_all(&self.converted)?;
        Ok(written + self.converted.len() as u64)
    }
}

/// Appends octets with CRLF made LF. `held_cr` carries a CR at the end of one block to the next.
fn to_lf(octets: &[u8], held_cr: &mut bool, out: &mut Vec<u8>) {
    if octets.is_empty() {
        return;
    }
    if std::mem::take(held_cr) && octets[0] != b'\n' {
        out.push(b'\r');
    }
    let mut lines = octets.split(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_ended = lines.peek().is_some();
        match line.split_last() {
            Some((b'\r', text)) if is_ended => out.extend_from_slice(text),
            Some((b'\r', text)) => {
                out.extend_from_slice(text);
                *held_cr = true;
            }
            _ => out.extend_from_slice(line),
        }
        if is_ended {
            out.push(b'\n');
        }
    }
}

/// A file in `tmp`, removed unless it is published.
struct Draft {
    file: File,
    path: PathBuf,
    is_published: bool,
}

impl Draft {
    fn create(maildir: &Path, name: &FileName<'_>) -> io::Result<Self> {
        let path = maildir.join("tmp").join(name.text(None));
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(maildir)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { file, path, is_published: false })
    }

    fn publish(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a Maildir, and the directories above it, and makes them durable.
fn make(maildir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    let missing: Vec<&Path> = maildir.ancestors().take_while(|above| !above.exists()).collect();
    for part in ["tmp", "new", "cur"] {
        builder.create(maildir.join(part))?;
    }
    for made in missing.into_iter().chain([maildir]) {
        File::open(made)?.sync_all()?;
        if let Some(above) = made.parent().filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)?.sync_all()?;
        }
    }
    Ok(())
}

/// A name that no other file in any Maildir of this host has.
#[derive(Debug)]
pub(crate) struct FileName<'a> {
    at: Timestamp,
    count: u64,
    host: &'a str,
}

impl<'a> FileName<'a> {
    pub(crate) fn unique(at: Timestamp, host: &'a str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self { at, count: COUNT.fetch_add(1, Ordering::Relaxed), host }
    }

    fn text(&self, octets: Option<u64>) -> String {
        let (seconds, microseconds) = (self.at.0 / 1000, self.at.0 % 1000 * 1000);
        let host = self.host.replace('/', "\\057").replace(':', "\\072");
        let name = format!("{seconds}.M{microseconds}P{}Q{}.{host}", std::process::id(), self.count);
        match octets {
            Some(octets) => format!("{name},S={octets}"),
            None => name,
        }
    }
}

/// The fields that stand on top of a delivered message.
pub(crate) fn top_fields(sender: &model::ReversePath, recipient: &Mailbox) -> String {
    message::return_path(sender) + &message::delivered_to(recipient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::os::unix::fs::PermissionsExt;

    fn converted(blocks: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut held) = (Vec::new(), false);
        for block in blocks {
            to_lf(block, &mut held, &mut out);
        }
        if held {
            out.push(b'\r');
        }
        out
    }

    #[test]
    fn crlf_becomes_lf_wherever_it_is_cut_and_nothing_else_changes() {
        let text = b"a\r\n\r\nb\rc\nd\r\r\n\r";
        let whole = converted(&[text]);
        assert_eq!(whole, b"a\n\nb\rc\nd\r\n\r");
        for cut in 0..=text.len() {
            assert_eq!(converted(&[&text[..cut], &text[cut..]]), whole, "{cut}");
        }
    }

    #[test]
    fn a_message_lands_in_new_byte_for_byte_and_tmp_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let maildir = root.path().join("example.org/ann");
        let content = Content::from(Bytes::from_static(b"Subject: x\r\n\r\n.body\r\n"));
        let mut writer = MaildirWriter::default();
        let name = FileName::unique(Timestamp(1_234_567), "mx/1:2");
        writer.write(&maildir, &name, "Return-Path: <>\r\n", &content).unwrap();
        assert!(writer.finish().is_empty());
        let files: Vec<_> = fs::read_dir(maildir.join("new")).unwrap().map(Result::unwrap).collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(fs::read(file.path()).unwrap(), b"Return-Path: <>\nSubject: x\n\n.body\n");
        let found = file.file_name().into_string().unwrap();
        assert!(found.starts_with("1234.M567000P") && found.ends_with(".mx\\0571\\0722,S=34"), "{found}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for part in ["", "tmp", "new", "cur"] {
            let mode = fs::metadata(maildir.join(part)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{part}");
        }
        assert_eq!(fs::read_dir(maildir.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn content_that_cannot_be_read_leaves_nothing() {
        #[derive(Debug)]
        struct Broken;
        impl model::Source for Broken {
            fn len(&self) -> u64 {
                10
            }
            fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("a bad sector"))
            }
            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
        }
        let root = tempfile::tempdir().unwrap();
        let content = Content::whole(std::sync::Arc::new(Broken));
        let name = FileName::unique(Timestamp(0), "mx");
        assert!(MaildirWriter::default().write(root.path(), &name, "", &content).is_err());
        for part in ["tmp", "new"] {
            assert_eq!(fs::read_dir(root.path().join(part)).unwrap().count(), 0);
        }
    }
}
