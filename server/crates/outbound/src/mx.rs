//! Which addresses to try for a site, in which order.
//!
//! Standards: RFC 5321 section 5.1 (preference, equals at random, own host), RFC 8305 section 4 (families by turns), RFC 7672 section
//! 2.2 (which hosts may have TLSA records).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use dns::{Proven, Resolver};
use futures_util::future::join_all;
use model::Reply;
use rand::seq::{IteratorRandom, SliceRandom};

use crate::mail_hosts::{Hosts, MailHost, loops_back, no_domain, unresolved};
use crate::options::{HostPort, LmtpAddress, Options};
use crate::site::Site;

/// One address of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host as diagnostics name it.
    pub(crate) host: String,
    pub(crate) address: Address,
    /// Those of one rank may be tried side by side, those of a higher one when these have failed.
    pub(crate) rank: u16,
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

impl Address {
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}

/// The addresses of a site, best first; never empty. The error is what the sender would be told: 4xx or 5xx.
pub(crate) async fn endpoints(
    site: &Site,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Vec<Endpoint>, Reply> {
    let mut found = match site {
        Site::Mx(mail_hosts, _) => match &mail_hosts.hosts {
            Hosts::Mx(hosts) => by_mx(hosts, mail_hosts.is_secure, options, resolver).await?,
            Hosts::Itself(domain) => itself(domain, mail_hosts.is_secure, options, resolver).await?,
            Hosts::Literal(address) => {
                let address = Address::Tcp(SocketAddr::new(*address, options.mx_port));
                vec![Endpoint { host: mail_hosts.to_string(), address, rank: 0, proof: Proof::default() }]
            }
        },
        Site::Host(host, _) | Site::Lmtp(LmtpAddress::Tcp(host)) => one_host(host, resolver).await?,
        Site::Lmtp(LmtpAddress::Unix(path)) => {
            let (host, address) = (path.display().to_string(), Address::Unix(path.clone()));
            vec![Endpoint { host, address, rank: 0, proof: Proof::default() }]
        }
        Site::Maildir(_) | Site::Pipe(_) => Vec::new(),
    };
    found.truncate(options.limits.addresses_per_attempt.max(1));
    Ok(found)
}

async fn one_host(host: &HostPort, resolver: &dyn Resolver) -> Result<Vec<Endpoint>, Reply> {
    let addresses = match host.host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        // A relay that its configuration names may be back when DNS is: never a reason to bounce.
        Err(_) => resolver.addresses(&host.host).await.map_err(|error| unresolved(&host.host, &error))?,
    };
    Ok(endpoints_of(&host.host, host.port, addresses, 0, &Proof::default()))
}

/// The addresses of a host, and what DNSSEC proves of them where that is worth something.
async fn addresses(host: &str, is_mx_secure: bool, resolver: &dyn Resolver) -> Proven<IpAddr> {
    match is_mx_secure {
        true => resolver.addresses_proven(host).await,
        false => Proven::insecure(host, resolver.addresses(host).await),
    }
}

async fn itself(
    domain: &str,
    is_mx_secure: bool,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Vec<Endpoint>, Reply> {
    let found = addresses(domain, is_mx_secure, resolver).await;
    let proof = Proof::of(domain, is_mx_secure, &found);
    match found.answer {
        Ok(addresses) if is_own(&addresses, options) => Err(loops_back(&domain)),
        Ok(addresses) if !addresses.is_empty() => {
            Ok(endpoints_of(domain, options.mx_port, addresses, 0, &proof))
        }
        Err(error) if error.is_temporary() => Err(unresolved(domain, &error)),
        Ok(_) | Err(_) => Err(no_domain(domain)),
    }
}

async fn by_mx(
    hosts: &[MailHost],
    is_mx_secure: bool,
    options: &Options,
    resolver: &dyn Resolver,
) -> Result<Vec<Endpoint>, Reply> {
    let mut hosts: Vec<&MailHost> = hosts.iter().collect();
    //= RFC 5321 section 5.1: equal preferences are tried in random order.
    hosts.shuffle(&mut rand::rng());
    hosts.sort_by_key(|host| host.rank);
    hosts.truncate(options.limits.hosts_per_destination.max(1));
    let answers = join_all(hosts.iter().map(|host| addresses(&host.name, is_mx_secure, resolver))).await;
    let is_us = |found: &Proven<IpAddr>| found.answer.as_ref().is_ok_and(|all| is_own(all, options));
    let own = hosts.iter().zip(&answers).find(|(_, found)| is_us(found)).map(|(host, _)| host.rank);

    let (mut found, mut temporary) = (Vec::new(), None);
    for (host, addresses) in hosts.iter().zip(answers) {
        //= RFC 5321 section 5.1: this host, and all that is preferred no more than it, is left out.
        if own.is_some_and(|own| host.rank >= own) {
            break;
        }
        let proof = Proof::of(&host.name, is_mx_secure, &addresses);
        match addresses.answer {
            Ok(addresses) => {
                found.extend(endpoints_of(&host.name, options.mx_port, addresses, host.rank, &proof));
            }
            Err(error) if error.is_temporary() => temporary = Some(unresolved(&host.name, &error)),
            Err(_) => {}
        }
    }
    let names = || hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ");
    match (found.is_empty(), temporary, own) {
        (false, ..) => Ok(found),
        (true, Some(reply), _) => Err(reply),
        (true, None, Some(_)) => Err(loops_back(&names())),
        (true, None, None) => {
            Err(Reply::new(550, (5, 4, 4), format!("no mail host has an address: {}", names())))
        }
    }
}

fn is_own(addresses: &[IpAddr], options: &Options) -> bool {
    addresses.iter().any(|one| options.own_addresses.contains(one))
}

/// IPv6 and IPv4 by turns, each in random order, so that a family that does not work costs one attempt and not all.
fn endpoints_of(host: &str, port: u16, addresses: Vec<IpAddr>, rank: u16, proof: &Proof) -> Vec<Endpoint> {
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
            rank,
            proof: proof.clone(),
        }));
    }
}
