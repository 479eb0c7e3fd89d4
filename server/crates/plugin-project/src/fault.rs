//! Why a project could not be begun or built, in words for its author.

use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("\"{name}\" cannot be a plugin's name: {why}")]
    Name { name: String, why: &'static str },
    #[error("\"{0}\" is no language here; there are {languages}", languages = crate::Language::names())]
    Language(String),
    #[error("{} is there already: choose another name or --dir", .0.display())]
    Exists(PathBuf),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{} is no plugin's project: it has no Cargo.toml, go.mod, package.json, pyproject.toml or src/*.c", .0.display())]
    NoProject(PathBuf),
    #[error("{}: {why}", path.display())]
    Project { path: PathBuf, why: String },
    #[error("the WIT in {} cannot be used: {why}", path.display())]
    Wit { path: PathBuf, why: String },
    /// A tool is not there; the sentence says how to get it.
    #[error("{0}")]
    Missing(String),
    #[error("{tool} failed:\n{said}")]
    Tool { tool: String, said: String },
    #[error("what was compiled makes no component: {0}")]
    Component(String),
}

impl Fault {
    /// For `map_err`: what happened to this file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}
