//! The plugins that an operator has disabled, kept over a restart.
//!
//! The file `.disabled.json` in the history's directory has their names, and since when; no plugin's own folder there begins with a dot. It
//! is replaced by renaming, and an order counts once it is on the disk. A damaged file is set aside and counts as none: the plugins run,
//! for a filter that is left out by accident would let everything through.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::Timestamp;

const FILE_NAME: &str = ".disabled.json";

#[derive(Debug, Default)]
pub(crate) struct Disabled {
    /// Nothing: orders last as long as the host.
    dir: Option<PathBuf>,
    since: BTreeMap<String, Timestamp>,
}

impl Disabled {
    /// Reads what was ordered before. The directory is made when there is something to keep.
    pub(crate) fn open(dir: &Path) -> Self {
        let dir = (!dir.as_os_str().is_empty()).then(|| dir.to_owned());
        let since = dir.as_deref().map(read).unwrap_or_default();
        Self { dir, since }
    }

    /// Since when a plugin is disabled.
    pub(crate) fn since(&self, name: &str) -> Option<Timestamp> {
        self.since.get(name).copied()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.since.iter().map(|(name, since)| (name.as_str(), *since))
    }

    /// Disables a plugin as of some time, or takes that back.
    ///
    /// # Errors
    /// When that cannot be written; everything stays as it was then.
    pub(crate) fn set(&mut self, name: &str, since: Option<Timestamp>) -> io::Result<()> {
        let mut after = self.since.clone();
        match since {
            Some(since) => after.insert(name.to_owned(), since),
            None => after.remove(name),
        };
        if let Some(dir) = &self.dir {
            write(dir, &after)?;
        }
        self.since = after;
        Ok(())
    }
}

fn read(dir: &Path) -> BTreeMap<String, Timestamp> {
    let file = dir.join(FILE_NAME);
    match std::fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
            let aside = file.with_extension("damaged");
            let moved = std::fs::rename(&file, &aside);
            tracing::error!(file = %aside.display(), %error, ?moved, "which plugins are disabled cannot be read and is set aside: all of them run");
            BTreeMap::new()
        }),
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "which plugins are disabled cannot be read: all of them run");
            BTreeMap::new()
        }
    }
}

fn write(dir: &Path, since: &BTreeMap<String, Timestamp>) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(since)?)?;
    file.as_file().sync_data()?;
    file.persist(dir.join(FILE_NAME)).map_err(|error| error.error)?;
    // The name is on the disk when the directory is.
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ordered_is_known_after_a_restart_and_a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut disabled = Disabled::open(dir.path());
        disabled.set("a", Some(Timestamp(1))).unwrap();
        disabled.set("b", Some(Timestamp(2))).unwrap();
        disabled.set("a", None).unwrap();
        let again = Disabled::open(dir.path());
        assert_eq!(again.iter().collect::<Vec<_>>(), [("b", Timestamp(2))]);
        std::fs::write(dir.path().join(FILE_NAME), b"{").unwrap();
        assert_eq!(Disabled::open(dir.path()).since("b"), None);
        assert!(dir.path().join(".disabled.damaged").exists());
    }

    #[test]
    fn an_order_that_cannot_be_kept_does_not_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut disabled = Disabled::open(file.path());
        assert!(disabled.set("a", Some(Timestamp(1))).is_err());
        assert_eq!(disabled.since("a"), None);
    }
}
