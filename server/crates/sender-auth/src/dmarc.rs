//! DMARC: whether what passed is of the domain that the reader sees, and what that domain asks for.
//!
//! Standards: RFC 7489, and 9989 in its place where they differ: the organisational domain is found by walking up the tree of DNS, not
//! by a list of suffixes. `pct`, which 9989 has no more, is still obeyed: what falls outside of the share is treated one step milder, as all is
//! with `t=y`.
//! A message with several author domains is judged by each of them, and the worst counts.
//! Limits: [`MAX_AUTHORS`]; eight names a walk.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::dmarc::{Dmarc, Policy};
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DmarcOutput, DmarcResult, Error, MessageAuthenticator, SpfOutput, Txt,
};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::lookups::{Lookups, Question};
use crate::outcome::Outcome;
use crate::view::{Records, View};

/// Author domains of a message that are judged.
const MAX_AUTHORS: usize = 4;
/// Names that a walk asks for (RFC 9989 section 4.10).
const WALK: usize = 8;

/// What a domain asks for, for mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    #[default]
    None,
    Quarantine,
    Reject,
}

impl Disposition {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// Why less is done than a domain's policy says: it asks for that itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lowered {
    /// It only tests the policy (`t=y`).
    Test,
    /// The message is not of the share that the policy is for (`pct`).
    Sample,
}

/// The verdict on the author's domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DmarcFinding {
    /// The author's domain, as A-labels; empty when there is none.
    pub domain: String,
    pub outcome: Outcome,
    pub reason: Option<&'static str>,
    /// What the domain asks for.
    pub policy: Disposition,
    /// Why that is a step below what its policy says.
    pub lowered: Option<Lowered>,
    /// Whether an aligned signature passed.
    pub dkim_aligned: bool,
    /// Whether an aligned sender passed.
    pub spf_aligned: bool,
    /// The record that was applied, and whose it is.
    pub record: Option<(String, String)>,
}

/// DMARC records.
struct DmarcRecords;

impl Records for DmarcRecords {
    fn parse(&self, name: &str, records: &[String]) -> Txt {
        let none = Txt::Error(Error::Dns(mail_auth::DnsError::InvalidRecordType));
        if !name.starts_with("_dmarc.") {
            return none;
        }
        match only(records) {
            Some(record) => Dmarc::parse(record.as_bytes()).map_or(none, |dmarc| Txt::Dmarc(dmarc.into())),
            None => none,
        }
    }
}

/// The one DMARC record among TXT records.
pub(crate) fn only(records: &[String]) -> Option<&String> {
    //= RFC 9989 section 4.10: several records are as good as none.
    let mut ours = records.iter().filter(|record| is_dmarc(record));
    match (ours.next(), ours.next()) {
        (Some(record), None) => Some(record),
        _ => None,
    }
}

fn is_dmarc(record: &str) -> bool {
    let Some((name, version)) = record.split(';').next().unwrap_or_default().split_once('=') else {
        return false;
    };
    name.trim() == "v" && version.trim() == "DMARC1"
}

/// The names at which a walk asks, the longest first.
pub(crate) fn walk(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').filter(|label| !label.is_empty()).collect();
    if labels.is_empty() {
        return Vec::new();
    }
    let mut from: Vec<usize> = vec![0];
    let next = if labels.len() >= WALK { labels.len() - (WALK - 1) } else { 1 };
    from.extend(next..labels.len());
    from.iter().map(|at| labels[*at..].join(".")).collect()
}

/// What the message passed.
pub(crate) struct Passed<'a> {
    pub(crate) dkim: &'a [DkimOutput<'a>],
    pub(crate) spf: &'a SpfOutput,
    /// Whose sender SPF was about.
    pub(crate) spf_domain: &'a str,
}

