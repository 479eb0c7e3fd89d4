//! The resolver that validates, for the questions that DANE rests on.
//!
//! What the library says of each record set is taken further here, as it leaves three things to its caller: which records belong
//! to the answer (the chain of CNAMEs is followed by name), whether a record that a wildcard made is shown to be the closest, and
//! whether "there is none" was proven, or is believed because a zone *above the name* is unsigned. A denial that only comes with
//! the records of some other unsigned zone is bogus: otherwise whoever sits between could make TLSA records vanish.
//!
//! Standards: RFC 4035 (4.3 states, 5.3.4 wildcards, 5.4 denial), RFC 5155 section 8 (NSEC3), RFC 7672 section 2.1.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError as NetDnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tracing::{info, warn};

use super::{both_families, to_dns_error, to_name, to_text};
use crate::proven::{Proven, Tlsa};
use crate::resolver::{DnsError, Mx};

/// Questions that go unproven after the servers were seen to hand out no signatures, before they are looked at again.
const RECHECK: usize = 256;
/// The same after a failure that may pass.
const RETRY: usize = 16;
/// CNAMEs that are followed.
const MAX_ALIASES: usize = 16;

/// A resolver with trust anchors, and what is known of the servers that it asks.
pub(super) struct Validator {
    resolver: TokioResolver,
    patience: Duration,
    /// The root's records have validated.
    has_validated: AtomicBool,
    /// Questions until the root is looked at again.
    unproven: AtomicUsize,
}

impl Validator {
    pub(super) fn new(resolver: TokioResolver, is_required: bool, patience: Duration) -> Self {
        let has_validated = AtomicBool::new(is_required);
        Self { resolver, patience, has_validated, unproven: AtomicUsize::new(0) }
    }

