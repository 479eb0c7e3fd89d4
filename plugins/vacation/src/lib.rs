//! Answers mail for people who are away: once to each sender within some days, and never to what a person did not write.
//!
//! ```toml
//! [plugins.vacation]
//! grants = { kv = true, submit = true }
//!
//! [plugins.vacation.settings.mailboxes."alice@example.org"]
//! text = "I am away until 15 July. Please write to bob@example.org.\n"
//! begin = 2026-07-01
//! end = 2026-07-14
//! ```
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `days` | 7 | a sender is answered once within so many days, 1 to 365; another text or subject begins anew |
//! | `unless` | { X-Spam-Flag = "yes*", X-Spam = "yes*" } | messages with a field that fits the pattern are not answered |
//! | `forged` | false | answer also messages whose SPF or DMARC failed: such a sender has mostly not written them |
//! | `kept-for` | "6d" | how long a message may take to be delivered and still be answered |
//! | `mailboxes` | {} | who is away, by address |
//!
//! | key of a mailbox | default | meaning |
//! |---|---|---|
//! | `text` | needed | what the sender reads; to the first line's end and on |
//! | `subject` | "Auto: {subject}" | `{subject}` is the message's own |
//! | `name` | none | the name beside the address in From |
//! | `addresses` | [] | further addresses of this person, such as aliases that lead here |
//! | `begin`, `end` | none | the first and the last day in UTC, or moments such as 2026-07-01T12:00:00+02:00 |
//! | `days` | `days` above | |
//!
//! Not answered are messages (RFC 3834 section 2, RFC 5230 section 4.5 and 4.6)
//!
//! - from the null reverse-path, from this person, or from addresses of lists and programs: `owner-...`, `...-owner`, `...-request`,
//!   `...-bounces`, `mailer-daemon`, `postmaster`, `listserv`, `majordomo`, `no-reply` and the like;
//! - with `Auto-Submitted` other than `no`, `Precedence` of `bulk`, `list` or `junk`, any `List-...` field, `X-Auto-Response-Suppress` of `All`,
//!   `OOF` or `AutoReply`, and reports (multipart/report);
//! - that do not name an address of this person in To, Cc, Bcc or their Resent- forms.
//!
//! What is said goes to the envelope's sender under the null reverse-path, marked `Auto-Submitted: auto-replied`, when the message was
//! delivered; what is refused, held or dropped is not answered. Who was answered is noted before the answer is queued: a crash between
//! the two loses the answer and never sends a second.
//!
//! Grants: `kv` and `submit`.

mod moment;
mod reply;
mod rules;

use moment::{Edge, Moment};
use reply::Kept;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use waxwing_plugin::prelude::*;

/// Days between two answers to one sender (RFC 5230 section 4.1 has at least one).
const MOST_DAYS: u32 = 365;
/// Octets of a text: the answer must be smaller than what a plugin may submit.
const MOST_TEXT: usize = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    #[serde(default = "seven")]
    days: u32,
    #[serde(default = "marked_as_spam")]
    unless: BTreeMap<String, String>,
    #[serde(default)]
    forged: bool,
    #[serde(with = "config::duration", default = "six_days")]
    kept_for: Duration,
    #[serde(default)]
    mailboxes: BTreeMap<String, Away>,
}

/// Somebody who is away.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Away {
    text: String,
    #[serde(default = "auto")]
    subject: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    addresses: Vec<String>,
    begin: Option<Moment>,
    end: Option<Moment>,
    days: Option<u32>,
}

fn seven() -> u32 {
    7
}

fn six_days() -> Duration {
    days(6)
}

fn auto() -> String {
    "Auto: {subject}".to_owned()
}

fn marked_as_spam() -> BTreeMap<String, String> {
    [("X-Spam-Flag", "yes*"), ("X-Spam", "yes*")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        let days = std::iter::once(self.days).chain(self.mailboxes.values().filter_map(|away| away.days));
        if let Some(days) = days.into_iter().find(|days| !(1..=MOST_DAYS).contains(days)) {
            return Err(format!("days is 1 to {MOST_DAYS}, not {days}"));
        }
        for (address, away) in &self.mailboxes {
            let bad = |why: &str| Err(format!("mailboxes.\"{address}\": {why}"));
            if let Some(other) =
                std::iter::once(address).chain(&away.addresses).find(|text| !is_address(text))
            {
                return bad(&format!("\"{other}\" is no address such as alice@example.org"));
            }
            if away.text.trim().is_empty() || away.text.len() > MOST_TEXT {
                return bad(&format!("text is empty, or has more than {MOST_TEXT} octets"));
            }
            if let (Some(begin), Some(end)) = (&away.begin, &away.end)
                && begin.at(Edge::First) >= end.at(Edge::Last)
            {
                return bad("it ends before it begins");
            }
        }
        Ok(())
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| {
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>,;\"".contains(c);
        !local.is_empty() && !domain.is_empty() && text.chars().all(is_plain)
    })
}

