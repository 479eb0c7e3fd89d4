//! Up to where sled knows the log: a small file with two slots that are written in turn.
//!
//! A slot is the number that sled has (8), the store's mark (8), the place in the log (16), the highest id that was given
//! out (8), the slot's serial number (8) and the CRC-32 of these (4), little-endian, in a sector of its own. A torn write spoils one slot and leaves the one before. Sled's own number is never lower than that of the
//! newest slot; where it is, sled lost what it had, and the index is built anew from the log.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::record::{Location, u32_at, u64_at};

const SLOT_OCTETS: u64 = 512;
const USED_OCTETS: usize = 52;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Rises with every checkpoint.
    pub(crate) serial: u64,
    /// Rises when sled was told something; sled's own is this or higher.
    pub(crate) number: u64,
    /// The same as in sled, so that neither is taken for that of another store.
    pub(crate) mark: u64,
    pub(crate) at: Location,
    pub(crate) last_id: u64,
}

/// The file.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    file: Arc<dyn DiskFile>,
}

impl CheckpointFile {
    /// Opens or makes the file.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let path = dir.join("checkpoint");
        let file = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.create(&path)?;
                disk.sync_dir(dir)?;
                file
            }
            other => other?,
        };
        Ok(Self { file })
    }

    /// The newest whole slot.
    pub(crate) fn read(&self) -> io::Result<Option<Checkpoint>> {
        let mut newest: Option<Checkpoint> = None;
        for slot in 0..2 {
            let mut octets = [0; USED_OCTETS];
            let whole = self.file.read_at(slot * SLOT_OCTETS, &mut octets)? == USED_OCTETS;
            let found = Some(octets).filter(|_| whole).and_then(|octets| decode(&octets));
            newest = [newest, found].into_iter().flatten().max_by_key(|checkpoint| checkpoint.serial);
        }
        Ok(newest)
    }

    /// Writes a slot, durably.
    pub(crate) fn write(&self, checkpoint: Checkpoint) -> io::Result<()> {
        let mut octets = [0; USED_OCTETS];
        octets[..8].copy_from_slice(&checkpoint.number.to_le_bytes());
        octets[8..16].copy_from_slice(&checkpoint.mark.to_le_bytes());
        octets[16..24].copy_from_slice(&checkpoint.at.seq.to_le_bytes());
        octets[24..32].copy_from_slice(&checkpoint.at.offset.to_le_bytes());
        octets[32..40].copy_from_slice(&checkpoint.last_id.to_le_bytes());
        octets[40..48].copy_from_slice(&checkpoint.serial.to_le_bytes());
        let crc = crc32fast::hash(&octets[..48]);
        octets[48..].copy_from_slice(&crc.to_le_bytes());
        let slot = checkpoint.serial % 2;
        self.file.write_all_at(slot * SLOT_OCTETS, &mut [IoSlice::new(&octets)])?;
        self.file.sync()
    }
}

fn decode(octets: &[u8]) -> Option<Checkpoint> {
    let sound = u32_at(octets, 48)? == crc32fast::hash(&octets[..48]);
    let at = Location { seq: u64_at(octets, 16)?, offset: u64_at(octets, 24)? };
    let checkpoint = Checkpoint {
        serial: u64_at(octets, 40)?,
        number: u64_at(octets, 0)?,
        mark: u64_at(octets, 8)?,
        at,
        last_id: u64_at(octets, 32)?,
    };
    Some(checkpoint).filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = CheckpointFile::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(file.read().unwrap(), None);
        let nth = |number| Checkpoint {
            serial: number,
            number,
            mark: 9,
            at: Location { seq: number, offset: 64 },
            last_id: 5,
        };
        for number in 1..=3 {
            file.write(nth(number)).unwrap();
            assert_eq!(file.read().unwrap(), Some(nth(number)));
        }
        file.file.write_all_at(SLOT_OCTETS + 3, &mut [IoSlice::new(&[0xff])]).unwrap();
        assert_eq!(file.read().unwrap(), Some(nth(2)));
    }
}
