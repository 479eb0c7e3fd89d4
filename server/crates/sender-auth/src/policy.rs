//! What becomes of a message that fails.
//!
//! Standards: RFC 7372 (enhanced codes), RFC 7489 section 6.6 and 9989 section 5.3.

use hooks::Verdict;
use model::Reply;
use serde::{Deserialize, Serialize};

use crate::dmarc::{Disposition, Lowered};
use crate::outcome::Outcome;
use crate::verifier::Evaluation;

/// The hardest thing that is done to a message that fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Action {
    /// It is said in Authentication-Results, and the message goes on.
    #[default]
    Report,
    /// Held in the queue for the postmaster.
    Quarantine,
    Reject,
}

impl Action {
    fn at_most(self, limit: Self) -> Self {
        self.min(limit)
    }
}

/// What is done, check by check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// What DMARC may lead to: the author's domain decides, up to this.
    pub dmarc: Action,
    /// A sender whose domain says that this client may not send for it.
    pub spf: Action,
    /// A message without any signature that holds.
    pub dkim: Action,
    /// A client whose address has no name that points back.
    pub reverse_dns: Action,
    /// A message that fails is let through when its ARC chain holds and its last seal is by one of these domains.
    pub trusted_sealers: Vec<String>,
}

/// What DMARC came to for a message, as its domain is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What was done because of DMARC; nothing: the message passed.
    pub disposition: Option<Disposition>,
    /// Why that is less than the domain's policy says.
    pub reason: Option<Override>,
}

/// Why less was done than a domain's policy says (RFC 9990 section 3.1.1.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Override {
    TrustedForwarder,
    LocalPolicy,
    Test,
    Sample,
}

impl Policy {
    /// What DMARC came to; `limit` is the listener's.
    pub fn applied(&self, evaluation: &Evaluation, limit: Action) -> Applied {
        let dmarc = &evaluation.dmarc;
        if dmarc.outcome == Outcome::Pass {
            return Applied { disposition: None, reason: None };
        }
        let wanted = wanted(dmarc.policy);
        let done = match evaluation.arc.is_by(&self.trusted_sealers) {
            true => Action::Report,
            false => wanted.at_most(self.dmarc).at_most(limit),
        };
        let reason = match (done < wanted, dmarc.lowered) {
            (true, _) if evaluation.arc.is_by(&self.trusted_sealers) => Some(Override::TrustedForwarder),
            (true, _) => Some(Override::LocalPolicy),
            (false, Some(Lowered::Test)) => Some(Override::Test),
            (false, Some(Lowered::Sample)) => Some(Override::Sample),
            (false, None) => None,
        };
        let disposition = match done {
            Action::Report => Disposition::None,
            Action::Quarantine => Disposition::Quarantine,
            Action::Reject => Disposition::Reject,
        };
        Applied { disposition: Some(disposition), reason }
    }

    /// What is to become of a message; `limit` is the listener's.
    pub fn verdict(&self, evaluation: &Evaluation, limit: Action) -> Verdict {
        if evaluation.arc.is_by(&self.trusted_sealers) {
            return Verdict::Proceed;
        }
        let checks = [
            self.dmarc_verdict(evaluation, limit),
            self.spf_verdict(evaluation, limit),
            self.dkim_verdict(evaluation, limit),
            self.reverse_dns_verdict(evaluation, limit),
        ];
        let severity = |verdict: &Verdict| match verdict {
            Verdict::Reject(_) => 3,
            Verdict::Quarantine(_) => 2,
            Verdict::TempFail(_) => 1,
            _ => 0,
        };
        if !matches!(checks[0], Verdict::Reject(_))
            && let Some(refusal) = several(&checks[1..])
        {
            return Verdict::Reject(refusal);
        }
        // The first of the hardest: DMARC says most.
        let mut verdict = Verdict::Proceed;
        for check in checks {
            if severity(&check) > severity(&verdict) {
                verdict = check;
            }
        }
        verdict
    }

    fn dmarc_verdict(&self, evaluation: &Evaluation, limit: Action) -> Verdict {
        let allowed = self.dmarc.at_most(limit);
        let dmarc = &evaluation.dmarc;
        let domain = &dmarc.domain;
        match dmarc.outcome {
            Outcome::Fail => act(
                wanted(dmarc.policy).at_most(allowed),
                //= RFC 7372 section 3.3: X.7.26 is for messages that fail more than one check.
                Reply::new(
                    550,
                    (5, 7, 26),
                    format!("the message is not from {domain}, whose DMARC policy refuses it"),
                ),
                format!("DMARC of {domain} fails"),
            ),
            //= RFC 7489 section 6.6.3: what may pass later is not decided now, where it would be decided at all.
            Outcome::TempError if allowed == Action::Reject => Verdict::TempFail(Reply::new(
                451,
                (4, 4, 3),
                "DNS did not say whether the message is from its author, try again later",
            )),
            _ => Verdict::Proceed,
        }
    }

