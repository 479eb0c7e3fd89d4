//! How a project in each language becomes a component.

pub(crate) mod c;
pub(crate) mod go;
pub(crate) mod javascript;
pub(crate) mod python;
pub(crate) mod rust;

use std::path::{Path, PathBuf};

use crate::{Fault, interface};

/// Where a build keeps its files.
fn work_folder(project: &Path) -> Result<PathBuf, Fault> {
    let folder = project.join("build");
    std::fs::create_dir_all(&folder).map_err(Fault::file(&folder))?;
    Ok(folder)
}

/// The project's WIT with the interface under `deps/`, for tools that read it themselves.
fn staged_wit(project: &Path) -> Result<PathBuf, Fault> {
    let own = project.join("wit");
    if own.join("deps").is_dir() {
        return Ok(own);
    }
    let staged = work_folder(project)?.join("wit");
    let deps = staged.join("deps/mail");
    std::fs::create_dir_all(&deps).map_err(Fault::file(&deps))?;
    for (name, text) in interface::FILES {
        let path = deps.join(name);
        std::fs::write(&path, text).map_err(Fault::file(&path))?;
    }
    for entry in std::fs::read_dir(&own).map_err(Fault::file(&own))? {
        let path = entry.map_err(Fault::file(&own))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, staged.join(name)).map_err(Fault::file(&path))?;
        }
    }
    Ok(staged)
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(Fault::file(path))
}
