//! What a session is told at its start, and how long it waits (RFC 5321 section 4.5.3.2).

use std::time::Duration;

use super::sasl::{Binding, Credentials};

/// Which protocol the next hop speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    /// RFC 2033: LHLO, and a reply for each recipient after the end of data.
    Lmtp,
}

/// What a session does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Nothing: the connection stays plain.
    Never,
    /// STARTTLS where the peer offers it (RFC 3207).
    IfOffered,
    /// STARTTLS, or no session.
    Required,
    /// The connection is encrypted from its first octet (RFC 8314 section 3.3).
    Implicit,
}

/// How long the peer is waited for (RFC 5321 section 4.5.3.2). Each counts from the last sign of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    pub greeting: Duration,
    pub hello: Duration,
    /// From each line of AUTH to its reply.
    pub auth: Duration,
    /// From STARTTLS to its reply, and again for the handshake.
    pub tls: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    /// From DATA to its 354.
    pub data: Duration,
    /// For some octets of content to be taken.
    pub block: Duration,
    /// From the end of data to its reply. Short ones cause duplicates: the peer may be about to say 250.
    pub termination: Duration,
    pub reset: Duration,
    pub quit: Duration,
}

impl Default for Timeouts {
    /// The minimums of RFC 5321; QUIT, where nothing is left to lose, has 5 seconds, and TLS, which computes and looks nothing up, a
    /// minute.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            greeting: minutes(5),
            hello: minutes(5),
            auth: minutes(2),
            tls: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            termination: minutes(10),
            reset: minutes(5),
            quit: Duration::from_secs(5),
        }
    }
}

/// What a session is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The argument of EHLO: our name, or an address literal. ASCII, without blanks.
    pub hostname: String,
    pub protocol: Protocol,
    pub tls: Tls,
    /// Of a connection that is encrypted from its first octet; later ones come with [`super::Session::secured`].
    pub binding: Option<Binding>,
    /// As whom to authenticate, always or not at all.
    pub credentials: Option<Credentials>,
    pub timeouts: Timeouts,
}

impl Options {
    /// For SMTP without TLS and without a login, as with a server on the same machine.
    pub fn plain(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            protocol: Protocol::Smtp,
            tls: Tls::Never,
            binding: None,
            credentials: None,
            timeouts: Timeouts::default(),
        }
    }
}
