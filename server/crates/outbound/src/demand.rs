//! What must be so before a host is given mail.

use smtp::client::Tls;
use tls::client::Trust;

/// How much TLS a next hop is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsLevel {
    /// None: what is said can be read on the way.
    Off,
    /// STARTTLS where it is offered, whatever the certificate says; plain text where it is not, or where the handshake fails.
    #[default]
    Opportunistic,
    /// STARTTLS with any certificate, or the mail waits.
    Required,
    /// STARTTLS with a certificate that an authority vouches for and that is for the host, or the mail waits.
    Verified,
    /// The same, without STARTTLS: from the first octet.
    Implicit,
}

/// When a session begins to be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    Never,
    /// By STARTTLS.
    StartTls,
    /// Before the greeting.
    Implicit,
}

/// What is demanded of one host; worked out before its session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) encryption: Encryption,
    pub(crate) trust: Trust,
    /// Whether there is no session rather than a plain one.
    pub(crate) must_encrypt: bool,
    /// The name that is asked for by SNI and that the certificate is for, where it is not the host's.
    pub(crate) name: Option<String>,
    /// Who demands it, as in `asked for by the configuration`.
    pub(crate) reason: &'static str,
}

impl Demand {
    /// What a level of the configuration demands.
    pub(crate) fn of(level: TlsLevel) -> Self {
        let (encryption, trust, must_encrypt) = match level {
            TlsLevel::Off => (Encryption::Never, Trust::Any, false),
            TlsLevel::Opportunistic => (Encryption::StartTls, Trust::Any, false),
            TlsLevel::Required => (Encryption::StartTls, Trust::Any, true),
            TlsLevel::Verified => (Encryption::StartTls, Trust::WebPki, true),
            TlsLevel::Implicit => (Encryption::Implicit, Trust::WebPki, true),
        };
        Self { encryption, trust, must_encrypt, name: None, reason: "the configuration" }
    }

    /// What the session does.
    pub(crate) fn tls(&self) -> Tls {
        match self.encryption {
            Encryption::Never => Tls::Never,
            Encryption::Implicit => Tls::Implicit,
            Encryption::StartTls if self.must_encrypt => Tls::Required,
            Encryption::StartTls => Tls::IfOffered,
        }
    }

    /// Whether plain text will do where TLS failed.
    pub(crate) fn may_be_plain(&self) -> bool {
        self.encryption == Encryption::StartTls && !self.must_encrypt
    }
}
