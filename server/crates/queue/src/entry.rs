//! An entry: a message that was taken on, and how far each of its recipients has come.

use model::{Envelope, Param, QueueId, Recipient, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};

/// What a peer, or our own routing, said of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub at: Timestamp,
    /// The host that said it; nothing when it was this one.
    pub host: Option<String>,
    /// The reply in one line, as in `550 5.1.1 no such user`.
    pub reply: String,
}

/// How far a recipient has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The next attempt is made at `due` or soon after.
    Waiting { due: Timestamp },
    /// No attempt is made until somebody releases it.
    Held { reason: String },
    /// The next hop took it.
    Delivered,
    /// Refused for good; the sender was told, if there is one.
    Bounced,
    /// Given up after the time that the configuration gives; the sender was told, if there is one.
    Expired,
    /// Taken out by the postmaster, without a report.
    Removed,
}

impl State {
    /// Whether nothing is left to do.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting { .. } | Self::Held { .. })
    }

    /// The name in listings and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Held { .. } => "held",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Removed => "removed",
        }
    }
}

/// A recipient in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipient {
    pub recipient: Recipient,
    pub state: State,
    /// Attempts that were made.
    pub attempts: u32,
    pub last: Option<Diagnostic>,
    /// When the sender was told of the delay (RFC 3461 section 4.1, NOTIFY=DELAY).
    pub warned: Option<Timestamp>,
}

/// A message that was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: QueueId,
    pub arrived: Timestamp,
    pub sender: ReversePath,
    /// The parameters of MAIL, kept for the next hop.
    pub sender_params: Vec<Param>,
    pub recipients: Vec<QueuedRecipient>,
    /// Octets of content.
    pub size: u64,
}

impl Entry {
    /// A fresh entry: every recipient is due at once, or held when there is a reason to.
    pub fn new(id: QueueId, envelope: Envelope, size: u64, arrived: Timestamp, hold: Option<&str>) -> Self {
        let state = match hold {
            Some(reason) => State::Held { reason: reason.to_owned() },
            None => State::Waiting { due: arrived },
        };
        let queued = |recipient| QueuedRecipient {
            recipient,
            state: state.clone(),
            attempts: 0,
            last: None,
            warned: None,
        };
        Self {
            id,
            arrived,
            sender: envelope.sender,
            sender_params: envelope.sender_params,
            recipients: envelope.recipients.into_iter().map(queued).collect(),
            size,
        }
    }

    /// When the next attempt is due: the earliest of the waiting recipients'.
    pub fn due(&self) -> Option<Timestamp> {
        let due = |queued: &QueuedRecipient| match queued.state {
            State::Waiting { due } => Some(due),
            _ => None,
        };
        self.recipients.iter().filter_map(due).min()
    }

    /// Whether every recipient is final.
    pub fn is_finished(&self) -> bool {
        self.recipients.iter().all(|queued| queued.state.is_final())
    }

    /// Puts an update's recipients in the place of those with the same numbers. Doing so twice changes nothing more.
    pub fn apply(&mut self, update: &Update) {
        for change in &update.recipients {
            if let Some(queued) = self.recipients.iter_mut().find(|queued| queued.recipient.id == change.id) {
                queued.state = change.state.clone();
                queued.attempts = change.attempts;
                queued.last.clone_from(&change.last);
                queued.warned = change.warned;
            }
        }
    }

    /// The value of a MAIL parameter, `Some("")` when it stands without one.
    pub fn sender_param(&self, keyword: &str) -> Option<&str> {
        let param = self.sender_params.iter().find(|param| param.keyword.eq_ignore_ascii_case(keyword))?;
        Some(param.value.as_deref().unwrap_or(""))
    }
}

/// New states of some of an entry's recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    pub id: QueueId,
    pub recipients: Vec<RecipientUpdate>,
}

/// The new state of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientUpdate {
    /// The recipient's number in its envelope.
    pub id: u32,
    pub state: State,
    pub attempts: u32,
    pub last: Option<Diagnostic>,
    pub warned: Option<Timestamp>,
}

impl From<&QueuedRecipient> for RecipientUpdate {
    fn from(queued: &QueuedRecipient) -> Self {
        Self {
            id: queued.recipient.id,
            state: queued.state.clone(),
            attempts: queued.attempts,
            last: queued.last.clone(),
            warned: queued.warned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Mailbox;

    fn entry() -> Entry {
        let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
        for local in ["ann", "bob"] {
            let mailbox = Mailbox::parse(&format!("{local}@example.org")).unwrap();
            envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        }
        Entry::new(QueueId(1), envelope, 3, Timestamp(1_000), None)
    }

    #[test]
    fn an_entry_is_due_when_its_first_recipient_is_and_finished_when_all_are() {
        let mut entry = entry();
        assert_eq!(entry.due(), Some(Timestamp(1_000)));
        let mut change = RecipientUpdate::from(&entry.recipients[0]);
        change.state = State::Waiting { due: Timestamp(9_000) };
        let mut other = RecipientUpdate::from(&entry.recipients[1]);
        other.state = State::Delivered;
        let update = Update { id: entry.id, recipients: vec![change, other] };
        entry.apply(&update);
        let once = entry.clone();
        entry.apply(&update);
        assert_eq!(entry, once);
        assert_eq!(entry.due(), Some(Timestamp(9_000)));
        assert!(!entry.is_finished());
    }

    #[test]
    fn a_held_entry_is_never_due() {
        let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
        let mailbox = Mailbox::parse("ann@example.org").unwrap();
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        let held = Entry::new(QueueId(1), envelope, 3, Timestamp(1_000), Some("looks odd"));
        assert_eq!(held.due(), None);
        assert!(!held.is_finished());
    }
}
