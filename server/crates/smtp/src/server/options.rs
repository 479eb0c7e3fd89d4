//! What a listener's sessions have in common, and what one session's channel offers.

use std::time::Duration;

use crate::{BareNewline, Limits, Paths};

/// Which protocol a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Smtp,
    /// RFC 2033: LHLO, and a reply for each recipient after the end of data.
    Lmtp,
}

/// The service extensions that a listener announces and obeys. What is not announced is not understood.
///
/// STARTTLS, AUTH, REQUIRETLS and XCLIENT depend on the connection too: see [`Channel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3030; not without [`Extensions::chunking`].
    pub binary_mime: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 8689; under TLS only.
    pub require_tls: bool,
    /// RFC 9422.
    pub limits: bool,
    /// RFC 6710.
    pub mt_priority: bool,
    /// RFC 2852.
    pub deliver_by: bool,
    /// RFC 4865: how long a message may be asked to wait at most.
    pub future_release: Option<Duration>,
    /// Replies for each recipient after the end of data (draft-hall-prdr); SMTP only, LMTP always has them.
    pub prdr: bool,
}

impl Extensions {
    /// All of them; messages may be asked to wait for a week.
    pub const ALL: Self = Self {
        pipelining: true,
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        enhanced_status_codes: true,
        chunking: true,
        binary_mime: true,
        dsn: true,
        require_tls: true,
        limits: true,
        mt_priority: true,
        deliver_by: true,
        future_release: Some(Duration::from_secs(7 * 86_400)),
        prdr: true,
    };

    /// None of them.
    pub const NONE: Self = Self {
        pipelining: false,
        size: false,
        eight_bit_mime: false,
        smtputf8: false,
        enhanced_status_codes: false,
        chunking: false,
        binary_mime: false,
        dsn: false,
        require_tls: false,
        limits: false,
        mt_priority: false,
        deliver_by: false,
        future_release: None,
        prdr: false,
    };
}

impl Default for Extensions {
    /// All but FUTURERELEASE, which is for submission (RFC 4865 section 3).
    fn default() -> Self {
        Self { future_release: None, ..Self::ALL }
    }
}

/// How a listener's sessions behave. Shared by them behind an `Arc`; a reload makes a new one.
#[derive(Debug, Clone)]
pub struct Options {
    /// This server's name, in the greeting and in the replies to HELO and EHLO.
    pub hostname: String,
    pub protocol: Protocol,
    pub extensions: Extensions,
    pub limits: Limits,
    pub paths: Paths,
    pub bare_newline: BareNewline,
    /// Whether MAIL needs TLS first: 530 5.7.0 otherwise (RFC 3207 section 4).
    pub require_tls: bool,
    /// Whether MAIL needs AUTH first: 530 5.7.0 otherwise (RFC 6409 section 4.3).
    pub require_auth: bool,
}

impl Options {
    /// Options with default limits.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            protocol: Protocol::default(),
            extensions: Extensions::default(),
            limits: Limits::default(),
            paths: Paths::default(),
            bare_newline: BareNewline::default(),
            require_tls: false,
            require_auth: false,
        }
    }
}

/// What the connection adds to the listener's extensions. It is new after a TLS handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// TLS protects the session.
    pub secured: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// The mechanisms of AUTH, in upper case; none: AUTH is not offered.
    pub mechanisms: Vec<&'static str>,
    /// The client may speak for others with XCLIENT.
    pub xclient: bool,
}
