//! `authentication`: what SPF, DKIM, DMARC and ARC found.

use crate::bindings::waxwing::mail::authentication::{Finding, Host};
use crate::state::State;

impl Host for State {
    fn findings(&mut self) -> Vec<Finding> {
        let Some(transaction) = &self.transaction else { return Vec::new() };
        let copy = |finding: &hooks::Finding| Finding {
            method: finding.method.clone(),
            result: finding.result.clone(),
            domain: finding.domain.clone(),
            detail: finding.detail.clone(),
        };
        transaction.findings.iter().map(copy).collect()
    }
}
