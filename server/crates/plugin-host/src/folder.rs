//! The plugins' directory: what lies in it, and how a file is read so that nothing in it can surprise the host.
//!
//! Only regular files within the directory are read: a link that leads out of it, a folder, a pipe or a device is refused by its name.
//! A file that changes while it is read is refused until it is quiet.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use crate::LoadError;

/// Octets of a plugin's name.
const MAX_NAME_OCTETS: usize = 64;
/// Octets of a signature's file; two lines of 100 and two comments.
const MAX_SIGNATURE_OCTETS: u64 = 64 << 10;
/// A file whose time of change is younger than this may change again without another time.
const TIME_GRAIN: Duration = Duration::from_millis(20);

/// What tells one state of a file, and of its signature, from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    file: State,
    signature: State,
}

/// Nothing where there is no file, or where it cannot be looked at.
type State = Option<(u64, Option<SystemTime>, u64)>;

/// A plugin's file as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Octets {
    pub(crate) wasm: Vec<u8>,
    /// The text of `NAME.wasm.minisig`.
    pub(crate) signature: Option<String>,
}

/// The plugins' files: names without `.wasm`. What begins with a dot is somebody's unfinished work; a directory that is not
/// there has none.
pub(crate) fn scan(dir: &Path) -> io::Result<BTreeMap<String, Fingerprint>> {
    let mut found = BTreeMap::new();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        // What is no UTF-8 is no name, and is refused by the one that it nearly has.
        let file_name = entry?.file_name();
        let file_name = file_name.to_string_lossy();
        let Some(name) = file_name.strip_suffix(".wasm") else { continue };
        if name.is_empty() || name.starts_with('.') {
            continue;
        }
        if let Some(fingerprint) = Fingerprint::of(dir, name) {
            found.insert(name.to_owned(), fingerprint);
        }
    }
    Ok(found)
}

/// Whether a plugin may be called so.
pub(crate) fn check_name(name: &str) -> Result<(), LoadError> {
    let fits = (1..=MAX_NAME_OCTETS).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits { Ok(()) } else { Err(LoadError::Name) }
}

impl Fingerprint {
    /// Nothing when there is no file. A link within the directory counts as what it points to.
    pub(crate) fn of(dir: &Path, name: &str) -> Option<Self> {
        let path = dir.join(format!("{name}.wasm"));
        let file = match std::fs::metadata(&path) {
            Ok(metadata) => state(&metadata),
            // A name that is no UTF-8 is not found under the one that it nearly has; a link may lead to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !path.is_symlink() && check_name(name).is_ok() {
                    return None;
                }
                None
            }
            // There is something; why it cannot be read is said when it is loaded.
            Err(_) => None,
        };
        let signature = std::fs::metadata(signature_of(&path)).ok().and_then(|metadata| state(&metadata));
        Some(Self { file, signature })
    }
}

fn state(metadata: &Metadata) -> State {
    Some((metadata.len(), metadata.modified().ok(), metadata.ino()))
}

fn signature_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Reads a plugin of the directory, with its signature if it has one.
pub(crate) fn read(dir: &Path, name: &str, limit: u64) -> Result<Octets, LoadError> {
    let path = dir.join(format!("{name}.wasm"));
    let wasm = read_within(dir, &path, limit)?;
    let signature_file = signature_of(&path);
    let signature = match std::fs::symlink_metadata(&signature_file) {
        Err(_) => None,
        Ok(_) => {
            let octets = read_within(dir, &signature_file, MAX_SIGNATURE_OCTETS)
                .map_err(|error| LoadError::Signature(format!("its signature {error}")))?;
            Some(String::from_utf8_lossy(&octets).into_owned())
        }
    };
    Ok(Octets { wasm, signature })
}

fn read_within(dir: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let real = |path: &Path| path.canonicalize().map_err(|error| LoadError::Read(error.to_string()));
    let (dir, target) = (real(dir)?, real(path)?);
    if !target.starts_with(&dir) {
        return Err(LoadError::Outside(target));
    }
    read_file(&target, limit)
}

/// The octets of a regular file, when they are not too many and stay as they are meanwhile.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    read_while(path, limit, || {})
}

/// As [`read_file`]; `meanwhile` happens in the middle of it.
fn read_while(path: &Path, limit: u64, meanwhile: impl FnOnce()) -> Result<Vec<u8>, LoadError> {
    let fail = |error: io::Error| LoadError::Read(error.to_string());
    // To open a pipe must not wait for its writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    let before = file.metadata().map_err(fail)?;
    if !before.is_file() {
        return Err(LoadError::NoFile);
    }
    if before.len() > limit {
        return Err(LoadError::TooLarge(limit));
    }
    let octets = read_to_end(&mut file, limit).map_err(fail)?;
    meanwhile();
    let after = file.metadata().map_err(fail)?;
    let is_as_before = state(&before) == state(&after) && octets.len() as u64 == after.len();
    if !is_as_before {
        return Err(LoadError::Changing);
    }
    let again = || File::open(path).and_then(|mut file| read_to_end(&mut file, limit)).map_err(fail);
    if is_young(&after) && again()? != octets {
        return Err(LoadError::Changing);
    }
    Ok(octets)
}

fn read_to_end(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Whether another change could leave the time of change as it is.
fn is_young(metadata: &Metadata) -> bool {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::wall().0);
    let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_none_or(|age| age < TIME_GRAIN)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn file(octets: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wasm");
        std::fs::write(&path, octets).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_taken() {
        let (_dir, path) = file(b"one");
        let append = || OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert_eq!(read_while(&path, 100, append), Err(LoadError::Changing));
        assert_eq!(read_file(&path, 100).unwrap(), b"onemore");

        let shorter = || File::options().write(true).open(&path).unwrap().set_len(2).unwrap();
        assert_eq!(read_while(&path, 100, shorter), Err(LoadError::Changing));
    }

    #[test]
    fn a_change_that_shows_in_no_time_and_no_length_is_noticed() {
        let (_dir, path) = file(b"one");
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::wall().0 + 1_000);
        let set = |octets: &[u8]| {
            std::fs::write(&path, octets).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
        };
        set(b"one");
        assert_eq!(read_while(&path, 100, || set(b"two")), Err(LoadError::Changing));
        assert_eq!(read_file(&path, 100).unwrap(), b"two");
    }

    #[test]
    fn a_large_file_is_refused_before_it_is_read() {
        let (_dir, path) = file(b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(read_file(&path, 1 << 20), Err(LoadError::TooLarge(1 << 20)));
    }

    #[test]
    fn only_names_that_a_key_and_a_label_can_have_are_names() {
        for name in ["greylist", "a", "A-b_c.d2", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", ".a", "a b", "a/b", "ä", "a\nb", "a\u{fffd}", "a\"b", &"x".repeat(65)] {
            assert_eq!(check_name(name), Err(LoadError::Name), "{name}");
        }
    }
}
