//! Which hosts take a domain's mail: what MX records say, before anybody's addresses are asked for.
//!
//! Domains with the same hosts are one site, as big hosters serve many: they share connections, limits and back-off. A domain that demands
//! something of its hosts is a site of its own, so that no message is given over a connection that was opened for less.
//!
//! Standards: RFC 5321 section 5.1 (preference, own host, implicit MX, CNAME: the resolver follows them), RFC 7505 (null MX), RFC 5321
//! section 4.1.3 (address literals), RFC 3463 (statuses).
//! Limits: [`MAX_HOSTS`]; of those that are left `Limits::hosts_per_destination` are asked for their addresses.

use std::fmt;
use std::net::IpAddr;

use dns::{DnsError, Mx, Proven, Resolver};
use model::{Domain, Reply};
use tls_policy::MtaSts;

use crate::options::Options;

/// Mail hosts of a domain that are looked at, the best first.
const MAX_HOSTS: usize = 100;

/// The hosts of a domain, or of several that demand nothing of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MailHosts {
    pub(crate) hosts: Hosts,
    /// Whether DNSSEC proves that these are the domain's (RFC 7672 section 2.2).
    pub(crate) is_secure: bool,
    /// The domain, in A-labels, where something is demanded of hosts for its sake: by DANE, whose certificates may be for its name, or by its
    /// MTA-STS policy. It is no site together with others then.
    pub(crate) domain: Option<String>,
}

/// Who takes the mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Hosts {
    /// Those that MX records name, in an order that two domains with the same hosts share: by rank, then by name.
    Mx(Vec<MailHost>),
    /// There are no MX records: the domain itself.
    Itself(String),
    /// An address literal.
    Literal(IpAddr),
}

/// A mail host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MailHost {
    /// 0 for the most preferred; equal where preferences are.
    pub(crate) rank: u16,
    /// In lower case, as A-labels.
    pub(crate) name: String,
}

impl MailHosts {
    /// Asks for the hosts of a domain.
    ///
    /// # Errors
    /// What the sender would be told: 4xx or 5xx.
    pub(crate) async fn of(
        domain: &Domain,
        options: &Options,
        resolver: &dyn Resolver,
        mta_sts: Option<&MtaSts>,
    ) -> Result<Self, Reply> {
        if let Some(address) = domain.literal() {
            return match options.own_addresses.contains(&address) {
                true => Err(loops_back(domain)),
                false => Ok(Self { hosts: Hosts::Literal(address), is_secure: false, domain: None }),
            };
        }
        let name = domain.to_ascii();
        let found = match options.dane {
            true => resolver.mx_proven(&name).await,
            false => Proven::insecure(&name, resolver.mx(&name).await),
        };
        let hosts = match found.answer {
            Ok(records) => Hosts::by_mx(domain, records, options)?,
            //= RFC 5321 section 5.1: without MX the domain's own addresses are an implicit one.
            Err(DnsError::NoData) if options.is_own_name(&name) => return Err(loops_back(domain)),
            Err(DnsError::NoData) => Hosts::Itself(name.clone()),
            Err(error) if error.is_temporary() => return Err(unresolved(&name, &error)),
            Err(_) => return Err(no_domain(&name)),
        };
        // A policy that should be there and cannot be had is for the domain to hear of.
        let has_policy = match mta_sts {
            Some(mta_sts) => {
                let found = mta_sts.policy(&name).await;
                found.policy.is_some() || found.fault.is_some()
            }
            None => false,
        };
        let is_apart = found.is_secure || has_policy;
        Ok(Self { hosts, is_secure: found.is_secure, domain: is_apart.then_some(name) })
    }
}

impl Hosts {
    fn by_mx(domain: &Domain, mut records: Vec<Mx>, options: &Options) -> Result<Self, Reply> {
        //= RFC 7505 section 3: a single "." says that no mail is taken; beside others it means nothing.
        if records.iter().all(|mx| mx.exchange.is_empty()) {
            return Err(Reply::new(556, (5, 1, 10), format!("{domain} takes no mail (null MX)")));
        }
        records.retain(|mx| !mx.exchange.is_empty());
        records.iter_mut().for_each(|mx| mx.exchange.make_ascii_lowercase());
        records.sort_by(|a, b| (a.preference, &a.exchange).cmp(&(b.preference, &b.exchange)));
        //= RFC 5321 section 5.1: this host, and all that is preferred no more than it, is left out.
        if let Some(own) = records.iter().find(|mx| options.is_own_name(&mx.exchange)) {
            let own = own.preference;
            records.retain(|mx| mx.preference < own);
            if records.is_empty() {
                return Err(loops_back(domain));
            }
        }
        Ok(Self::Mx(ranked(records)))
    }
}

