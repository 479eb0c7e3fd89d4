//! Mail that goes back: its session refused it when nobody was there to hear so. It is taken on with the refusals, each as the end of its
//! recipient's first attempt ([`model::REFUSED`]), which delivery does not make: the sender is told by a report, as of every failure.
//!
//! Standards: RFC 5321 section 6.1 (who took a message on reports its failure), RFC 3461 through the parameters.
//! Cancel safety: a message whose commit has begun may be queued although nobody hears of it.

use std::sync::Arc;

use bytes::Bytes;
use model::{Envelope, Mailbox, Param, QueueId, REFUSED, Recipient, Reply, ReversePath};
use queue::{Entry, StoreError};
use tracing::info;

use crate::plugin_mail::stored;
use crate::server::Server;
use crate::submission;

/// A message, and why nobody gets it.
#[derive(Debug)]
pub struct Returned {
    pub sender: ReversePath,
    pub sender_params: Vec<Param>,
    /// Each with a refusal that is for good.
    pub recipients: Vec<(Recipient, Reply)>,
    pub content: Bytes,
}

impl Server {
    /// Takes it on, and has its sender told. No hook is asked: they have answered.
    ///
    /// # Errors
    /// Nothing was kept.
    pub async fn take_back(&self, returned: Returned) -> Result<QueueId, StoreError> {
        let Returned { sender, sender_params, recipients, content } = returned;
        let (shared, options) = (&self.shared, self.shared.options());
        let (id, now) = (shared.services.store.new_id(), clock::wall());
        let content = stored(shared, id, content, options.limits.content_memory).await?;
        let content = submission::complete(content, id, &options.hostname, now)?;
        let mut envelope = Envelope::new(sender, sender_params);
        let addresses = recipients.iter().map(|(recipient, _)| &recipient.address);
        let is_ascii = addresses.chain(envelope.sender.mailbox()).all(Mailbox::is_ascii);
        if !is_ascii && !envelope.is_smtputf8() {
            envelope.sender_params.push(Param { keyword: "SMTPUTF8".to_owned(), value: None });
        }
        for (recipient, reply) in recipients {
            let mut params = recipient.params;
            params.push(Param { keyword: REFUSED.to_owned(), value: Some(reply.to_string()) });
            envelope.add_recipient(recipient.address, recipient.original, params);
        }
        let entry = Arc::new(Entry::new(id, envelope, content.len(), now, None));
        shared.services.store.commit(Arc::clone(&entry), content.clone()).await?;
        info!(
            queue_id = %id, sender = %entry.sender, recipients = entry.recipients.len(), size = entry.size,
            "taken back: its sender is told that it was refused"
        );
        shared.services.courier.take(entry, content);
        Ok(id)
    }
}