pub(crate) async fn check(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    message: &AuthenticatedMessage<'_>,
    passed: Passed<'_>,
) -> DmarcFinding {
    let authors = authors(message);
    if authors.is_empty() || authors.len() > MAX_AUTHORS {
        let reason = if authors.is_empty() { "there is no author" } else { "there are too many authors" };
        return DmarcFinding { outcome: Outcome::PermError, reason: Some(reason), ..DmarcFinding::default() };
    }
    let signers =
        passed.dkim.iter().filter_map(|output| output.signature()).map(|signature| signature.d.as_str());
    let mut questions: Vec<Question> = Vec::new();
    for name in authors.iter().map(String::as_str).chain(signers).chain([passed.spf_domain]).flat_map(walk) {
        let question = Question::Txt(format!("_dmarc.{}", name.to_ascii_lowercase()));
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    lookups.ask(questions).await;
    let mut worst = DmarcFinding::default();
    for (nth, author) in authors.iter().enumerate() {
        let finding = judge(library, lookups, author, &passed).await;
        if nth == 0 || badness(&finding) > badness(&worst) {
            worst = finding;
        }
    }
    worst
}

/// How much a finding speaks against a message.
fn badness(finding: &DmarcFinding) -> (u8, Disposition) {
    match finding.outcome {
        Outcome::Pass | Outcome::None => (0, Disposition::None),
        Outcome::Fail => (2, finding.policy),
        _ => (1, finding.policy),
    }
}

/// The domains of the authors, as A-labels.
fn authors(message: &AuthenticatedMessage<'_>) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for from in &message.from {
        let Some((_, domain)) = from.rsplit_once('@') else { continue };
        let domain = mail_auth::common::to_a_label(domain.trim_end_matches('.')).into_owned();
        if !domain.is_empty() && !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    domains
}

async fn judge(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    author: &str,
    passed: &Passed<'_>,
) -> DmarcFinding {
    let view = View::new(lookups, DmarcRecords);
    let message =
        AuthenticatedMessage { from: vec![format!("author@{author}")], ..AuthenticatedMessage::default() };
    loop {
        view.begin();
        let params = DmarcParameters {
            message: &message,
            dkim_output: passed.dkim,
            dkim2_output: None,
            rfc5321_mail_from_domain: passed.spf_domain,
            spf_output: passed.spf,
        };
        let output = library.verify_dmarc(view.asking(params)).await;
        if view.settle().await.is_some() {
            return finding(lookups, author, &output).await;
        }
    }
}

async fn finding(lookups: &Lookups<'_>, author: &str, output: &DmarcOutput) -> DmarcFinding {
    let (outcome, reason) = match output.result() {
        DmarcResult::Pass => (Outcome::Pass, None),
        DmarcResult::Fail(_) => (Outcome::Fail, None),
        DmarcResult::TempError(_) => (Outcome::TempError, Some("DNS failed")),
        DmarcResult::PermError(_) => (Outcome::PermError, Some("the record is not valid")),
        DmarcResult::None => (Outcome::None, None),
    };
    let record = output.dmarc_record().and_then(|record| {
        let of =
            |name: &String| lookups.txt(&format!("_dmarc.{name}"))?.ok().as_deref().and_then(only).cloned();
        let found = walk(author).into_iter().filter_map(|name| of(&name).map(|text| (name, text)));
        found
            .into_iter()
            .find(|(_, text)| Dmarc::parse(text.as_bytes()).is_ok_and(|parsed| parsed == *record))
    });
    let mut policy = disposition(output.policy());
    let mut why = None;
    if let (Some(parsed), Some((owner, text))) = (output.dmarc_record(), &record) {
        if parsed.np != parsed.sp && *owner != author && !exists(lookups, author).await {
            policy = lowered(disposition(parsed.np), parsed.t);
        }
        why = parsed.t.then_some(Lowered::Test);
        if !parsed.t && is_left_out(text, rand::rng().random_range(0..100)) {
            why = (policy != Disposition::None).then_some(Lowered::Sample);
            policy = lowered(policy, true);
        }
    }
    DmarcFinding {
        domain: author.to_owned(),
        outcome,
        reason,
        policy,
        lowered: why,
        dkim_aligned: *output.dkim_result() == DmarcResult::Pass,
        spf_aligned: *output.spf_result() == DmarcResult::Pass,
        record,
    }
}

/// Whether the name is there at all; only a domain that does not exist is told apart (RFC 8020).
async fn exists(lookups: &Lookups<'_>, domain: &str) -> bool {
    lookups.ask(vec![Question::Addresses(domain.to_owned())]).await;
    !matches!(lookups.addresses(domain), Some(Err(dns::DnsError::NxDomain)))
}

/// Whether a message that drew this, of a hundred, is outside of the share that the policy is for.
fn is_left_out(record: &str, drawn: u8) -> bool {
    //= RFC 7489 section 6.6.4: what `pct` leaves out is treated one step milder; RFC 9989 appendix A.6 keeps that for `pct=0`.
    let list = crate::tags::tags(record.as_bytes()).unwrap_or_default();
    let share = crate::tags::value(&list, "pct").and_then(|share| share.parse::<u8>().ok());
    drawn >= share.filter(|share| *share <= 100).unwrap_or(100)
}

fn lowered(policy: Disposition, is_test: bool) -> Disposition {
    match policy {
        policy if !is_test => policy,
        Disposition::Reject => Disposition::Quarantine,
        _ => Disposition::None,
    }
}

fn disposition(policy: Policy) -> Disposition {
    match policy {
        Policy::Reject => Disposition::Reject,
        Policy::Quarantine => Disposition::Quarantine,
        Policy::None | Policy::Unspecified => Disposition::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_messages_is_outside_of_the_policy() {
        let left_out = |record: &str| (0..100).filter(|drawn| is_left_out(record, *drawn)).count();
        for (pct, count) in [("; pct=0", 100), ("; pct=30", 70), ("; pct=100", 0), ("", 0)] {
            assert_eq!(left_out(&format!("v=DMARC1; p=reject{pct}")), count, "{pct}");
        }
        for bad in ["; pct=101", "; pct=-1", "; pct=x", "; pct="] {
            assert_eq!(left_out(&format!("v=DMARC1; p=reject{bad}")), 0, "{bad}");
        }
    }

    #[test]
    fn a_walk_asks_for_eight_names_at_most() {
        assert_eq!(walk("a.example.org"), ["a.example.org", "example.org", "org"]);
        let long = walk("a.b.c.d.e.f.g.h.i.j.example.org");
        assert_eq!(long.len(), WALK);
        assert_eq!(
            (long[0].as_str(), long[1].as_str()),
            ("a.b.c.d.e.f.g.h.i.j.example.org", "f.g.h.i.j.example.org")
        );
        assert_eq!(walk(""), Vec::<String>::new());
    }
}
