//! `transaction`, its envelope: who the message is from and for, with this hook's edits.

use hooks::{RecipientAnswer, RecipientVerdict, Stage, TransactionFacts};
use model::{Envelope, ReversePath};

use crate::bindings::waxwing::mail::transaction::Recipient;
use crate::bindings::waxwing::mail::types::{Error, Mailbox, Param, Reply};
use crate::convert::{mailbox_in, mailbox_out, one_line, params_in, params_out, refusal_in, sender_out};
use crate::state::State;

impl State {
    fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_deref().map(|facts| self.overlay.envelope(facts))
    }

    fn envelope_mut(&mut self) -> Result<&mut Envelope, Error> {
        let facts: &TransactionFacts = self.transaction.as_deref().ok_or_else(no_transaction)?;
        Ok(self.overlay.envelope_mut(facts))
    }

    pub(super) fn sender_now(&self) -> Option<Mailbox> {
        self.envelope().and_then(|envelope| sender_out(&envelope.sender))
    }

    pub(super) fn sender_params_now(&self) -> Vec<Param> {
        self.envelope().map(|envelope| params_out(&envelope.sender_params)).unwrap_or_default()
    }

    pub(super) fn replace_sender(&mut self, address: Option<Mailbox>) -> Result<(), Error> {
        let sender = match address {
            None => ReversePath::Null,
            Some(address) => ReversePath::Mailbox(mailbox_in(&address)?),
        };
        self.envelope_mut()?.sender = sender;
        Ok(())
    }

    pub(super) fn recipients_now(&self, offset: u32, limit: u32) -> Vec<Recipient> {
        let Some(envelope) = self.envelope() else { return Vec::new() };
        let copy = |recipient: &model::Recipient| Recipient {
            id: recipient.id,
            address: mailbox_out(&recipient.address),
            params: params_out(&recipient.params),
            original: mailbox_out(&recipient.original),
        };
        let shown = envelope.recipients.iter().filter(|recipient| !self.overlay.is_refused(recipient.id));
        shown.skip(offset as usize).take(limit as usize).map(copy).collect()
    }

    pub(super) fn new_recipient(&mut self, address: &Mailbox, params: Vec<Param>) -> Result<u32, Error> {
        let (address, params) = (mailbox_in(address)?, params_in(params)?);
        let limit = self.plugin.limits.recipients;
        self.count_addition()?;
        let original = self.replaced().map(|(_, original)| original);
        let envelope = self.envelope_mut()?;
        if envelope.recipients.len() >= limit {
            return Err(Error::Quota);
        }
        Ok(envelope.add_recipient(address.clone(), original.unwrap_or(address), params))
    }

    pub(super) fn drop_recipient(&mut self, id: u32) -> Result<(), Error> {
        self.check_recipient(id)?;
        self.envelope_mut()?.remove_recipient(id);
        self.overlay.recipients.remove(&id);
        if let Some((asked, original)) = self.replaced() {
            let added = self.envelope_mut()?.recipients.iter_mut().filter(|recipient| recipient.id > asked);
            added.for_each(|recipient| recipient.original = original.clone());
        }
        Ok(())
    }

    /// At rcpt, the recipient in question when it was taken out: its number, and the address that the client named. What is added then
    /// stands in its place, and the client is told of the address that it knows.
    fn replaced(&self) -> Option<(u32, model::Mailbox)> {
        let asked = self.transaction.as_deref()?.envelope.recipients.last()?;
        let is_there = self.envelope()?.recipients.iter().any(|recipient| recipient.id == asked.id);
        (self.hook == Stage::Rcpt.name() && !is_there).then(|| (asked.id, asked.original.clone()))
    }

    pub(super) fn readdress_recipient(&mut self, id: u32, address: &Mailbox) -> Result<(), Error> {
        let address = mailbox_in(address)?;
        self.check_recipient(id)?;
        let recipients = &mut self.envelope_mut()?.recipients;
        let recipient = recipients.iter_mut().find(|recipient| recipient.id == id).ok_or(Error::NotFound)?;
        recipient.address = address;
        Ok(())
    }

    pub(super) fn refuse_one(&mut self, id: u32, reply: Reply) -> Result<(), Error> {
        self.check_message_stage()?;
        self.check_recipient(id)?;
        let decided = self.decided(refusal_in(reply)?);
        self.overlay.recipients.insert(id, decided);
        Ok(())
    }

    pub(super) fn hold_one(&mut self, id: u32, reason: &str) -> Result<(), Error> {
        self.check_message_stage()?;
        self.check_recipient(id)?;
        let decided = self.decided(RecipientVerdict::Hold(one_line(reason)));
        self.overlay.recipients.entry(id).or_insert(decided);
        Ok(())
    }

    fn decided(&self, verdict: RecipientVerdict) -> RecipientAnswer {
        RecipientAnswer { verdict, by: self.plugin.name.clone() }
    }

    /// A recipient that was refused is there no more.
    fn check_recipient(&self, id: u32) -> Result<(), Error> {
        let envelope = self.envelope().ok_or_else(no_transaction)?;
        let is_there = envelope.recipients.iter().any(|recipient| recipient.id == id);
        if is_there && !self.overlay.is_refused(id) { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Before the message is whole the verdict of on-rcpt refuses and holds.
    fn check_message_stage(&self) -> Result<(), Error> {
        match self.transaction.as_deref() {
            Some(TransactionFacts { content: Some(_), .. }) => Ok(()),
            _ => {
                Err(Error::Unavailable("recipients are refused and held one by one in on-message".to_owned()))
            }
        }
    }

    /// Takes one off what the hook may add.
    pub(super) fn count_addition(&mut self) -> Result<(), Error> {
        if self.spent.additions >= self.plugin.limits.additions_per_hook {
            return Err(Error::Quota);
        }
        self.spent.additions += 1;
        Ok(())
    }
}

fn no_transaction() -> Error {
    Error::Unavailable("there is no transaction at this stage".to_owned())
}
