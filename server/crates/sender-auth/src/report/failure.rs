//! A report on one message that failed: its header, and what was found of it. Its body stays here.
//!
//! Standards: RFC 6591 (the format), RFC 7489 section 7.3 and 9991 (when one is wanted: `fo`), RFC 5965.
//! Limit: 32 KiB of the header.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Dmarc, Report as Asked};
use mail_auth::report::{AuthFailureType, DeliveryResult, Feedback, FeedbackType, IdentityAlignment};
use message::{HeaderBlock, Letter, LetterPart};
use model::{Mailbox, QueueId, Timestamp};
use reporting::Reporter;

use super::address::{FAILURE, addresses};
use crate::dmarc::Disposition;
use crate::outcome::Outcome;
use crate::policy::Applied;
use crate::verifier::Evaluation;

/// Octets of a header that are shown.
const MAX_HEADER: usize = 32 * 1024;

/// A failure that a domain wants to hear of at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose record asks for it.
    pub domain: String,
}

impl Wanted {
    /// Nothing when the record asks for no such report on this message.
    pub fn of(evaluation: &Evaluation) -> Option<Self> {
        let dmarc = &evaluation.dmarc;
        let (domain, record) = dmarc.record.as_ref()?;
        if !matches!(dmarc.outcome, Outcome::Pass | Outcome::Fail) || addresses(record, FAILURE).is_empty() {
            return None;
        }
        let fails = |outcome: &Outcome| !matches!(outcome, Outcome::Pass | Outcome::None);
        let dkim_fails = evaluation.dkim.iter().any(|finding| fails(&finding.outcome));
        let spf_fails = fails(&evaluation.spf_for_dmarc().outcome);
        //= RFC 7489 section 6.3: `fo` says whether all, any, or one mechanism has to fail.
        let is_wanted = match Dmarc::parse(record.as_bytes()).ok()?.fo {
            Asked::All => !dmarc.dkim_aligned && !dmarc.spf_aligned,
            Asked::Any => !dmarc.dkim_aligned || !dmarc.spf_aligned,
            Asked::Dkim => dkim_fails,
            Asked::Spf => spf_fails,
            Asked::DkimSpf => dkim_fails || spf_fails,
        };
        is_wanted.then(|| Self { domain: domain.clone() })
    }
}

/// What is told.
#[derive(Debug, Clone)]
pub struct FailureReport {
    /// Text for programs.
    feedback: String,
    header: String,
    author: String,
    client: String,
    arrived: Timestamp,
}

impl FailureReport {
    /// On a message that was checked, and what became of it.
    pub fn new(
        evaluation: &Evaluation,
        header: &HeaderBlock,
        applied: Applied,
        reporter: &Reporter,
        arrived: Timestamp,
    ) -> Self {
        let dmarc = &evaluation.dmarc;
        let mut feedback = Feedback::new(FeedbackType::AuthFailure)
            .with_version(1)
            .with_user_agent("Waxwing")
            .with_auth_failure(AuthFailureType::Dmarc)
            .with_delivery_result(match applied.disposition {
                Some(Disposition::Reject) => DeliveryResult::Reject,
                Some(Disposition::Quarantine) => DeliveryResult::Policy,
                _ => DeliveryResult::Delivered,
            })
            .with_identity_alignment(match (dmarc.dkim_aligned, dmarc.spf_aligned) {
                (true, true) => IdentityAlignment::DkimSpf,
                (true, false) => IdentityAlignment::Dkim,
                (false, true) => IdentityAlignment::Spf,
                (false, false) => IdentityAlignment::None,
            })
            .with_authentication_results(evaluation.results(&reporter.hostname))
            .with_original_mail_from(evaluation.sender.to_string())
            .with_reported_domain(dmarc.domain.clone())
            .with_reporting_mta(reporter.hostname.clone())
            .with_source_ip(evaluation.client)
            .with_arrival_date(i64::try_from(arrived.0 / 1_000).unwrap_or(i64::MAX));
        if let Some(signature) = evaluation.dkim.iter().find(|finding| finding.outcome != Outcome::Pass) {
            feedback = feedback
                .with_dkim_domain(signature.domain.clone())
                .with_dkim_selector(signature.selector.clone());
        }
        let octets = header.as_bytes();
        let shown = String::from_utf8_lossy(&octets[..octets.len().min(MAX_HEADER)]).into_owned();
        Self {
            feedback: feedback.to_arf(),
            header: shown,
            author: dmarc.domain.clone(),
            client: evaluation.client.to_string(),
            arrived,
        }
    }

    /// The whole message, for one mailbox.
    pub fn letter(&self, id: QueueId, to: &Mailbox, reporter: &Reporter) -> String {
        let letter = Letter {
            id,
            date: self.arrived,
            hostname: &reporter.hostname,
            from: &reporter.contact,
            to: &to.to_string(),
            subject: &[&format!("Failure report on mail in the name of {}", self.author)],
            fields: &[],
            content_type: "multipart/report; report-type=\"feedback-report\"",
            text: &format!(
                "This is a report by {} on a message that came from {}\nand was not found to be from {}.\n",
                reporter.organization, self.client, self.author
            ),
            parts: &[
                LetterPart::Text { content_type: "message/feedback-report", text: &self.feedback },
                LetterPart::Text { content_type: "text/rfc822-headers", text: &self.header },
            ],
        };
        letter.render()
    }
}
