//! The resolver that asks real name servers: UDP with TCP for what does not fit, a bounded cache that honours
//! the lifetimes of records, and no search list: every name is taken as absolute. Beside it stands a second one that validates.

mod validator;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as NetDnsError, NetError};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tracing::debug;

use self::validator::Validator;
use crate::names::to_labels;
use crate::proven::{Proven, Tlsa};
use crate::resolver::{BoxFuture, DnsError, Mx, Resolver};

/// Whom to ask, how long, and how much to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Asked with their ports; empty: those of the system's resolv.conf.
    pub servers: Vec<SocketAddr>,
    /// For one try of a question; 5 s.
    pub timeout: Duration,
    /// Further tries after one that failed or timed out; 2.
    pub retries: usize,
    /// Answers that are remembered; 8,192.
    pub cache_entries: u64,
    /// Answers are forgotten after this even if their records live longer; 1 day.
    pub max_ttl: Duration,
    /// The same for names and records that do not exist; 1 hour.
    pub max_negative_ttl: Duration,
    /// Whether DNSSEC is validated for the questions that carry proof. Absent: when the servers hand out what validation
    /// needs, which is found out by asking for the root. True: an answer that cannot be validated is a failure.
    pub dnssec: Option<bool>,
    /// DNSKEY records of the root, as in a zone file, in place of the root's own keys.
    pub trust_anchor_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            cache_entries: 8192,
            max_ttl: Duration::from_secs(24 * 3600),
            max_negative_ttl: Duration::from_secs(3600),
            dnssec: None,
            trust_anchor_file: None,
        }
    }
}

/// Why no resolver could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system's resolv.conf cannot be read, or names no server.
    #[error("the system's name servers are not known: {0}")]
    System(String),
    #[error("the resolver cannot be set up: {0}")]
    Resolver(String),
    /// The file cannot be read, or holds anything but DNSKEY records.
    #[error("the trust anchors in {0} cannot be read: {1}")]
    TrustAnchors(PathBuf, String),
}

/// Asks real name servers. Needs a tokio runtime when it is asked.
pub struct Hickory {
    resolver: TokioResolver,
    /// Absent when DNSSEC is switched off.
    validator: Option<Validator>,
    /// For one question with all its tries.
    patience: Duration,
    made_of: MadeOf,
}

/// What makes one resolver another than the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MadeOf {
    options: Options,
    /// Their ports too.
    servers: Vec<(IpAddr, Vec<u16>)>,
    /// What the file of trust anchors holds.
    anchors: Option<Vec<u8>>,
}

impl MadeOf {
    fn new(options: &Options) -> Result<Self, SetupError> {
        let anchors = options.trust_anchor_file.as_ref().and_then(|file| std::fs::read(file).ok());
        let ports = |server: &NameServerConfig| server.connections.iter().map(|one| one.port).collect();
        let servers = servers(options)?.iter().map(|server| (server.ip, ports(server))).collect();
        Ok(Self { options: options.clone(), servers, anchors })
    }
}

impl Hickory {
    /// A resolver with a cache of its own.
    ///
    /// # Errors
    /// [`SetupError::System`] when no servers are given and the system names none; [`SetupError::TrustAnchors`].
    pub fn new(options: &Options) -> Result<Self, SetupError> {
        let tries = u32::try_from(options.retries).unwrap_or(u32::MAX).saturating_add(1);
        let patience = options.timeout.saturating_mul(tries);
        let validator = match options.dnssec {
            Some(false) => None,
            wanted => {
                let resolver = build(options, Some(trust_anchors(options)?))?;
                Some(Validator::new(resolver, wanted == Some(true), patience))
            }
        };
        let made_of = MadeOf::new(options)?;
        Ok(Self { resolver: build(options, None)?, validator, patience, made_of })
    }

    /// A resolver by other options, unless it would be the same one.
    pub(crate) fn other(&self, options: &Options) -> Result<Option<Self>, SetupError> {
        match MadeOf::new(options) {
            Ok(made_of) if made_of == self.made_of => Ok(None),
            // Those of the system cannot be read now: what is known of them still holds.
            Err(_) if *options == self.made_of.options => Ok(None),
            _ => Self::new(options).map(Some),
        }
    }

    /// The validator, when there is one and what it needs is handed out.
    async fn validator(&self) -> Option<&Validator> {
        match &self.validator {
            Some(validator) if validator.is_available().await => Some(validator),
            _ => None,
        }
    }

    async fn lookup(&self, name: Name, record_type: RecordType) -> Result<Lookup, DnsError> {
        let answer = match tokio::time::timeout(
            self.patience,
            self.resolver.lookup(name.clone(), record_type),
        )
        .await
        {
            Ok(answer) => answer.map_err(|error| to_dns_error(&error)),
            Err(_) => Err(DnsError::TimedOut),
        };
        answer.inspect_err(|error| debug!(%name, %record_type, %error, "no answer from DNS"))
    }

    /// The records of one type; those of other types that came along (CNAMEs) are left out.
    async fn records<T>(
        &self,
        name: Name,
        record_type: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let lookup = self.lookup(name, record_type).await?;
        let found: Vec<T> = lookup.answers().iter().filter_map(|record| pick(&record.data)).collect();
        if found.is_empty() { Err(DnsError::NoData) } else { Ok(found) }
    }
}

