//! Asks a URL at RCPT and refuses with what came of it: `550 5.7.1 204 text of the answer`, or the error's text.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `url` | - | what is asked; `{to}` is the recipient |
//! | `times` | 1 | how often; the last one counts |

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Default)]
struct Asks {
    settings: config::Lazy<Settings>,
}

impl Plugin for Asks {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        let url = self.settings.url.replace("{to}", &to.to_string());
        let mut said = String::new();
        for _ in 0..self.settings.times {
            said = match http::post(&url).header("X-Session", &cx.session_id()).body("asked").send() {
                Ok(answer) => format!("{} {}", answer.status, answer.text()),
                Err(error) => error.to_string(),
            };
        }
        Reply::reject(said).into()
    }
}

waxwing_plugin::export!(Asks: init, rcpt);
