//! What a session tells its driver, and what the driver answers.

use model::{ForwardPath, Param, Reply, ReversePath};

use crate::ClientAttributes;

/// What happened. Those marked *asks* want an [`Answer`] before the session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// *Asks.* The connection is there; the answer is the greeting.
    Connect,
    /// *Asks.* HELO, EHLO or LHLO.
    Hello { name: String, extended: bool },
    /// *Asks.* STARTTLS. After a positive answer and its reply the handshake follows, then
    /// [`Session::secured`](super::Session::secured).
    StartTls,
    /// *Asks.* AUTH with a mechanism that is offered. The answer is a challenge, or how it went.
    Auth { mechanism: String, initial: Option<Vec<u8>> },
    /// *Asks.* The client's response to the last challenge.
    AuthResponse(Vec<u8>),
    /// The client, or its fault, ended the exchange that AUTH began.
    AuthCancelled,
    /// *Asks.* XCLIENT from a client that may. A positive answer starts the session anew.
    XClient(ClientAttributes),
    /// *Asks.* MAIL, its parameters checked.
    Mail { sender: ReversePath, params: Vec<Param> },
    /// *Asks.* RCPT, its parameters checked and the limit not reached.
    Rcpt { path: ForwardPath, params: Vec<Param> },
    /// *Asks.* DATA or the first BDAT, with at least one recipient.
    Data,
    /// The next octets of the content, unstuffed.
    Content(Vec<u8>),
    /// *Asks.* The content is whole; a positive answer takes the message on.
    Message,
    /// A command that the session does not know, or does not carry out; what it says to that follows as `Refused`.
    Unknown(String),
    /// The session refused something by itself; for the log. The client hears the reply.
    Refused(Reply),
    /// The transaction under way is over without a message.
    Reset(ResetReason),
    /// The session is over. What is left of the output is sent first.
    Closed(CloseReason),
}

impl Event {
    /// Whether the session waits for an [`Answer`].
    pub fn asks(&self) -> bool {
        use Event::{AuthCancelled, Closed, Content, Refused, Reset, Unknown};
        !matches!(self, Content(_) | AuthCancelled | Unknown(_) | Refused(_) | Reset(_) | Closed(_))
    }
}

/// Why a transaction ended without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// RSET, HELO, EHLO or another command that begins anew.
    Client,
    /// The content was refused by the session itself: its size, its lines.
    Content,
    /// The session ended.
    Closed,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    Quit,
    /// The client closed the connection or it broke.
    Gone,
    /// A timeout of [`crate::Limits`].
    TimedOut,
    /// [`crate::Limits::errors`] or another limit of the session was reached.
    Limit,
    /// An answer said so.
    Refused,
    /// The server stops.
    Shutdown,
}

impl CloseReason {
    /// The name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Gone => "gone",
            Self::TimedOut => "timed-out",
            Self::Limit => "limit",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The driver's answer to an event that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on, with the usual reply.
    Proceed,
    /// Go on with this reply when it is positive; with a negative one the command is refused.
    Say(Reply),
    /// A challenge of a SASL exchange, without its base64.
    Challenge(Vec<u8>),
    /// The message was taken for some recipients and not for others: a reply for each, in their order. Only where the client
    /// hears them apart; see [`Session::hears_each`](super::Session::hears_each).
    Each(Vec<Reply>),
    /// Say this, then end the session.
    Close(Reply),
}
