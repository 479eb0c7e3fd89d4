//! Who reports.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::day::Day;

/// Who reports, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    pub organization: String,
    /// A mailbox.
    pub contact: String,
    /// Our own name, in ASCII.
    pub hostname: String,
    /// How long after midnight UTC the last domain is told; each has its own moment before that.
    pub spread: Duration,
}

impl Reporter {
    /// What the report on a domain's day is called: the same each time that it is made.
    pub fn identifier(&self, day: Day, domain: &str) -> String {
        format!("{}.{domain}@{}", day.0, self.hostname)
    }

    /// The name of a report's file, without what says its kind: `mx.example.org!example.com!1700000000!1700086399`.
    pub fn file_stem(&self, day: Day, domain: &str) -> String {
        let (start, end) = day.bounds();
        format!("{}!{domain}!{}!{}", self.hostname, start.0 / 1_000, end.0 / 1_000)
    }
}

/// By gzip.
///
/// # Errors
/// None that is known: it is written to memory.
pub fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    encoder.finish()
}
