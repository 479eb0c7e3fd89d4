//! `log`: a plugin's lines in the server's log, with the names of the plugin, its hook and the session.

use std::fmt::Write;

use crate::bindings::waxwing::mail::log::{Host, Level};
use crate::state::State;

impl Host for State {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        if !self.may_log() {
            return;
        }
        let limit = self.plugin.limits.log_line_octets;
        let mut line = Line { text: String::new(), limit };
        line.push(&message);
        for (name, value) in &fields {
            line.push(" ");
            line.push(name);
            line.push("=");
            line.push(value);
        }
        self.write_line(level, &line.text);
    }
}

impl State {
    /// Takes a line off the hook's allowance.
    pub(crate) fn may_log(&mut self) -> bool {
        if self.spent.log_lines < self.plugin.limits.log_lines_per_hook {
            self.spent.log_lines += 1;
            return true;
        }
        self.spent.lines_lost = self.spent.lines_lost.saturating_add(1);
        false
    }

    pub(crate) fn write_line(&self, level: Level, line: &str) {
        let (plugin, hook) = (&*self.plugin.name, self.hook);
        let session = self.session.as_ref().map(|session| tracing::field::display(session.id));
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, hook, session, "{line}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, hook, session, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin, hook, session, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, hook, session, "{line}"),
            Level::Error => tracing::error!(target: "plugin", plugin, hook, session, "{line}"),
        }
    }

    pub(crate) fn warn_of_lost_lines(&self) {
        let (plugin, hook, lost) = (&*self.plugin.name, self.hook, self.spent.lines_lost);
        tracing::warn!(plugin, hook, lost, "a plugin logged more lines than it may");
    }
}

/// A line that ends at its limit, without control characters.
struct Line {
    text: String,
    limit: usize,
}

impl Line {
    fn push(&mut self, text: &str) {
        let room = self.limit.saturating_sub(self.text.len());
        for c in text[..text.floor_char_boundary(room)].chars() {
            if c.is_control() {
                // Writing to a string cannot fail.
                let _ = write!(self.text, "{}", c.escape_default());
            } else {
                self.text.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_within_its_limit() {
        let mut line = Line { text: String::new(), limit: 12 };
        line.push("a\r\nb\u{1b}[0m");
        assert!(!line.text.contains(char::is_control), "{:?}", line.text);
        line.push(&"é".repeat(50));
        assert!(line.text.len() <= 12 + 3 * 6, "{}", line.text.len());
    }
}
