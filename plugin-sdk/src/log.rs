//! Lines in the server's log; the server adds plugin, hook and session. It takes a limited number from each hook call.

use crate::{host, metrics::owned};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following one message through the code.
    Trace,
    /// For whoever debugs the plugin.
    Debug,
    /// What the operator may want to know.
    Info,
    /// What the operator should look at.
    Warn,
    /// What does not work.
    Error,
}

/// One line, with named values beside it.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    host::log(level, message, &owned(fields));
}

/// A line for whoever debugs the plugin.
pub fn debug(message: &str) {
    log(Level::Debug, message, &[]);
}

/// A line that the operator may want to know.
pub fn info(message: &str) {
    log(Level::Info, message, &[]);
}

/// A line that the operator should look at.
pub fn warn(message: &str) {
    log(Level::Warn, message, &[]);
}

/// A line about what does not work.
pub fn error(message: &str) {
    log(Level::Error, message, &[]);
}
