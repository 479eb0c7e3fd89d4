//! Which hosts to try for a site, in which order.
//!
//! Standards: RFC 5321 section 5.1 (preference, equals at random, own host, implicit MX), RFC 7505 (null MX), RFC 5321 section
//! 4.1.3 (address literals), RFC 3463 (statuses), RFC 7672 section 2.2 (which hosts may have TLSA records).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use dns::{DnsError, Mx, Proven, Resolver};
use futures_util::future::join_all;
use model::{Domain, Reply};
use rand::seq::{IteratorRandom, SliceRandom};

use crate::options::{HostPort, LmtpAddress, Options};
use crate::site::Site;

/// One address of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host as diagnostics name it.
    pub(crate) host: String,
    pub(crate) address: Address,
    pub(crate) proof: Proof,
}

/// What DNSSEC proves of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    /// That it is one of the domain's.
    pub(crate) is_mx_secure: bool,
    /// The names under which TLSA records are looked for, in this order; none when they would be worth nothing.
    pub(crate) tlsa_bases: Vec<String>,
}

impl Proof {
    /// By the answer to the question for a host's addresses.
    fn of(host: &str, is_mx_secure: bool, addresses: &Proven<IpAddr>) -> Self {
        let mut tlsa_bases = Vec::new();
        if is_mx_secure && addresses.is_secure {
            tlsa_bases.push(addresses.name.clone());
        }
        //= RFC 7672 section 2.2.2: behind a CNAME first the name that it leads to, then the name itself.
        let is_alias = addresses.name != host;
        if is_mx_secure && addresses.is_alias_secure && is_alias {
            tlsa_bases.push(host.to_owned());
        }
        Self { is_mx_secure, tlsa_bases }
    }
}

