//! A report's text: XML by the library, compressed with gzip.
//!
//! Standards: RFC 9990 (the schema `urn:ietf:params:xml:ns:dmarc-2.0`), RFC 7489 appendix C.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::Dmarc;
use mail_auth::report::{
    ActionDisposition, DKIMAuthResult, DkimResult, DmarcResult, PolicyOverride, PolicyOverrideReason,
    PolicyPublished, Record, Report, SPFAuthResult, SPFDomainScope, SpfResult,
};
use reporting::{Day, Reporter, gzip};

use super::tally::{Published, Row, Signed};
use crate::dmarc::Disposition;
use crate::outcome::Outcome;
use crate::policy::Override;

/// The report on the `nth` record of a domain's day, by gzip; nothing when there is nothing to tell.
pub fn compressed(
    published: &Published,
    (day, domain): (Day, &str),
    nth: usize,
    reporter: &Reporter,
) -> Option<Vec<u8>> {
    if published.rows.is_empty() && published.left_out == 0 {
        return None;
    }
    let text = text(published, (day, domain), nth, reporter);
    gzip(text.as_bytes()).ok()
}

/// What the report is called.
pub(super) fn identifier((day, domain): (Day, &str), nth: usize, reporter: &Reporter) -> String {
    match nth {
        0 => reporter.identifier(day, domain),
        nth => format!("{nth}.{}", reporter.identifier(day, domain)),
    }
}

pub(super) fn text(published: &Published, about: (Day, &str), nth: usize, reporter: &Reporter) -> String {
    let (day, domain) = about;
    let (start, end) = day.bounds();
    let record = Dmarc::parse(published.record.as_bytes()).ok();
    let policy = record.map(|record| PolicyPublished::from_record(domain, &record)).unwrap_or_default();
    let mut report = Report::new()
        .with_version(1.0)
        .with_org_name(&reporter.organization)
        .with_email(&reporter.contact)
        .with_generator("Waxwing")
        .with_report_id(identifier(about, nth, reporter))
        .with_date_range_begin(start.0 / 1_000)
        .with_date_range_end(end.0 / 1_000)
        .with_policy_published(PolicyPublished { domain: domain.to_owned(), ..policy });
    if published.left_out > 0 {
        report =
            report.with_error(format!("{} messages are left out: there was no room", published.left_out));
    }
    for (row, count) in &published.rows {
        report.add_record(to_record(row, *count));
    }
    report.to_xml()
}

fn to_record(row: &Row, count: u32) -> Record {
    let aligned = |is_aligned| if is_aligned { DmarcResult::Pass } else { DmarcResult::Fail };
    let mut record = Record::new()
        .with_source_ip(row.source)
        .with_count(count)
        .with_action_disposition(match row.disposition {
            None => ActionDisposition::Pass,
            Some(Disposition::None) => ActionDisposition::None,
            Some(Disposition::Quarantine) => ActionDisposition::Quarantine,
            Some(Disposition::Reject) => ActionDisposition::Reject,
        })
        .with_dmarc_dkim_result(aligned(row.dkim_aligned))
        .with_dmarc_spf_result(aligned(row.spf_aligned))
        .with_header_from(&row.author)
        .with_envelope_from(&row.sender)
        .with_spf_auth_result(
            SPFAuthResult::new()
                .with_domain(&row.spf_domain)
                .with_scope(SPFDomainScope::MailFrom)
                .with_result(spf_result(row.spf)),
        );
    if let Some(reason) = row.reason {
        record = record.with_policy_override_reason(to_reason(reason));
    }
    for signed in &row.signatures {
        record = record.with_dkim_auth_result(to_dkim(signed));
    }
    record
}

fn to_reason(reason: Override) -> PolicyOverrideReason {
    let (kind, comment) = match reason {
        Override::TrustedForwarder => {
            (PolicyOverride::TrustedForwarder, "arc=pass, sealed by a trusted forwarder")
        }
        Override::LocalPolicy => (PolicyOverride::LocalPolicy, "this host does less than is asked for"),
        Override::Test => (PolicyOverride::PolicyTestMode, "t=y"),
        Override::Sample => (PolicyOverride::Other, "left out by pct"),
    };
    PolicyOverrideReason::new(kind).with_comment(comment)
}

fn to_dkim(signed: &Signed) -> DKIMAuthResult {
    let result = DKIMAuthResult::new()
        .with_domain(&signed.domain)
        .with_selector(&signed.selector)
        .with_result(match signed.outcome {
            Outcome::None => DkimResult::None,
            Outcome::Pass => DkimResult::Pass,
            Outcome::Fail | Outcome::SoftFail => DkimResult::Fail,
            Outcome::Neutral => DkimResult::Neutral,
            Outcome::Policy => DkimResult::Policy,
            Outcome::TempError => DkimResult::TempError,
            Outcome::PermError => DkimResult::PermError,
        });
    match &signed.reason {
        Some(reason) => result.with_human_result(reason),
        None => result,
    }
}

fn spf_result(outcome: Outcome) -> SpfResult {
    match outcome {
        Outcome::None => SpfResult::None,
        Outcome::Pass => SpfResult::Pass,
        Outcome::Fail | Outcome::Policy => SpfResult::Fail,
        Outcome::SoftFail => SpfResult::SoftFail,
        Outcome::Neutral => SpfResult::Neutral,
        Outcome::TempError => SpfResult::TempError,
        Outcome::PermError => SpfResult::PermError,
    }
}
