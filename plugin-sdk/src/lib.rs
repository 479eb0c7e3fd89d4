//! Write plugins for the Waxwing mail server.
//!
//! A plugin is a WebAssembly component that the server asks at the stages of a mail session. It implements
//! [`Plugin`] and names, with [`export!`], the hooks in which it wants to be asked; a stage that it does not name costs
//! nothing. The server keeps one value of the plugin for each session, so that its fields remember from hook to hook
//! and nothing leaks from one session to another; what must outlive the session goes to [`kv`].
//!
//! A greylist:
//!
//! ```
//! use waxwing_plugin::prelude::*;
//!
//! #[derive(Default)]
//! struct Greylist;
//!
//! impl Plugin for Greylist {
//!     fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
//!         match kv::increment(&cx.triplet(to), 1, minutes(5)) {
//!             Ok(1) => Reply::tempfail("greylisted, please try again").with_status(4, 7, 1).into(),
//!             _ => Verdict::Proceed,
//!         }
//!     }
//! }
//!
//! waxwing_plugin::export!(Greylist: rcpt);
//! # fn main() {}
//! ```
//!
//! The crate of a plugin has `crate-type = ["cdylib"]` (and `"rlib"` for its tests) and is built for
//! `wasm32-unknown-unknown` with `wasm-component-ld` as the linker. The component imports only what the plugin
//! calls, so that its imports say what it can do.
//!
//! On every other target the functions of this crate act on a test double, see [`testing`]: `cargo test` tests a plugin
//! with no WebAssembly at all.
//!
//! Errors: [`Error`]. A panic is a trap: the server logs it, ends this session's instance and applies the plugin's
//! `on-failure`; nothing else is touched. Limits (time, memory, calls) are the server's and named in its configuration.

pub mod body;
pub mod clock;
pub mod config;
mod context;
pub mod dns;
mod error;
mod export;
pub mod headers;
#[cfg_attr(target_arch = "wasm32", path = "host/component.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "host/double.rs")]
mod host;
pub mod http;
pub mod kv;
pub mod log;
mod mailbox;
pub mod metrics;
pub mod net;
pub mod pattern;
mod plugin;
pub mod random;
mod reply;
pub mod scanner;
pub mod submission;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use context::{Context, Finding};
pub use error::Error;
pub use mailbox::{Mailbox, Param, Recipient};
pub use plugin::{NextHop, Outcome, OutcomeKind, Plugin};
pub use reply::{Reply, Status, Verdict};

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use export::Instance;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component {
    pub use crate::host::exports::*;
}

/// What a plugin names all the time.
pub mod prelude {
    pub use crate::clock::{days, hours, minutes, seconds};
    pub use crate::{
        Context, Error, Mailbox, NextHop, Outcome, OutcomeKind, Param, Plugin, Reply, Verdict, clock, config,
        dns, http, kv, log, metrics, random, scanner, submission,
    };
}
