//! Values of `model` and `hooks` as guests see them, and back, checked.

use hooks::{RecipientVerdict, Verdict};
use model::{Domain, EnhancedStatus, Mailbox, Param, Reply, ReversePath};

use crate::bindings::waxwing::mail::types as wit;

/// Octets of a reply's text, and of a reason, that are kept.
const MAX_TEXT_OCTETS: usize = 2_048;
/// Octets of an ESMTP parameter's keyword and value.
const MAX_PARAM_OCTETS: usize = 1_024;

pub(crate) fn mailbox_out(mailbox: &Mailbox) -> wit::Mailbox {
    wit::Mailbox { local: mailbox.local().to_owned(), domain: mailbox.domain().to_string() }
}

pub(crate) fn mailbox_in(mailbox: &wit::Mailbox) -> Result<Mailbox, wit::Error> {
    let domain = Domain::parse(&mailbox.domain).map_err(|error| wit::Error::BadInput(error.to_string()))?;
    Mailbox::new(&mailbox.local, domain).map_err(|error| wit::Error::BadInput(error.to_string()))
}

pub(crate) fn sender_out(sender: &ReversePath) -> Option<wit::Mailbox> {
    sender.mailbox().map(mailbox_out)
}

/// What only this host knows is no parameter of the session's.
pub(crate) fn params_out(params: &[Param]) -> Vec<wit::Param> {
    let out = |param: &Param| wit::Param { keyword: param.keyword.clone(), value: param.value.clone() };
    params.iter().filter(|param| !model::is_internal(&param.keyword)).map(out).collect()
}

/// RFC 5321 section 4.1.2: `esmtp-keyword` and `esmtp-value`, the latter with RFC 6531's characters beyond
/// ASCII.
pub(crate) fn params_in(params: Vec<wit::Param>) -> Result<Vec<Param>, wit::Error> {
    let is_keyword = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_value = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_graphic() && c != '=' || !c.is_ascii() && !c.is_control())
    };
    let check = |param: wit::Param| {
        let octets = param.keyword.len() + param.value.as_deref().map_or(0, str::len);
        if octets <= MAX_PARAM_OCTETS
            && is_keyword(&param.keyword)
            && !model::is_internal(&param.keyword)
            && param.value.as_deref().is_none_or(is_value)
        {
            return Ok(Param { keyword: param.keyword.to_ascii_uppercase(), value: param.value });
        }
        Err(wit::Error::BadInput("not an ESMTP parameter".to_owned()))
    };
    params.into_iter().map(check).collect()
}

/// A guest's verdict, with a reply that fits it.
pub(crate) fn verdict_in(verdict: wit::Verdict) -> Verdict {
    let verdict = match verdict {
        wit::Verdict::Proceed => return Verdict::Proceed,
        wit::Verdict::Accept => return Verdict::Accept,
        wit::Verdict::Reject(reply) => Verdict::Reject(reply_in(reply)),
        wit::Verdict::Tempfail(reply) => Verdict::TempFail(reply_in(reply)),
        wit::Verdict::Disconnect(reply) => Verdict::Disconnect(reply_in(reply)),
        wit::Verdict::Discard(reason) => Verdict::Discard(one_line(&reason)),
        wit::Verdict::Quarantine(reason) => Verdict::Quarantine(one_line(&reason)),
    };
    verdict.with_fitting_reply()
}

/// A reply that refuses one recipient.
pub(crate) fn refusal_in(reply: wit::Reply) -> Result<RecipientVerdict, wit::Error> {
    let code = reply.code;
    let refusal = RecipientVerdict::refuse(reply_in(reply));
    refusal.ok_or_else(|| wit::Error::BadInput(format!("{code} refuses nothing; 4xx and 5xx do")))
}

fn reply_in(reply: wit::Reply) -> Reply {
    let status = |status: wit::EnhancedStatus| EnhancedStatus {
        class: status.class,
        subject: status.subject,
        detail: status.detail,
    };
    let mut text = reply.text.replace("\r\n", "\n").replace('\r', "\n");
    text.truncate(text.floor_char_boundary(MAX_TEXT_OCTETS));
    Reply { code: reply.code, status: reply.status.map(status), text: text.trim_end().to_owned() }
}

/// A text that stays one line of a log.
pub(crate) fn one_line(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MAX_TEXT_OCTETS)];
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_back_with_a_reply_that_fits() {
        let reply = wit::Reply { code: 250, status: None, text: "no\r\nreally\rnot".to_owned() };
        let Verdict::Reject(reply) = verdict_in(wit::Verdict::Reject(reply)) else { panic!() };
        assert_eq!(reply, Reply::new(550, (5, 7, 1), "no\nreally\nnot"));
        let reason = verdict_in(wit::Verdict::Discard("two\r\nlines".to_owned()));
        assert_eq!(reason, Verdict::Discard("two  lines".to_owned()));
    }

    #[test]
    fn a_reply_of_any_length_is_cut_between_characters() {
        let reply = wit::Reply { code: 550, status: None, text: "é".repeat(5_000) };
        let Verdict::Reject(reply) = verdict_in(wit::Verdict::Reject(reply)) else { panic!() };
        assert_eq!(reply.text.len(), MAX_TEXT_OCTETS);
    }

    #[test]
    fn parameters_are_checked() {
        let param = |keyword: &str, value: Option<&str>| {
            params_in(vec![wit::Param { keyword: keyword.to_owned(), value: value.map(str::to_owned) }])
        };
        assert_eq!(param("notify", Some("NEVER")).unwrap()[0].keyword, "NOTIFY");
        assert!(param("SMTPUTF8", None).is_ok());
        for (keyword, value) in [
            ("", None),
            ("x-refused", Some("a")),
            ("A B", None),
            ("A", Some("")),
            ("A", Some("b c")),
            ("A", Some("\r\n")),
        ] {
            assert!(param(keyword, value).is_err(), "{keyword:?} {value:?}");
        }
    }

    #[test]
    fn mailboxes_are_checked_on_their_way_in() {
        let mailbox = |local: &str, domain: &str| {
            mailbox_in(&wit::Mailbox { local: local.to_owned(), domain: domain.to_owned() })
        };
        assert_eq!(mailbox("john doe", "EXAMPLE.org").unwrap().to_string(), "\"john doe\"@example.org");
        assert!(mailbox("a\r\nRCPT", "example.org").is_err());
        assert!(mailbox("a", "exa mple.org").is_err());
        assert!(mailbox("a", "[IPv6:2001:db8::1]").is_ok());
    }
}
