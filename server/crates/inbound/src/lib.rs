//! Mail in: listeners, and the pump that moves bytes between a socket and a session, asks the hooks, and commits.
//!
//! ```text
//! accept -> Session (smtp) -> hooks -> Transaction -> Reception -> Store::commit -> 250 -> Courier
//! ```
//!
//! Sessions that no listener accepts, of programs on this host and of submission over HTTP, begin with [`Server::begin`].
//!
//! A connection is one task; it holds no read buffer while it waits, so that thousands of idle ones stay small.
//!
//! Standards: RFC 5321 (3.7 relaying, 4.4 trace information, 6.1 responsibility, 6.3 loops), 6409 (submission), 2033 (LMTP), 3207 and
//! 8314 (TLS), 4954 (AUTH).
//! Limits: [`Limits`], and those of the session in [`smtp::Limits`].
//! Cancel safety: a task that is dropped leaves nothing behind: what it had received is not committed, and a spool file removes
//! itself. A commit under way goes on.
//! Known gaps: none.

mod admission;
mod authentication;
mod commit;
mod connection;
mod dialogue;
mod doors;
mod fate;
mod grants;
mod insider;
mod judgement;
mod listener;
mod live;
mod meter;
mod options;
mod plugin_mail;
mod policy;
mod proxy;
mod rates;
mod reception;
mod refusals;
mod returned;
mod sender_reports;
mod senders;
mod server;
mod sockets;
mod stats;
mod stream;
mod submission;
mod transaction;

pub use doors::{Moved, NextDoors};
pub use grants::{GrantError, RelayGrants};
pub use insider::{Identity, Insider};
pub use live::{Live, SessionView, VerdictView};
pub use meter::{Meter, MeterClock, network_of};
pub use options::{Kind, Limits, ListenerOptions, Options, Programs, Services, TlsMode};
pub use plugin_mail::{PluginMail, check_plugin_content};
pub use rates::{RateLimits, Rates};
pub use returned::Returned;
pub use server::Server;
pub use sockets::{BindError, Inherited, Sockets};
pub use stats::{Stats, StatsSnapshot};
