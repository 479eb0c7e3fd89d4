//! The part of a report that programs read, RFC 3464 section 2.

use std::net::IpAddr;

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
        let address = match kind.eq_ignore_ascii_case("rfc822") {
            true => decode_xtext(address),
            false if utf8 => address.to_owned(),
            false => in_ascii(address),
        };
        text += &field("Original-Recipient", &format!("{kind}; {address}"), utf8);
    }
    //= RFC 6533 section 3: an address beyond ASCII is of the type utf-8.
    let kind = if recipient.address.is_ascii() { "rfc822" } else { "utf-8" };
    text += &field("Final-Recipient", &format!("{kind}; {}", recipient.address), utf8);
    text += &field("Action", recipient.action.name(), utf8);
    text += &field("Status", &recipient.status.to_string(), utf8);
    if let Some(host) = &recipient.remote_mta {
        text += &field("Remote-MTA", &remote_mta(host), utf8);
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

/// A host by its name; an address as a literal (RFC 3464 section 2.1.2), and a socket of this machine as what it is.
fn remote_mta(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("dns; [{address}]"),
        Ok(IpAddr::V6(address)) => format!("dns; [IPv6:{address}]"),
        Err(_) if host.starts_with('/') => format!("x-unix; {host}"),
        Err(_) => format!("dns; {host}"),
    }
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

/// Writes what is beyond ASCII as `\x{HEX}`, the form for reports that must be ASCII (RFC 6533 section 3).
fn in_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => ascii.push(c),
            false => ascii += &format!("\\x{{{:X}}}", u32::from(c)),
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_what_they_are() {
        for (host, named) in [
            ("mx.example", "dns; mx.example"),
            ("192.0.2.1", "dns; [192.0.2.1]"),
            ("2001:db8::1", "dns; [IPv6:2001:db8::1]"),
            ("[192.0.2.1]", "dns; [192.0.2.1]"),
            ("/run/lmtp", "x-unix; /run/lmtp"),
        ] {
            assert_eq!(remote_mta(host), named);
        }
    }

    #[test]
    fn an_address_beyond_ascii_has_a_form_in_ascii() {
        assert_eq!(in_ascii("j\u{fc}rgen@example.org"), "j\\x{FC}rgen@example.org");
    }

    #[test]
    fn xtext_is_decoded_where_it_can_be_shown() {
        assert_eq!(decode_xtext("ann+40example.org"), "ann@example.org");
        assert_eq!(decode_xtext("a+2Bb+3Dc"), "a+b=c");
        for kept in ["a+0Ab", "a+", "a+4", "a+ZZ", "a+FC", "a+é", "ü"] {
            assert_eq!(decode_xtext(kept), kept);
        }
    }
}
