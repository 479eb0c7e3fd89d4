//! The parameters of MAIL and RCPT that the announced extensions define.

use model::{ForwardPath, Param, Reply, ReversePath};

use crate::Limits;

/// Checks the parameters of MAIL: SIZE (RFC 1870), BODY (6152), SMTPUTF8 (6531).
pub(super) fn check_mail(
    sender: &ReversePath,
    params: &[Param],
    extended: bool,
    limits: &Limits,
) -> Result<(), Reply> {
    only_after_ehlo(params, extended)?;
    for param in params {
        match (param.keyword.as_str(), param.value.as_deref()) {
            ("SIZE", Some(value)) => check_size(value, limits)?,
            ("BODY", Some(value)) if is_body_type(value) => {}
            ("SMTPUTF8", None) => {}
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(bad_value(param)),
            _ => return Err(unknown(param)),
        }
    }
    let utf8 = params.iter().any(|param| param.keyword == "SMTPUTF8");
    match sender.mailbox() {
        Some(mailbox) if !mailbox.is_ascii() && !utf8 => Err(needs_smtputf8()),
        _ => Ok(()),
    }
}

/// Checks the parameters of RCPT: none of the announced extensions has one.
pub(super) fn check_rcpt(
    path: &ForwardPath,
    params: &[Param],
    extended: bool,
    utf8: bool,
) -> Result<(), Reply> {
    only_after_ehlo(params, extended)?;
    if let Some(param) = params.first() {
        return Err(unknown(param));
    }
    match path {
        ForwardPath::Mailbox(mailbox) if !mailbox.is_ascii() && !utf8 => Err(needs_smtputf8()),
        _ => Ok(()),
    }
}

fn only_after_ehlo(params: &[Param], extended: bool) -> Result<(), Reply> {
    match params.first() {
        Some(_) if !extended => Err(Reply::new(555, (5, 5, 4), "parameters need EHLO, not HELO")),
        _ => Ok(()),
    }
}

//= RFC 1870 section 6.1: a declared size over the limit is refused before it is sent.
fn check_size(value: &str, limits: &Limits) -> Result<(), Reply> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(Reply::new(501, (5, 5, 4), "SIZE is a number of octets, of at most 20 digits"));
    }
    // A number too large for 64 bits is over any limit.
    if value.parse::<u64>().is_ok_and(|size| size <= limits.message_size) {
        return Ok(());
    }
    Err(Reply::new(552, (5, 3, 4), format!("the limit is {} octets", limits.message_size)))
}

fn is_body_type(value: &str) -> bool {
    value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME")
}

fn bad_value(param: &Param) -> Reply {
    Reply::new(501, (5, 5, 4), format!("the value of {} is not valid", param.keyword))
}

//= RFC 5321 section 4.1.1.11: parameters that are not recognized are refused with 555.
fn unknown(param: &Param) -> Reply {
    Reply::new(555, (5, 5, 4), format!("parameter {} is not supported", param.keyword))
}

//= RFC 6531 section 3.5: 553 5.6.7 for an address that needs SMTPUTF8 where it was not asked for.
fn needs_smtputf8() -> Reply {
    Reply::new(553, (5, 6, 7), "an address beyond ASCII needs the parameter SMTPUTF8 at MAIL")
}
