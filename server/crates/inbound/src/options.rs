//! What the configuration and the other rooms give to the receiving side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accounts::{Authenticator, LocalDomains, Srs};
use ipnet::IpNet;
use message::ShapeLimits;
use sender_auth::report::Ledger;
use sender_auth::{Action, Rules};

use crate::grants::RelayGrants;
use crate::rates::RateLimits;

/// The receiving side's options. A reload makes new ones; a session keeps those that it began with.
#[derive(Debug, Clone)]
pub struct Options {
    /// This host's name, as in Received.
    pub hostname: Arc<str>,
    pub listeners: Vec<Arc<ListenerOptions>>,
    /// How the sessions of [`crate::Insider`]s go; bound nowhere, its name is theirs.
    pub insiders: Arc<ListenerOptions>,
    /// What holds for programs of this host.
    pub programs: Arc<Programs>,
    /// Clients from here may send to any domain; nobody else may.
    pub relay_networks: Vec<IpNet>,
    /// Clients that may for a while. A reload keeps those of before.
    pub relay_grants: Arc<RelayGrants>,
    pub local: Arc<LocalDomains>,
    /// Rewrites the senders of forwarded mail, and finds them again; nothing: they stay.
    pub forwarding: Option<Arc<Srs>>,
    /// How senders are checked, and what is signed; nothing: neither.
    pub senders: Option<Arc<Rules>>,
    /// Where messages in the names of domains are counted that want to be told; nothing: nowhere. A reload keeps that of before.
    pub sender_ledger: Option<Arc<Ledger>>,
    /// Who may authenticate, and how; nothing: nobody.
    pub authenticator: Option<Authenticator>,
    pub limits: Limits,
    /// Whether the name of a client is looked up and confirmed (RFC 8601 section 2.7.3); loopback and private addresses never are.
    pub reverse_dns: bool,
}

/// Programs of this host, each of a user of this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Programs {
    /// What they are greeted with: the domain of an address without one. Empty: the hostname.
    pub domain: String,
    /// Users who may send in anybody's name, when others may not; nothing: everybody may. Root always may.
    pub trusted_users: Option<Vec<String>>,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The name that plugins and logs see.
    pub name: Arc<str>,
    pub bind: Vec<SocketAddr>,
    pub kind: Kind,
    pub tls: TlsMode,
    /// How long a client may take for a TLS handshake.
    pub handshake_timeout: Duration,
    pub session: Arc<smtp::server::Options>,
    /// Proxies: a connection from here begins with a PROXY header, which says whose it is.
    pub proxy_networks: Vec<IpNet>,
    /// Clients from here may speak for others with XCLIENT.
    pub xclient: Vec<IpNet>,
    /// How long the greeting waits for clients that speak before it; zero: it does not wait, and nobody is refused for it.
    pub greeting_delay: Duration,
    /// The hardest that comes of a message that is not from whom it says; nothing: that is not looked at.
    pub sender_action: Option<Action>,
    /// Whether Received leaves out where the client called from.
    pub hides_client: bool,
}

impl Default for ListenerOptions {
    /// One that is bound nowhere.
    fn default() -> Self {
        Self {
            name: "".into(),
            bind: Vec::new(),
            kind: Kind::default(),
            tls: TlsMode::default(),
            handshake_timeout: Duration::from_secs(30),
            session: Arc::new(smtp::server::Options::new("")),
            proxy_networks: Vec::new(),
            xclient: Vec::new(),
            greeting_delay: Duration::ZERO,
            sender_action: Some(Action::Reject),
            hides_client: false,
        }
    }
}

impl ListenerOptions {
    /// Whether AUTH is offered: not in LMTP, where a mail server hands over what it has taken.
    pub(crate) fn offers_auth(&self) -> bool {
        self.kind != Kind::Lmtp
    }
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Mail from other servers, and from clients that may relay.
    #[default]
    Mx,
    /// Mail from users (RFC 6409): AUTH comes first, and what a message lacks is added.
    Submission,
    /// Mail for our own mailboxes from a server beside this one (RFC 2033).
    Lmtp,
}

/// When a listener's connections are under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    #[default]
    Off,
    /// After STARTTLS (RFC 3207).
    StartTls,
    /// From the first octet (RFC 8314 section 3.3).
    Implicit,
}

/// Limits over all sessions. Those of one session are in [`smtp::Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once; over it 421 4.3.2.
    pub sessions: usize,
    /// Sessions at once from one IPv4 address or one IPv6 /64; over it 421 4.7.0.
    pub sessions_per_address: usize,
    /// Sessions at once from one IPv4 /24 or one IPv6 /48; over it 421 4.7.0. 0 is no limit.
    pub sessions_per_network: usize,
    /// How much a client may ask for in a time.
    pub rates: RateLimits,
    /// Octets of content that all sessions hold in memory; over it content beyond 16 KiB goes to the disk as it arrives. Over twice as many
    /// all of it does, and MAIL is answered 452 4.3.1.
    pub content_memory: usize,
    /// Octets of a message's header block; over it 552 5.3.4.
    pub header_size: u64,
    /// Fields of a message's header and depth of its parts; over them 552 5.3.4 and 554 5.6.0.
    pub shape: ShapeLimits,
    /// Received fields in a message; over it 554 5.4.6 (RFC 5321 section 6.3).
    pub hops: usize,
    /// Recipients of a message after aliases; over it 452 4.5.3.
    pub expanded_recipients: usize,
    /// Addresses and networks that may relay for a while.
    pub relay_grants: usize,
    /// How long a client's name is looked up before the session goes on without.
    pub reverse_dns_timeout: Duration,
    /// How long a proxy may take to send its PROXY header; then the connection is closed.
    pub proxy_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 100,
            sessions_per_network: 0,
            rates: RateLimits::default(),
            content_memory: 128 << 20,
            header_size: 512 << 10,
            shape: ShapeLimits::default(),
            hops: 100,
            expanded_recipients: 10_000,
            relay_grants: 10_000,
            reverse_dns_timeout: Duration::from_secs(3),
            proxy_timeout: Duration::from_secs(5),
        }
    }
}

/// The other rooms, as this one sees them.
#[derive(Debug, Clone)]
pub struct Services {
    pub store: Arc<dyn queue::Store>,
    pub courier: Arc<dyn queue::Courier>,
    pub hooks: Arc<dyn hooks::Hooks>,
    pub resolver: Arc<dyn dns::Resolver>,
    /// The certificates; nothing: there is no TLS.
    pub tls: Option<tls::Acceptor>,
    /// Who listens to sessions.
    pub transcripts: Arc<transcript::Hub>,
}
