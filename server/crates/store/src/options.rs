//! What a store is opened with, and why it may not be.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where the store is, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The directory that holds everything; made when it is not there.
    pub dir: PathBuf,
    /// Octets of a segment of the log; at least 1 MiB.
    pub segment_octets: u64,
    /// Content up to this many octets stands in the log, larger content in a file of its own. At most an eighth of a segment.
    pub inline_octets: usize,
    /// Octets of free space below which nothing is taken on (`queue.min-free`).
    pub min_free_octets: u64,
    /// Entries that the queue may hold.
    pub max_entries: u64,
    /// An entry that is done within this time never touches sled: most first attempts, over the internet too, take one or two seconds.
    pub settle_delay: Duration,
    /// Recipients of entries that are kept in memory until sled has them: about 1 KiB each. Beyond, commits wait.
    pub memory_recipients: usize,
    /// Limits of each plugin's key-value space.
    pub key_value: KvLimits,
}

impl Options {
    /// The defaults, in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_octets: 64 << 20,
            inline_octets: 256 << 10,
            min_free_octets: 512 << 20,
            max_entries: 5_000_000,
            settle_delay: Duration::from_secs(3),
            memory_recipients: 200_000,
            key_value: KvLimits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.segment_octets < 1 << 20 {
            return Err(OpenError::Options("a segment has at least 1 MiB"));
        }
        if self.inline_octets as u64 > self.segment_octets / 8 {
            return Err(OpenError::Options("content in the log has at most an eighth of a segment"));
        }
        if self.memory_recipients < 1000 {
            return Err(OpenError::Options("at least 1,000 recipients are kept in memory"));
        }
        Ok(())
    }
}

/// Limits of a key-value space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLimits {
    /// Keys in one space.
    pub keys: u64,
    /// Octets of keys and values in one space.
    pub octets: u64,
}

impl KvLimits {
    /// Octets of a key.
    pub const KEY_OCTETS: usize = 512;
    /// Octets of a value.
    pub const VALUE_OCTETS: usize = 64 << 10;
    /// Octets of a space's name.
    pub const SPACE_OCTETS: usize = 128;
}

impl Default for KvLimits {
    fn default() -> Self {
        Self { keys: 1_000_000, octets: 256 << 20 }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server runs on this directory.
    #[error("{} is in use by another server", .0.display())]
    Locked(PathBuf),
    /// The disk failed, or permission is missing.
    #[error("{}: {source}", .path.display())]
    Disk { path: PathBuf, source: io::Error },
    /// The index cannot be opened, not even a new one.
    #[error("the index in {}: {reason}", .path.display())]
    Index { path: PathBuf, reason: String },
    /// An option is out of its bounds.
    #[error("{0}")]
    Options(&'static str),
}