impl Resolver for Hickory {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(async move {
            let pick = |data: &RData| match data {
                RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: to_text(&mx.exchange) }),
                _ => None,
            };
            self.records(to_name(name)?, RecordType::MX, pick).await
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let name = to_name(name)?;
            let pick = |data: &RData| match data {
                RData::A(a) => Some(IpAddr::from(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::from(aaaa.0)),
                _ => None,
            };
            let (v6, v4) = tokio::join!(
                self.records(name.clone(), RecordType::AAAA, pick),
                self.records(name.clone(), RecordType::A, pick),
            );
            both_families(v6, v4)
        })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(async move {
            let pick = |data: &RData| match data {
                RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
                _ => None,
            };
            self.records(to_name(name)?, RecordType::TXT, pick).await
        })
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(async move {
            let pick = |data: &RData| match data {
                RData::PTR(ptr) => Some(to_text(&ptr.0)),
                _ => None,
            };
            self.records(Name::from(address.to_canonical()), RecordType::PTR, pick).await
        })
    }

    fn mx_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Mx>> {
        Box::pin(async move {
            match self.validator().await {
                Some(validator) => validator.mx(name).await,
                None => Proven::insecure(name, self.mx(name).await),
            }
        })
    }

    fn addresses_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<IpAddr>> {
        Box::pin(async move {
            match self.validator().await {
                Some(validator) => validator.addresses(name).await,
                None => Proven::insecure(name, self.addresses(name).await),
            }
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Tlsa>> {
        Box::pin(async move {
            match self.validator().await {
                Some(validator) => validator.tlsa(name).await,
                None => Proven::insecure(name, Err(DnsError::NoData)),
            }
        })
    }
}

impl fmt::Debug for Hickory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hickory").field("patience", &self.patience).finish_non_exhaustive()
    }
}

fn build(options: &Options, anchors: Option<TrustAnchors>) -> Result<TokioResolver, SetupError> {
    let config = ResolverConfig::from_name_servers(servers(options)?);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let opts: &mut ResolverOpts = builder.options_mut();
    opts.timeout = options.timeout;
    opts.attempts = options.retries;
    opts.cache_size = options.cache_entries;
    opts.positive_max_ttl = Some(options.max_ttl);
    opts.negative_max_ttl = Some(options.max_negative_ttl);
    opts.use_hosts_file = ResolveHosts::Never;
    opts.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    opts.try_tcp_on_error = true;
    if let Some(anchors) = anchors {
        // Proof is wanted for every CNAME on the way.
        opts.preserve_intermediates = true;
        builder = builder.with_trust_anchor(Arc::new(anchors));
    }
    builder.build().map_err(|error| SetupError::Resolver(error.to_string()))
}

fn trust_anchors(options: &Options) -> Result<TrustAnchors, SetupError> {
    let Some(path) = &options.trust_anchor_file else { return Ok(TrustAnchors::default()) };
    let fault = |text: String| SetupError::TrustAnchors(path.clone(), text);
    let anchors = TrustAnchors::from_file(path).map_err(|error| fault(error.to_string()))?;
    match anchors.is_empty() {
        true => Err(fault("no DNSKEY record of the root is in it".to_owned())),
        false => Ok(anchors),
    }
}

fn servers(options: &Options) -> Result<Vec<NameServerConfig>, SetupError> {
    if options.servers.is_empty() {
        let (config, _) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|error| SetupError::System(error.to_string()))?;
        return Ok(config.name_servers().to_vec());
    }
    let server = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    Ok(options.servers.iter().map(server).collect())
}

/// Both families' addresses. When there are none, a failure that may pass outweighs a family that has none.
fn both_families(
    v6: Result<Vec<IpAddr>, DnsError>,
    v4: Result<Vec<IpAddr>, DnsError>,
) -> Result<Vec<IpAddr>, DnsError> {
    match (v6, v4) {
        (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(v6), Err(v4)) => Err(if v6.is_temporary() || v4 == DnsError::NoData { v6 } else { v4 }),
    }
}

fn to_name(name: &str) -> Result<Name, DnsError> {
    Name::from_labels(to_labels(name)?.iter().map(String::as_bytes)).map_err(|_| DnsError::BadName)
}

/// In lower case, without the last dot; empty for the root.
fn to_text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn to_dns_error(error: &NetError) -> DnsError {
    match error {
        NetError::Timeout => DnsError::TimedOut,
        NetError::Dns(NetDnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NxDomain,
            ResponseCode::NoError => DnsError::NoData,
            code => DnsError::ServFail(code.to_string()),
        },
        NetError::Dns(NetDnsError::DnssecBogus) => DnsError::Bogus,
        NetError::Dns(NetDnsError::ResponseCode(ResponseCode::NXDomain)) => DnsError::NxDomain,
        NetError::Dns(NetDnsError::ResponseCode(code)) => DnsError::ServFail(code.to_string()),
        other => DnsError::ServFail(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_may_pass_outweighs_a_family_without_addresses() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let failed = || Err(DnsError::ServFail("REFUSED".into()));
        assert_eq!(both_families(failed(), Ok(vec![address])), Ok(vec![address]));
        assert_eq!(both_families(Err(DnsError::NoData), failed()), failed());
        assert_eq!(both_families(failed(), Err(DnsError::NoData)), failed());
        assert_eq!(both_families(Err(DnsError::NxDomain), failed()), failed());
        assert_eq!(both_families(Err(DnsError::NoData), Err(DnsError::NoData)), Err(DnsError::NoData));
        assert_eq!(both_families(Err(DnsError::NxDomain), Err(DnsError::NxDomain)), Err(DnsError::NxDomain));
    }
}
