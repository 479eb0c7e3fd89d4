//! The queue on a disk: durable before 250, bounded in memory and in room, and whole after a crash.
//!
//! # The layout of the data directory
//!
//! | path | is |
//! |---|---|
//! | `lock` | locked while a server has the directory |
//! | `spool/NNNNNNNN.log` | segments of the log: the truth, see `record.rs` for a record's form |
//! | `spool/NNNNNNNN.spare` | a file that waits to be written again; removed at start |
//! | `spool/large/ID` | content that is too large for a record |
//! | `queue/` | sled: the index over the log, see `tree.rs` for its keys; can always be built anew |
//! | `checkpoint` | up to where the index knows the log |
//! | `kv/` | the plugins' key-value space: sled and a journal |
//! | `corrupt/` | what was damaged and set aside: `ID.record`, `ID.content`, `SEGMENT-OFFSET.octets` |
//! | `corrupt-index/` | the last index that was of no use |
//!
//! # The ways of an entry
//!
//! ```text
//! commit -> jobs -> writer: one write, one fdatasync -> table (memory) -> the caller hears Ok
//!                                                          |
//!        update: table and line for the log in one step ---+--- finished within 3 s: gone, sled never knew
//!                                                          |
//!                                     upkeep, each 3 s: sled, flush, fdatasync, checkpoint
//! ```
//!
//! # Legal states on disk
//!
//! Those of the [`queue`] crate, and:
//!
//! | on disk | means |
//! |---|---|
//! | a segment without a valid record | a crash while it was begun: removed |
//! | records behind the end that the next segment's first record names | a write or sync failed there and its callers heard so: they do not count |
//! | records of another segment number or mark | the file was recycled: they do not count |
//! | sled without the newest log | a crash: the log from the checkpoint on is put on top |
//! | sled ahead of its checkpoint | the same; doing again what sled has changes nothing |
//! | sled behind its checkpoint, damaged or missing | it is built anew from the log |
//! | `queue.new/`, `queue.old/` | a crash while sled was written anew: removed |
//!
//! # Numbers
//!
//! One lane: one writer thread, as fast as several where it was measured. An entry with many recipients is one record in the log, at
//! most a segment long, and many small values in sled, so that no value exceeds 64 KiB; parameters of a recipient have at most
//! 4 KiB, replies and reasons are cut to 1 KiB. Limits are in [`Options`] and [`KvLimits`].
//!
//! Known gaps: sled's file of the key-value space never shrinks.
//!
//! Cancel safety: a commit whose future is dropped still happens.

mod accept;
mod checkpoint;
mod core;
mod disk;
mod jobs;
mod journal;
mod kv;
mod large;
mod memory;
mod options;
mod read;
mod reclaim;
mod record;
mod recovery;
mod segment;
mod settle;
mod store;
mod table;
mod tree;
mod upkeep;
mod writer;

pub use kv::KvStore;
pub use memory::MemoryStore;
pub use options::{KvLimits, OpenError, Options};
pub use recovery::Reading;
pub use store::DiskStore;

#[cfg(test)]
mod fault;
#[cfg(test)]
mod tests;
