//! A folder that holds a plugin's sources.

use std::path::{Path, PathBuf};

use crate::{Fault, Language, build};

/// A project whose language is known.
#[derive(Debug, Clone)]
pub struct Project {
    pub folder: PathBuf,
    pub language: Language,
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The plugin's name.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
}

impl Project {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When there is no project in it.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        // Tools are run in the folder, and are told paths.
        let folder = std::fs::canonicalize(folder).map_err(Fault::file(folder))?;
        if !folder.is_dir() {
            let error = std::io::ErrorKind::NotADirectory.into();
            return Err(Fault::File { path: folder, error });
        }
        match Language::of(&folder) {
            Some(language) => Ok(Self { folder, language }),
            None => Err(Fault::NoProject(folder)),
        }
    }

    /// Builds the component with the language's tools; what they leave behind lies in the project's `build/` or `target/`. Names of
    /// functions are kept, for the backtrace of a trap; with `lines` files and lines too, where the language has them: Rust and C.
    ///
    /// # Errors
    /// Says what is missing and how to get it, or what the compiler said.
    pub fn build(&self, lines: bool) -> Result<Built, Fault> {
        match self.language {
            Language::Rust => build::rust::build(&self.folder, lines),
            Language::C => build::c::build(&self.folder, lines),
            Language::JavaScript | Language::TypeScript | Language::JavaScriptFull => {
                build::javascript::build(&self.folder, self.language)
            }
            Language::Python => build::python::build(&self.folder),
            Language::Go => build::go::build(&self.folder),
        }
    }
}

impl Built {
    /// Writes the component, in one step: a server that watches the folder never reads half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), Fault> {
        let aside = file.with_extension("wasm.new");
        std::fs::write(&aside, &self.component).map_err(Fault::file(&aside))?;
        std::fs::rename(&aside, file).map_err(Fault::file(file))
    }
}
