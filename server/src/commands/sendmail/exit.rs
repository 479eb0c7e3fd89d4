//! How the command ends: the codes of sysexits.h, which programs that call sendmail have always looked at.

use model::Reply;

/// Why nothing, or not everything, was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// EX_USAGE.
    Usage = 64,
    /// EX_DATAERR: the message.
    Data = 65,
    /// EX_NOINPUT.
    NoInput = 66,
    /// EX_NOUSER: a recipient that there is not.
    NoUser = 67,
    /// EX_NOHOST: a domain that takes no mail.
    NoHost = 68,
    /// EX_UNAVAILABLE: refused for another reason.
    Unavailable = 69,
    /// EX_TEMPFAIL: later may be better.
    TempFail = 75,
    /// EX_NOPERM: this user may not.
    NoPermission = 77,
    /// EX_CONFIG.
    Config = 78,
}

/// An end with its reason.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    why: String,
}

impl Exit {
    pub(crate) fn because(self, why: impl Into<String>) -> Failed {
        Failed { exit: self, why: why.into() }
    }

    /// What a reply of the server means.
    pub(crate) fn of(reply: &Reply) -> Self {
        let (class, subject, detail) =
            reply.status.map_or((0, 0, 0), |status| (status.class, status.subject, status.detail));
        match (reply.is_transient() || class == 4, subject, detail) {
            (true, ..) => Self::TempFail,
            (_, 1, 2 | 10) => Self::NoHost,
            (_, 1, _) => Self::NoUser,
            (_, 3, 4) | (_, 6, _) => Self::Data,
            (_, 7, _) => Self::NoPermission,
            _ => Self::Unavailable,
        }
    }
}
