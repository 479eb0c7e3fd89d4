//! Files that are there whole or not at all, and that nobody else may read.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::error::Error;

/// Writes a file by its side, lets `check` look at it, and puts it in place, durably.
pub(crate) fn replace(
    file: &Path,
    text: &str,
    check: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::File { file: file.to_owned(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    // Made with mode 0600.
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    beside.write_all(text.as_bytes()).map_err(failed)?;
    beside.as_file().sync_all().map_err(failed)?;
    check(beside.path())?;
    beside.persist(file).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
