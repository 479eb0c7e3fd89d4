//! What delivery is told by the configuration. A reload swaps it whole; an attempt keeps what it began with.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use model::Domain;
use queue::RetrySchedule;
use reporting::Reporter;
use sender_auth::Signers;
use smtp::client::Timeouts;
use tls::client::Connector;

use crate::demand::TlsLevel;
use crate::maildir::MaildirPattern;
use crate::pipe::Pipe;
use crate::report::ReportOptions;
use crate::route::Routes;

/// A host by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
}

/// A text that is no `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a host and a port, as in mail.example.org:25 or [2001:db8::1]:25")]
pub struct HostPortError;

impl FromStr for HostPort {
    type Err = HostPortError;
    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(HostPortError)?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(inner) => {
                inner.and_then(|inner| inner.parse::<IpAddr>().ok()).ok_or(HostPortError)?.to_string()
            }
            None => Domain::parse(host).map_err(|_| HostPortError)?.to_string(),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where an LMTP server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LmtpAddress {
    Tcp(HostPort),
    Unix(PathBuf),
}

/// What becomes of mail for a local domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliverTo {
    Maildir(MaildirPattern),
    Lmtp(LmtpAddress),
    /// To a program, for each recipient.
    Pipe(Arc<Pipe>),
    /// By SMTP to this host; MX records are not asked for.
    Relay(HostPort),
}

/// The domains whose mail ends here. U-labels and A-labels are the same name.
#[derive(Debug, Clone, Default)]
pub struct LocalDomains(HashMap<String, DeliverTo>);

impl LocalDomains {
    /// Adds a domain, or replaces what was said of it.
    pub fn insert(&mut self, domain: &Domain, deliver: DeliverTo) {
        self.0.insert(domain.to_ascii(), deliver);
    }

    /// What becomes of mail for this domain; nothing when it is not local.
    pub fn get(&self, domain: &Domain) -> Option<&DeliverTo> {
        match domain.as_str().is_ascii() {
            true => self.0.get(domain.as_str()),
            false => self.0.get(&domain.to_ascii()),
        }
    }

    /// What becomes of mail, for every domain; in no order.
    pub fn deliveries(&self) -> impl Iterator<Item = &DeliverTo> {
        self.0.values()
    }
}

/// Every limit of delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections to one destination at once; until one has been made, a single attempt is, and then as many as go well.
    pub connections_per_destination: usize,
    /// Connections to all destinations at once, idle ones and Maildir writers with them.
    pub deliveries: usize,
    /// Threads that write to one Maildir tree at once.
    pub maildir_writers: usize,
    /// Entries in memory at once, without their content.
    pub active_entries: usize,
    /// Attempts in memory that wait for one destination; of the entries beyond, only the id is kept.
    pub queued_per_destination: usize,
    /// Ids in memory of entries that wait for a full destination; those beyond are looked at again a minute later.
    pub parked_entries: usize,
    /// Octets of fresh content in memory; content beyond is read from the store again.
    pub memory_octets: u64,
    /// Messages over one connection.
    pub messages_per_connection: usize,
    /// Recipients in one transaction (RFC 5321 section 4.5.3.1.8 makes servers take 100).
    pub recipients_per_transaction: usize,
    /// Hosts of one destination whose addresses are asked for.
    pub hosts_per_destination: usize,
    /// Addresses that one attempt tries in turn.
    pub addresses_per_attempt: usize,
    /// How long a connection without a message is kept.
    pub idle_connection: Duration,
    /// How long one address is tried.
    pub connect_timeout: Duration,
    /// How long an address has before the next one of a host that is preferred alike is tried beside it (RFC 8305 section 5).
    pub address_delay: Duration,
    /// How long it may take to get a session, over all addresses of a destination.
    pub session_timeout: Duration,
    /// How long a destination that could not be reached is left alone; doubled with each failure in a row.
    pub backoff: Duration,
    /// What the doubling ends at.
    pub backoff_max: Duration,
    /// How often the store is searched for entries that nobody handed over.
    pub sweep: Duration,
    /// Received fields; a message with more goes in circles (RFC 5321 section 6.3).
    pub hops: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_destination: 20,
            deliveries: 500,
            maildir_writers: 4,
            active_entries: 20_000,
            queued_per_destination: 5_000,
            parked_entries: 100_000,
            memory_octets: 64 << 20,
            messages_per_connection: 1_000,
            recipients_per_transaction: 100,
            hosts_per_destination: 10,
            addresses_per_attempt: 10,
            idle_connection: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(30),
            address_delay: Duration::from_millis(250),
            session_timeout: Duration::from_secs(600),
            backoff: Duration::from_secs(60),
            backoff_max: Duration::from_secs(300),
            sweep: Duration::from_secs(60),
            hops: 100,
        }
    }
}

