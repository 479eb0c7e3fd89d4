//! The part of a report that a person reads: what the template says, in lines that may be sent.

use crate::date::format_date;

use super::original::Returned;
use super::template::{Facts, RecipientFacts, Written};
use super::{Dsn, DsnRecipient, MAX_DIAGNOSTIC_OCTETS, tame, wrap};

const WIDTH: usize = 72;
/// Octets of a host's name that are told.
const MAX_HOST_OCTETS: usize = 255;
/// Octets of a subject.
const MAX_SUBJECT_OCTETS: usize = 500;
const SUBJECT: &str = "What became of your message";

/// The text and its subject.
pub(super) fn write(dsn: &Dsn, returned: &Returned, utf8: bool) -> (String, String) {
    let Written { subject, body } = dsn.template.write(&facts(dsn, returned, utf8));
    let subject = tame(subject.as_deref().unwrap_or_default(), MAX_SUBJECT_OCTETS, true);
    (if subject.is_empty() { SUBJECT.to_owned() } else { subject }, lay_out(&body))
}

fn facts(dsn: &Dsn, returned: &Returned, utf8: bool) -> Facts {
    Facts {
        host: dsn.reporting_mta.clone(),
        sender: dsn.sender.to_string(),
        arrival: format_date(dsn.arrival),
        queue_id: dsn.queue_id.to_string(),
        returned: returned.told(),
        is_double_bounce: dsn.is_double_bounce,
        news: dsn.gist().name(),
        recipients: dsn.recipients.iter().map(|recipient| one(recipient, utf8)).collect(),
    }
}

fn one(recipient: &DsnRecipient, utf8: bool) -> RecipientFacts {
    let said = |text: &Option<String>, limit| text.as_deref().map(|text| tame(text, limit, utf8));
    RecipientFacts {
        action: recipient.action.name(),
        address: recipient.address.to_string(),
        status: recipient.status.to_string(),
        diagnostic: said(&recipient.diagnostic, MAX_DIAGNOSTIC_OCTETS),
        host: said(&recipient.remote_mta, MAX_HOST_OCTETS),
        until: recipient.will_retry_until.map(format_date),
    }
}

/// Lines of a bearable width that end in CRLF, without control characters; a long one goes on at its own indent. Empty lines never
/// follow each other.
fn lay_out(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    let mut is_apart = true;
    for line in body.lines() {
        let words = tame(line, usize::MAX, true);
        if words.is_empty() {
            if !is_apart {
                text += "\r\n";
            }
            is_apart = true;
            continue;
        }
        let indent = " ".repeat(line.bytes().take_while(|byte| *byte == b' ').count().min(WIDTH / 2));
        text += &indent;
        text += &wrap(&words, WIDTH, &indent);
        text += "\r\n";
        is_apart = false;
    }
    let kept = text.trim_end().len();
    text.truncate(kept);
    text + "\r\n"
}
