//! A report as a message.
//!
//! Standards: RFC 8460 section 5.3 (`multipart/report`, its header fields and its file name), RFC 2045 section 6.8 (base64), RFC 8689 section
//! 5 (a report on broken TLS does not wait for TLS), RFC 3834 (automatic responses).
//! Known gaps: not signed with DKIM, which RFC 8460 section 5.3 asks for: what comes later on the way out has to do it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::{format_date, message_id};
use model::{Mailbox, QueueId, Timestamp};

use super::ledger::Day;
use super::render::{Reporter, identifier, rfc3339};

/// Octets of base64 in a line.
const LINE: usize = 76;

/// The whole message, for one mailbox.
pub fn letter(
    (id, date): (QueueId, Timestamp),
    to: &Mailbox,
    (day, domain): (Day, &str),
    report: &[u8],
    reporter: &Reporter,
) -> String {
    let Reporter { organization, contact, hostname } = reporter;
    let (start, end) = day.bounds();
    let file = format!("{hostname}!{domain}!{}!{}.json.gz", start.0 / 1_000, end.0 / 1_000);
    let encoded = STANDARD.encode(report);
    let lines: Vec<&str> = (0..encoded.len())
        .step_by(LINE)
        .map(|from| &encoded[from..(from + LINE).min(encoded.len())])
        .collect();
    let boundary = format!("=_{id}_tlsrpt");
    format!(
        "Date: {date}\r\nFrom: <{contact}>\r\nTo: <{to}>\r\nMessage-ID: {message_id}\r\n\
         Subject: Report Domain: {domain}\r\n\tSubmitter: {hostname}\r\n\tReport-ID: <{report_id}>\r\n\
         TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {hostname}\r\nTLS-Required: No\r\n\
         Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         This is a report by {organization} on TLS sessions with the hosts of\r\n{domain}\r\nfrom {from} to {until}.\r\n\r\n\
         --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment;\r\n\tfilename=\"{file}\"\r\n\r\n{body}\r\n--{boundary}--\r\n",
        date = format_date(date),
        message_id = message_id(id, hostname),
        report_id = identifier(day, domain, reporter),
        from = rfc3339(start),
        until = rfc3339(end),
        body = lines.join("\r\n"),
    )
}