    /// Whether the servers hand out what validation needs: the root's own records validate. Once they did, they must go on:
    /// signatures that vanish later are an attack or a fault, not a reason to do without.
    pub(super) async fn is_available(&self) -> bool {
        if self.has_validated.load(Ordering::Relaxed) {
            return true;
        }
        let count_down = |left: usize| left.checked_sub(1);
        if self.unproven.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down).is_ok() {
            return false;
        }
        let root = self.lookup(Name::root(), RecordType::SOA, |_| Some(())).await;
        match root.answer {
            Ok(_) if root.is_secure => {
                info!("the name servers hand out signatures: DNSSEC is validated, and DANE with it");
                self.has_validated.store(true, Ordering::Relaxed);
                return true;
            }
            // Nobody can be reached: that says nothing yet, but a server that swallows such questions shall not delay each of ours.
            Err(DnsError::TimedOut | DnsError::ServFail(_)) => self.unproven.store(RETRY, Ordering::Relaxed),
            _ => {
                warn!("the name servers hand out no signatures that validate: there will be no DANE");
                self.unproven.store(RECHECK, Ordering::Relaxed);
            }
        }
        false
    }

    pub(super) async fn mx(&self, name: &str) -> Proven<Mx> {
        let pick = |data: &RData| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: to_text(&mx.exchange) }),
            _ => None,
        };
        self.ask(name, RecordType::MX, pick).await
    }

    pub(super) async fn tlsa(&self, name: &str) -> Proven<Tlsa> {
        let pick = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.ask(name, RecordType::TLSA, pick).await
    }

    /// Both families: what one of them has nothing of must be proven too.
    pub(super) async fn addresses(&self, name: &str) -> Proven<IpAddr> {
        let pick = |data: &RData| match data {
            RData::A(a) => Some(IpAddr::from(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::from(aaaa.0)),
            _ => None,
        };
        let (v6, v4) =
            tokio::join!(self.ask(name, RecordType::AAAA, pick), self.ask(name, RecordType::A, pick));
        let found = if v4.answer.is_ok() { &v4 } else { &v6 };
        let (is_secure, name) = (v6.is_secure && v4.is_secure, found.name.clone());
        let is_alias_secure = v6.is_alias_secure && v4.is_alias_secure;
        Proven { answer: both_families(v6.answer, v4.answer), is_secure, name, is_alias_secure }
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, pick: impl Fn(&RData) -> Option<T>) -> Proven<T> {
        let name = match to_name(name) {
            Ok(name) => name,
            Err(error) => return Proven::insecure(name, Err(error)),
        };
        let proven = self.lookup(name.clone(), kind, &pick).await;
        match proven.answer {
            Err(DnsError::Bogus) => self.behind_wildcard(&name, kind, pick).await.unwrap_or(proven),
            _ => proven,
        }
    }

    /// The records of the wildcard beside a name whose answer does not validate.
    ///
    /// The library (hickory 0.26.3) takes what a wildcard made in a zone with NSEC for bogus. Asked for by its own name the wildcard is an
    /// exact match, and validates. That no closer name exists stays unproven, so that the answer counts as insecure; TLSA records
    /// are believed all the same: the zone's owner gave them to this host.
    async fn behind_wildcard<T>(
        &self,
        name: &Name,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Option<Proven<T>> {
        let wildcard = name.base_name().prepend_label("*").ok()?;
        let proven = self.lookup(wildcard, kind, pick).await;
        let is_secure = kind == RecordType::TLSA;
        let name = to_text(name);
        (proven.is_secure && proven.answer.is_ok()).then(|| Proven {
            is_secure,
            is_alias_secure: is_secure,
            name,
            ..proven
        })
    }

    /// Follows CNAMEs where the library's answer has lost them, as it does when it remembers what they lead to.
    async fn lookup<T>(
        &self,
        asked: Name,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Proven<T> {
        let (mut name, mut is_secure, mut is_alias_secure) = (asked.clone(), true, None);
        for _ in 0..MAX_ALIASES {
            if let Some(proven) = self.one_lookup(&name, kind, &pick).await {
                let is_alias_secure = is_alias_secure.unwrap_or(proven.is_alias_secure);
                return Proven { is_secure: is_secure && proven.is_secure, is_alias_secure, ..proven };
            }
            let target = |data: &RData| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            };
            let alias = self.one_lookup(&name, RecordType::CNAME, target).await;
            let Some(Proven { answer: Ok(targets), is_secure: is_proven, .. }) = alias else { break };
            let Some(target) = targets.into_iter().next() else { break };
            is_secure &= is_proven;
            is_alias_secure.get_or_insert(is_proven);
            name = target;
        }
        failed(&asked, DnsError::NoData)
    }

    /// Nothing when what came belongs to another name.
    async fn one_lookup<T>(
        &self,
        name: &Name,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Option<Proven<T>> {
        let answer = tokio::time::timeout(self.patience, self.resolver.lookup(name.clone(), kind)).await;
        let proven = match answer {
            Ok(Ok(lookup)) => found(name, kind, lookup.answers(), lookup.authorities(), pick)?,
            Ok(Err(NetError::Dns(NetDnsError::NoRecordsFound(none)))) => self.denied(name, &none),
            // Valid, but made with so many rounds of NSEC3 that it counts as unsigned (RFC 9276 section 3.2).
            Ok(Err(NetError::Dns(NetDnsError::Nsec { response, proof: Proof::Insecure, .. }))) => {
                let shown = found(name, kind, &response.answers, &[], pick);
                let shown = shown.unwrap_or_else(|| failed(name, DnsError::NoData));
                Proven { is_secure: false, is_alias_secure: false, ..shown }
            }
            Ok(Err(NetError::Dns(NetDnsError::Nsec { .. }))) => failed(name, DnsError::Bogus),
            Ok(Err(error)) => failed(name, to_dns_error(&error)),
            Err(_) => failed(name, DnsError::TimedOut),
        };
        if let Err(error) = proven.answer.as_ref() {
            tracing::debug!(%name, %kind, %error, secure = proven.is_secure, "no proven answer from DNS");
        }
        Some(proven)
    }

    /// There is nothing. When it was not the name asked for of which this is said, CNAMEs led there, and they are unproven.
    fn denied<T>(&self, name: &Name, none: &NoRecords) -> Proven<T> {
        let error = to_dns_error(&NetError::Dns(NetDnsError::NoRecordsFound(none.clone())));
        let denial = match error.is_temporary() {
            true => return failed(name, error),
            false => denial(none),
        };
        match denial {
            Proof::Bogus => failed(name, DnsError::Bogus),
            proof => Proven {
                answer: Err(error),
                is_secure: proof == Proof::Secure && none.query.name() == name,
                name: to_text(none.query.name()),
                is_alias_secure: false,
            },
        }
    }
}

fn failed<T>(name: &Name, error: DnsError) -> Proven<T> {
    Proven::insecure(&to_text(name), Err(error))
}

/// What the records say of the name: CNAMEs followed, the weakest of them counting. Nothing when none belongs to it.
fn found<T>(
    asked: &Name,
    kind: RecordType,
    answers: &[Record],
    authorities: &[Record],
    pick: impl Fn(&RData) -> Option<T>,
) -> Option<Proven<T>> {
    let (mut name, mut is_secure, mut is_alias_secure) = (asked, true, false);
    for nth in 0..MAX_ALIASES {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name && kind != RecordType::CNAME => {
                Some((&target.0, record.proof.is_secure()))
            }
            _ => None,
        });
        let Some((target, is_proven)) = alias else { break };
        is_alias_secure |= nth == 0 && is_proven;
        (name, is_secure) = (target, is_secure && is_proven);
    }
    let owned = || answers.iter().filter(|record| record.name == *name && record.record_type() == kind);
    let records: Vec<T> = owned().filter_map(|record| pick(&record.data)).collect();
    if records.is_empty() {
        return None;
    }
    is_secure &= owned().all(|record| record.proof.is_secure());
    //= RFC 4035 section 5.3.4: what a wildcard made needs proof that no closer name exists.
    if is_secure && is_expanded(answers) && !has_proof_of_absence(authorities) {
        return Some(failed(asked, DnsError::Bogus));
    }
    if name == asked {
        is_alias_secure = is_secure;
    }
    Some(Proven { answer: Ok(records), is_secure, name: to_text(name), is_alias_secure })
}

