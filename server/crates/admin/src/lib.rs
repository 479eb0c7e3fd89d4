//! The control socket: how the postmaster's commands look into a running server and change its queue. And `/metrics`, `/healthz` and
//! `/readyz` over HTTP, see `http`.
//!
//! `control.sock` in the data directory, of mode 0600: whoever may open it may do everything. A line is a request in JSON, a
//! line is its answer: `{"ok": ...}` or `{"error": "..."}`; one connection may ask many times. A queue is listed in pages, so
//! that neither side holds it whole.
//!
//! Limits: requests of 64 KiB, 64 connections at once, 60 s between requests, pages of 500 entries, for
//! which 5,000 are looked at, 1,000 rows of counts, pieces of a message of 768 KiB; 8 traces, of 1,024 lines that were not read.
//! Errors: a connection that breaks a limit is told so and closed; nothing else is touched by it.
//! Known gaps: none.

mod answer;
mod calls;
mod client;
mod exposition;
mod filter;
mod http;
mod http_sockets;
mod listing;
mod metrics;
mod process;
mod request;
mod socket;
mod status;
mod trace;

pub use answer::{
    Applied, AttemptView, ContentPiece, Counts, CountsRow, DisabledBy, EntryRow, EntryView, Page,
    PluginDisabled, PluginLoaded, RecipientView, RelayGrant, Reloaded, Touched, rfc3339,
};
pub use calls::{Outlook, Refusal, Reload, Restart, Services};
pub use client::{Client, ClientError};
pub use filter::Filter;
pub use http::serve_metrics;
pub use http_sockets::HttpSockets;
pub use queue::StateFilter;
pub use request::{Order, Request};
pub use socket::{ControlSocket, SOCKET_NAME};
pub use status::{
    CertificateStatus, DeliveryStatus, DestinationStatus, LastReload, Listening, PluginCounts, PluginFaults,
    QueueState, QueueStatus, ServerStatus, SessionStatus,
};
pub use trace::TraceLine;

#[cfg(test)]
mod tests;
