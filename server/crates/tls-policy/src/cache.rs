//! Policies on the disk: one file for a domain, whole or not at all, so that a policy outlives a restart (RFC 8461 section 5.1).
//!
//! A file that cannot be read back is passed over and written anew with the next policy.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// Octets of a file: those of a policy, escaped, and a little around them.
const MAX_FILE: u64 = 512 * 1024;

/// A policy that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) policy: Policy,
    pub(crate) until: Timestamp,
    pub(crate) text: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    fetched_ms: u64,
    text: String,
}

impl Kept {
    pub(crate) fn new(id: &str, text: &[u8], policy: Policy, fetched: Timestamp) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        Self { id: id.to_owned(), until: fetched + policy.max_age, policy, text }
    }
}

/// The file of a domain, which is in A-labels and lower case: nothing in such a name leads out of the folder.
fn file(folder: &Path, domain: &str) -> Option<PathBuf> {
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let is_safe = domain.bytes().all(is_name) && !domain.starts_with('.') && !domain.is_empty();
    is_safe.then(|| folder.join(format!("{domain}.json")))
}

pub(crate) fn read(folder: &Path, domain: &str) -> Option<Kept> {
    let file = file(folder, domain)?;
    if fs::metadata(&file).ok()?.len() > MAX_FILE {
        return None;
    }
    let stored: Stored = serde_json::from_slice(&fs::read(&file).ok()?)
        .inspect_err(
            |error| tracing::warn!(file = %file.display(), %error, "a kept MTA-STS policy is damaged"),
        )
        .ok()?;
    let policy = Policy::parse(stored.text.as_bytes()).ok()?;
    Some(Kept::new(&stored.id, stored.text.as_bytes(), policy, Timestamp(stored.fetched_ms)))
}

pub(crate) fn write(folder: &Path, domain: &str, kept: &Kept, fetched: Timestamp) -> io::Result<()> {
    let Some(file) = file(folder, domain) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let stored = Stored { id: kept.id.clone(), fetched_ms: fetched.0, text: kept.text.clone() };
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(&serde_json::to_vec(&stored)?)?;
    beside.as_file().sync_all()?;
    beside.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_and_damage_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 60\n";
        let kept = Kept::new("1", text, Policy::parse(text).unwrap(), Timestamp(1_000));
        write(folder.path(), "example.org", &kept, Timestamp(1_000)).unwrap();
        assert_eq!(read(folder.path(), "example.org"), Some(kept.clone()));
        assert_eq!(kept.until, Timestamp(61_000));
        assert_eq!(read(folder.path(), "example.net"), None);
        fs::write(folder.path().join("example.org.json"), b"{\"id\":").unwrap();
        assert_eq!(read(folder.path(), "example.org"), None);
        assert_eq!(file(folder.path(), "../x"), None);
        assert_eq!(file(folder.path(), "a/b"), None);
    }
}
