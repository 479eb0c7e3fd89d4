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
    /// What was said of the attempts before the last, oldest first; at most [`QueuedRecipient::HISTORY`]. Records of
    /// versions that kept none have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Diagnostic>,
    /// When the sender was told of the delay (RFC 3461 section 4.1, NOTIFY=DELAY).
    pub warned: Option<Timestamp>,
}

impl QueuedRecipient {
    /// Attempts that are remembered beside the last.
    pub const HISTORY: usize = 19;
    /// Octets of a reply that are remembered of an attempt before the last.
    const HISTORY_REPLY_OCTETS: usize = 256;
    /// Octets of its host.
    const HISTORY_HOST_OCTETS: usize = 128;

    /// Why it is held, or what was said of its last attempt.
    pub fn reason(&self) -> Option<&str> {
        match &self.state {
            State::Held { reason } => Some(reason),
            _ => self.last.as_ref().map(|last| last.reply.as_str()),
        }
    }

    /// Notes what was said last; what was said before goes into the history.
    ///
    /// A log may be read over an index that is ahead of it, so attempts come again in their order: the history is what was
    /// ever noted, by time, less the last, and comes out the same.
    fn note(&mut self, last: Option<&Diagnostic>) {
        if self.last.as_ref() == last {
            return;
        }
        let before = std::mem::replace(&mut self.last, last.cloned());
        if let Some(before) = before.map(Self::shortened)
            && !self.history.contains(&before)
        {
            let at = self.history.partition_point(|earlier| earlier.at <= before.at);
            self.history.insert(at, before);
        }
        if let Some(last) = last.cloned().map(Self::shortened) {
            self.history.retain(|earlier| *earlier != last);
        }
        let too_many = self.history.len().saturating_sub(Self::HISTORY);
        self.history.drain(..too_many);
    }

    fn shortened(mut said: Diagnostic) -> Diagnostic {
        let cut = |text: &mut String, octets| text.truncate(text.floor_char_boundary(octets));
        cut(&mut said.reply, Self::HISTORY_REPLY_OCTETS);
        said.host.iter_mut().for_each(|host| cut(host, Self::HISTORY_HOST_OCTETS));
        said
    }
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
            history: Vec::new(),
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
            if let Some(at) = self.position(change.id) {
                let queued = &mut self.recipients[at];
                queued.state = change.state.clone();
                queued.attempts = change.attempts;
                queued.note(change.last.as_ref());
                queued.warned = change.warned;
            }
        }
    }

    /// Where the recipient of this number stands in the list. Numbers mostly are places.
    pub fn position(&self, id: u32) -> Option<usize> {
        let is = |queued: &QueuedRecipient| queued.recipient.id == id;
        match self.recipients.get(id as usize) {
            Some(queued) if is(queued) => Some(id as usize),
            _ => self.recipients.iter().position(is),
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

    fn attempted(at: u64) -> Update {
        let last = Diagnostic { at: Timestamp(at), host: None, reply: format!("451 4.4.1 attempt at {at}") };
        let mut change = RecipientUpdate::from(&entry().recipients[0]);
        change.last = Some(last);
        Update { id: QueueId(1), recipients: vec![change] }
    }

    #[test]
    fn attempts_are_remembered_in_their_order_and_only_so_many() {
        let mut entry = entry();
        (0..50).for_each(|at| entry.apply(&attempted(at)));
        let queued = &entry.recipients[0];
        assert_eq!(queued.last.as_ref().map(|last| last.at.0), Some(49));
        let times: Vec<u64> = queued.history.iter().map(|said| said.at.0).collect();
        assert_eq!(times, (30..49).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_that_is_read_over_a_newer_state_leaves_the_same_history() {
        for attempts in [3, 30] {
            let mut entry = entry();
            (0..attempts).for_each(|at| entry.apply(&attempted(at)));
            let mut again = entry.clone();
            (attempts - 3..attempts).for_each(|at| again.apply(&attempted(at)));
            assert_eq!(again, entry);
        }
    }

    #[test]
    fn a_record_of_a_version_that_kept_no_history_is_read() {
        let mut entry = entry();
        let old = serde_json::to_string(&entry).unwrap();
        assert!(!old.contains("history"));
        assert_eq!(serde_json::from_str::<Entry>(&old).unwrap(), entry);
        (0..2).for_each(|at| entry.apply(&attempted(at)));
        let new = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&new).unwrap(), entry);
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
