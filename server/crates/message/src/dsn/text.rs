//! The part of a report that a person reads.

use crate::date::format_date;

use super::original::Returned;
use super::{Action, Dsn, DsnRecipient, MAX_DIAGNOSTIC_OCTETS, tame, wrap};

const WIDTH: usize = 72;
const INDENT: &str = "    ";

pub(super) fn write(dsn: &Dsn, returned: &Returned, utf8: bool) -> String {
    let mut text = format!("This is the mail server {}.\r\n", dsn.reporting_mta);
    for (action, says) in [
        (Action::Failed, "Your message could not be delivered to:"),
        (
            Action::Delayed,
            "Your message has not yet been delivered to the following addresses. You need not send it again: this \
             server keeps trying.",
        ),
        (Action::Delivered, "Your message was delivered to:"),
        (
            Action::Relayed,
            "Your message was passed on to the server of the following addresses, which will not report on it:",
        ),
        (Action::Expanded, "Your message was passed on to everybody behind:"),
    ] {
        let mut recipients = dsn.recipients.iter().filter(|recipient| recipient.action == action).peekable();
        if recipients.peek().is_some() {
            text += &format!("\r\n{}\r\n", wrap(says, WIDTH, ""));
        }
        for recipient in recipients {
            text += &one(recipient, utf8);
        }
    }
    let closing = format!(
        "The message came in on {}; its id here is {}. The next part of this report says the same for programs{}.",
        format_date(dsn.arrival),
        dsn.queue_id,
        returned.told(),
    );
    text + &format!("\r\n{}\r\n", wrap(&closing, WIDTH, ""))
}

fn one(recipient: &DsnRecipient, utf8: bool) -> String {
    let mut text = format!("\r\n  <{}>\r\n", recipient.address);
    if let Some(diagnostic) = &recipient.diagnostic {
        let said = match &recipient.remote_mta {
            Some(host) => {
                format!("{} said: {}", tame(host, 255, utf8), tame(diagnostic, MAX_DIAGNOSTIC_OCTETS, utf8))
            }
            None => tame(diagnostic, MAX_DIAGNOSTIC_OCTETS, utf8),
        };
        text += &format!("{INDENT}{}\r\n", wrap(&said, WIDTH, INDENT));
    }
    if let Some(until) = recipient.will_retry_until {
        text += &format!("{INDENT}Delivery is tried until {}.\r\n", format_date(until));
    }
    text
}
