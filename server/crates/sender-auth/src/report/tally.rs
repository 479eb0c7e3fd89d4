//! The messages that came in a domain's name on a day, by where they came from and what became of them.

use std::net::IpAddr;

use model::Timestamp;
use reporting::{Counts, Room};
use serde::{Deserialize, Serialize};

use super::address::{AGGREGATE, addresses};
use crate::dmarc::Disposition;
use crate::outcome::Outcome;
use crate::policy::{Applied, Override};
use crate::verifier::Evaluation;

/// Records of one domain on one day.
const MAX_POLICIES: usize = 4;
/// Rows under one record.
const MAX_ROWS: usize = 1_000;
/// Signatures that a row tells of.
const MAX_SIGNATURES: usize = 10;
/// Octets of a name that others have given.
const MAX_NAME: usize = 255;

/// What a day has room for: about 20 MB at most.
pub const ROOM: Room = Room { domains: 10_000, rows: 50_000 };

/// Counts messages. Whoever owns it has it written now and then.
pub type Ledger = reporting::Ledger<Tallies>;

/// A domain's messages, under each record that it has published on the day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tallies(pub Vec<Published>);

/// The messages under one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub(crate) record: String,
    pub(crate) rows: Vec<(Row, u32)>,
    /// Messages that there was no room for.
    pub(crate) left_out: u64,
}

/// Messages that are alike in all that is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) source: IpAddr,
    pub(crate) author: String,
    /// The domain of the sender; empty for the null sender.
    pub(crate) sender: String,
    /// Nothing: the message passed.
    pub(crate) disposition: Option<Disposition>,
    pub(crate) reason: Option<Override>,
    pub(crate) dkim_aligned: bool,
    pub(crate) spf_aligned: bool,
    pub(crate) signatures: Vec<Signed>,
    pub(crate) spf_domain: String,
    pub(crate) spf: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    pub(crate) domain: String,
    pub(crate) selector: String,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
}

impl Counts for Tallies {
    const WHAT: &'static str = "messages in the names of domains";

    fn rows(&self) -> usize {
        self.0.iter().map(|published| 1 + published.rows.len()).sum()
    }
}

impl Tallies {
    fn count(&mut self, record: &str, row: Row, has_room: bool) -> bool {
        let published = match self.0.iter().position(|published| published.record == record) {
            Some(place) => &mut self.0[place],
            // The last record takes what a further one would.
            None if self.0.len() >= MAX_POLICIES || (!has_room && !self.0.is_empty()) => {
                let Some(last) = self.0.last_mut() else { return false };
                last.left_out = last.left_out.saturating_add(1);
                return true;
            }
            None => {
                self.0.push(Published { record: record.to_owned(), rows: Vec::new(), left_out: 0 });
                let Some(last) = self.0.last_mut() else { return false };
                last
            }
        };
        match published.rows.iter().position(|(known, _)| *known == row) {
            Some(place) => published.rows[place].1 = published.rows[place].1.saturating_add(1),
            None if has_room && published.rows.len() < MAX_ROWS => published.rows.push((row, 1)),
            None => published.left_out = published.left_out.saturating_add(1),
        }
        true
    }
}

impl Row {
    fn of(evaluation: &Evaluation, applied: Applied) -> Self {
        let dmarc = &evaluation.dmarc;
        let spf = evaluation.spf_for_dmarc();
        let sender = evaluation.sender.mailbox().map(|mailbox| mailbox.domain().to_ascii());
        let signed = evaluation.dkim.iter().filter(|finding| !finding.domain.is_empty());
        let signed = signed.take(MAX_SIGNATURES).map(|finding| Signed {
            domain: name(&finding.domain),
            selector: name(&finding.selector),
            outcome: finding.outcome,
            reason: finding.reason.as_deref().map(name),
        });
        Self {
            source: evaluation.client,
            author: name(&dmarc.domain),
            sender: sender.as_deref().map(name).unwrap_or_default(),
            disposition: applied.disposition,
            reason: applied.reason,
            dkim_aligned: dmarc.dkim_aligned,
            spf_aligned: dmarc.spf_aligned,
            signatures: signed.collect(),
            spf_domain: name(&spf.domain),
            spf: spf.outcome,
        }
    }
}

/// Visible ASCII of bounded length: what a stranger wrote has to fit into XML and into memory.
fn name(text: &str) -> String {
    text.chars().take(MAX_NAME).map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

/// Counts a message for the domain whose record was applied to it, if that wants to be told.
pub fn count(ledger: &Ledger, evaluation: &Evaluation, applied: Applied, now: Timestamp) {
    let dmarc = &evaluation.dmarc;
    let Some((owner, record)) = &dmarc.record else { return };
    //= RFC 7489 section 7.2: what cannot be decided yet comes again, and is counted then.
    if !matches!(dmarc.outcome, Outcome::Pass | Outcome::Fail) || addresses(record, AGGREGATE).is_empty() {
        return;
    }
    let row = Row::of(evaluation, applied);
    ledger.count(owner, now, |tallies, has_room| tallies.count(record, row, has_room));
}
