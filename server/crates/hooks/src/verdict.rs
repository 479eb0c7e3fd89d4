//! What a hook may say.

use model::Reply;

/// What a hook says about the stage it was asked at. The first that is not `Proceed` ends the stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// No opinion: the following plugin is asked, and after the last the server goes on.
    #[default]
    Proceed,
    /// No further plugin is asked at this stage; the server goes on.
    Accept,
    /// 5xx. At connect the session ends after it; elsewhere the command or the message is refused.
    Reject(Reply),
    /// 4xx, otherwise as `Reject`.
    TempFail(Reply),
    /// Answered 250 and dropped, for this reason: at rcpt this recipient, at mail, data and message this message, at
    /// connect, ehlo and auth every message of the session.
    Discard(String),
    /// Answered 250 and held in the queue, for this reason; covers as much as `Discard` does.
    Quarantine(String),
    /// Answered with this reply, then closed.
    Disconnect(Reply),
}

impl Verdict {
    /// The name in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Accept => "accept",
            Self::Reject(_) => "reject",
            Self::TempFail(_) => "tempfail",
            Self::Discard(_) => "discard",
            Self::Quarantine(_) => "quarantine",
            Self::Disconnect(_) => "disconnect",
        }
    }

    /// The verdict with a reply that fits it: a rejection has 5xx, a temporary failure 4xx, a farewell 421 or 5xx, and the
    /// class of the enhanced status agrees with the code (RFC 2034 section 4). What does not fit is replaced.
    #[must_use]
    pub fn with_fitting_reply(self) -> Self {
        match self {
            Self::Reject(reply) => {
                Self::Reject(fit(reply, |code| (500..=599).contains(&code), (550, (5, 7, 1))))
            }
            Self::TempFail(reply) => {
                Self::TempFail(fit(reply, |code| (400..=499).contains(&code), (451, (4, 7, 1))))
            }
            Self::Disconnect(reply) => Self::Disconnect(fit(
                reply,
                |code| code == 421 || (500..=599).contains(&code),
                (421, (4, 7, 0)),
            )),
            other => other,
        }
    }
}

/// What becomes of one recipient when others get the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    /// Not taken on, with a reply of 4xx or 5xx. Where the client hears no reply for each recipient, its sender is told of
    /// 5xx by a report, and with 4xx this server tries later in the client's place.
    Refuse(Reply),
    /// Held in the queue, for this reason.
    Hold(String),
}

impl RecipientVerdict {
    /// A refusal with a reply whose enhanced status fits its code; nothing when the code refuses nothing.
    pub fn refuse(reply: Reply) -> Option<Self> {
        (400..=599).contains(&reply.code).then(|| Self::Refuse(fit(reply, |_| true, (550, (5, 7, 1)))))
    }
}

type Fallback = (u16, (u8, u16, u16));

fn fit(mut reply: Reply, fits: impl Fn(u16) -> bool, (code, status): Fallback) -> Reply {
    let class = |code: u16| u8::try_from(code / 100).unwrap_or(5);
    let fallback = Reply::new(code, status, "");
    if !fits(reply.code) {
        reply.code = code;
    }
    match reply.status {
        Some(status)
            if status.class == class(reply.code) && status.subject <= 999 && status.detail <= 999 => {}
        _ => {
            reply.status = fallback.status.map(|mut status| {
                status.class = class(reply.code);
                status
            });
        }
    }
    if reply.text.trim().is_empty() {
        reply.text = "refused by policy".to_owned();
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_does_not_fit_its_verdict_is_replaced() {
        let verdict = Verdict::Reject(Reply::new(250, (2, 0, 0), "fine")).with_fitting_reply();
        assert_eq!(verdict, Verdict::Reject(Reply::new(550, (5, 7, 1), "fine")));
        let verdict = Verdict::TempFail(Reply::plain(452, "")).with_fitting_reply();
        assert_eq!(verdict, Verdict::TempFail(Reply::new(452, (4, 7, 1), "refused by policy")));
        let verdict = Verdict::Disconnect(Reply::new(554, (5, 7, 0), "bye")).with_fitting_reply();
        assert_eq!(verdict, Verdict::Disconnect(Reply::new(554, (5, 7, 0), "bye")));
    }

    #[test]
    fn one_recipient_is_refused_with_a_reply_that_refuses() {
        let refusal = RecipientVerdict::refuse(Reply::new(452, (5, 2, 2), "full"));
        assert_eq!(refusal, Some(RecipientVerdict::Refuse(Reply::new(452, (4, 7, 1), "full"))));
        assert_eq!(RecipientVerdict::refuse(Reply::plain(250, "fine")), None);
        assert_eq!(RecipientVerdict::refuse(Reply::plain(600, "no")), None);
    }
}
