//! A key-value store of the plugin's own on the server's disk. It outlives sessions, reloads and restarts. Needs the
//! grant `kv`.
//!
//! Lifetimes are whole seconds, rounded up; `None` lives until it is deleted. Keys, values and their number are limited
//! by the server: [`Error::Quota`], [`Error::BadInput`].

use crate::{Error, host};
use std::time::Duration;

/// A value with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was set.
    pub value: Vec<u8>,
    /// Changes with every change of the value.
    pub version: u64,
    /// Seconds left; `None`: until it is deleted.
    pub ttl_s: Option<u32>,
}

/// The value of a key.
///
/// # Errors
/// [`Error::Denied`] without the grant; [`Error::Unavailable`] when the store fails.
pub fn get(key: &str) -> Result<Option<Entry>, Error> {
    host::kv_get(key)
}

/// Sets a value, for a lifetime. Gives its version.
///
/// # Errors
/// As [`get`], and [`Error::Quota`].
pub fn set(key: &str, value: &[u8], lifetime: impl Into<Option<Duration>>) -> Result<u64, Error> {
    host::kv_set(key, value, ttl_s(lifetime.into()))
}

/// Deletes a key; whether there was one.
///
/// # Errors
/// As [`get`].
pub fn delete(key: &str) -> Result<bool, Error> {
    host::kv_delete(key)
}

/// Adds to a counter, atomically over all sessions, and gives what it is then. A missing one begins at 0. The lifetime
/// counts from the making of the key: it does not slide.
///
/// # Errors
/// As [`set`]; [`Error::BadInput`] when the value is no counter.
pub fn increment(key: &str, by: i64, lifetime: impl Into<Option<Duration>>) -> Result<i64, Error> {
    host::kv_increment(key, by, ttl_s(lifetime.into()))
}

/// Sets a value if its version is still this one (`None`: if there is no such key); whether it did.
///
/// # Errors
/// As [`set`].
pub fn compare_and_set(
    key: &str,
    version: Option<u64>,
    value: &[u8],
    lifetime: impl Into<Option<Duration>>,
) -> Result<bool, Error> {
    host::kv_compare_and_set(key, version, value, ttl_s(lifetime.into()))
}

/// Up to `limit` keys that begin with `prefix`, in their order, after the cursor; and the cursor for the next call if
/// there are more.
///
/// # Errors
/// As [`get`].
pub fn scan(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<(Vec<String>, Option<String>), Error> {
    host::kv_scan(prefix, cursor, limit)
}

fn ttl_s(lifetime: Option<Duration>) -> Option<u32> {
    lifetime.map(|l| {
        let whole = l.as_secs().saturating_add(u64::from(l.subsec_nanos() > 0));
        u32::try_from(whole).unwrap_or(u32::MAX).max(1)
    })
}
