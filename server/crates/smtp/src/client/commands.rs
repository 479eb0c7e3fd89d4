//! Writing MAIL and RCPT with the parameters that the peer offers to take.

use std::io::Write as _;

use model::LateMode;
use model::{Domain, Mailbox, Param, Recipient, ReversePath};

use super::extensions::Extensions;
use super::transaction::{Transaction, Unsendable};

/// Whether a peer that offers these extensions takes the content only when it is encoded.
pub(super) fn wants_seven_bit(transaction: &Transaction<'_>, offered: &Extensions) -> bool {
    match is_binary(transaction) {
        true => !(offered.chunking && offered.binary_mime),
        false => transaction.eight_bit && !offered.eight_bit_mime,
    }
}

/// Whether the transaction as a whole can go to a peer that offers these extensions.
pub(super) fn check(
    transaction: &Transaction<'_>,
    offered: &Extensions,
    is_secured: bool,
) -> Result<(), Unsendable> {
    if let Some(limit) = offered.max_size.filter(|limit| transaction.size > *limit) {
        return Err(Unsendable::TooLarge { limit });
    }
    if is_binary(transaction) && !(offered.chunking && offered.binary_mime) {
        return Err(Unsendable::Binary);
    }
    //= RFC 8689 section 4.2.1: never to a host that does not offer the same, and never in plain text.
    if requires_tls(transaction) && !(offered.require_tls && is_secured) {
        return Err(Unsendable::RequireTls);
    }
    let needs_utf8 = transaction.utf8_header || transaction.sender.mailbox().is_some_and(needs_utf8);
    if needs_utf8 && !offered.smtputf8 {
        return Err(Unsendable::Utf8);
    }
    if transaction.eight_bit && !offered.eight_bit_mime && !is_binary(transaction) {
        return Err(Unsendable::EightBit);
    }
    Ok(())
}

/// Whether lines mean nothing in the content (RFC 3030 section 3).
pub(super) fn is_binary(transaction: &Transaction<'_>) -> bool {
    param(transaction.sender_params, "BODY").is_some_and(|body| body.eq_ignore_ascii_case("BINARYMIME"))
}

fn requires_tls(transaction: &Transaction<'_>) -> bool {
    transaction.sender_params.iter().any(|param| param.keyword.eq_ignore_ascii_case("REQUIRETLS"))
}

/// Whether the mailbox can only be named with SMTPUTF8: a domain alone could be written in A-labels.
pub(super) fn needs_utf8(mailbox: &Mailbox) -> bool {
    !mailbox.local().is_ascii()
}

/// Appends MAIL. `utf8` says that some address or the header needs SMTPUTF8.
pub(super) fn write_mail(transaction: &Transaction<'_>, offered: &Extensions, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"MAIL FROM:");
    match transaction.sender {
        ReversePath::Null => out.extend_from_slice(b"<>"),
        ReversePath::Mailbox(mailbox) => write_path(mailbox, utf8, out),
    }
    if offered.size {
        let _ = write!(out, " SIZE={}", transaction.size);
    }
    if is_binary(transaction) {
        out.extend_from_slice(b" BODY=BINARYMIME");
    } else if transaction.eight_bit {
        out.extend_from_slice(b" BODY=8BITMIME");
    }
    if requires_tls(transaction) {
        out.extend_from_slice(b" REQUIRETLS");
    }
    if utf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    if offered.dsn {
        write_params(transaction.sender_params, &["RET", "ENVID"], utf8, out);
    }
    if offered.mt_priority {
        write_params(transaction.sender_params, &["MT-PRIORITY"], utf8, out);
    }
    if let Some(by) = transaction.deliver_by.filter(|_| offered.deliver_by) {
        let mode = match by.mode {
            LateMode::Return => "R",
            LateMode::Notify => "N",
        };
        let trace = if by.trace { "T" } else { "" };
        let _ = write!(out, " BY={};{mode}{trace}", by.seconds);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends RCPT.
pub(super) fn write_rcpt(recipient: &Recipient, offered: &Extensions, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"RCPT TO:");
    write_path(&recipient.address, utf8, out);
    if offered.dsn {
        write_params(&recipient.params, &["NOTIFY", "ORCPT"], utf8, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_path(mailbox: &Mailbox, utf8: bool, out: &mut Vec<u8>) {
    if utf8 || mailbox.is_ascii() {
        let _ = write!(out, "<{mailbox}>");
        return;
    }
    // Only the domain is beyond ASCII, and it has another name that is not.
    let ascii = Domain::parse(&mailbox.domain().to_ascii())
        .ok()
        .and_then(|domain| Mailbox::new(mailbox.local(), domain).ok());
    let _ = write!(out, "<{}>", ascii.as_ref().unwrap_or(mailbox));
}

/// Hands parameters on. A value that could break the command line is left out; the reader of commands lets none in.
fn write_params(params: &[Param], keywords: &[&str], utf8: bool, out: &mut Vec<u8>) {
    for keyword in keywords {
        let Some(value) = param(params, keyword) else { continue };
        let is_safe = !value.is_empty()
            && value.chars().all(|c| c > ' ' && c != '\u{7f}' && !c.is_control() && (utf8 || c.is_ascii()));
        if is_safe {
            let _ = write!(out, " {keyword}={value}");
        }
    }
}

fn param<'a>(params: &'a [Param], keyword: &str) -> Option<&'a str> {
    params.iter().find(|param| param.keyword.eq_ignore_ascii_case(keyword))?.value.as_deref()
}
