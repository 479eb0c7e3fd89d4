//! A report as a message.
//!
//! Standards: RFC 7489 section 7.2.1.1, RFC 9990 section 3.5 (file name, subject, content type).

use message::{Letter, LetterPart};
use model::{Mailbox, QueueId, Timestamp};
use reporting::{Day, Reporter, rfc3339};

use super::xml::identifier;

/// The whole message, for one mailbox.
pub fn letter(
    (id, date): (QueueId, Timestamp),
    to: &Mailbox,
    ((day, domain), nth): ((Day, &str), usize),
    report: &[u8],
    reporter: &Reporter,
) -> String {
    let (start, end) = day.bounds();
    let stem = reporter.file_stem(day, domain);
    let name = match nth {
        0 => format!("{stem}.xml.gz"),
        nth => format!("{stem}!{nth}.xml.gz"),
    };
    let letter = Letter {
        id,
        date,
        hostname: &reporter.hostname,
        from: &reporter.contact,
        to: &to.to_string(),
        subject: &[
            &format!("Report Domain: {domain}"),
            &format!("Submitter: {}", reporter.hostname),
            &format!("Report-ID: <{}>", identifier((day, domain), nth, reporter)),
        ],
        fields: &[],
        content_type: "multipart/mixed",
        text: &format!(
            "This is a DMARC report by {} on mail in the name of\n{domain}\nfrom {} to {}.\n",
            reporter.organization,
            rfc3339(start),
            rfc3339(end)
        ),
        parts: &[LetterPart::File { content_type: "application/gzip", name: &name, octets: report }],
    };
    letter.render()
}
