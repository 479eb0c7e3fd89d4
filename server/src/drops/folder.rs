//! The side of the server: the folder, and which of its files may be believed.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use config::Config;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fstat, fsync, open, openat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{ASIDE, BEGUN, WHOLE, WRITTEN, in_state};

/// Others write into it and do not list it; what they make has its group; nobody removes what is another's.
const MODE: u32 = 0o3733;
/// Where nobody but the server's user sends.
const MODE_OF_ONE: u32 = 0o700;
/// A file that is still written after this was given up.
const STALE_S: u64 = 24 * 3600;

/// Makes the folder, where there is none. Comes before rights are given up: it may lie in one of root's.
pub(crate) fn make(config: &Config) {
    let Some(path) = &config.submission.drop_dir else { return };
    if path.exists() {
        return;
    }
    if let Err(error) = make_at(path, config) {
        let path = path.display();
        tracing::warn!(%path, %error, "cannot be made: while the server is down, sendmail has nowhere to leave mail");
    }
}

fn make_at(path: &Path, config: &Config) -> io::Result<()> {
    let give = |path: &Path| match &config.process.identity {
        Some(identity) if geteuid().is_root() => chown(path, Some(identity.user_id), Some(identity.group_id)),
        _ => Ok(()),
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        give(parent)?;
        if parent != config.data_dir {
            // Whatever the umask is: users go through it.
            std::fs::set_permissions(parent, Permissions::from_mode(0o755))?;
        }
    }
    DirBuilder::new().mode(0o700).create(path)?;
    give(path)?;
    let mode = if config.submission.mode & 0o022 == 0 { MODE_OF_ONE } else { MODE };
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    dir: OwnedFd,
    pub(super) path: PathBuf,
    /// The group that every file in it has which was made in it.
    group: Option<u32>,
}

/// A file that can be believed.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) file: File,
    pub(super) owner: u32,
    pub(super) octets: u64,
    /// When it was written, in seconds since 1970.
    pub(super) written_s: u64,
}

/// Why a file is none that can be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    #[error("it is gone")]
    Gone,
    /// Later may be better.
    #[error("it cannot be opened: {0}")]
    Unreadable(io::Error),
    #[error("{0}")]
    NotBelieved(&'static str),
}

/// What was found at one look.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) names: Vec<String>,
    pub(super) aside: usize,
}

impl Folder {
    /// # Errors
    /// It is not there, or not the server's alone to remove files from.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        // Otherwise a file could be sent and not removed, or be replaced by somebody else's.
        if stat.st_uid != geteuid().as_raw() {
            return Err(io::Error::other("it does not belong to the server's user"));
        }
        if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
            return Err(io::Error::other("others could rename files in it: it has to be of mode 3733"));
        }
        let group = (stat.st_mode & 0o2000 != 0).then_some(stat.st_gid);
        Ok(Self { dir, path: path.to_owned(), group })
    }

    /// Up to so many whole files of those that are wanted. What was given up while it was written is removed on the way.
    pub(super) fn look(
        &self,
        at_most: usize,
        now_s: u64,
        mut is_wanted: impl FnMut(&str) -> bool,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in Dir::read_from(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with(WRITTEN) {
                self.remove_stale(name, now_s);
            } else if name.starts_with(ASIDE) {
                found.aside += 1;
            } else if (name.starts_with(WHOLE) || name.starts_with(BEGUN))
                && found.names.len() < at_most
                && is_wanted(name)
            {
                found.names.push(name.to_owned());
            }
        }
        Ok(found)
    }

    fn remove_stale(&self, name: &str, now_s: u64) {
        let Ok(stat) = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let written_s = u64::try_from(stat.st_mtime).unwrap_or_default();
        if now_s.saturating_sub(written_s) > STALE_S && self.remove(name).is_ok() {
            tracing::info!(file = name, uid = stat.st_uid, "was never finished, and is removed");
        }
    }

    /// Opens a file, and looks whether its owner alone can have made it, here.
    pub(super) fn file(&self, name: &str) -> Result<Believed, Doubt> {
        // Without waiting for whoever opens the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => Doubt::Gone,
            Errno::LOOP => Doubt::NotBelieved("it is a symbolic link"),
            Errno::NXIO => Doubt::NotBelieved("it is no file"),
            Errno::ACCESS => Doubt::NotBelieved("the server may not read it"),
            error => Doubt::Unreadable(error.into()),
        })?;
        let stat = fstat(&file).map_err(|error| Doubt::Unreadable(error.into()))?;
        let doubts = [
            (FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile, "it is no file"),
            // Somebody else's file, of which this is another name.
            (stat.st_nlink != 1, "it has several links"),
            // Somebody else's file, which was moved here.
            (self.group.is_some_and(|group| group != stat.st_gid), "it was not made here"),
            (stat.st_mode & 0o022 != 0, "others than its owner may write to it"),
        ];
        if let Some((_, why)) = doubts.iter().find(|(doubted, _)| *doubted) {
            return Err(Doubt::NotBelieved(why));
        }
        Ok(Believed {
            file: File::from(file),
            owner: stat.st_uid,
            octets: u64::try_from(stat.st_size).unwrap_or_default(),
            written_s: u64::try_from(stat.st_mtime).unwrap_or_default(),
        })
    }

    /// Gives a file the name of another state, and says it.
    pub(super) fn rename(&self, name: &str, state: &str) -> io::Result<String> {
        let new = in_state(state, name);
        if new != name {
            renameat_with(&self.dir, name, &self.dir, new.as_str(), RenameFlags::NOREPLACE)?;
        }
        Ok(new)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    /// What was removed does not come back after a crash.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.dir)?)
    }
}
