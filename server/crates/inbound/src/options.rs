//! What the configuration and the other rooms give to the receiving side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accounts::LocalDomains;
use ipnet::IpNet;

/// The receiving side's options. A reload makes new ones; a session keeps those that it began with.
#[derive(Debug, Clone)]
pub struct Options {
    /// This host's name, as in Received.
    pub hostname: Arc<str>,
    pub listeners: Vec<ListenerOptions>,
    /// Clients from here may send to any domain; nobody else may.
    pub relay_networks: Vec<IpNet>,
    pub local: Arc<LocalDomains>,
    pub limits: Limits,
    /// Whether the name of a client is looked up and confirmed (RFC 8601 section 2.7.3); loopback and private addresses never are.
    pub reverse_dns: bool,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The name that plugins and logs see.
    pub name: Arc<str>,
    pub bind: Vec<SocketAddr>,
    pub session: Arc<smtp::server::Options>,
}

/// Limits over all sessions. Those of one session are in [`smtp::Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once; over it 421 4.3.2.
    pub sessions: usize,
    /// Sessions at once from one IPv4 address or one IPv6 /64; over it 421 4.7.0.
    pub sessions_per_address: usize,
    /// Octets of content that all sessions hold in memory; over it content goes to the disk as it arrives.
    pub content_memory: usize,
    /// Octets of a message's header block; over it 552 5.3.4.
    pub header_size: u64,
    /// Received fields in a message; over it 554 5.4.6 (RFC 5321 section 6.3).
    pub hops: usize,
    /// Recipients of a message after aliases; over it 452 4.5.3.
    pub expanded_recipients: usize,
    /// How long a client's name is looked up before the session goes on without.
    pub reverse_dns_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 100,
            content_memory: 128 << 20,
            header_size: 512 << 10,
            hops: 100,
            expanded_recipients: 10_000,
            reverse_dns_timeout: Duration::from_secs(3),
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
}
