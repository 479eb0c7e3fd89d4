//! A report as a message.
//!
//! Standards: RFC 8460 section 5.3 (`multipart/report`, its header fields and its file name), RFC 8689 section 5 (a report on broken TLS does
//! not wait for TLS). Whoever sends it signs it with DKIM, where there is a key.

use message::{Letter, LetterPart};
use model::{Mailbox, QueueId, Timestamp};
use reporting::{Day, Reporter, rfc3339};

/// The whole message, for one mailbox.
pub fn letter(
    (id, date): (QueueId, Timestamp),
    to: &Mailbox,
    (day, domain): (Day, &str),
    report: &[u8],
    reporter: &Reporter,
) -> String {
    let Reporter { organization, contact, hostname, .. } = reporter;
    let (start, end) = day.bounds();
    let letter = Letter {
        id,
        date,
        hostname,
        from: contact,
        to: &to.to_string(),
        subject: &[
            &format!("Report Domain: {domain}"),
            &format!("Submitter: {hostname}"),
            &format!("Report-ID: <{}>", reporter.identifier(day, domain)),
        ],
        fields: &[("TLS-Report-Domain", domain), ("TLS-Report-Submitter", hostname), ("TLS-Required", "No")],
        content_type: "multipart/report; report-type=\"tlsrpt\"",
        text: &format!(
            "This is a report by {organization} on TLS sessions with the hosts of\n{domain}\nfrom {} to {}.\n",
            rfc3339(start),
            rfc3339(end)
        ),
        parts: &[LetterPart::File {
            content_type: "application/tlsrpt+gzip",
            name: &format!("{}.json.gz", reporter.file_stem(day, domain)),
            octets: report,
        }],
    };
    letter.render()
}
