//! Outbound: takes entries from the queue to their next hops, and tells their senders when that fails for good.
//!
//! ```text
//! take (fresh, in memory) --+                                            +-> Maildir, program
//!                           +-> Pass -> Plan: Job per site -> Destination -> worker -> Connection (SMTP, LMTP)
//! scheduler (due, retried) -+           (plugins, DNS)                        |
//!                                                                             v
//!                                 store.update <- report committed <- Attempt: delivered | deferred | refused
//! ```
//!
//! An entry is in at most one [`Engine`] pass at a time. A destination has its own queue, workers, connections and back-off; a slow or
//! dead one delays nobody else, however much waits for it: not by DNS ([`plan`]), not by memory ([`engine`]), not by connections
//! ([`turn`]). A message goes to all its recipients at one site in one transaction, whatever their domains, and many messages go over
//! one connection.
//!
//! Standards: RFC 5321 (4.5.4 retries, 5 routing, 6.1 and 6.3), 3207 and 7435 (TLS by
//! STARTTLS, where it is offered or demanded: [`demand`]), 7505 null MX, 3461 and 3464 reports, 2033 LMTP.
//! Limits: [`Limits`]. Errors end in the queue as diagnostics; the log has a line for each attempt of each recipient.
//! Known gaps: none.

mod active;
mod connection;
mod control;
mod conversion;
mod daily;
mod demand;
mod destination;
mod dmarc_report;
mod engine;
mod line;
mod link;
mod lookups;
mod mail_hosts;
mod maildir;
mod maildir_worker;
mod mx;
mod notice;
mod octets;
mod opening;
mod options;
mod outcome;
mod pace;
mod pipe;
mod pipe_argument;
mod pipe_worker;
mod plan;
mod policy;
mod preparation;
mod race;
mod report;
mod route;
mod scheduler;
mod set_back;
mod site;
mod stats;
mod tasks;
mod telling;
mod throttle;
mod tls_report;
mod traits;
mod turn;
mod window;
mod worker;

pub use active::Order;
pub use control::Applied;
pub use demand::TlsLevel;
pub use engine::Engine;
pub use maildir::{MaildirPattern, PatternError};
pub use options::{
    DeliverTo, DmarcReportOptions, HostPort, HostPortError, Limits, LmtpAddress, LocalDomains, MtaStsOptions,
    Options, TlsReportOptions,
};
pub use pipe::Pipe;
pub use pipe_argument::{PipeArgument, PipeArgumentError};
pub use report::ReportOptions;
pub use route::{
    Credentials, DomainPattern, DomainPatternError, NextHop, Password, Route, RouteError, Routes,
};
pub use stats::{DestinationStats, Stats};
