//! `dns`: questions to the server's resolver, for plugins that were granted it.

use std::net::IpAddr;
use std::sync::Arc;

use ::dns::{DnsError, Resolver};
use futures_util::future::join_all;

use crate::bindings::waxwing::mail::dns::{Failure, Host, Mx};
use crate::state::State;

impl Host for State {
    async fn txt(&mut self, name: String) -> Result<Vec<String>, Failure> {
        let resolver = self.resolver(1)?;
        resolver.txt(&name).await.map_err(failure)
    }

    async fn addresses(&mut self, name: String) -> Result<Vec<String>, Failure> {
        let resolver = self.resolver(1)?;
        let addresses = resolver.addresses(&name).await.map_err(failure)?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    async fn mx_records(&mut self, name: String) -> Result<Vec<Mx>, Failure> {
        let resolver = self.resolver(1)?;
        let records = resolver.mx(&name).await.map_err(failure)?;
        Ok(records.into_iter().map(|mx| Mx { preference: mx.preference, exchange: mx.exchange }).collect())
    }

    async fn ptr(&mut self, ip: String) -> Result<Vec<String>, Failure> {
        let resolver = self.resolver(1)?;
        let address = ip.parse().map_err(|_| Failure::NxDomain)?;
        resolver.ptr(address).await.map_err(failure)
    }

    /// The zones that list the address, with the addresses that say so. One that fails is as one that does
    /// not list it.
    async fn dnsbl(&mut self, ip: String, zones: Vec<String>) -> Vec<(String, Vec<String>)> {
        let questions = u32::try_from(zones.len()).unwrap_or(u32::MAX);
        let (Ok(address), Ok(resolver)) = (ip.parse::<IpAddr>(), self.resolver(questions)) else {
            return Vec::new();
        };
        let reversed = reversed(address.to_canonical());
        let listed = join_all(zones.iter().map(|zone| {
            let (name, resolver) = (format!("{reversed}.{}", zone.trim_end_matches('.')), &resolver);
            async move { resolver.addresses(&name).await }
        }));
        let listed = zones.iter().zip(listed.await).filter_map(|(zone, answer)| {
            let answer = answer.inspect_err(|error| {
                if error.is_temporary() {
                    tracing::debug!(plugin = %self.plugin.name, zone, %error, "a DNS list did not answer");
                }
            });
            Some((zone.clone(), answer.ok()?.iter().map(ToString::to_string).collect()))
        });
        listed.collect()
    }
}

impl State {
    /// The resolver, when the plugin may ask it this often.
    fn resolver(&mut self, questions: u32) -> Result<Arc<dyn Resolver>, Failure> {
        let asked = self.spent.dns_questions.saturating_add(questions);
        if !self.plugin.options.grants.dns || asked > self.plugin.limits.dns_questions_per_hook {
            return Err(Failure::Denied);
        }
        self.spent.dns_questions = asked;
        self.host.services.dns.clone().ok_or(Failure::Denied)
    }
}

fn failure(error: DnsError) -> Failure {
    match error {
        DnsError::NoData => Failure::NoData,
        DnsError::NxDomain | DnsError::BadName => Failure::NxDomain,
        DnsError::TimedOut => Failure::TimedOut,
        DnsError::ServFail(_) | DnsError::Bogus => Failure::ServFail,
    }
}

/// RFC 5782 section 2.1 and 2.4: octets, or nibbles, from the last to the first.
fn reversed(address: IpAddr) -> String {
    let parts: Vec<String> = match address {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(v6) => {
            let nibbles = |octet: &u8| [format!("{:x}", octet & 15), format!("{:x}", octet >> 4)];
            v6.octets().iter().rev().flat_map(nibbles).collect()
        }
    };
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reversed_as_rfc_5782_says() {
        assert_eq!(reversed("192.0.2.99".parse().unwrap()), "99.2.0.192");
        let v6 = reversed("2001:db8:1:2:3:4:567:89ab".parse().unwrap());
        assert_eq!(v6, "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2");
    }
}