fn is_expanded(answers: &[Record]) -> bool {
    answers.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
            signature.input().num_labels < record.name.num_labels()
        }
        _ => false,
    })
}

/// The library has checked that what they say fits the question, or there would be no answer.
fn has_proof_of_absence(authorities: &[Record]) -> bool {
    authorities.iter().any(|record| {
        let is_nsec = matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3);
        is_nsec && record.proof.is_secure()
    })
}

/// How a denial is to be taken. Without any record the library has walked to the unsigned delegation itself.
fn denial(none: &NoRecords) -> Proof {
    let authorities = none.authorities.as_deref().unwrap_or_default();
    let name = none.query.name();
    if has_proof_of_absence(authorities) {
        return Proof::Secure;
    }
    if authorities.iter().any(|record| record.proof.is_bogus()) {
        return Proof::Bogus;
    }
    let is_unsigned_here = |record: &Record| {
        record.record_type() == RecordType::SOA && record.proof.is_insecure() && record.name.zone_of(name)
    };
    match authorities.is_empty() || authorities.iter().any(is_unsigned_here) {
        true => Proof::Insecure,
        false => Proof::Bogus,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_resolver::proto::op::{Query, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 300, data);
        record.proof = proof;
        record
    }

    fn none(authorities: Vec<Record>) -> NoRecords {
        let query = Query::query(name("_25._tcp.mx.example.org."), RecordType::TLSA);
        let mut none = NoRecords::new(query, ResponseCode::NXDomain);
        none.authorities = (!authorities.is_empty()).then(|| Arc::from(authorities));
        none
    }

    fn soa(owner: &str, proof: Proof) -> Record {
        record(owner, RData::SOA(SOA::new(name("ns."), name("hostmaster."), 1, 2, 3, 4, 5)), proof)
    }

    #[test]
    fn an_unsigned_zone_elsewhere_does_not_deny_a_name() {
        assert_eq!(denial(&none(vec![soa("evil.example.", Proof::Insecure)])), Proof::Bogus);
        assert_eq!(denial(&none(vec![soa("example.org.", Proof::Insecure)])), Proof::Insecure);
        assert_eq!(denial(&none(vec![soa("example.org.", Proof::Bogus)])), Proof::Bogus);
        assert_eq!(denial(&none(Vec::new())), Proof::Insecure);
    }

    #[test]
    fn the_weakest_alias_counts_and_strangers_do_not() {
        let alias = |from: &str, to: &str, proof| record(from, RData::CNAME(CNAME(name(to))), proof);
        let address = |owner: &str, proof| record(owner, RData::A(A::new(192, 0, 2, 1)), proof);
        let judge =
            |answers: &[Record]| found(&name("mx.example."), RecordType::A, answers, &[], |_| Some(()));
        let secure =
            [alias("mx.example.", "a.example.", Proof::Secure), address("a.example.", Proof::Secure)];
        let proven = judge(&secure).unwrap();
        assert_eq!(
            (proven.name.as_str(), proven.is_secure, proven.is_alias_secure),
            ("a.example", true, true)
        );
        let half =
            [alias("mx.example.", "a.example.", Proof::Secure), address("a.example.", Proof::Insecure)];
        let proven = judge(&half).unwrap();
        assert_eq!((proven.is_secure, proven.is_alias_secure), (false, true));
        let stranger = [address("b.example.", Proof::Secure)];
        assert_eq!(judge(&stranger), None);
        assert!(!judge(&[address("mx.example.", Proof::Insecure)]).unwrap().is_alias_secure);
    }
}
