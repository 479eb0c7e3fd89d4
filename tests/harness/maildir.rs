//! Reads a Maildir as a mail reader would.

use std::path::{Path, PathBuf};

use super::wait_for;

/// One mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Maildir {
    path: PathBuf,
}

impl Maildir {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The messages in `new`, in the order of their file names.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.octets().into_iter().map(|octets| String::from_utf8_lossy(&octets).into_owned()).collect()
    }

    /// The messages in `new` as they are.
    pub(crate) fn octets(&self) -> Vec<Vec<u8>> {
        files(&self.path.join("new")).iter().filter_map(|file| std::fs::read(file).ok()).collect()
    }

    /// How many messages there are now.
    pub(crate) fn count(&self) -> usize {
        files(&self.path.join("new")).len()
    }

    /// What lies in `tmp`: deliveries under way, or given up.
    pub(crate) fn unfinished(&self) -> usize {
        files(&self.path.join("tmp")).len()
    }

    /// Waits until this many messages are there, and no more.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<String> {
        let what = format!("{count} messages in {}", self.path.display());
        let messages = wait_for(&what, || Some(self.messages()).filter(|all| all.len() >= count));
        assert_eq!(messages.len(), count, "messages in {}", self.path.display());
        messages
    }

    /// Waits for the one message.
    #[track_caller]
    pub(crate) fn one(&self) -> String {
        self.wait(1).remove(0)
    }

    /// Waits for a message that has this text.
    #[track_caller]
    pub(crate) fn with(&self, text: &str) -> String {
        let what = format!("a message with {text:?} in {}", self.path.display());
        wait_for(&what, || self.messages().into_iter().find(|message| message.contains(text)))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}
