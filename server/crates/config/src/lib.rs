//! The configuration: one TOML file, read into each room's own options. Nobody else reads the file or the environment.
//!
//! Every fault of a file is found, not only the first, and each says its file, line and key. A key that is not in the
//! reference ([`SECTIONS`], `reference.md`) is refused, with the nearest one that is.
//!
//! Limits: a file of 4 MiB, those that it names as well; settings of a plugin 32 tables deep.
//! Known gaps: none.

mod acme;
mod auth;
mod domain;
mod environment;
mod fault;
mod forwarding;
mod keys;
mod limits;
mod listener;
mod load;
mod milter;
mod network;
mod outbound;
mod pipe;
mod plugins;
mod process;
mod reader;
mod reference;
mod reports;
mod route;
mod secret;
mod senders;
mod sendmail;
mod server;
mod tls;
mod user;
mod web;

pub use environment::{
    Bequest, Notice, OF_PROGRAMS, OfPrograms, heritage, inherited_sockets, is_sandboxed, no_color, notify,
    system_hostname,
};
pub use fault::{Fault, Faults};
pub use forwarding::Forwarding;
pub use keys::{Default, Key, SECTIONS, Section};
pub use load::Config;
pub use process::{Identity, Place, Process};
pub use reference::reference;
pub use secret::{auth_secret, srs_secret};
pub use sendmail::{PlacesOfPrograms, SYSTEM_DROP_DIR, SYSTEM_SOCKET, SubmissionSocket};
pub use server::{Log, LogFormat, LogLevel};
pub use web::Web;

#[cfg(test)]
mod tests;
