//! What ran under each name before, kept by content, so that a plugin can be rolled back to it, also after a restart.
//!
//! In the server's own directory, for each plugin: `NAME/HASH.wasm`, its `HASH.wasm.minisig` if it was signed, and `NAME/index.json`, which
//! says under which generations each content ran, which one was rolled back to, and how far generations have been counted. Files are
//! replaced by renaming. A damaged index is set aside and counts as none; content that is not what its name says is not used.
//!
//! Limits: so many contents for each plugin ([`crate::Options::kept_generations`]); the one that ran first goes first.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::LoadError;
use crate::component::hash;
use crate::folder::{self, Octets};

/// What is known of one name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Index {
    /// The last generation that was counted.
    pub(crate) generation: u64,
    /// The one that ran last is the last one.
    pub(crate) kept: Vec<Kept>,
    pub(crate) rolled_back: Option<RolledBack>,
}

/// A content that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// SHA-256 of the file.
    pub hash: String,
    /// The first and the last generation in its latest row of generations; changes of settings make more than one.
    pub first_generation: u64,
    pub last_generation: u64,
    /// What it hooked.
    pub hooks: Vec<String>,
}

/// A file that counts for nothing as long as its content stays what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RolledBack {
    /// SHA-256 of the file in the plugins' directory.
    pub file: String,
    /// SHA-256 of what runs instead of it.
    pub to: String,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    /// Nothing: generations are counted for as long as the host lives, and no content is kept.
    dir: Option<PathBuf>,
    keep: usize,
    indexes: Mutex<HashMap<String, Index>>,
}

impl History {
    /// The directory is made when something is kept.
    pub(crate) fn new(dir: &Path, keep: u32) -> Self {
        let dir = (!dir.as_os_str().is_empty() && keep > 0).then(|| dir.to_owned());
        Self { dir, keep: keep as usize, indexes: Mutex::default() }
    }

    /// What is known of a plugin.
    pub(crate) fn of(&self, name: &str) -> Index {
        self.with(name, |index| index.clone())
    }

    fn with<T>(&self, name: &str, look: impl FnOnce(&mut Index) -> T) -> T {
        let mut indexes = self.indexes.lock();
        look(indexes.entry(name.to_owned()).or_insert_with(|| self.read_index(name)))
    }

