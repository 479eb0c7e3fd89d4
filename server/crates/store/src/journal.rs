//! What the key-value space was told since sled was synced: two files that are written in turn.
//!
//! A record is its length (4) and CRC-32 (4), then version (8), length of the key (2), the key, an octet (1: set, 0: deleted)
//! and the value as it stands in sled. Little-endian. A cut record ends a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::record::{u32_at, u64_at};

/// A change: a key and its new value, or nothing when it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// The two files.
#[derive(Debug)]
pub(crate) struct Journal {
    files: [File; 2],
    active: usize,
    end: u64,
}

impl Journal {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(name))
        };
        Ok(Self { files: [open("journal.0")?, open("journal.1")?], active: 0, end: 0 })
    }

    /// Everything that both files hold, in the order in which it was done.
    pub(crate) fn read(&self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for file in &self.files {
            let mut octets = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
            file.read_exact_at(&mut octets, 0)?;
            let mut rest = octets.as_slice();
            while let Some((change, behind)) = decode(rest) {
                changes.push(change);
                rest = behind;
            }
        }
        changes.sort_by_key(|change| change.version);
        Ok(changes)
    }

    /// Empties both files: sled has it all.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.set_len(0))?;
        self.end = 0;
        Ok(())
    }

    /// Appends a change; it outlives the process.
    pub(crate) fn append(&mut self, change: &Change) -> io::Result<()> {
        let octets = encode(change);
        if let Err(error) = self.files[self.active].write_all_at(&octets, self.end) {
            // What comes next must not stand behind half a record.
            self.files[self.active].set_len(self.end)?;
            return Err(error);
        }
        self.end += octets.len() as u64;
        Ok(())
    }

    /// Goes on in the other file, which is emptied; what was written so far stays until the next turn.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let other = 1 - self.active;
        self.files[other].set_len(0)?;
        (self.active, self.end) = (other, 0);
        Ok(())
    }

    /// Empties the file that is not written: sled has what it says.
    pub(crate) fn forget(&self) -> io::Result<()> {
        self.files[1 - self.active].set_len(0)
    }
}

fn encode(change: &Change) -> Vec<u8> {
    let mut out = vec![0; 8];
    out.extend(change.version.to_le_bytes());
    out.extend(u16::try_from(change.key.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(&change.key);
    out.push(u8::from(change.value.is_some()));
    out.extend(change.value.iter().flatten());
    let len = u32::try_from(out.len() - 8).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(&out[8..]);
    out[..4].copy_from_slice(&len.to_le_bytes());
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(octets: &[u8]) -> Option<(Change, &[u8])> {
    let len = u32_at(octets, 0)? as usize;
    let body = octets.get(8..8 + len)?;
    if crc32fast::hash(body) != u32_at(octets, 4)? {
        return None;
    }
    let version = u64_at(body, 0)?;
    let key_len = usize::from(u16::from_le_bytes(body.get(8..10)?.try_into().ok()?));
    let key = body.get(10..10 + key_len)?.to_vec();
    let value = body.get(11 + key_len..)?;
    let value = (*body.get(10 + key_len)? == 1).then(|| value.to_vec());
    Some((Change { version, key, value }, &octets[8 + len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_record_ends_a_file_and_both_files_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let change = |version, value: Option<&[u8]>| Change {
            version,
            key: b"k".to_vec(),
            value: value.map(<[u8]>::to_vec),
        };
        journal.append(&change(1, Some(b"one"))).unwrap();
        journal.turn().unwrap();
        journal.append(&change(2, None)).unwrap();
        journal.append(&change(3, Some(b"three"))).unwrap();
        let expected = [change(1, Some(b"one")), change(2, None), change(3, Some(b"three"))];
        assert_eq!(Journal::open(dir.path()).unwrap().read().unwrap(), expected);
        journal.files[1].set_len(journal.end - 1).unwrap();
        assert_eq!(journal.read().unwrap(), expected[..2]);
        journal.forget().unwrap();
        assert_eq!(journal.read().unwrap(), expected[1..2]);
    }
}