/// Ranks for preferences, so that 10 and 20 are the same as 5 and 50. A host that is there twice has the better one.
fn ranked(records: Vec<Mx>) -> Vec<MailHost> {
    let mut hosts: Vec<MailHost> = Vec::new();
    let (mut rank, mut last) = (0, None);
    for mx in records {
        if last.is_some_and(|last| last != mx.preference) {
            rank += 1;
        }
        last = Some(mx.preference);
        if hosts.len() < MAX_HOSTS && !hosts.iter().any(|host| host.name == mx.exchange) {
            hosts.push(MailHost { rank, name: mx.exchange });
        }
    }
    hosts
}

/// As statistics and logs name the site.
impl fmt::Display for MailHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = &self.domain {
            return f.write_str(domain);
        }
        match &self.hosts {
            Hosts::Itself(domain) => f.write_str(domain),
            Hosts::Literal(address) => write!(f, "[{address}]"),
            Hosts::Mx(hosts) => {
                for (nth, host) in hosts.iter().enumerate() {
                    write!(f, "{}{}", if nth == 0 { "" } else { "," }, host.name)?;
                }
                Ok(())
            }
        }
    }
}

pub(crate) fn unresolved(name: &str, error: &DnsError) -> Reply {
    Reply::new(451, (4, 4, 3), format!("{name} could not be looked up: {error}"))
}

pub(crate) fn no_domain(name: &str) -> Reply {
    Reply::new(550, (5, 1, 2), format!("{name} is not a domain that takes mail"))
}

pub(crate) fn loops_back(name: &dyn fmt::Display) -> Reply {
    Reply::new(554, (5, 4, 6), format!("mail for {name} would come back to this host"))
}

#[cfg(test)]
mod tests {
    use dns::Fake;

    use super::*;

    async fn hosts(fake: Fake, domain: &str) -> String {
        let options = Options { own_names: vec!["alias.example".to_owned()], ..Options::new("me.example") };
        let domain = Domain::parse(domain).unwrap();
        match MailHosts::of(&domain, &options, &fake, None).await {
            Ok(hosts) => hosts.to_string(),
            Err(reply) => reply.to_string(),
        }
    }

    #[tokio::test]
    async fn domains_with_the_same_hosts_are_one_site() {
        let fake = Fake::new()
            .with_mx("one.example", 10, "b.hoster.example")
            .with_mx("one.example", 10, "A.hoster.example")
            .with_mx("one.example", 20, "c.hoster.example")
            .with_mx("two.example", 50, "c.hoster.example")
            .with_mx("two.example", 5, "a.hoster.example")
            .with_mx("two.example", 5, "b.hoster.example")
            .with_mx("two.example", 60, "b.hoster.example")
            .with_mx("other.example", 5, "a.hoster.example")
            .with_mx("other.example", 6, "b.hoster.example")
            .with_mx("other.example", 7, "c.hoster.example");
        let options = Options::new("me.example");
        let mut found = Vec::new();
        for domain in ["one.example", "two.example", "other.example"] {
            found.push(MailHosts::of(&Domain::parse(domain).unwrap(), &options, &fake, None).await.unwrap());
        }
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0].to_string(), "a.hoster.example,b.hoster.example,c.hoster.example");
        assert_ne!(found[0], found[2], "what is preferred differently is another site");
    }

    #[tokio::test]
    async fn this_host_and_all_that_is_preferred_no_more_is_left_out() {
        let fake = |own: u16, name: &str| {
            Fake::new()
                .with_mx("to.example", 10, "best.example")
                .with_mx("to.example", own, name)
                .with_mx("to.example", 20, "equal.example")
                .with_mx("to.example", 30, "worse.example")
        };
        assert_eq!(hosts(fake(20, "ME.example"), "to.example").await, "best.example");
        assert_eq!(hosts(fake(30, "alias.example"), "to.example").await, "best.example,equal.example");
        assert!(hosts(fake(10, "me.example"), "to.example").await.starts_with("554 5.4.6"));
        let itself = Fake::new().with_address("me.example", "192.0.2.1".parse().unwrap());
        assert!(hosts(itself, "me.example").await.starts_with("554 5.4.6"));
    }

    #[tokio::test]
    async fn a_null_mx_counts_alone_only() {
        let null = || Fake::new().with_mx("to.example", 0, ".");
        assert!(hosts(null(), "to.example").await.starts_with("556 5.1.10"));
        assert_eq!(hosts(null().with_mx("to.example", 10, "mx.example"), "to.example").await, "mx.example");
    }

    #[tokio::test]
    async fn an_answer_that_may_change_is_no_reason_to_bounce() {
        let fake = || {
            Fake::new()
                .fails("servfail.example", DnsError::ServFail("test".to_owned()))
                .fails("late.example", DnsError::TimedOut)
                .with_address("itself.example", "192.0.2.1".parse().unwrap())
        };
        for (domain, expected) in [
            ("servfail.example", "451 4.4.3"),
            ("late.example", "451 4.4.3"),
            ("missing.example", "550 5.1.2"),
            ("itself.example", "itself.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:db8::1]", "[2001:db8::1]"),
        ] {
            let found = hosts(fake(), domain).await;
            assert!(found.starts_with(expected), "{domain}: {found}");
        }
    }
}
