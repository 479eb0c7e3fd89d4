//! What the command line says of a message: enough of it to make the letter, here or in the server.

use model::Recipient;
use serde::{Deserialize, Serialize};

use crate::cli::Sendmail;

/// The envelope as it was asked for, before it is known which host completes its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Order {
    pub(crate) from_header: bool,
    pub(crate) sender: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) notify: Option<String>,
    pub(crate) ret: Option<String>,
    pub(crate) envelope_id: Option<String>,
    pub(crate) recipients: Vec<String>,
}

impl Order {
    /// The same message for these alone.
    pub(crate) fn only_to(&self, recipients: &[Recipient]) -> Self {
        let recipients = recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        Self { from_header: false, recipients, ..self.clone() }
    }
}

impl From<&Sendmail> for Order {
    fn from(options: &Sendmail) -> Self {
        Self {
            from_header: options.from_header,
            sender: options.sender.clone().or_else(|| options.old_sender.clone()),
            full_name: options.full_name.clone(),
            notify: options.notify.clone(),
            ret: options.ret.clone(),
            envelope_id: options.envelope_id.clone(),
            recipients: options.recipients.clone(),
        }
    }
}
