//! Reaches for what WASI 0.2 has, as languages' runtimes do, and says what it got. Refuses at EHLO with what it found of the
//! machine, and at RCPT with what came of a request over `wasi:http` to the URL of its settings, `url`, with `body`
//! repeated `times` times behind it.
#![cfg(target_arch = "wasm32")]

mod machine;
mod request;

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Wasi;

impl Plugin for Wasi {
    fn ehlo(&mut self, _cx: &Context, name: &str) -> Verdict {
        match name {
            "look.example" => Reply::reject(machine::found()).into(),
            _ => Verdict::Proceed,
        }
    }

    fn rcpt(&mut self, _cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
        let said = match request::send() {
            Ok(answer) => answer,
            Err(error) => format!("{error:?}"),
        };
        Reply::reject(said).into()
    }
}

waxwing_plugin::export!(Wasi: ehlo, rcpt);
