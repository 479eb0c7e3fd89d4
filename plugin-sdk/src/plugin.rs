//! The hooks: the stages of a session at which the server asks a plugin.

use crate::{Context, Mailbox, Param, Verdict};

/// A plugin. The server makes one value a session, with `Default`, when the first of its hooks is due.
///
/// Every hook has a default that says nothing; only those named in [`export!`](crate::export!) are ever called.
pub trait Plugin: Default {
    /// Asked once when the file is loaded, before any session: an error refuses the file, with this reason. There is
    /// no session here; settings are, so this is the place to check them.
    ///
    /// # Errors
    /// The plugin's own reason not to be used.
    fn init() -> Result<(), String> {
        Ok(())
    }

    /// A client has connected; before the greeting.
    fn connect(&mut self, _cx: &Context) -> Verdict {
        Verdict::Proceed
    }

    /// HELO, EHLO or LHLO.
    fn ehlo(&mut self, _cx: &Context, _name: &str) -> Verdict {
        Verdict::Proceed
    }

    /// AUTH succeeded; after it the user may submit, unless this says no.
    fn auth(&mut self, _cx: &Context, _mechanism: &str, _user: &str) -> Verdict {
        Verdict::Proceed
    }

    /// MAIL FROM. No sender is the null reverse-path of delivery reports.
    fn mail(&mut self, _cx: &Context, _sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        Verdict::Proceed
    }

    /// RCPT TO, once for each recipient.
    fn rcpt(&mut self, _cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
        Verdict::Proceed
    }

    /// DATA or the first BDAT, before the message.
    fn data(&mut self, _cx: &Context) -> Verdict {
        Verdict::Proceed
    }

    /// The whole message is here and can be edited; before the server takes it on.
    fn message(&mut self, _cx: &Context) -> Verdict {
        Verdict::Proceed
    }

    /// The queue picks a recipient's next hop. `None`: as the server would.
    fn route(&mut self, _cx: &Context, _recipient: &Mailbox, _attempt: u32) -> Option<NextHop> {
        None
    }

    /// A report of a delivery attempt; nothing is decided here.
    fn outcome(&mut self, _cx: &Context, _outcome: &Outcome) {}

    /// The session is over, whoever ended it; nothing is decided here.
    fn disconnect(&mut self, _cx: &Context) {}
}

/// Where a recipient's mail goes instead, or when; an empty one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextHop {
    /// `host:port` or a domain.
    pub next_hop: Option<String>,
    /// Hold it in the queue for the operator, under this reason.
    pub hold: Option<String>,
    /// Seconds to wait before the attempt.
    pub delay_s: Option<u32>,
    /// The local address to send from.
    pub source: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The next hop took it.
    Delivered,
    /// It will be tried again.
    Deferred,
    /// It was refused for good; the sender is told.
    Bounced,
    /// It was tried for too long; the sender is told.
    Expired,
}

/// The report of one attempt for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The queue's name of the message.
    pub queue_id: String,
    /// Whose mail it was.
    pub recipient: Mailbox,
    /// How it ended.
    pub kind: OutcomeKind,
    /// The host that answered, if one did.
    pub host: Option<String>,
    /// What it said, or what went wrong.
    pub reply: String,
    /// Counts from 1.
    pub attempt: u32,
}
