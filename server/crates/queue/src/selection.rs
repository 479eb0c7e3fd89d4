//! Which recipients of which entries are meant: what a listing and an order to many have in common.

use model::{Mailbox, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Entry, QueuedRecipient, State};

/// How far a recipient has come, for a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateFilter {
    /// Waits for an attempt.
    Waiting,
    /// Waits for another attempt: one was made.
    Deferred,
    /// Is held.
    Held,
}

/// Addresses that are meant. Case does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// `<>`, a report's sender.
    Null,
    /// One address, in lower case.
    One(String),
    /// All of a domain, given as A-labels in lower case.
    Domain(String),
}

impl Addresses {
    /// Whether this address is one of them; nothing is the null reverse-path.
    pub fn has(&self, address: Option<&Mailbox>) -> bool {
        match (self, address) {
            (Self::Null, None) => true,
            (Self::One(wanted), Some(address)) => address.to_string().to_lowercase() == *wanted,
            (Self::Domain(wanted), Some(address)) => address.domain().to_ascii().eq_ignore_ascii_case(wanted),
            _ => false,
        }
    }
}

/// All conditions must hold; the default means everything that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    pub state: Option<StateFilter>,
    pub sender: Option<Addresses>,
    pub recipient: Option<Addresses>,
    /// The domain of the recipient, as A-labels in lower case.
    pub domain: Option<String>,
    /// A part of the reason, in lower case: why it is held, or what was said last.
    pub reason: Option<String>,
    /// Arrived at this time or before.
    pub arrived_by: Option<Timestamp>,
}

impl Selection {
    /// Whether a recipient of an entry is meant. One that is done never is.
    pub fn has(&self, entry: &Entry, queued: &QueuedRecipient) -> bool {
        self.has_entry(entry) && self.has_recipient(queued)
    }

    /// Whether any recipient of an entry is meant.
    pub fn has_any(&self, entry: &Entry) -> bool {
        self.has_entry(entry) && entry.recipients.iter().any(|queued| self.has_recipient(queued))
    }

    fn has_entry(&self, entry: &Entry) -> bool {
        self.arrived_by.is_none_or(|by| entry.arrived <= by)
            && self.sender.as_ref().is_none_or(|sender| sender.has(entry.sender.mailbox()))
    }

    fn has_recipient(&self, queued: &QueuedRecipient) -> bool {
        let address = &queued.recipient.address;
        let of_state = match self.state {
            None => !queued.state.is_final(),
            Some(StateFilter::Waiting) => matches!(queued.state, State::Waiting { .. }),
            Some(StateFilter::Deferred) => {
                matches!(queued.state, State::Waiting { .. }) && queued.last.is_some()
            }
            Some(StateFilter::Held) => matches!(queued.state, State::Held { .. }),
        };
        of_state
            && self
                .domain
                .as_ref()
                .is_none_or(|wanted| address.domain().to_ascii().eq_ignore_ascii_case(wanted))
            && self.recipient.as_ref().is_none_or(|wanted| wanted.has(Some(address)))
            && self.reason.as_ref().is_none_or(|wanted| {
                queued.reason().is_some_and(|reason| reason.to_lowercase().contains(wanted.as_str()))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Diagnostic;
    use model::{Envelope, QueueId, ReversePath};

    fn entry() -> Entry {
        let ann = Mailbox::parse("Ann@Example.org").unwrap();
        let mut envelope = Envelope::new(ReversePath::Mailbox(ann), Vec::new());
        for address in ["bob@one.example", "eve@two.example"] {
            let mailbox = Mailbox::parse(address).unwrap();
            envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        }
        let mut entry = Entry::new(QueueId(1), envelope, 3, Timestamp(1_000), None);
        entry.recipients[1].state = State::Held { reason: "Looks odd".to_owned() };
        entry.recipients[0].last =
            Some(Diagnostic { at: Timestamp(1), host: None, reply: "451 4.7.1 Greylisted".to_owned() });
        entry
    }

    #[test]
    fn every_condition_must_hold_for_the_same_recipient() {
        let entry = entry();
        let chosen = |selection: Selection| -> Vec<usize> {
            (0..2).filter(|nth| selection.has(&entry, &entry.recipients[*nth])).collect()
        };
        let one = |text: &str| Some(Addresses::One(text.to_owned()));
        assert_eq!(chosen(Selection::default()), [0, 1]);
        assert_eq!(chosen(Selection { state: Some(StateFilter::Deferred), ..Default::default() }), [0]);
        assert_eq!(chosen(Selection { state: Some(StateFilter::Held), ..Default::default() }), [1]);
        assert_eq!(chosen(Selection { reason: Some("looks".to_owned()), ..Default::default() }), [1]);
        assert_eq!(chosen(Selection { reason: Some("greylisted".to_owned()), ..Default::default() }), [0]);
        assert_eq!(chosen(Selection { sender: one("ann@example.org"), ..Default::default() }), [0, 1]);
        assert!(chosen(Selection { sender: Some(Addresses::Null), ..Default::default() }).is_empty());
        assert_eq!(chosen(Selection { recipient: one("eve@two.example"), ..Default::default() }), [1]);
        assert!(chosen(Selection { arrived_by: Some(Timestamp(999)), ..Default::default() }).is_empty());
        let both = Selection {
            domain: Some("one.example".to_owned()),
            state: Some(StateFilter::Held),
            ..Selection::default()
        };
        assert!(chosen(both).is_empty());
    }

    #[test]
    fn a_recipient_that_is_done_is_never_meant() {
        let mut entry = entry();
        entry.recipients[0].state = State::Delivered;
        assert!(!Selection::default().has(&entry, &entry.recipients[0]));
        assert!(Selection::default().has_any(&entry));
    }
}
