//! Adds, sets, renames and removes header fields by rules.
//!
//! Settings: `rules`, a list. A rule applies when everything in its `when` holds, and an absent `when` always does; the
//! rules are applied in their order, each seeing what the earlier ones did. Without settings there is one rule, which adds
//! `X-Waxwing: passed {listener} as {transaction}`.
//!
//! ```toml
//! rules = [
//!   { remove = ["X-Spam-*"] },                                       # patterns
//!   { when = { listener = ["mx"], peer-network = ["192.0.2.0/24"] }, add = { X-Origin = "branch office {peer}" } },
//!   { when = { header = { Subject = "*invoice*" }, authentication = { dmarc = "fail" } }, set = { X-Kind = "suspect" } },
//!   { when = { direction = "incoming", sender = ["*@example.org"] }, set = { Subject = "[outside] {header:Subject}" } },
//!   { when = { larger-than = 10_000_000 }, rename = { Priority = "X-Old-Priority" } },
//! ]
//! ```
//!
//! | in `when` | holds when |
//! |---|---|
//! | `sender` | the sender fits one of these patterns; "" is the null sender |
//! | `sender-domain` | the sender's domain is one of these or under it; "" is the null sender |
//! | `recipient` | one recipient fits one of these patterns |
//! | `recipient-domain` | the domain of one recipient is one of these or under it |
//! | `listener` | the listener is one of these |
//! | `direction` | "outgoing": the client may relay, by its user or address; "incoming": it may not |
//! | `peer-network` | the client's address is in one of these |
//! | `user` | the client has authenticated as a user that fits one of these patterns |
//! | `authenticated`, `tls` | the client has (or has not) authenticated, or encrypted |
//! | `authentication` | for each of spf, dkim, dmarc and arc, one finding has this result, as "pass" or "fail" |
//! | `larger-than`, `smaller-than` | the message has more, or fewer, octets as it arrived |
//! | `header` | for each name, one field's value fits the pattern |
//! | `not-header` | for each name, none does |
//!
//! `remove` comes first, then `rename` (every field of the name, in its place), then `set` (the first field of the name, or a new one), then
//! `add` (on top, or with `place = "bottom"` below the others). Values may name {listener}, {peer}, {peer-name}, {helo}, {user}, {sender},
//! {transaction}, {session}, {size}, {tls} and {header:NAME}, the first field of that name; what is not known is "-".
//!
//! Patterns have `*` and `?`, and case does not matter. They are held against values on one line with their encoded words (RFC 2047) decoded.

mod rule;
mod value;

use rule::Rule;
use serde::Deserialize;
use std::collections::BTreeMap;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    #[serde(default = "default_rules")]
    rules: Vec<Rule>,
}

fn default_rules() -> Vec<Rule> {
    let add = BTreeMap::from([("X-Waxwing".to_owned(), "passed {listener} as {transaction}".to_owned())]);
    vec![Rule::adding(add)]
}

#[derive(Debug, Default)]
struct TagHeaders {
    settings: config::Lazy<Settings>,
}

impl Plugin for TagHeaders {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        for (nth, rule) in settings.rules.iter().enumerate() {
            rule.check().map_err(|why| format!("settings: rule {}: {why}", nth + 1))?;
        }
        Ok(())
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        for rule in &self.settings.rules {
            if let Err(e) = rule.apply_where_it_holds(cx) {
                log::error(&format!("cannot change the header: {e}"));
                return e.into();
            }
        }
        Verdict::Proceed
    }
}

waxwing_plugin::export!(TagHeaders: init, message);

#[cfg(test)]
mod tests;
