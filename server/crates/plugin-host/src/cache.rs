//! Compiled plugins on disk, so that a restart does not compile them again.
//!
//! A file holds the SHA-256 of the compiled bytes, then these bytes. Its name has the hash of the component
//! and one of the engine's version and settings, so that another server finds nothing that it could not use.
//! The directory belongs to the server alone (mode 0700): machine code in it is run as it stands.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Files that are kept; the ones that were written first go.
const MAX_FILES: usize = 64;
/// Octets of the hash before the compiled bytes.
const HASH_OCTETS: usize = 32;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Makes the directory, or checks that nobody else can write in it.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = std::fs::symlink_metadata(dir)?;
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned()));
        if !metadata.is_dir() {
            return refuse("it is no directory");
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return refuse("it belongs to another user");
        }
        if metadata.mode() & 0o077 != 0 {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The compiled component, when there is one and it is as it was written.
    pub(crate) fn load(&self, engine: &Engine, hash: &str) -> Option<Component> {
        let path = self.path(engine, hash);
        let file = std::fs::read(&path).ok()?;
        let (expected, compiled) = file.split_at_checked(HASH_OCTETS)?;
        if Sha256::digest(compiled).as_slice() != expected {
            tracing::warn!(file = %path.display(), "a compiled plugin is damaged; it is compiled again");
            return None;
        }
        deserialize(engine, compiled)
            .inspect_err(
                |error| tracing::warn!(file = %path.display(), %error, "a compiled plugin does not load"),
            )
            .ok()
    }

    /// Keeps a compiled component. A failure costs only the next start's time.
    pub(crate) fn store(&self, engine: &Engine, hash: &str, component: &Component) {
        if let Err(error) = self.write(engine, hash, component) {
            tracing::warn!(dir = %self.dir.display(), %error, "a compiled plugin could not be kept");
        }
    }

    fn write(&self, engine: &Engine, hash: &str, component: &Component) -> io::Result<()> {
        let compiled = component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&Sha256::digest(&compiled))?;
        file.write_all(&compiled)?;
        file.persist(self.path(engine, hash)).map_err(|error| error.error)?;
        self.prune()
    }

    fn path(&self, engine: &Engine, hash: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{hash}-{:016x}.compiled", hasher.finish()))
    }

    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort();
        for (_, path) in files.iter().take(files.len().saturating_sub(MAX_FILES)) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "machine code that was compiled before can only be trusted, not checked")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `Component::serialize` gave: their hash was just compared with the one
    // written beside them, in a directory that only this server's user can write to (`Cache::open`). wasmtime
    // itself refuses what another version or another configuration compiled.
    unsafe { Component::deserialize(engine, compiled) }
}
