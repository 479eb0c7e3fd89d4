//! The sending side of an SMTP or LMTP session, without I/O and without a clock: the mirror of the server's.
//!
//! Octets from the peer and the current time go in through [`Session::receive`]; events, octets for the peer and the next
//! deadline come out. The driver opens the connection, moves the octets, and feeds the content when it is asked to.
//! However the peer's octets are cut, the events are the same.
//!
//! ```text
//! new -> 220 -> EHLO [STARTTLS -> StartTls -> secured -> EHLO] [AUTH] -> Ready
//! Ready -> start -> MAIL RCPT.. DATA -> ContentWanted -> content.. end_content -> Done -> Ready
//!                                            |                                                           |
//!                                            +--- nobody was accepted, or DATA was refused --------------+
//! ```
//!
//! Before the handshake nothing is believed for longer than it must be: what came with the reply to STARTTLS is thrown away, and what
//! was offered is forgotten.
//!
//! Many transactions go over one connection. With PIPELINING, MAIL, RCPT and DATA leave in one piece; every reply is matched
//! with its command by order, and a reply that nothing waits for ends the session.
//!
//! Standards: RFC 5321 (4.1 commands, 4.2 replies, 4.5.2 transparency, 4.5.3.2 timeouts), 1870 SIZE, 2033 LMTP, 2034 enhanced
//! statuses, 2920 pipelining, 2852 DELIVERBY, 3030 BDAT and BINARYMIME, 3207 STARTTLS, 3461 DSN parameters, 4954 AUTH ([`sasl`]), 6152 8BITMIME, 6531 SMTPUTF8, 6710 MT-PRIORITY, 8689 REQUIRETLS, 9422 LIMITS.
//! Limits: 2 KiB in one line of a reply, 100 lines in one reply; more than that is a [`Failure::Protocol`].
//! Errors: never a panic; a session that cannot go on says [`Event::Ended`] with a [`Failure`], after it has said what became of
//! the transaction that was under way.
//! Known gaps: content that a peer cannot take is [`Unsendable`], not altered here; AUTH= of MAIL is not handed on; FUTURERELEASE is not, as a
//! message leaves when its time has come.

mod chunks;
mod commands;
mod extensions;
mod options;
mod reply;
mod sasl;
mod session;
#[cfg(test)]
mod tests;
mod transaction;
mod transparency;

pub use extensions::Extensions;
pub use options::{Options, Protocol, Timeouts, Tls};
pub use reply::{ReplyError, ReplyReader};
pub use sasl::{Binding, Credentials, SaslFault};
pub use session::{Event, Session};
pub use transaction::{Failure, Fate, Step, Transaction, Unsendable};
pub use transparency::DotStuffing;
