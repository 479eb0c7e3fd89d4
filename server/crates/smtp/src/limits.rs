//! The receiving side's limits: each has a name, a unit, a default, and a reply that says that it was met.

use std::time::Duration;

/// Limits of one session (RFC 5321 section 4.5.3). [`Limits::default`] is what the reference documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets in a command line with its CRLF; over it 500 5.5.6 and the line is discarded. RFC 5321 asks for 512 and more
    /// for each extension; addresses of 256 octets with parameters stay well below 2,048.
    pub command_line: usize,
    /// Octets in a line of AUTH or of a response to it, with its CRLF; over it 500 5.5.6. RFC 4954 section 4 asks for 12,288.
    pub auth_line: usize,
    /// Octets in a line of content with its CRLF; over it the message is refused with 554 5.6.0. RFC 5321 asks for
    /// 1,000; real messages are longer.
    pub text_line: usize,
    /// Octets of a message's content; over it 552 5.3.4, at MAIL when SIZE says so.
    pub message_size: u64,
    /// Recipients of one transaction; over it 452 4.5.3. RFC 5321 asks for at least 100.
    pub recipients: usize,
    /// Refused commands in a session; at this number 421 4.7.0 and the end.
    pub errors: u32,
    /// Failed authentications in a session; at this number 421 4.7.0 and the end.
    pub auth_failures: u32,
    /// Refused commands from which on replies come late, so that guessing is slow.
    pub tarpit_after: u32,
    /// How late a reply comes then. Zero: it does not.
    pub tarpit_delay: Duration,
    /// Commands since the last message that lead to none (NOOP, RSET, VRFY, HELP, EHLO); at this number 421 4.7.0.
    pub idle_commands: u32,
    /// Transactions in a session; over it 421 4.7.0 at MAIL.
    pub transactions: u32,
    /// From the end of one command to the end of the next; however slowly its octets come, then 421 4.4.2.
    /// RFC 5321 section 4.5.3.2.7 asks for 5 minutes.
    pub command_timeout: Duration,
    /// For each [`Limits::data_block`] of content; then 421 4.4.2.
    pub data_timeout: Duration,
    /// Octets of content that must come within [`Limits::data_timeout`]: together they are the slowest that a client may be.
    pub data_block: u64,
    /// From the connection to its end, whatever happens in between; then 421 4.4.2.
    pub session_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 2_048,
            auth_line: 12_290,
            text_line: 1 << 20,
            message_size: 25 << 20,
            recipients: 1_000,
            errors: 20,
            auth_failures: 3,
            tarpit_after: 10,
            tarpit_delay: Duration::from_secs(1),
            idle_commands: 100,
            transactions: 10_000,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            data_block: 64 << 10,
            session_time: Duration::from_secs(4 * 3_600),
        }
    }
}
