//! `transaction`, its envelope: who the message is from and for, with this hook's edits.

use hooks::TransactionFacts;
use model::{Envelope, ReversePath};

use crate::bindings::waxwing::mail::transaction::Recipient;
use crate::bindings::waxwing::mail::types::{Error, Mailbox, Param};
use crate::convert::{mailbox_in, mailbox_out, params_in, params_out, sender_out};
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
        envelope.recipients.iter().skip(offset as usize).take(limit as usize).map(copy).collect()
    }

    pub(super) fn new_recipient(&mut self, address: &Mailbox, params: Vec<Param>) -> Result<u32, Error> {
        let (address, params) = (mailbox_in(address)?, params_in(params)?);
        let limit = self.plugin.limits.recipients;
        self.count_addition()?;
        let envelope = self.envelope_mut()?;
        if envelope.recipients.len() >= limit {
            return Err(Error::Quota);
        }
        Ok(envelope.add_recipient(address.clone(), address, params))
    }

    pub(super) fn drop_recipient(&mut self, id: u32) -> Result<(), Error> {
        let envelope = self.envelope().ok_or_else(no_transaction)?;
        if !envelope.recipients.iter().any(|recipient| recipient.id == id) {
            return Err(Error::NotFound);
        }
        self.envelope_mut()?.remove_recipient(id);
        Ok(())
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