/// How MTA-STS policies are had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtaStsOptions {
    /// A folder of their own.
    pub folder: PathBuf,
    /// Where their hosts listen; 443 but for tests.
    pub port: u16,
}

/// How domains are told what became of TLS sessions with their hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsReportOptions {
    /// A folder of the counts' own; that of the start counts.
    pub folder: PathBuf,
    pub reporter: Reporter,
}

/// How domains are told what became of mail in their name (DMARC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcReportOptions {
    /// A folder of the counts' own; that of the start counts.
    pub folder: PathBuf,
    pub reporter: Reporter,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name: in EHLO, in reports, in the names of Maildir files.
    pub hostname: String,
    pub retry: RetrySchedule,
    pub domains: LocalDomains,
    /// By which way mail leaves that is not local.
    pub routes: Routes,
    /// Names of this host beside `hostname`, in lower case: an MX of this name is ourselves.
    pub own_names: Vec<String>,
    /// Addresses on which we take mail: an MX with one of them is ourselves.
    pub own_addresses: Vec<IpAddr>,
    /// Where MX hosts listen.
    pub mx_port: u16,
    /// What TLS is asked for by SMTP; by LMTP none is.
    pub tls_level: TlsLevel,
    /// Who vouches for hosts.
    pub authorities: tls::client::Options,
    /// Makes the handshakes; opened with the authorities by whoever starts the engine or gives it new options.
    pub tls: Connector,
    /// Who listens to sessions; set as `tls` is.
    pub transcripts: Arc<transcript::Hub>,
    /// Whether TLSA records are obeyed where DNSSEC proves them.
    pub dane: bool,
    /// Where MTA-STS policies are kept and fetched from; nothing when they are not asked for.
    pub mta_sts: Option<MtaStsOptions>,
    /// Nothing: sessions are not counted, and nobody is told.
    pub tls_report: Option<TlsReportOptions>,
    /// Nothing: nobody is told of mail in their name.
    pub dmarc_report: Option<DmarcReportOptions>,
    /// The keys that sign reports of all kinds.
    pub signers: Signers,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub reports: ReportOptions,
}

impl Options {
    /// The defaults, for a host of this name. No authority is believed yet: certificates that have to be verified are not.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            retry: RetrySchedule::default(),
            domains: LocalDomains::default(),
            routes: Routes::default(),
            own_names: Vec::new(),
            own_addresses: Vec::new(),
            mx_port: 25,
            tls_level: TlsLevel::default(),
            authorities: tls::client::Options::default(),
            tls: Connector::trusting_nobody(),
            transcripts: Arc::default(),
            dane: true,
            mta_sts: None,
            tls_report: None,
            dmarc_report: None,
            signers: Signers::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            reports: ReportOptions::default(),
        }
    }

    /// Whether a host name is ours.
    pub(crate) fn is_own_name(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.hostname)
            || self.own_names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_read_back() {
        for text in ["mail.example.org:25", "127.0.0.1:2525", "[2001:db8::1]:25"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for bad in ["", "mail", "mail:", "mail:0", "mail:99999", ":25", "[::1:25", "[mail]:25", "a b:25"] {
            assert_eq!(bad.parse::<HostPort>(), Err(HostPortError), "{bad}");
        }
    }

    #[test]
    fn a_domain_is_local_under_both_its_names() {
        let mut domains = LocalDomains::default();
        let relay = DeliverTo::Relay("h.example:25".parse().unwrap());
        domains.insert(&Domain::parse("b\u{fc}cher.example").unwrap(), relay.clone());
        assert_eq!(domains.get(&Domain::parse("xn--bcher-kva.example").unwrap()), Some(&relay));
        assert_eq!(domains.get(&Domain::parse("b\u{fc}cher.example").unwrap()), Some(&relay));
        assert_eq!(domains.get(&Domain::parse("other.example").unwrap()), None);
    }
}
