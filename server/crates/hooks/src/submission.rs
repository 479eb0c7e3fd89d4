//! Mail that plugins submit: what is handed in, not how it is queued.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use model::{Mailbox, QueueId, ReversePath};

use crate::session::BoxFuture;

/// A message of a plugin's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginMessage {
    /// The plugin.
    pub by: Arc<str>,
    pub sender: ReversePath,
    pub recipients: Vec<Mailbox>,
    /// Header and body.
    pub content: Bytes,
    pub auto_submitted: Option<AutoSubmitted>,
}

/// What the field of this name says of a message (RFC 3834 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoSubmitted {
    Generated,
    Replied,
}

impl AutoSubmitted {
    /// As in the field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "auto-generated",
            Self::Replied => "auto-replied",
        }
    }
}

/// Why nothing was queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The message is not as it must be.
    #[error("{0}")]
    BadInput(String),
    /// There is no room, or the disk failed. Later may be better.
    #[error("{0}")]
    Unavailable(String),
}

/// Whoever queues it.
pub trait Submitter: Send + Sync + fmt::Debug {
    /// Queues a message. It is on the disk when this is answered with its id.
    fn submit(&self, message: PluginMessage) -> BoxFuture<'_, Result<QueueId, SubmitError>>;
}
