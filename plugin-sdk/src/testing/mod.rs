//! A test double of the server: `cargo test` runs a plugin's hooks natively, with a scripted session.
//!
//! What the interface promises, this keeps: hooks that the plugin does not export are not asked, every session has a
//! plugin value of its own, edits stand only after proceed or accept, reads mean the message as it was when the hook
//! began, ungranted services answer [`Error::Denied`](crate::Error::Denied), lifetimes run by a clock that the test moves.
//!
//! ```
//! use waxwing_plugin::{prelude::*, testing::Server};
//!
//! #[derive(Default)]
//! struct OnceADay;
//!
//! impl Plugin for OnceADay {
//!     fn mail(&mut self, cx: &Context, _sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
//!         match kv::increment(&cx.peer_ip().to_string(), 1, days(1)) {
//!             Ok(1) => Verdict::Proceed,
//!             Ok(_) => Reply::tempfail("once a day is enough").into(),
//!             Err(e) => e.into(),
//!         }
//!     }
//! }
//!
//! waxwing_plugin::export!(OnceADay: mail);
//!
//! # fn main() {
//! let server = Server::new();
//! assert_eq!(server.session::<OnceADay>().mail("a@example.org"), Verdict::Proceed);
//! assert!(matches!(server.session::<OnceADay>().mail("a@example.org"), Verdict::Tempfail(_)));
//! server.advance(days(1));
//! assert_eq!(server.session::<OnceADay>().mail("a@example.org"), Verdict::Proceed);
//! # }
//! ```
//!
//! Known gaps: no limits of time, memory and calls; `waxwing plugin test` runs the finished component in the real host.

mod message;
mod services;
mod session;

pub(crate) use message::Staged;
pub(crate) use services::Services;
pub use services::{LogLine, Server, Service};
pub use session::{Handled, Session};
pub(crate) use session::{World, with_world};

/// One of the places where a plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the hooks; see Plugin")]
pub enum Hook {
    Init,
    Connect,
    Ehlo,
    Auth,
    Mail,
    Rcpt,
    Data,
    Message,
    Route,
    Outcome,
    Disconnect,
}

/// What [`export!`](crate::export!) says of a plugin.
pub trait Exported {
    /// The hooks that the server sees.
    const HOOKS: &'static [Hook];
}

/// The hooks by the names that [`export!`](crate::export!) uses.
#[doc(hidden)]
#[expect(non_upper_case_globals, reason = "spelled as in the macro's argument")]
pub mod hook {
    use super::Hook;
    pub const init: Hook = Hook::Init;
    pub const connect: Hook = Hook::Connect;
    pub const ehlo: Hook = Hook::Ehlo;
    pub const auth: Hook = Hook::Auth;
    pub const mail: Hook = Hook::Mail;
    pub const rcpt: Hook = Hook::Rcpt;
    pub const data: Hook = Hook::Data;
    pub const message: Hook = Hook::Message;
    pub const route: Hook = Hook::Route;
    pub const outcome: Hook = Hook::Outcome;
    pub const disconnect: Hook = Hook::Disconnect;
}
