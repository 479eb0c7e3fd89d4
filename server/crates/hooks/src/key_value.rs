//! The key-value space that a plugin may be granted: its own names, on the server's disk, with lifetimes.

use std::fmt;
use std::time::Duration;

use model::Timestamp;

/// A value with the version that its last change gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    pub value: Vec<u8>,
    /// Rises with every change of this key; never 0.
    pub version: u64,
    /// When the value ends; nothing: never.
    pub expires: Option<Timestamp>,
}

/// A page of keys, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KvPage {
    pub keys: Vec<String>,
    pub cursor: Option<String>,
}

/// Why the key-value space did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The key or value is over its limit, or the space is full.
    #[error("over the limit: {0}")]
    Quota(&'static str),
    /// The key is not valid, or the value is not a number where one is counted.
    #[error("{0}")]
    BadInput(String),
    /// The disk failed.
    #[error("the key-value store failed: {0}")]
    Failed(String),
}

/// A key-value store with a space for each plugin. Calls may wait for the disk: ask from a thread that may block.
///
/// Every call is atomic; what it wrote outlives a crash of the process, and about a second later of the machine.
/// A value whose lifetime is over is not there, whoever asks.
pub trait KeyValue: Send + Sync + fmt::Debug {
    /// The value, if there is one that still lives.
    fn get(&self, space: &str, key: &str, now: Timestamp) -> Result<Option<KvValue>, KvError>;

    /// Sets the value and its lifetime; says the new version.
    fn set(
        &self,
        space: &str,
        key: &str,
        value: &[u8],
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<u64, KvError>;

    /// Deletes the key; says whether it was there.
    fn delete(&self, space: &str, key: &str, now: Timestamp) -> Result<bool, KvError>;

    /// Adds to a number and says the sum; a key that is not there counts as 0. The lifetime is set only when the key is made,
    /// so that a window does not slide. The value is the number in decimal.
    fn increment(
        &self,
        space: &str,
        key: &str,
        by: i64,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<i64, KvError>;

    /// Sets the value when the version is still this one (nothing: when the key is not there); says whether it did.
    fn compare_and_set(
        &self,
        space: &str,
        key: &str,
        version: Option<u64>,
        value: &[u8],
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<bool, KvError>;

    /// The keys that begin with `prefix`, in order, from behind `cursor` on; at most `limit`, and at most 1,000.
    fn scan(
        &self,
        space: &str,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
        now: Timestamp,
    ) -> Result<KvPage, KvError>;
}
