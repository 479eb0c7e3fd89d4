//! What is demanded of a host, from everybody who has a say: DNSSEC with TLSA records, the domain's MTA-STS policy, the message, the
//! configuration.
//!
//! The order: DANE, where the MX records, the host's addresses and its TLSA records are proven; else the policy, where there is one in force; else
//! the level of the configuration. A failure to find out what DANE asks for skips the host: whoever can break an answer must not be
//! able to switch encryption off. A level of "off" or "implicit" is the configuration's own affair, and neither is asked.
//!
//! Standards: RFC 7672 section 2.2 (which hosts have DANE, and what a failure means), RFC 8461 section 2 (DANE comes first) and 5 (applying
//! a policy), RFC 8689 sections 4.1 (TLS-Required) and 4.2.1 (REQUIRETLS).
//! Known gaps: a next hop that the configuration names has no DANE.

use std::sync::Arc;

use dns::{Resolver, tlsa_name};
use model::Reply;
use queue::Entry;
use tls::client::{Dane, Tlsa, Trust};
use tls_policy::report::{Applied, Kind, ResultType};
use tls_policy::{Fault, Found, Mode, Policy};

use crate::connection::Connection;
use crate::demand::{Demand, Encryption, TlsLevel};
use crate::engine::Inner;
use crate::mail_hosts::Hosts;
use crate::mx::{Address, Endpoint};
use crate::opening::OpenError;
use crate::options::Options;
use crate::site::Site;
use crate::tls_report::{self, Witness};
use crate::traits::Traits;

/// What the message asks for itself; its sessions have to be opened for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    None,
    /// REQUIRETLS: over verified TLS, or not at all.
    RequireTls,
    /// `TLS-Required: No`: rather in plain text than not at all.
    TlsOptional,
}

impl Wish {
    pub(crate) fn of(entry: &Entry, traits: &Traits) -> Self {
        //= RFC 8689 section 4.1: REQUIRETLS outweighs the header field.
        if entry.sender_params.iter().any(|param| param.keyword.eq_ignore_ascii_case("REQUIRETLS")) {
            return Self::RequireTls;
        }
        match traits.is_tls_optional {
            true => Self::TlsOptional,
            false => Self::None,
        }
    }
}

/// What holds for all hosts of a site.
#[derive(Debug)]
pub(crate) struct SitePolicy {
    level: TlsLevel,
    wish: Wish,
    /// DNS was asked for the hosts.
    is_by_dns: bool,
    /// The domain that the mail is for, in A-labels; nothing when it demands nothing.
    domain: Option<String>,
    sts: Option<Arc<Policy>>,
    /// Counts what comes of it, if anybody does.
    witness: Option<Witness>,
}

impl SitePolicy {
    /// Asks for the domain's MTA-STS policy, if that may have a say.
    pub(crate) async fn of(
        site: &Site,
        wish: Wish,
        level: TlsLevel,
        is_counted: bool,
        inner: &Inner,
    ) -> Self {
        let (is_by_dns, domain) = match site {
            Site::Mx(hosts, _) => (!matches!(hosts.hosts, Hosts::Literal(_)), hosts.domain.clone()),
            _ => (false, None),
        };
        let is_open = !matches!(level, TlsLevel::Off | TlsLevel::Implicit) && wish != Wish::TlsOptional;
        let witness = match (&domain, &inner.ledger) {
            (Some(domain), Some(ledger)) if is_open && is_counted => {
                Some(Witness { ledger: Arc::clone(ledger), domain: domain.clone() })
            }
            _ => None,
        };
        let found = match (&domain, inner.mta_sts()) {
            (Some(domain), Some(sts)) if is_open => sts.policy(domain).await,
            _ => Found::default(),
        };
        if let (Some(witness), Some(fault)) = (&witness, &found.fault) {
            let result = match fault {
                Fault::Fetch(_) => ResultType::StsPolicyFetchError,
                Fault::Certificate(_) => ResultType::StsWebpkiInvalid,
                Fault::Policy(_) => ResultType::StsPolicyInvalid,
            };
            witness.count(witness.policy(Kind::Sts, Vec::new(), Vec::new()), None, Some(result));
        }
        let sts = found.policy.filter(|policy| policy.mode != Mode::None);
        Self { level, wish, is_by_dns, domain, sts, witness }
    }

    /// Counts what came of a session with a host.
    pub(crate) fn came_of(
        &self,
        demand: &Demand,
        endpoint: &Endpoint,
        outcome: Result<&Connection, &OpenError>,
    ) {
        let Some(witness) = &self.witness else { return };
        let policy = self.applied(witness, &demand.trust);
        let result = match outcome {
            Ok(connection) if !connection.is_secured() => Some(ResultType::StarttlsNotSupported),
            // A policy that is only tested is held against what came of it.
            Ok(connection) if policy.policy_type == Kind::Sts && !connection.is_verified => {
                Some(ResultType::StsWebpkiInvalid)
            }
            Ok(_) => None,
            Err(error) => match tls_report::result_type(error, policy.policy_type) {
                Some(result) => Some(result),
                None => return,
            },
        };
        witness.count(policy, Some(endpoint), result);
    }

    /// Counts a host that was not used.
    fn unused(&self, endpoint: &Endpoint, kind: Kind, result: ResultType) {
        let Some(witness) = &self.witness else { return };
        let policy = match kind {
            Kind::Sts => self.applied(witness, &Trust::WebPki),
            kind => witness.policy(kind, Vec::new(), Vec::new()),
        };
        witness.count(policy, Some(endpoint), Some(result));
    }

