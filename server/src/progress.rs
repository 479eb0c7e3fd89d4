//! Tells a person at a terminal that something takes long, and how far it is. Nobody else sees any of it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often it moves.
const TICK: Duration = Duration::from_millis(120);

/// Something that is under way; the line goes with it.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Of something whose end is not known.
    pub(crate) fn waiting(what: impl Into<String>) -> Self {
        Self::new(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_message(what.into());
            bar.enable_steady_tick(TICK);
            bar
        })
    }

    /// Of so many octets.
    pub(crate) fn octets(what: impl Into<String>, all: u64) -> Self {
        Self::new(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left");
            ProgressBar::new(all)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(what.into())
        })
    }

    /// Whether anybody would see it.
    pub(crate) fn is_seen() -> bool {
        std::io::stderr().is_terminal()
    }

    fn new(make: impl FnOnce() -> ProgressBar) -> Self {
        Self(Self::is_seen().then(make))
    }

    /// So far it is.
    pub(crate) fn is_at(&self, position: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(position);
        }
    }

    /// What is being done now.
    pub(crate) fn says(&self, what: impl Into<String>) {
        if let Some(bar) = &self.0 {
            bar.set_message(what.into());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