    fn spf_verdict(&self, evaluation: &Evaluation, limit: Action) -> Verdict {
        let allowed = self.spf.at_most(limit);
        let spf = evaluation.spf_for_dmarc();
        let domain = &spf.domain;
        match spf.outcome {
            Outcome::Fail => {
                let mut text = format!("{domain} says that {} does not send its mail", evaluation.client);
                //= RFC 7208 section 8.4: whose words these are has to be told.
                if let Some(explanation) = &spf.explanation {
                    text += &format!("; {domain} explains: {explanation}");
                }
                //= RFC 7372 section 3.2: X.7.23 when SPF says fail, X.7.24 when it cannot be evaluated.
                act(allowed, Reply::new(550, (5, 7, 23), text), format!("SPF of {domain} fails"))
            }
            Outcome::PermError => act(
                allowed,
                Reply::new(550, (5, 7, 24), format!("the SPF record of {domain} cannot be evaluated")),
                format!("the SPF record of {domain} cannot be evaluated"),
            ),
            Outcome::TempError if allowed == Action::Reject => Verdict::TempFail(Reply::new(
                451,
                (4, 7, 24),
                "DNS did not say whether you may send for this sender, try again later",
            )),
            _ => Verdict::Proceed,
        }
    }

    fn dkim_verdict(&self, evaluation: &Evaluation, limit: Action) -> Verdict {
        let allowed = self.dkim.at_most(limit);
        let has = |outcome| evaluation.dkim.iter().any(|finding| finding.outcome == outcome);
        if has(Outcome::Pass) {
            return Verdict::Proceed;
        }
        if has(Outcome::TempError) {
            let text = "DNS did not say whether a signature holds, try again later";
            return match allowed {
                Action::Reject => Verdict::TempFail(Reply::new(451, (4, 7, 20), text)),
                _ => Verdict::Proceed,
            };
        }
        //= RFC 7372 section 3.1: X.7.20 when no signature passes, X.7.21 when one might and is not acceptable.
        let (detail, text) = match has(Outcome::Policy) {
            true => (21, "no signature (DKIM) is acceptable"),
            false => (20, "no signature (DKIM) holds"),
        };
        act(allowed, Reply::new(550, (5, 7, detail), text), text.to_owned())
    }
}

impl Policy {
    fn reverse_dns_verdict(&self, evaluation: &Evaluation, limit: Action) -> Verdict {
        let allowed = self.reverse_dns.at_most(limit);
        let client = evaluation.client;
        match evaluation.reverse_dns {
            //= RFC 7372 section 3.3: X.7.25 for a client whose names do not point back.
            Outcome::Fail => act(
                allowed,
                Reply::new(550, (5, 7, 25), format!("{client} has no name that points back to it")),
                format!("{client} has no name that points back to it"),
            ),
            Outcome::TempError if allowed == Action::Reject => Verdict::TempFail(Reply::new(
                451,
                (4, 7, 25),
                "DNS did not say what you are called, try again later",
            )),
            _ => Verdict::Proceed,
        }
    }
}

/// One refusal for all checks that refuse, when they are more than one.
fn several(checks: &[Verdict]) -> Option<Reply> {
    let refusals = checks.iter().filter_map(|check| match check {
        Verdict::Reject(reply) => Some(reply.text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = refusals.collect();
    //= RFC 7372 section 3.3: X.7.26 for a message that fails more than one check, against the policy here.
    (texts.len() > 1).then(|| Reply::new(550, (5, 7, 26), texts.join("; ")))
}

fn wanted(policy: Disposition) -> Action {
    match policy {
        Disposition::None => Action::Report,
        Disposition::Quarantine => Action::Quarantine,
        Disposition::Reject => Action::Reject,
    }
}

fn act(action: Action, refusal: Reply, reason: String) -> Verdict {
    match action {
        Action::Report => Verdict::Proceed,
        Action::Quarantine => Verdict::Quarantine(reason),
        Action::Reject => Verdict::Reject(refusal),
    }
}
