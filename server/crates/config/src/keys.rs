//! Every key of the configuration, with what it takes, its default and what it does. The one place where they are said:
//! unknown keys are found with it, and `reference.md` is made of it.

mod acme;
mod rows;

pub use rows::SECTIONS;

/// A table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name inside this crate; tables with a name of the postmaster's have `NAME` there.
    pub name: &'static str,
    /// How it is written.
    pub written: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    /// What stands behind the equals sign.
    pub takes: &'static str,
    pub default: Default,
    pub doc: &'static str,
}

/// What counts when a key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This value, as it would be written.
    Toml(&'static str),
    /// What this says.
    Words(&'static str),
    /// The key has to be there.
    Required,
}

/// The keys of a section.
pub(crate) fn names(section: &str) -> impl Iterator<Item = &'static str> {
    let section = SECTIONS.iter().find(|known| known.name == section);
    section.into_iter().flat_map(|section| section.keys).map(|key| key.name)
}
