//! What is wrong with a configuration: every fault, each with its file, line and key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// Counted from 1; nothing when the fault is what the file does not have.
    pub line: Option<usize>,
    /// With its tables, as in `limits.message-size`; empty when the fault is not about a key.
    pub key: String,
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Everything that is wrong, in the order of the file; never empty. Shown a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// A fault of a file as a whole.
    pub(crate) fn of_file(file: &Path, text: impl Into<String>) -> Self {
        Self(vec![Fault { file: file.to_owned(), line: None, key: String::new(), text: text.into() }])
    }
}

/// Reads a file that the configuration names; says why it cannot.
pub(crate) type ReadFile = fn(&Path) -> Result<Vec<u8>, String>;

/// Collects faults while a file is read.
#[derive(Debug)]
pub(crate) struct Notes {
    file: PathBuf,
    /// Where relative paths start.
    folder: PathBuf,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
    /// Those of files that this one names.
    elsewhere: RefCell<Vec<Fault>>,
    /// Reads those files.
    read_file: ReadFile,
    /// Which those were.
    named: RefCell<Vec<PathBuf>>,
    /// The keys that were asked for, as `section.key`; the reference is held against it.
    asked: RefCell<BTreeSet<String>>,
}

impl Notes {
    pub(crate) fn new(file: &Path, text: &str, read_file: ReadFile) -> Self {
        let line_starts = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        // An absolute path stays right wherever the process goes.
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        Self {
            file: file.to_owned(),
            folder,
            line_starts,
            faults: RefCell::default(),
            elsewhere: RefCell::default(),
            read_file,
            named: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// The folder that relative paths start from.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a file that this one names holds.
    pub(crate) fn read(&self, file: &Path) -> Result<Vec<u8>, String> {
        self.named.borrow_mut().push(file.to_owned());
        (self.read_file)(file)
    }

    /// The files that this one named so far.
    pub(crate) fn named(&self) -> Vec<PathBuf> {
        self.named.borrow().clone()
    }

    /// Notes for a text of another file, which this one names.
    pub(crate) fn of_other(&self, file: &Path, text: &str) -> Self {
        Self::new(file, text, self.read_file)
    }

    /// Takes over what was noted of another file.
    pub(crate) fn absorb(&self, other: Self) {
        self.asked.borrow_mut().extend(other.asked.take());
        self.elsewhere.borrow_mut().extend(other.into_faults().into_iter().flat_map(|faults| faults.0));
    }

    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start) + 1
    }

    pub(crate) fn fault(&self, line: Option<usize>, key: impl Into<String>, text: impl Into<String>) {
        let fault = Fault { file: self.file.clone(), line, key: key.into(), text: text.into() };
        self.faults.borrow_mut().push(fault);
    }

    pub(crate) fn asked(&self, section: &str, key: &str) {
        self.asked.borrow_mut().insert(format!("{section}.{key}"));
    }

    #[cfg(test)]
    pub(crate) fn all_asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// The faults by line, those without one first, and then those of other files.
    pub(crate) fn into_faults(self) -> Option<Faults> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        faults.append(&mut self.elsewhere.into_inner());
        (!faults.is_empty()).then_some(Faults(faults))
    }
}
