//! What the configuration says of a milter.

use std::sync::Arc;
use std::time::Duration;

use hooks::{FilterAddress, OnFailure};

/// One milter.
#[derive(Debug, Clone, PartialEq)]
pub struct MilterOptions {
    /// What logs, metrics and replies of this server's own call it.
    pub name: Arc<str>,
    pub address: FilterAddress,
    pub on_failure: OnFailure,
    /// The listeners whose sessions it is told of, by name, with what stands in the place of one (`http`, `sendmail`); none: all of them.
    pub listeners: Vec<String>,
    /// Asked before the plugins rather than after them.
    pub before_plugins: bool,
    /// Macros with fixed values, which take the place of the server's own: `daemon_name` and the like.
    pub macros: Vec<(String, String)>,
    pub timeouts: Timeouts,
    /// Octets of a body that it puts in place of the old one.
    pub body_octets: u64,
}

impl MilterOptions {
    /// A milter with the defaults.
    pub fn new(name: &str, address: FilterAddress) -> Self {
        Self {
            name: name.into(),
            address,
            on_failure: OnFailure::default(),
            listeners: Vec::new(),
            before_plugins: false,
            macros: Vec::new(),
            timeouts: Timeouts::default(),
            body_octets: 50 << 20,
        }
    }
}

/// How long a milter is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until a command is answered: the negotiation, connect, HELO, MAIL, RCPT, DATA.
    pub command: Duration,
    /// Until a header field or a piece of the body is answered.
    pub content: Duration,
    /// Until the end of the message is answered; a milter that says that it makes progress is given it again.
    pub end_of_message: Duration,
    /// All of a message's content, with whatever progress: a client waits 10 minutes (RFC 5321 section 4.5.3.2.6).
    pub message: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            content: Duration::from_secs(60),
            end_of_message: Duration::from_secs(180),
            message: Duration::from_secs(540),
        }
    }
}