impl Endpoint {
    /// One of the addresses of this host that a connection may come from, at random; nothing when it may come from any.
    ///
    /// # Errors
    /// None of them is of the endpoint's family.
    pub(crate) fn source(&self, sources: &[IpAddr]) -> io::Result<Option<IpAddr>> {
        let Address::Tcp(address) = &self.address else { return Ok(None) };
        if sources.is_empty() {
            return Ok(None);
        }
        let alike = |source: &&IpAddr| source.is_ipv6() == address.is_ipv6();
        match sources.iter().filter(alike).choose(&mut rand::rng()) {
            Some(source) => Ok(Some(*source)),
            None => {
                let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
                let error = format!("the route has no source address for {family}");
                Err(io::Error::new(io::ErrorKind::AddrNotAvailable, error))
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The addresses of a site, best first; never empty. The error is what the sender would be told: 4xx or 5xx.
pub(crate) async fn endpoints(
    site: &Site,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Vec<Endpoint>, Reply> {
    let mut found = match site {
        Site::Mx(domain, _) => match domain.literal() {
            Some(address) => literal(domain, address, options)?,
            None => mail_hosts(domain, options, resolver).await?,
        },
        Site::Host(host, _) | Site::Lmtp(LmtpAddress::Tcp(host)) => one_host(host, resolver).await?,
        Site::Lmtp(LmtpAddress::Unix(path)) => {
            let (host, address) = (path.display().to_string(), Address::Unix(path.clone()));
            vec![Endpoint { host, address, proof: Proof::default() }]
        }
        Site::Maildir(_) | Site::Pipe(_) => Vec::new(),
    };
    found.truncate(options.limits.addresses_per_attempt.max(1));
    Ok(found)
}

fn literal(domain: &Domain, address: IpAddr, options: &Options) -> Result<Vec<Endpoint>, Reply> {
    if options.own_addresses.contains(&address) {
        return Err(loops_back(domain));
    }
    let address = Address::Tcp(SocketAddr::new(address, options.mx_port));
    Ok(vec![Endpoint { host: domain.to_string(), address, proof: Proof::default() }])
}

async fn one_host(host: &HostPort, resolver: &dyn Resolver) -> Result<Vec<Endpoint>, Reply> {
    let addresses = match host.host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        // A relay that its configuration names may be back when DNS is: never a reason to bounce.
        Err(_) => resolver.addresses(&host.host).await.map_err(|error| unresolved(&host.host, &error))?,
    };
    Ok(endpoints_of(&host.host, host.port, addresses, &Proof::default()))
}

async fn mail_hosts(
    domain: &Domain,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Vec<Endpoint>, Reply> {
    let name = domain.to_ascii();
    let found = match options.dane {
        true => resolver.mx_proven(&name).await,
        false => Proven::insecure(&name, resolver.mx(&name).await),
    };
    let is_mx_secure = found.is_secure;
    let mut records = match found.answer {
        Ok(records) => records,
        //= RFC 5321 section 5.1: without MX the domain's own addresses are an implicit one.
        Err(DnsError::NoData) => vec![Mx { preference: 0, exchange: name.clone() }],
        Err(error) if error.is_temporary() => return Err(unresolved(&name, &error)),
        Err(_) => return Err(no_domain(domain)),
    };
    let is_implicit = matches!(records.as_slice(), [only] if only.exchange == name);
    //= RFC 7505 section 3: a single "." says that no mail is taken.
    if records.iter().all(|mx| mx.exchange.is_empty()) {
        return Err(Reply::new(556, (5, 1, 10), format!("{domain} takes no mail (null MX)")));
    }
    records.retain(|mx| !mx.exchange.is_empty());
    //= RFC 5321 section 5.1: equal preferences are tried in random order.
    records.shuffle(&mut rand::rng());
    records.sort_by_key(|mx| mx.preference);
    records.truncate(options.limits.hosts_per_destination.max(1));
    let addresses = |mx: &Mx| {
        let host = mx.exchange.clone();
        async move {
            match is_mx_secure {
                true => resolver.addresses_proven(&host).await,
                false => Proven::insecure(&host, resolver.addresses(&host).await),
            }
        }
    };
    let answers = join_all(records.iter().map(addresses)).await;
    let own = records
        .iter()
        .zip(&answers)
        .find(|(mx, found)| is_own(mx, &found.answer, options))
        .map(|(mx, _)| mx.preference);

    let (mut found, mut temporary) = (Vec::new(), None);
    for (mx, addresses) in records.iter().zip(answers) {
        //= RFC 5321 section 5.1: this host, and all that is preferred no more than it, is left out.
        if own.is_some_and(|own| mx.preference >= own) {
            break;
        }
        let proof = Proof::of(&mx.exchange, is_mx_secure, &addresses);
        match addresses.answer {
            Ok(addresses) => found.extend(endpoints_of(&mx.exchange, options.mx_port, addresses, &proof)),
            Err(error) if error.is_temporary() => temporary = Some(unresolved(&mx.exchange, &error)),
            Err(_) => {}
        }
    }
    match (found.is_empty(), temporary, own) {
        (false, ..) => Ok(found),
        (true, Some(reply), _) => Err(reply),
        (true, None, Some(_)) => Err(loops_back(domain)),
        (true, None, None) if is_implicit => Err(no_domain(domain)),
        (true, None, None) => {
            Err(Reply::new(550, (5, 4, 4), format!("no mail host of {domain} has an address")))
        }
    }
}

fn is_own(mx: &Mx, answer: &Result<Vec<IpAddr>, DnsError>, options: &Options) -> bool {
    options.is_own_name(&mx.exchange)
        || answer.as_ref().is_ok_and(|all| all.iter().any(|one| options.own_addresses.contains(one)))
}

/// IPv6 and IPv4 by turns, each in random order, so that a family that does not work costs one attempt and not all.
fn endpoints_of(host: &str, port: u16, addresses: Vec<IpAddr>, proof: &Proof) -> Vec<Endpoint> {
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    v6.shuffle(&mut rand::rng());
    v4.shuffle(&mut rand::rng());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten().map(|ip| Endpoint {
            host: host.to_owned(),
            address: Address::Tcp(SocketAddr::new(ip, port)),
            proof: proof.clone(),
        }));
    }
}

fn unresolved(name: &str, error: &DnsError) -> Reply {
    Reply::new(451, (4, 4, 3), format!("{name} could not be looked up: {error}"))
}

fn no_domain(domain: &Domain) -> Reply {
    Reply::new(550, (5, 1, 2), format!("{domain} is not a domain that takes mail"))
}

fn loops_back(domain: &Domain) -> Reply {
    Reply::new(554, (5, 4, 6), format!("mail for {domain} would come back to this host"))
}
