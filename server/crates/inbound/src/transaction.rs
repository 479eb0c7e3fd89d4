//! One transaction: the envelope as it grows, what the hooks decided, and the content as it arrives.

use std::collections::HashMap;
use std::sync::Arc;

use hooks::{Finding, TransactionFacts};
use model::{Content, Envelope, Mailbox, Param, QueueId, Reply, ReversePath};
use sender_auth::Evaluation;

use crate::fate::Fate;
use crate::reception::Reception;

/// From MAIL to the end of data.
pub(crate) struct Transaction {
    /// What the hooks are shown. Theirs too while they look at it, so it is changed through `Arc::make_mut`.
    pub(crate) facts: Arc<TransactionFacts>,
    pub(crate) fate: Fate,
    /// Recipients that are not simply delivered.
    recipient_fates: HashMap<u32, Fate>,
    /// The recipients that came of each RCPT that was answered 250: one, or what hooks put in its place.
    pub(crate) accepted: Vec<Vec<u32>>,
    /// Recipients that were refused alone when the message was whole.
    pub(crate) refusals: HashMap<u32, Reply>,
    pub(crate) reception: Option<Reception>,
    /// What was found out of its sender.
    pub(crate) evaluation: Option<Arc<Evaluation>>,
    /// The disk failed while the content arrived; the message is refused at its end.
    pub(crate) failed: bool,
}

impl Transaction {
    pub(crate) fn new(id: QueueId, sender: ReversePath, params: Vec<Param>) -> Self {
        let envelope = Envelope::new(sender, params);
        Self {
            facts: Arc::new(TransactionFacts { id, envelope, content: None, findings: Vec::new() }),
            fate: Fate::default(),
            recipient_fates: HashMap::new(),
            accepted: Vec::new(),
            refusals: HashMap::new(),
            reception: None,
            evaluation: None,
            failed: false,
        }
    }

    pub(crate) fn id(&self) -> QueueId {
        self.facts.id
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.facts.envelope
    }

    pub(crate) fn set_envelope(&mut self, envelope: Envelope) {
        Arc::make_mut(&mut self.facts).envelope = envelope;
    }

    pub(crate) fn set_content(&mut self, content: Content) {
        Arc::make_mut(&mut self.facts).content = Some(content);
    }

    pub(crate) fn set_findings(&mut self, findings: Vec<Finding>) {
        Arc::make_mut(&mut self.facts).findings = findings;
    }

    /// Adds the recipient that is being asked about; says its number.
    pub(crate) fn add_recipient(&mut self, address: Mailbox, params: Vec<Param>) -> u32 {
        Arc::make_mut(&mut self.facts).envelope.add_recipient(address.clone(), address, params)
    }

    /// Takes a recipient out that was refused.
    pub(crate) fn remove_recipient(&mut self, id: u32) {
        Arc::make_mut(&mut self.facts).envelope.remove_recipient(id);
    }

    /// A recipient is not simply delivered. The strictest of what was said counts.
    pub(crate) fn set_recipient_fate(&mut self, id: u32, fate: Fate) {
        if fate != Fate::Deliver {
            let before = self.recipient_fate(id);
            self.recipient_fates.insert(id, before.and(fate));
        }
    }

    /// The RCPT under way is answered 250: what it has added since this recipient is what came of it.
    pub(crate) fn accept_recipient(&mut self, id: u32) {
        let added =
            self.envelope().recipients.iter().map(|recipient| recipient.id).filter(|added| *added >= id);
        let added = added.collect();
        self.accepted.push(added);
    }

    /// What becomes of a recipient.
    pub(crate) fn recipient_fate(&self, id: u32) -> Fate {
        self.recipient_fates.get(&id).cloned().unwrap_or_default()
    }
}
