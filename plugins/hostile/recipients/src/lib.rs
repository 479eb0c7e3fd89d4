//! Decides of single recipients when the message is whole, as its settings say.
//!
//! | key | meaning |
//! |---|---|
//! | `refuse` | addresses, and the reply with which each is refused: `{ "bob@example.org" = "550 5.2.2 full" }` |
//! | `hold` | addresses, and the reason for which each is held |
//! | `add` | addresses that are added first |
//! | `replace` | addresses, and the one that is put in the place of each when it is named |
//! | `shows` | puts the recipients that it is shown into the field `X-Shown` |

use std::collections::BTreeMap;

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[derive(Default)]
struct Settings {
    refuse: BTreeMap<String, String>,
    hold: BTreeMap<String, String>,
    add: Vec<String>,
    replace: BTreeMap<String, String>,
    shows: bool,
}

#[derive(Debug, Default)]
struct Recipients {
    settings: config::Lazy<Settings>,
}

/// `550 5.2.2 full`.
fn reply(text: &str) -> Option<Reply> {
    let mut words = text.splitn(3, ' ');
    let code = words.next()?.parse().ok()?;
    let numbers: Vec<u16> = words.next()?.split('.').filter_map(|number| number.parse().ok()).collect();
    let [class, subject, detail] = numbers[..] else { return None };
    Some(Reply::reject(words.next()?).with_code(code).with_status(class as u8, subject, detail))
}

impl Recipients {
    fn decide(&self, cx: &Context) -> Result<(), Error> {
        let settings = &*self.settings;
        for address in &settings.add {
            cx.add_recipient(&Mailbox::new(address))?;
        }
        for recipient in cx.recipients() {
            let address = recipient.address.to_string();
            if let Some(reason) = settings.hold.get(&address) {
                cx.hold_recipient(recipient.id, reason)?;
            }
            if let Some(text) = settings.refuse.get(&address) {
                let reply = reply(text).ok_or_else(|| Error::BadInput(text.clone()))?;
                cx.refuse_recipient(recipient.id, &reply)?;
            }
        }
        if settings.shows {
            let shown: Vec<String> = cx.recipients().iter().map(|r| r.address.to_string()).collect();
            cx.headers().add("X-Shown", shown.join(" "))?;
        }
        Ok(())
    }
}

impl Plugin for Recipients {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, params: &[Param]) -> Verdict {
        let Some(other) = self.settings.replace.get(&to.to_string()) else { return Verdict::Proceed };
        let Some(named) = cx.recipients().pop() else { return Verdict::Proceed };
        let replaced =
            cx.remove_recipient(named.id).and_then(|()| cx.add_recipient_with(&Mailbox::new(other), params));
        replaced.map_or_else(Verdict::from, |_| Verdict::Proceed)
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        self.decide(cx).map_or_else(Verdict::from, |()| Verdict::Proceed)
    }
}

waxwing_plugin::export!(Recipients: init, rcpt, message);
