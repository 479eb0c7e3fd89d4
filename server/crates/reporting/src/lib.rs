//! What is counted for other domains, day by day, until they have been told of it: what reports on TLS and reports on senders share.
//!
//! A [`Ledger`] keeps the counts; whoever sends asks it which days are over and which domains wait to be told, and says when they were.
//!
//! Standards: RFC 8460 section 4.1 and RFC 7489 section 7.2 (a day in UTC, reports spread over some time after it).
//! Limits: those that the ledger is opened with ([`Room`]); a day that could not be told of within three is given up.

mod day;
mod ledger;
mod reporter;

pub use day::{Day, rfc3339};
pub use ledger::{Counts, Ledger, Room};
pub use reporter::{Reporter, gzip};
