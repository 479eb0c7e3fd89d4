//! What became of the sessions with a domain's hosts on a day, by the policies that they were held against.

use model::Timestamp;
use reporting::{Counts, Room};
use serde::{Deserialize, Serialize};

use super::{Applied, Failure};

const MAX_POLICIES: usize = 8;
const MAX_FAILURES: usize = 64;

/// Counts sessions. Whoever owns it has it written now and then.
pub type Ledger = reporting::Ledger<Tallies>;

/// What a day has room for.
pub const ROOM: Room = Room { domains: 10_000, rows: 100_000 };

/// What became of the sessions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) policy: Applied,
    pub(crate) successes: u64,
    pub(crate) failures: Vec<(Failure, u64)>,
}

/// The sessions with a domain's hosts, policy by policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tallies(pub(crate) Vec<Tally>);

impl Counts for Tallies {
    const WHAT: &'static str = "TLS sessions";

    fn rows(&self) -> usize {
        self.0.iter().map(|tally| 1 + tally.failures.len()).sum()
    }
}

/// Counts a session under a policy.
pub fn count(ledger: &Ledger, policy: Applied, failure: Option<Failure>, now: Timestamp) {
    let domain = policy.policy_domain.clone();
    ledger.count(&domain, now, |tallies, has_room| tallies.count(policy, failure, has_room));
}

impl Tallies {
    fn count(&mut self, policy: Applied, failure: Option<Failure>, has_room: bool) -> bool {
        let Self(tallies) = self;
        let place = match tallies.iter().position(|tally| tally.policy == policy) {
            Some(place) => place,
            None if tallies.len() >= MAX_POLICIES || !has_room => return false,
            None => {
                tallies.push(Tally { policy, successes: 0, failures: Vec::new() });
                tallies.len() - 1
            }
        };
        let Tally { successes, failures, .. } = &mut tallies[place];
        let Some(failure) = failure else {
            *successes += 1;
            return true;
        };
        match failures.iter().position(|(known, _)| *known == failure) {
            Some(place) => failures[place].1 += 1,
            None if failures.len() >= MAX_FAILURES || !has_room => return false,
            None => failures.push((failure, 1)),
        }
        true
    }
}
