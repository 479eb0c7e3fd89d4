//! Asks filters outside of this process: milters, and clamd for plugins.
//!
//! Milters are what other mail servers have had for years, asked over a socket at the stages of a session. [`Clamd`] has a message looked at
//! that a plugin wants to be scanned: the same kind of socket and the same content, by clamd's own protocol.
//!
//! [`Milters`] stand in the chain of hooks beside the plugins. A session has a connection of its own to each, made when the first
//! stage is asked. What a milter changes is made in the same overlay and pieces as a plugin's edits: a body that stays is never
//! copied whole. A milter that fails, hangs, closes or talks nonsense never skips its stage: its failure policy answers
//! (`hooks::OnFailure`), and a breaker stops asking one that keeps failing.
//!
//! Standards: the milter protocol as libmilter and sendmail 8.18 speak it, versions 2 to 6: option negotiation, macros, the
//! NR flags, SKIP, leading space, macro names that the milter chooses. No RFC has it.
//! Limits: [`Timeouts`]; [`MilterOptions::body_octets`]; frames of 128 KiB, 1,000 changes and 1,000 recipients of a message,
//! replies of 2 KiB. The edited header block has the limit of `message::HeaderBlock`.
//! Errors: none come out; what a milter did wrong is in the log and in [`MilterStatus`].
//! Cancel safety: a dropped question abandons the connection; the next message makes another.
//! Known gaps: a field that is inserted at 0 stands below this server's Received, which is added after the hooks; what a milter says
//! to an unknown command or a refused recipient changes no reply; recipients beyond the limit, and those whose address or parameters
//! cannot be read, are not told of; pieces of the body are no larger than 65,535 octets, whatever a milter could take; of macros,
//! `{cert_subject}`, `{cipher_bits}` and the mailers, but for `error`, are not known.

mod clamd;
mod connection;
mod content;
mod conversation;
mod edits;
#[doc(hidden)]
pub mod fuzzing;
mod macros;
mod milters;
mod news;
mod options;
mod response;
mod status;
mod wire;

pub use clamd::Clamd;
pub use milters::Milters;
pub use options::{MilterOptions, Timeouts};
pub use status::MilterStatus;

#[cfg(test)]
mod tests;