    /// The policy that a session was held against, as a report shows it.
    fn applied(&self, witness: &Witness, trust: &Trust) -> Applied {
        match (trust, &self.sts) {
            (Trust::Dane(dane), _) => {
                let text = |record: &Tlsa| {
                    let data: String = record.data.iter().map(|octet| format!("{octet:02x}")).collect();
                    format!("{} {} {} {data}", record.usage, record.selector, record.matching)
                };
                witness.policy(Kind::Tlsa, dane.records.iter().map(text).collect(), Vec::new())
            }
            (_, Some(policy)) => witness.policy(Kind::Sts, policy.lines(), policy.mx.clone()),
            (_, None) => witness.policy(Kind::NoPolicyFound, Vec::new(), Vec::new()),
        }
    }

    /// What is demanded of one of the hosts.
    ///
    /// # Errors
    /// The host is not to be used for this message; as the sender would be told.
    pub(crate) async fn demand(
        &self,
        endpoint: &Endpoint,
        options: &Options,
        resolver: &dyn Resolver,
    ) -> Result<Demand, Reply> {
        let is_asked = self.is_by_dns
            && self.wish != Wish::TlsOptional
            && !matches!(self.level, TlsLevel::Off | TlsLevel::Implicit);
        let mut demand = Demand::of(self.level);
        if is_asked {
            match self.dane(endpoint, resolver).await? {
                Some(dane) => demand = dane,
                None => {
                    if let Some(enforced) = self.enforced(endpoint)? {
                        demand = enforced;
                    }
                }
            }
        }
        match self.wish {
            Wish::RequireTls => self.verified(demand, endpoint, options),
            Wish::None | Wish::TlsOptional => Ok(demand),
        }
    }

    /// What TLSA records demand; nothing when there are none that DNSSEC proves.
    async fn dane(&self, endpoint: &Endpoint, resolver: &dyn Resolver) -> Result<Option<Demand>, Reply> {
        let Address::Tcp(address) = &endpoint.address else { return Ok(None) };
        for base in &endpoint.proof.tlsa_bases {
            let found = resolver.tlsa(&tlsa_name(address.port(), base)).await;
            let records = match found.answer {
                Ok(records) if found.is_secure => records,
                //= RFC 7672 section 2.1.2: a host whose TLSA records cannot be had is not used.
                Err(error) if error.is_temporary() => {
                    self.unused(endpoint, Kind::Tlsa, ResultType::DnssecInvalid);
                    let text = format!("{}: the TLSA records cannot be had: {error}", endpoint.host);
                    return Err(Reply::new(451, (4, 7, 5), text));
                }
                _ => continue,
            };
            let records: Vec<Tlsa> = records
                .into_iter()
                .map(|record| Tlsa {
                    usage: record.usage,
                    selector: record.selector,
                    matching: record.matching,
                    data: record.data,
                })
                .collect();
            //= RFC 7672 section 2.2: without a usable record there is TLS all the same, whoever is at the other end.
            let trust = match records.iter().any(Tlsa::is_usable) {
                true => {
                    let names = self.domain.iter().cloned().chain([endpoint.host.clone()]).collect();
                    Trust::Dane(Dane { records, names })
                }
                false if self.level == TlsLevel::Verified => Trust::WebPki,
                false => Trust::Any,
            };
            return Ok(Some(Demand {
                encryption: Encryption::StartTls,
                trust,
                must_encrypt: true,
                name: Some(base.clone()),
                reason: "TLSA records (DANE)",
            }));
        }
        Ok(None)
    }

    /// What a policy in force demands; nothing when there is none, or it only tests.
    fn enforced(&self, endpoint: &Endpoint) -> Result<Option<Demand>, Reply> {
        let Some(policy) = &self.sts else { return Ok(None) };
        let is_allowed = policy.allows(&endpoint.host);
        if !is_allowed {
            self.unused(endpoint, Kind::Sts, ResultType::ValidationFailure);
        }
        if policy.mode == Mode::Testing {
            if !is_allowed {
                let domain = self.domain.as_deref().unwrap_or_default();
                tracing::info!(domain, host = %endpoint.host, "the MTA-STS policy, which is being tested, does not list this host");
            }
            return Ok(None);
        }
        //= RFC 8461 section 4: under "enforce" mail goes to hosts that the policy lists, and to no others.
        if !is_allowed {
            let text = format!("{} is not listed in the MTA-STS policy of the domain", endpoint.host);
            return Err(Reply::new(451, (4, 7, 5), text));
        }
        Ok(Some(Demand {
            encryption: Encryption::StartTls,
            trust: Trust::WebPki,
            must_encrypt: true,
            name: None,
            reason: "the domain's MTA-STS policy",
        }))
    }

    /// REQUIRETLS: whoever is at the other end has to be known, the way to its name with it.
    fn verified(&self, demand: Demand, endpoint: &Endpoint, options: &Options) -> Result<Demand, Reply> {
        if demand.trust != Trust::Any {
            return Ok(demand);
        }
        //= RFC 8689 section 4.2.1: the host's name comes from DNSSEC, from MTA-STS, or from ourselves.
        if self.is_by_dns && !endpoint.proof.is_mx_secure {
            let why = if options.dane { "" } else { ", and DANE is switched off" };
            let text = format!(
                "REQUIRETLS: neither DNSSEC nor MTA-STS vouches for {} as the domain's host{why}",
                endpoint.host
            );
            return Err(Reply::new(550, (5, 7, 30), text));
        }
        let reason = "REQUIRETLS of the message";
        Ok(Demand {
            encryption: Encryption::StartTls,
            trust: Trust::WebPki,
            must_encrypt: true,
            reason,
            ..demand
        })
    }
}