impl Away {
    fn is_now(&self, now_ms: u64) -> bool {
        self.begin.as_ref().is_none_or(|begin| now_ms >= begin.at(Edge::First))
            && self.end.as_ref().is_none_or(|end| now_ms < end.at(Edge::Last))
    }

    /// The key that says that a sender was answered with this text.
    fn answered(&self, mailbox: &str, sender: &Mailbox) -> String {
        let mut hash = Sha256::new();
        for part in [mailbox, &sender.to_string().to_lowercase(), &self.subject, &self.text] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hex: String = hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
        format!("answered {hex}")
    }
}

#[derive(Debug, Default)]
struct Vacation {
    settings: config::Lazy<Settings>,
}

impl Plugin for Vacation {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        settings.check().map_err(|why| format!("settings: {why}"))
    }

    /// Whether the message is one to answer is decided here, where its header is. What the answer needs is kept until it is delivered.
    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        if let Err(e) = settings.keep_what_the_answer_needs(cx) {
            metrics::count("vacation_failed", 1, &[]);
            log::warn(&format!("the message will not be answered: {e}"));
        }
        Verdict::Proceed
    }

    fn outcome(&mut self, _cx: &Context, outcome: &Outcome) {
        if outcome.kind != OutcomeKind::Delivered {
            return;
        }
        let settings = &*self.settings;
        if let Err(e) = settings.answer(outcome) {
            metrics::count("vacation_failed", 1, &[]);
            log::warn(&format!("{} was not answered: {e}", outcome.queue_id));
        }
    }
}

impl Settings {
    fn keep_what_the_answer_needs(&self, cx: &Context) -> Result<(), Error> {
        let now = clock::now_unix_ms();
        let mut away = self.mailboxes.iter().filter(|(_, away)| away.is_now(now)).peekable();
        let Some(sender) = cx.sender().filter(|_| away.peek().is_some()) else { return Ok(()) };
        if let Some(why) = rules::not_to_be_answered(cx, &sender, self) {
            log::debug(&format!("{} is not answered: {why}", cx.transaction_id()));
            return Ok(());
        }
        let named = rules::named(cx);
        let mut mailboxes = Vec::new();
        for (address, away) in away {
            let own = rules::Own::new(address, &away.addresses);
            if own.is(&sender) || !named.iter().any(|address| own.is(address)) {
                continue;
            }
            if kv::get(&away.answered(address, &sender))?.is_none() {
                mailboxes.push(address.to_lowercase());
            }
        }
        if mailboxes.is_empty() {
            return Ok(());
        }
        let kept = Kept::of(cx, &sender, mailboxes);
        let value = serde_json::to_vec(&kept).map_err(|e| Error::BadInput(e.to_string()))?;
        kv::set(&key(&cx.transaction_id()), &value, self.kept_for).map(drop)
    }

    fn answer(&self, outcome: &Outcome) -> Result<(), Error> {
        let is_it = |address: &str| rules::Own::new(address, &[]).is(&outcome.recipient);
        let Some((address, away)) = self.mailboxes.iter().find(|(address, _)| is_it(address)) else {
            return Ok(());
        };
        let key = key(&outcome.queue_id);
        let Some(entry) = kv::get(&key)? else { return Ok(()) };
        let kept: Kept = serde_json::from_slice(&entry.value).map_err(|e| Error::BadInput(e.to_string()))?;
        if !kept.mailboxes.contains(&address.to_lowercase()) {
            return Ok(());
        }
        if kept.mailboxes.len() == 1 {
            kv::delete(&key)?;
        }
        let sender = kept.sender();
        let answered = away.answered(address, &sender);
        let span = days(away.days.unwrap_or(self.days).into());
        // Whoever makes the key answers: of two deliveries at a time one does, and after a crash nobody does it again.
        if !kv::compare_and_set(&answered, None, b"1", span)? {
            return Ok(());
        }
        let id = reply::letter(address, away, &kept).submit().inspect_err(|_| {
            // Nothing went out: the next message is answered.
            let _ = kv::delete(&answered);
        })?;
        metrics::count("vacation_answered", 1, &[]);
        log::info(&format!("{} was answered for {address} by {id}", outcome.queue_id));
        Ok(())
    }
}

fn key(queue_id: &str) -> String {
    format!("message {queue_id}")
}

waxwing_plugin::export!(Vacation: init, message, outcome);

#[cfg(test)]
mod tests;
