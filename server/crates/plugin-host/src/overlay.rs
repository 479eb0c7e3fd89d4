//! The edits of a transaction, staged one plugin after the other.
//!
//! Each plugin works on a clone of what the earlier ones left; the clone takes their place when its hook ends
//! well.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hooks::{RecipientAnswer, RecipientVerdict, TransactionFacts};
use message::{Draft, Structure};
use model::{Content, Envelope};

/// What plugins have changed so far in one question; empty at its beginning.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay {
    /// The edited envelope; nothing while nobody touched it.
    envelope: Option<Envelope>,
    /// What was decided of single recipients. Those that are refused stay in the envelope, for who tells of it.
    pub(crate) recipients: BTreeMap<u32, RecipientAnswer>,
    /// The message with the bodies that earlier plugins wrote.
    content: Option<Content>,
    draft: Option<Draft>,
    /// A new body was begun in `draft`.
    body_begun: bool,
    pub(crate) read: Read,
}

/// What was found in the draft's old body, so that reading it in pieces costs no more than once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    pub(crate) structure: Option<Arc<Structure>>,
    /// The part that was decoded last, by its path.
    pub(crate) decoded: Option<(String, Bytes)>,
}

/// Why there is nothing to edit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDraft {
    #[error("there is no message at this stage")]
    NoMessage,
    #[error("the message cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl Overlay {
    /// The envelope with all edits.
    pub(crate) fn envelope<'a>(&'a self, facts: &'a TransactionFacts) -> &'a Envelope {
        self.envelope.as_ref().unwrap_or(&facts.envelope)
    }

    /// The envelope to edit.
    pub(crate) fn envelope_mut(&mut self, facts: &TransactionFacts) -> &mut Envelope {
        self.envelope.get_or_insert_with(|| facts.envelope.clone())
    }

    /// Whether a recipient was refused by itself.
    pub(crate) fn is_refused(&self, id: u32) -> bool {
        self.recipients.get(&id).is_some_and(|answer| matches!(answer.verdict, RecipientVerdict::Refuse(_)))
    }

    /// The message as it can be read and edited; its header block is read at the first call.
    pub(crate) fn draft(&mut self, facts: Option<&TransactionFacts>) -> Result<&mut Draft, NoDraft> {
        if self.draft.is_none() {
            let content = match (&self.content, facts) {
                (Some(content), _) => content.clone(),
                (None, Some(TransactionFacts { content: Some(content), .. })) => content.clone(),
                _ => return Err(NoDraft::NoMessage),
            };
            self.draft = Some(Draft::new(content)?);
        }
        self.draft.as_mut().ok_or(NoDraft::NoMessage)
    }

    /// Begins a new body in the draft.
    pub(crate) fn start_body(&mut self, facts: Option<&TransactionFacts>) -> Result<(), NoDraft> {
        self.draft(facts)?.start_body();
        self.body_begun = true;
        Ok(())
    }

    /// A hook ended well. A body that it wrote becomes the body that the next plugin reads.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.body_begun)
            && let Some(draft) = self.draft.take()
        {
            self.content = Some(draft.into_content()?);
            self.read = Read::default();
        }
        Ok(())
    }

    /// What was changed, at the end of the question.
    pub(crate) fn finish(mut self) -> io::Result<Edited> {
        self.settle()?;
        let content = match self.draft {
            Some(draft) if draft.is_edited() => Some(draft.into_content()?),
            _ => self.content,
        };
        Ok(Edited { envelope: self.envelope, content, recipients: self.recipients })
    }
}

/// What a question's plugins have changed between them.
pub(crate) struct Edited {
    pub(crate) envelope: Option<Envelope>,
    pub(crate) content: Option<Content>,
    pub(crate) recipients: BTreeMap<u32, RecipientAnswer>,
}
