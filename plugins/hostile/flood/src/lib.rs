//! Does at message, far too often, what a plugin may: adds recipients and writes log lines; and refuses with what came of it.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `recipients` | 0 | how many are added: `flood-1@example.org` and so on |
//! | `lines` | 0 | how many lines are logged |

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    recipients: u32,
    lines: u32,
}

#[derive(Debug, Default)]
struct Flood {
    settings: config::Lazy<Settings>,
}

impl Plugin for Flood {
    fn message(&mut self, cx: &Context) -> Verdict {
        let (mut added, mut refused) = (0, None);
        for nth in 0..self.settings.recipients {
            match cx.add_recipient(&Mailbox::new(&format!("flood-{nth}@example.org"))) {
                Ok(_) => added += 1,
                Err(e) => refused = Some(e),
            }
        }
        for nth in 0..self.settings.lines {
            log::info(&format!("line {nth} of the flood"));
        }
        let refused = refused.map_or_else(|| "nothing".to_owned(), |e| e.to_string());
        Reply::reject(format!("{added} added, then {refused}")).into()
    }
}

waxwing_plugin::export!(Flood: message);
