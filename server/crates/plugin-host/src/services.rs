//! What the server does for its plugins: one file for each interface of `waxwing:mail` that they import.

mod authentication;
mod config;
mod dns;
mod http;
mod kv;
mod log;
mod measures;
mod message;
mod parts;
mod scanner;
mod session;
mod submission;
mod time;
mod transaction;
pub(crate) mod wasi;
mod wasi_http;

use crate::bindings::waxwing::mail::types;
use crate::state::State;

/// The interface has no functions.
impl types::Host for State {}
