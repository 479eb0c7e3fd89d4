//! What is said in sessions, for whoever wants to listen: the lines of both sides as they come, of the sessions that concern a client, an
//! address, a domain or a message.
//!
//! ```text
//! octets of both sides -> Tap (Follower: lines, secrets, content) -> Hub -> Watch
//! ```
//!
//! A session that nobody listens to costs a look at one number each time that it reads or writes. While somebody listens, each session keeps
//! its last lines, so that one that turns out to concern them late is heard from its beginning.
//!
//! Never shown: what is said after AUTH, and lines that are no command, which may be a password that was typed too late. Content is cut.
//!
//! Limits: [`Hub::WATCHES`] listeners at once; [`Watch::LINES`] lines that one has not read, more are lost, and it is told how many;
//! [`Tap::EARLY_LINES`] lines a session; lines of 1,000 octets, 2 KiB of each message's content.
//! Cancel safety: [`Watch::next`] loses nothing when it is dropped.
//! Known gaps: a session that was under way when the first listener came is heard from the server's next reply on.

mod follower;
mod hub;
mod subject;
mod tap;

pub use hub::{Heard, Hub, Line, TooMany, Watch, Who};
pub use subject::{Subject, SubjectError};
pub use tap::{Opening, Tap, Transcript};

#[cfg(test)]
mod tests;
