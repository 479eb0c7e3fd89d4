//! What is answered over HTTP: the page for the postmaster at `/`, the same as JSON under `/v1`, and `POST /v1/messages`, by which
//! programs send. `/openapi.json` describes all of it.
//!
//! Everything but the page's own files needs a token ([`accounts::ApiTokens`]) in `Authorization: Bearer`; a browser sends none by itself, so
//! that no other site can make it ask. What is asked of the queue, of plugins and of sessions goes through [`admin::Services`], as
//! on the control socket; a message goes through a session of `inbound`, as from any user.
//!
//! Standards: RFC 9110 and 9112 (HTTP), 6750 (bearer tokens), 9457 (problem details), 8259 (JSON), 5322 and 2045 (messages); the draft
//! of the `Idempotency-Key` field.
//! Limits: [`Options`]; 64 connections at once, 16 KiB of a request's head within 10 s, 30 s for a small body of 64 KiB, two minutes for a
//! message, 64 MiB of messages in memory over all requests, 24 hours for an idempotency key; what became of the last 5,000 messages, on disk within
//! [`JournalOptions`].
//! Errors: every one is a [`Problem`]; nothing of a request that was refused stays.
//! Cancel safety: a client that goes away while its message is taken in does not undo it.
//! Known gaps: with a crash of the process between the commit of a message and the note of its idempotency key, a repeat sends it again.

#![expect(unused_qualifications, reason = "utoipa's macros name what they use in full")]

mod access;
mod compose;
mod destinations;
mod envelope;
mod history;
mod idempotency;
mod journal;
mod messages;
mod openapi;
mod outcomes;
mod page;
mod plugins;
mod preview;
mod problem;
mod queue;
mod rates;
mod router;
mod sessions;
mod site;
mod sockets;
mod submission;

pub use history::History;
pub use journal::Options as JournalOptions;
pub use openapi::openapi;
pub use problem::{Problem, RecipientRefused, SmtpReply};
pub use site::{Options, Parts, Site};
pub use sockets::serve_web;

#[cfg(test)]
mod tests;
