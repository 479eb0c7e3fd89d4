//! `submission`: mail of the plugin's own, for plugins that were granted it.

use hooks::{AutoSubmitted, PluginMessage, SubmitError};
use model::{Mailbox, ReversePath};

use crate::bindings::waxwing::mail::submission::{AutoSubmitted as Mark, Host, Message};
use crate::bindings::waxwing::mail::types::Error;
use crate::convert::mailbox_in;
use crate::state::State;

impl Host for State {
    async fn submit(&mut self, message: Message) -> Result<String, Error> {
        let message = self.admit(message)?;
        let submitter = self.host.services.submitter.clone().ok_or(Error::Denied)?;
        let time = self.outgoing.time_left();
        let submitted = match tokio::time::timeout(time, submitter.submit(message)).await {
            Ok(submitted) => submitted,
            Err(_) => return Err(Error::TimedOut),
        };
        match submitted {
            Ok(id) => Ok(id.to_string()),
            Err(error) => {
                tracing::warn!(plugin = %self.plugin.name, hook = self.hook, %error, "a plugin's message was not queued");
                Err(match error {
                    SubmitError::BadInput(why) => Error::BadInput(why),
                    SubmitError::Unavailable(why) => Error::Unavailable(why),
                })
            }
        }
    }
}

impl State {
    /// The message, if this plugin may submit it now; it counts then.
    fn admit(&mut self, message: Message) -> Result<PluginMessage, Error> {
        if !self.plugin.options.grants.submit {
            return Err(Error::Denied);
        }
        if self.session.is_none() && self.transaction.is_none() {
            return Err(Error::Unavailable("no session and no delivery is under way".to_owned()));
        }
        // What plugins have submitted brings nothing more of theirs about: no loop.
        if self.transaction.as_ref().is_some_and(|facts| facts.envelope.submitted_by().is_some()) {
            return Err(Error::Denied);
        }
        let limits = &self.plugin.limits;
        if message.content.len() > limits.submission_octets
            || message.recipients.len() > limits.submission_recipients
        {
            return Err(Error::Quota);
        }
        let sender = message.sender.as_ref().map(mailbox_in).transpose()?;
        let recipients = message.recipients.iter().map(mailbox_in).collect::<Result<Vec<Mailbox>, _>>()?;
        if self.spent.submissions >= limits.submissions_per_hook {
            return Err(Error::Quota);
        }
        if !self.host.submissions.take(&self.plugin.name, limits.submissions_per_hour, clock::now()) {
            tracing::warn!(
                plugin = %self.plugin.name, hook = self.hook, limit = limits.submissions_per_hour,
                "the plugin has submitted as many messages as it may in an hour"
            );
            return Err(Error::Quota);
        }
        self.spent.submissions += 1;
        Ok(PluginMessage {
            by: self.plugin.name.clone(),
            sender: sender.map_or(ReversePath::Null, ReversePath::Mailbox),
            recipients,
            content: message.content.into(),
            auto_submitted: message.auto_submitted.map(|mark| match mark {
                Mark::Generated => AutoSubmitted::Generated,
                Mark::Replied => AutoSubmitted::Replied,
            }),
        })
    }
}
