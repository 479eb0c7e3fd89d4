//! What a hook says: SMTP replies and the verdicts that carry them. RFC 5321 section 4.2, RFC 3463.

use crate::Error;
use std::fmt;

/// An enhanced status code, RFC 3463: `5.7.1` is `Status { class: 5, subject: 7, detail: 1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// 2, 4 or 5: the first digit of the reply's code.
    pub class: u8,
    /// At most 999.
    pub subject: u16,
    /// At most 999.
    pub detail: u16,
}

/// A reply to the client that refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 400 to 599.
    pub code: u16,
    /// Written between the code and the text.
    pub status: Option<Status>,
    /// Line ends in it make a reply of several lines.
    pub text: String,
}

impl Reply {
    /// A lasting refusal: `550 5.7.1`, "delivery not authorized".
    #[must_use]
    pub fn reject(text: impl Into<String>) -> Reply {
        Reply { code: 550, status: None, text: text.into() }.with_status(5, 7, 1)
    }

    /// "Come back later": `451 4.7.1`.
    #[must_use]
    pub fn tempfail(text: impl Into<String>) -> Reply {
        Reply { code: 451, status: None, text: text.into() }.with_status(4, 7, 1)
    }

    /// Another code, 400 to 599. The status follows into its class.
    #[must_use]
    pub fn with_code(mut self, code: u16) -> Reply {
        self.code = code;
        if let Some(status) = &mut self.status {
            status.class = if code < 500 { 4 } else { 5 };
        }
        self
    }

    /// Another enhanced status.
    #[must_use]
    pub fn with_status(mut self, class: u8, subject: u16, detail: u16) -> Reply {
        self.status = Some(Status { class, subject, detail });
        self
    }

    /// Says this and closes the connection.
    #[must_use]
    pub fn disconnect(self) -> Verdict {
        Verdict::Disconnect(self)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(Status { class, subject, detail }) = self.status {
            write!(f, "{class}.{subject}.{detail} ")?;
        }
        f.write_str(&self.text)
    }
}

/// What a plugin thinks of the stage it was asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// No opinion: the next plugin is asked. Edits stand.
    #[default]
    Proceed,
    /// Fine: the following plugins are not asked at this stage. Edits stand.
    Accept,
    /// A lasting refusal, 5xx. Edits are dropped.
    Reject(Reply),
    /// A passing refusal, 4xx. Edits are dropped.
    Tempfail(Reply),
    /// The client hears success, the mail goes nowhere; the reason is logged.
    Discard(String),
    /// The client hears success, the mail is held in the queue for the operator under this reason.
    Quarantine(String),
    /// The reply is sent and the connection closed.
    Disconnect(Reply),
}

/// 4xx is a [`Verdict::Tempfail`], everything else a [`Verdict::Reject`].
impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Verdict {
        if reply.code < 500 { Verdict::Tempfail(reply) } else { Verdict::Reject(reply) }
    }
}

/// What a plugin says that cannot decide: `451 4.3.0`. The error itself is for the log, not for the client.
impl From<Error> for Verdict {
    fn from(_: Error) -> Verdict {
        Reply::tempfail("the message cannot be checked now, please try again").with_status(4, 3, 0).into()
    }
}
