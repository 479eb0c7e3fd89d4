//! A clamd and a queue that a test makes up: what is found in messages, and what plugins have submitted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hooks::{BoxFuture, FilterAddress, PluginMessage, ScanError, Scanner, SubmitError, Submitter};
use model::{Content, QueueId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What clamd finds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Clamd {
    /// Names of what is found, by a text that is then in the message.
    finds: BTreeMap<String, String>,
    /// There is no answer, for this reason.
    fails: Option<String>,
}

impl Scanner for Clamd {
    fn scan<'a>(
        &'a self,
        _: &'a FilterAddress,
        content: &'a Content,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, ScanError>> {
        Box::pin(async move {
            if let Some(why) = &self.fails {
                return Err(ScanError::Failed(why.clone()));
            }
            let octets = content.to_bytes().map_err(|error| ScanError::Failed(error.to_string()))?;
            let is_in = |text: &str| {
                !text.is_empty() && octets.windows(text.len()).any(|window| window == text.as_bytes())
            };
            Ok(self.finds.iter().find(|(text, _)| is_in(text)).map(|(_, name)| name.clone()))
        })
    }
}

/// A message that a plugin submitted: it is shown, and goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Submitted {
    /// Empty: the null reverse-path.
    pub(super) sender: String,
    pub(super) recipients: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auto_submitted: Option<&'static str>,
    pub(super) content: String,
}

/// A queue that takes everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    messages: Vec<Submitted>,
    ids: u64,
}

impl Queue {
    /// What was submitted since the last call.
    pub(super) fn take(&self) -> Vec<Submitted> {
        std::mem::take(&mut self.0.lock().messages)
    }
}

impl Submitter for Queue {
    fn submit(&self, message: PluginMessage) -> BoxFuture<'_, Result<QueueId, SubmitError>> {
        let mut taken = self.0.lock();
        // Apart from those of the script's own transactions.
        taken.ids += 1;
        let id = QueueId((1 << 32) + taken.ids);
        let checked = inbound::check_plugin_content(&message.content);
        if checked.is_ok() {
            taken.messages.push(Submitted {
                sender: message.sender.mailbox().map(ToString::to_string).unwrap_or_default(),
                recipients: message.recipients.iter().map(ToString::to_string).collect(),
                auto_submitted: message.auto_submitted.map(hooks::AutoSubmitted::name),
                content: String::from_utf8_lossy(&message.content).into_owned(),
            });
        }
        Box::pin(std::future::ready(checked.map(|()| id)))
    }
}