    fn read_index(&self, name: &str) -> Index {
        let Some(file) = self.folder(name).map(|folder| folder.join("index.json")) else {
            return Index::default();
        };
        match std::fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                let aside = file.with_extension("damaged");
                let moved = std::fs::rename(&file, &aside);
                tracing::warn!(file = %aside.display(), %error, ?moved, "what ran before cannot be read and is set aside");
                Index::default()
            }),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what ran before cannot be read");
                Index::default()
            }
        }
    }

    /// Notes a generation that runs from now on, and keeps its content when it is handed over. A failure costs only the way back.
    pub(crate) fn ran(
        &self,
        name: &str,
        generation: u64,
        hash: &str,
        hooks: &[String],
        octets: Option<&Octets>,
    ) {
        self.with(name, |index| {
            index.generation = index.generation.max(generation);
            match index.kept.last_mut().filter(|last| last.hash == hash) {
                Some(last) => last.last_generation = generation,
                None => {
                    index.kept.retain(|kept| kept.hash != hash);
                    index.kept.push(Kept {
                        hash: hash.to_owned(),
                        first_generation: generation,
                        last_generation: generation,
                        hooks: hooks.to_vec(),
                    });
                }
            }
            let surplus = index.kept.len().saturating_sub(self.keep.max(1));
            let dropped: Vec<_> = index.kept.drain(..surplus).map(|kept| kept.hash).collect();
            self.report(name, self.write(name, index, octets.map(|octets| (hash, octets)), &dropped));
        });
    }

    /// Notes what is rolled back to what, or that nothing is any more.
    ///
    /// # Errors
    /// When that cannot be written: a restart would not know of it.
    pub(crate) fn set_rolled_back(&self, name: &str, rolled_back: Option<RolledBack>) -> io::Result<()> {
        self.with(name, |index| {
            if index.rolled_back == rolled_back {
                return Ok(());
            }
            let before = std::mem::replace(&mut index.rolled_back, rolled_back);
            self.write(name, index, None, &[]).inspect_err(|_| index.rolled_back = before)
        })
    }

    /// A content that ran before.
    pub(crate) fn read(&self, name: &str, wanted: &str, limit: u64) -> Result<Octets, LoadError> {
        let gone = |why: &dyn std::fmt::Display| LoadError::NotKept {
            hash: wanted.to_owned(),
            why: why.to_string(),
        };
        let folder = self.folder(name).ok_or_else(|| gone(&"nothing is kept"))?;
        let wasm =
            folder::read_file(&folder.join(format!("{wanted}.wasm")), limit).map_err(|error| gone(&error))?;
        if hash(&wasm) != wanted {
            return Err(gone(&"it is damaged"));
        }
        let signature = std::fs::read_to_string(folder.join(format!("{wanted}.wasm.minisig"))).ok();
        Ok(Octets { wasm, signature })
    }

    fn write(
        &self,
        name: &str,
        index: &Index,
        octets: Option<(&str, &Octets)>,
        dropped: &[String],
    ) -> io::Result<()> {
        let Some(folder) = self.folder(name) else { return Ok(()) };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if let Some((hash, octets)) = octets {
            let wasm = folder.join(format!("{hash}.wasm"));
            if !wasm.exists() {
                put(&folder, &wasm, &octets.wasm)?;
            }
            if let Some(signature) = &octets.signature {
                put(&folder, &folder.join(format!("{hash}.wasm.minisig")), signature.as_bytes())?;
            }
        }
        put(&folder, &folder.join("index.json"), &serde_json::to_vec(index)?)?;
        for hash in dropped {
            for ending in ["wasm", "wasm.minisig"] {
                match std::fs::remove_file(folder.join(format!("{hash}.{ending}"))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn report(&self, name: &str, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(plugin = name, %error, "what ran could not be kept: there may be no way back to it");
        }
    }

    fn folder(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(name))
    }
}

fn put(folder: &Path, path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(octets)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl Index {
    /// The content that ran under a generation, or whose hash begins so; without either, the latest that is not `running`.
    pub(crate) fn find(&self, wanted: Option<&str>, running: Option<&str>) -> Option<&Kept> {
        let Some(wanted) = wanted else {
            return self.kept.iter().rev().find(|kept| Some(kept.hash.as_str()) != running);
        };
        let generation: Option<u64> = wanted.parse().ok();
        let by_generation = |kept: &&Kept| {
            generation.is_some_and(|wanted| (kept.first_generation..=kept.last_generation).contains(&wanted))
        };
        let wanted = wanted.to_ascii_lowercase();
        let by_hash = |kept: &&Kept| wanted.len() >= 8 && kept.hash.starts_with(&wanted);
        self.kept.iter().find(by_generation).or_else(|| self.kept.iter().find(by_hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> (String, Octets) {
        let wasm = text.as_bytes().to_vec();
        (hash(&wasm), Octets { wasm, signature: None })
    }

    #[test]
    fn so_many_contents_are_kept_and_found_by_generation_and_by_hash() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path(), 3);
        let all: Vec<_> = (1..=5).map(|nth| octets(&format!("content {nth}"))).collect();
        for (nth, (hash, octets)) in all.iter().enumerate() {
            history.ran("x", 2 * nth as u64 + 1, hash, &[], Some(octets));
            history.ran("x", 2 * nth as u64 + 2, hash, &[], None);
        }
        // As after a restart.
        let history = History::new(dir.path(), 3);
        let index = history.of("x");
        assert_eq!(index.generation, 10);
        let found = |wanted: &str| index.find(Some(wanted), None).map(|kept| kept.hash.clone());
        assert_eq!(found("7"), Some(all[3].0.clone()));
        assert_eq!(found("10"), Some(all[4].0.clone()));
        assert_eq!(found(&all[2].0[..8]), Some(all[2].0.clone()));
        for gone in ["1", "4", "11", "", "12345678", &all[2].0[..7]] {
            assert_eq!(found(gone), None, "{gone}");
        }
        assert_eq!(index.find(None, Some(&all[4].0)).map(|kept| &kept.hash), Some(&all[3].0));
        assert_eq!(history.read("x", &all[3].0, 100).unwrap().wasm, b"content 4");
        assert!(matches!(history.read("x", &all[1].0, 100), Err(LoadError::NotKept { .. })));
        let files = std::fs::read_dir(dir.path().join("x")).unwrap().count();
        assert_eq!(files, 4, "three contents and the index");
    }

    #[test]
    fn content_and_an_index_that_are_damaged_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path(), 3);
        let (hash, octets) = octets("content");
        history.ran("x", 1, &hash, &[], Some(&octets));
        std::fs::write(dir.path().join("x").join(format!("{hash}.wasm")), b"Content").unwrap();
        let error = history.read("x", &hash, 100).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        std::fs::write(dir.path().join("x/index.json"), b"{").unwrap();
        assert_eq!(History::new(dir.path(), 3).of("x").generation, 0);
        assert!(dir.path().join("x/index.damaged").exists());
    }
}
