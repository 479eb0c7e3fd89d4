//! What is checked of messages, against zones that are scripted.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod arc;
mod dkim;
mod dmarc;
mod malformed;
mod policy;
mod renewal;
mod reports;
mod setting;
mod spf;
