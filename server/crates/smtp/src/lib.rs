//! SMTP without I/O: commands and replies, the receiving session and the sending one.
//!
//! Bytes and the current time go in; events, replies and the next deadline come out. Nothing here waits, opens a socket or
//! reads a clock, so that the two sides can talk to each other in memory and every cut of the bytes can be tried.
//!
//! Standards: RFC 5321, 1870 (SIZE), 2034 and 3463 (enhanced status codes), 2920 (PIPELINING), 6152 (8BITMIME), 6531 (SMTPUTF8), 3030
//! (CHUNKING, BINARYMIME), 3461 (DSN), 3207 (STARTTLS), 4954 (AUTH), 2033 (LMTP), 8689 (REQUIRETLS), 9422 (LIMITS), 6710
//! (MT-PRIORITY), 2852 (DELIVERBY), 4865 (FUTURERELEASE).

pub mod client;
pub mod server;

#[cfg(test)]
mod both_sides;

mod chunk;
mod command;
mod data;
mod limits;
mod line;

pub use command::{ClientAttributes, Command, CommandError, Known, Paths};
pub use data::BareNewline;
pub use limits::Limits;
