//! The server itself: its name, its directory, its log.

use std::path::PathBuf;

use model::Domain;

use crate::environment;
use crate::reader::Table;

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// The least that is logged.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The hostname; the system's when the file has none.
pub(crate) fn hostname(root: &Table<'_>) -> String {
    let as_ascii = |text: &str| match Domain::parse(text) {
        Ok(domain) if domain.literal().is_some() => Err("is a name, not an address".to_owned()),
        Ok(domain) => Ok(domain.to_ascii()),
        Err(error) => Err(error.to_string()),
    };
    if root.get("hostname").is_some() {
        return root.parse("hostname", as_ascii).unwrap_or_default();
    }
    as_ascii(&environment::system_hostname()).unwrap_or_else(|_| {
        root.missing("hostname", "is missing, and the system's own name is no domain name");
        String::new()
    })
}

/// The data directory.
pub(crate) fn data_dir(root: &Table<'_>) -> PathBuf {
    if root.get("data-dir").is_none() {
        root.missing("data-dir", "is missing; it says where the queue is kept, as in \"/var/lib/waxwing\"");
    }
    root.path("data-dir").unwrap_or_default()
}

pub(crate) fn log(root: &Table<'_>) -> Log {
    let table = root.table("log", "log");
    let mut log = Log { format: LogFormat::Text, level: LogLevel::Info };
    table.set_choice("format", &mut log.format, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    table.set_choice("level", &mut log.level, &levels);
    log
}
