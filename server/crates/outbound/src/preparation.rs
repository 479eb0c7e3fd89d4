//! What an attempt needs before it begins: the content, and what it is like. Asked for once per pass.

use std::io;
use std::sync::Arc;

use model::{Content, Mailbox, Reply};
use queue::StoreError;

use crate::active::Pass;
use crate::engine::Inner;
use crate::options::Options;
use crate::outcome::Attempt;
use crate::traits::Traits;

/// The refusal of a message that has passed too many hosts.
pub(crate) fn hops_exceeded(traits: &Traits, options: &Options) -> Option<Reply> {
    //= RFC 5321 section 6.3: a message that has passed too many hosts goes in circles.
    (traits.hops > options.limits.hops).then(|| {
        Reply::new(554, (5, 4, 6), format!("the message has passed {} hosts, which is too many", traits.hops))
    })
}

/// The refusal of a message that this mailbox has had before: it was forwarded, and came back.
pub(crate) fn came_back(traits: &Traits, mailbox: &Mailbox) -> Option<Reply> {
    traits.was_delivered_to(mailbox).then(|| {
        let text = format!("the message has been delivered to {mailbox} before and came back");
        Reply::new(554, (5, 4, 6), text)
    })
}

/// Content that cannot be read now; later may be better.
pub(crate) fn unreadable(error: &dyn std::fmt::Display) -> Reply {
    Reply::new(451, (4, 3, 0), format!("the content cannot be read: {error}"))
}

/// The content of a pass and what it is like; read on a thread that may wait, unless it is in memory.
pub(crate) async fn ready_content(
    inner: &Arc<Inner>,
    pass: &Arc<Pass>,
) -> Result<(Content, Arc<Traits>), Attempt> {
    let in_memory = pass.content.lock().as_ref().is_some_and(|content| content.source().as_bytes().is_some());
    let read = match in_memory {
        true => load(inner, pass),
        false => {
            let (inner, pass) = (Arc::clone(inner), Arc::clone(pass));
            let read = tokio::task::spawn_blocking(move || load(&inner, &pass)).await;
            read.unwrap_or_else(|error| Err(StoreError::Disk(io::Error::other(error))))
        }
    };
    read.map_err(|error| match error {
        // Taken out meanwhile: there is nothing to record.
        StoreError::NotFound(_) => Attempt::untouched(),
        error => {
            tracing::error!(queue_id = %pass.entry.id, %error, "the content cannot be read");
            Attempt::own(unreadable(&error))
        }
    })
}

/// The same; may wait for the disk.
pub(crate) fn load(inner: &Inner, pass: &Pass) -> Result<(Content, Arc<Traits>), StoreError> {
    let held = pass.content.lock().clone();
    let content = match held {
        Some(content) => content,
        None => {
            let content = inner.store.content(pass.entry.id)?;
            *pass.content.lock() = Some(content.clone());
            content
        }
    };
    let known = pass.traits.lock().clone();
    let traits = match known {
        Some(traits) => traits,
        None => {
            let traits = Arc::new(Traits::read(&content)?);
            *pass.traits.lock() = Some(Arc::clone(&traits));
            traits
        }
    };
    Ok((content, traits))
}
