//! The places in a session and in a delivery where hooks are asked.

use std::fmt;

/// One place in a session, or in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// A connection was accepted, before the greeting.
    Connect,
    /// HELO, EHLO or LHLO.
    Ehlo,
    /// AUTH, with the user's name once the mechanism has shown it.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT, once for each recipient.
    Rcpt,
    /// DATA or the first BDAT, before 354.
    Data,
    /// The whole message is here, before its 250.
    Message,
    /// The connection is over; nothing can be decided any more.
    Disconnect,
    /// The queue picks a recipient's next hop.
    Route,
    /// An attempt is over; nothing can be decided any more.
    Outcome,
}

impl Stage {
    /// Every stage, in the order of a message's way.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Ehlo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Message,
        Self::Disconnect,
        Self::Route,
        Self::Outcome,
    ];

    /// The name in logs, metrics and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Ehlo => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Message => "message",
            Self::Disconnect => "disconnect",
            Self::Route => "route",
            Self::Outcome => "outcome",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of stages, one bit each, so that a stage that nobody hooks costs one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stages(u16);

impl Stages {
    /// No stage.
    pub const NONE: Self = Self(0);

    /// This set and one stage more.
    #[must_use]
    pub fn with(self, stage: Stage) -> Self {
        Self(self.0 | 1 << stage as u8)
    }

    /// The stages that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the stage is in the set.
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & 1 << stage as u8 != 0
    }

    /// The stages, in the order of a message's way.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().filter(move |stage| self.contains(*stage))
    }
}
