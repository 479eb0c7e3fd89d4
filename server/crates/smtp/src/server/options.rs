//! What a listener's sessions have in common.

use crate::{BareNewline, Limits, Paths};

/// How a listener's sessions behave. Shared by them behind an `Arc`; a reload makes a new one.
#[derive(Debug, Clone)]
pub struct Options {
    /// This server's name, in the greeting and in the replies to HELO and EHLO.
    pub hostname: String,
    pub limits: Limits,
    pub paths: Paths,
    pub bare_newline: BareNewline,
}

impl Options {
    /// Options with default limits.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            limits: Limits::default(),
            paths: Paths::default(),
            bare_newline: BareNewline::default(),
        }
    }

    /// The extensions that EHLO announces, a line each (RFC 5321 section 4.1.1.1).
    pub(crate) fn announced(&self) -> Vec<String> {
        vec![
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.limits.message_size),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
            "HELP".to_owned(),
        ]
    }
}
