//! What the receiving side asks of TLS: MTA-STS, a domain's policy that is published over HTTPS; and TLS-RPT, the reports on what came of it.
//!
//! [`MtaSts::policy`] finds the policy of a domain: by its TXT record, from memory, from the disk, or anew. [`Policy`] says which hosts may take the
//! domain's mail. What is made of it, and of DANE, which comes first, is decided in `outbound`. [`report`] counts sessions and writes a domain's reports.
//!
//! Standards: RFC 8461, 8460.
//! Limits: a policy of 64 KiB and 1,000 patterns; 10 s for a fetch, connecting included; a policy is believed for at most a year
//! ([`MAX_AGE`]); a domain whose policy could not be had is left alone for 5 minutes; 10,000 domains in memory.
//! Errors: [`Fault`]; none of them is a reason to hold mail, unless an earlier policy is still in force.
//! Known gaps: a policy is fetched anew when its record changes or it has run out, never ahead of time.

mod cache;
mod fetch;
mod https;
mod policy;
mod record;
pub mod report;
mod sts;

pub use fetch::{Fetcher, Https};
pub use policy::{MAX_AGE, Mode, Policy, PolicyError};
pub use sts::{Fault, Found, MtaSts, Options};
