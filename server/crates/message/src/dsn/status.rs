//! The part of a report that programs read, RFC 3464 section 2.

use crate::date::format_date;

use super::{Dsn, DsnRecipient, MAX_DIAGNOSTIC_OCTETS, tame, wrap};

const WIDTH: usize = 76;
/// Octets of an ORCPT or ENVID that are given back.
const MAX_ID_OCTETS: usize = 500;

pub(super) fn write(dsn: &Dsn, utf8: bool) -> String {
    let mut text = String::new();
    if let Some(id) = dsn.envelope_id.as_deref() {
        text += &field("Original-Envelope-Id", &decode_xtext(id), utf8);
    }
    text += &field("Reporting-MTA", &format!("dns; {}", dsn.reporting_mta), utf8);
    text += &field("Arrival-Date", &format_date(dsn.arrival), utf8);
    for recipient in &dsn.recipients {
        text += "\r\n";
        text += &one(recipient, utf8);
    }
    text
}

fn one(recipient: &DsnRecipient, utf8: bool) -> String {
    let mut text = String::new();
    if let Some((kind, address)) = recipient.original.as_deref().and_then(|value| value.split_once(';')) {
        let address =
            if kind.eq_ignore_ascii_case("rfc822") { decode_xtext(address) } else { address.to_owned() };
        text += &field("Original-Recipient", &format!("{kind}; {address}"), utf8);
    }
    //= RFC 6533 section 3: an address beyond ASCII is of the type utf-8.
    let kind = if recipient.address.is_ascii() { "rfc822" } else { "utf-8" };
    text += &field("Final-Recipient", &format!("{kind}; {}", recipient.address), utf8);
    text += &field("Action", recipient.action.name(), utf8);
    text += &field("Status", &recipient.status.to_string(), utf8);
    if let Some(host) = &recipient.remote_mta {
        text += &field("Remote-MTA", &format!("dns; {host}"), utf8);
    }
    if let Some(diagnostic) = &recipient.diagnostic {
        // What this host found out by itself is no reply of SMTP.
        let kind = if recipient.remote_mta.is_some() { "smtp" } else { "x-waxwing" };
        text += &field("Diagnostic-Code", &format!("{kind}; {diagnostic}"), utf8);
    }
    if let Some(time) = recipient.last_attempt {
        text += &field("Last-Attempt-Date", &format_date(time), utf8);
    }
    if let Some(time) = recipient.will_retry_until {
        text += &field("Will-Retry-Until", &format_date(time), utf8);
    }
    text
}

/// One field, folded, whatever the value holds.
fn field(name: &str, value: &str, utf8: bool) -> String {
    let value = tame(value, MAX_DIAGNOSTIC_OCTETS.max(MAX_ID_OCTETS), utf8);
    format!("{name}: {}\r\n", wrap(&value, WIDTH - name.len(), "\t"))
}

/// Decodes xtext; what would not be printable ASCII stays as it came.
fn decode_xtext(text: &str) -> String {
    let decoded =
        model::decode_xtext(text).filter(|decoded| decoded.bytes().all(|b| matches!(b, b' '..=b'~')));
    decoded.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_where_it_can_be_shown() {
        assert_eq!(decode_xtext("ann+40example.org"), "ann@example.org");
        assert_eq!(decode_xtext("a+2Bb+3Dc"), "a+b=c");
        for kept in ["a+0Ab", "a+", "a+4", "a+ZZ", "a+FC", "a+é", "ü"] {
            assert_eq!(decode_xtext(kept), kept);
        }
    }
}
