//! Which messages are answered at all.

use crate::Settings;
use mail_parser::{Address, MessageParser};
use waxwing_plugin::pattern::fits;
use waxwing_plugin::prelude::*;

/// Local parts behind which nobody reads; RFC 3834 section 2, RFC 5230 section 4.6, and what is common.
const NOBODY: [&str; 14] = [
    "mailer-daemon",
    "mailerdaemon",
    "postmaster",
    "listserv",
    "majordomo",
    "mailman",
    "sympa",
    "noreply",
    "no-reply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "do_not_reply",
    "bounces",
];
const LIST_BEGINS: [&str; 6] = ["owner-", "bounce-", "bounces-", "noreply-", "no-reply-", "listserv-"];
const LIST_ENDS: [&str; 8] =
    ["-owner", "-request", "-bounce", "-bounces", "-errors", "-noreply", "-no-reply", "-relay"];

/// Fields that name recipients.
const RECIPIENTS: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

/// Why nobody is to answer this message, if nobody is.
pub(crate) fn not_to_be_answered(
    cx: &Context,
    sender: &Mailbox,
    settings: &Settings,
) -> Option<&'static str> {
    if is_nobody(&sender.local) {
        return Some("its sender is a list or a program");
    }
    let headers = cx.headers();
    for header in headers.all() {
        let (name, value) = (header.name.to_ascii_lowercase(), header.text().to_ascii_lowercase());
        let first = value.split([';', ',', '(', ' ', '\t']).next().unwrap_or_default();
        //= RFC 3834 section 2: not to what says that nobody wrote it, nor to lists.
        match name.as_str() {
            "auto-submitted" if first != "no" => return Some("it is Auto-Submitted"),
            "precedence" if ["bulk", "list", "junk"].contains(&first) => {
                return Some("its Precedence is that of many");
            }
            "content-type" if first == "multipart/report" => return Some("it is a report"),
            "x-auto-response-suppress" if suppresses(&value) => return Some("its sender wants no answer"),
            "return-path" if value == "<>" => return Some("it has the null reverse-path"),
            name if name.starts_with("list-") => return Some("it comes from a list"),
            _ => {}
        }
        if settings
            .unless
            .iter()
            .any(|(wanted, pattern)| name.eq_ignore_ascii_case(wanted) && fits(pattern, &value))
        {
            return Some("a field of it is among `unless`");
        }
    }
    let failed = |method: &str| {
        cx.findings().iter().any(|finding| finding.method == method && finding.result == "fail")
    };
    (!settings.forged && (failed("dmarc") || failed("spf"))).then_some("its sender may be forged")
}

/// What Exchange writes: a list of what it does not want.
fn suppresses(value: &str) -> bool {
    value.split([',', ' ']).any(|word| ["all", "oof", "autoreply"].contains(&word))
}

fn is_nobody(local: &str) -> bool {
    let local = local.to_ascii_lowercase();
    // Behind a plus or an equals sign stands for whom it is: news-bounces+bob=example.net.
    let plain = local.split(['+', '=']).next().unwrap_or_default();
    NOBODY.contains(&plain)
        || LIST_BEGINS.iter().any(|begin| local.starts_with(begin))
        || LIST_ENDS.iter().any(|end| plain.ends_with(end))
}

/// The addresses that the message's header names as recipients.
pub(crate) fn named(cx: &Context) -> Vec<Mailbox> {
    let mut block = Vec::new();
    for name in RECIPIENTS {
        for value in cx.headers().raw(name) {
            block.extend_from_slice(b"To: ");
            block.extend_from_slice(&value);
            block.extend_from_slice(b"\r\n");
        }
    }
    block.extend_from_slice(b"\r\n");
    let Some(parsed) = MessageParser::default().parse_headers(&block) else { return Vec::new() };
    let mut named = Vec::new();
    for header in parsed.headers() {
        let addresses: Vec<_> = match header.value.as_address() {
            Some(Address::List(list)) => list.iter().collect(),
            Some(Address::Group(groups)) => groups.iter().flat_map(|group| &group.addresses).collect(),
            None => Vec::new(),
        };
        named.extend(addresses.into_iter().filter_map(|address| address.address()).map(Mailbox::new));
    }
    named
}

/// The addresses of one person.
pub(crate) struct Own<'a>(Vec<&'a str>);

impl<'a> Own<'a> {
    pub(crate) fn new(address: &'a str, others: &'a [String]) -> Own<'a> {
        Own(std::iter::once(address).chain(others.iter().map(String::as_str)).collect())
    }

    /// Whether it is one of them, whatever the case, and whatever stands behind a plus sign.
    pub(crate) fn is(&self, mailbox: &Mailbox) -> bool {
        let plain = |local: &str| local.split('+').next().unwrap_or_default().to_lowercase();
        self.0.iter().any(|own| {
            let own = Mailbox::new(own);
            own.domain == mailbox.domain.to_ascii_lowercase()
                && (own.local.to_lowercase() == mailbox.local.to_lowercase()
                    || own.local.to_lowercase() == plain(&mailbox.local))
        })
    }
}
