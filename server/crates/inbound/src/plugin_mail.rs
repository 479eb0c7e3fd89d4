//! Mail that plugins submit: it is completed, addressed and committed as a client's, and no hook of a session is asked about it.
//!
//! Standards: RFC 5321 (4.4 trace information, 6.1 responsibility, 6.3 loops), RFC 5322 section 3.6 (fields that must be there), RFC 3834
//! section 5 (Auto-Submitted), RFC 6409 section 8 (what is added).
//! Limits: those of the plugin host for sizes and rates; [`Limits::expanded_recipients`] and [`Limits::hops`] here.
//! Cancel safety: a message whose commit has begun may be queued although nobody hears of it.

use std::sync::{Arc, OnceLock, Weak};

use accounts::ExpandError;
use bytes::Bytes;
use hooks::{BoxFuture, PluginMessage, SubmitError, Submitter};
use memchr::memchr2_iter;
use message::{Draft, HeaderBlock};
use model::{Content, Envelope, Mailbox, Param, QueueId, SUBMITTED_BY, Timestamp};
use queue::{Entry, StoreError};
use tracing::{error, info, warn};

#[cfg(doc)]
use crate::options::Limits;
use crate::options::Options;
use crate::reception::Reception;
use crate::server::{Server, Shared};
use crate::stats::count;
use crate::{senders, submission};

/// Octets of a line without its CRLF (RFC 5322 section 2.1.1).
const MAX_LINE_OCTETS: usize = 998;

/// Where plugins hand in their mail. It is there before the server that takes it, as plugins are loaded before listeners are.
#[derive(Debug, Default)]
pub struct PluginMail(OnceLock<Weak<Shared>>);

impl PluginMail {
    /// From now on mail goes to this server, for as long as that lives.
    pub fn open(&self, server: &Server) {
        // A second call changes nothing.
        let _ = self.0.set(server.weak());
    }
}

impl Submitter for PluginMail {
    fn submit(&self, message: PluginMessage) -> BoxFuture<'_, Result<QueueId, SubmitError>> {
        Box::pin(async move {
            let closed = || SubmitError::Unavailable("the server takes no mail now".to_owned());
            let shared = self.0.get().and_then(Weak::upgrade).ok_or_else(closed)?;
            submit(&shared, message).await
        })
    }
}

async fn submit(shared: &Shared, message: PluginMessage) -> Result<QueueId, SubmitError> {
    let options = shared.options();
    shared.services.store.admit().map_err(|error| unavailable(&error))?;
    check_plugin_content(&message.content)?;
    let (id, now) = (shared.services.store.new_id(), clock::wall());
    let is_eight_bit = !message.content.is_ascii();
    let content = stored(shared, id, message.content.clone(), options.limits.content_memory).await;
    let content = content.map_err(|error| unavailable(&error))?;
    let completed = complete(content, &message, id, &options, now)?;
    let envelope = address(&message, is_eight_bit, completed.is_utf8, &options)?;
    let mut entry = Entry::new(id, envelope, completed.content.len(), now, None);
    let content = senders::vouch(&entry, completed.content, None, true, &options, now).await;
    let content = content.map_err(|error| unavailable(&error))?;
    entry.size = content.len();
    let entry = Arc::new(entry);
    if let Err(error) = shared.services.store.commit(entry.clone(), content.clone()).await {
        error!(queue_id = %id, plugin = %message.by, %error, "a plugin's message could not be kept");
        return Err(unavailable(&error));
    }
    info!(
        queue_id = %id, plugin = %message.by, sender = %entry.sender, recipients = entry.recipients.len(), size = entry.size,
        "accepted from a plugin"
    );
    count(&shared.stats.submitted);
    shared.services.courier.take(entry, content);
    Ok(id)
}

/// The content where the store takes it from: in memory or, when it is large, in a spool file.
pub(crate) async fn stored(
    shared: &Shared,
    id: QueueId,
    content: Bytes,
    budget: usize,
) -> Result<Content, StoreError> {
    if content.len() <= shared.services.store.inline_octets() {
        return Ok(content.into());
    }
    let mut reception = Reception::new(id, shared.content_memory.clone(), budget);
    reception.push(content.to_vec(), &shared.services.store).await?;
    reception.finish().await.map(Content::whole)
}

/// A message that may leave.
struct Completed {
    content: Content,
    /// Its header has characters beyond ASCII (RFC 6532).
    is_utf8: bool,
}

/// The message with what it lacks: Date, Message-ID, Auto-Submitted where the plugin asks for it, and Received on top.
fn complete(
    content: Content,
    message: &PluginMessage,
    id: QueueId,
    options: &Options,
    now: Timestamp,
) -> Result<Completed, SubmitError> {
    let bad = |why: &dyn std::fmt::Display| SubmitError::BadInput(format!("the message: {why}"));
    let mut draft = Draft::new(content).map_err(|error| bad(&error))?;
    if let Some(mark) = message.auto_submitted {
        draft.remove_header("Auto-Submitted", None);
        draft.add_header("Auto-Submitted", mark.name().as_bytes(), None).map_err(|error| bad(&error))?;
    }
    let content = draft.into_content().map_err(|error| unavailable(&error))?;
    let content = submission::complete(content, id, &options.hostname, now).map_err(|error| bad(&error))?;
    let header = HeaderBlock::read(&content).map_err(|error| bad(&error))?;
    let hops = message::count_received(&header);
    if hops >= options.limits.hops {
        return Err(SubmitError::BadInput(format!(
            "the message has {hops} Received fields: it is in a loop"
        )));
    }
    let is_utf8 = !header.as_bytes().is_ascii();
    let received = message::received_from_plugin(&message.by, &options.hostname, id, now);
    let content = message::prepend(&content, &header, received).map_err(|error| unavailable(&error))?;
    Ok(Completed { content, is_utf8 })
}

/// The envelope: aliases are followed, and a recipient of ours that there is not is an error.
fn address(
    message: &PluginMessage,
    is_eight_bit: bool,
    is_utf8: bool,
    options: &Options,
) -> Result<Envelope, SubmitError> {
    let addresses = message.recipients.iter().chain(message.sender.mailbox());
    let is_utf8 = is_utf8 || addresses.into_iter().any(|mailbox| !mailbox.is_ascii());
    let param = |keyword: &str, value: Option<&str>| Param {
        keyword: keyword.to_owned(),
        value: value.map(str::to_owned),
    };
    let mut params = vec![param(SUBMITTED_BY, Some(&message.by))];
    params.extend(is_eight_bit.then(|| param("BODY", Some("8BITMIME"))));
    params.extend(is_utf8.then(|| param("SMTPUTF8", None)));
    let mut envelope = Envelope::new(message.sender.clone(), params);
    for named in &message.recipients {
        for target in targets(named, options)? {
            if envelope.recipients.iter().any(|known| known.address == target) {
                continue;
            }
            if envelope.recipients.len() >= options.limits.expanded_recipients {
                return Err(SubmitError::BadInput("too many recipients after aliases".to_owned()));
            }
            envelope.add_recipient(target, named.clone(), Vec::new());
        }
    }
    match envelope.recipients.is_empty() {
        true => Err(SubmitError::BadInput("the message has no recipient".to_owned())),
        false => Ok(envelope),
    }
}

fn targets(named: &Mailbox, options: &Options) -> Result<Vec<Mailbox>, SubmitError> {
    if let Some(Ok(sender)) = options.forwarding.as_ref().and_then(|srs| srs.reverse(named, clock::wall())) {
        return Ok(vec![sender]);
    }
    match options.local.recipients(named) {
        Ok(targets) => Ok(targets),
        Err(ExpandError::Unknown(_)) => Err(SubmitError::BadInput(format!("there is no mailbox {named}"))),
        Err(error) => {
            warn!(rcpt = %named, %error, "the alias could not be expanded");
            Ok(vec![named.clone()])
        }
    }
}

/// What is checked of the content before anything else: lines that end in CRLF, none of them too long, nothing that is no text, and an author.
///
/// # Errors
/// [`SubmitError::BadInput`].
pub fn check_plugin_content(content: &Bytes) -> Result<(), SubmitError> {
    check_lines(content)?;
    let header = HeaderBlock::read(&content.clone().into())
        .map_err(|error| SubmitError::BadInput(format!("the message: {error}")))?;
    //= RFC 5322 section 3.6: From is one of the two fields that every message has.
    match header.all("From").next() {
        Some(_) => Ok(()),
        None => Err(SubmitError::BadInput("the message has no From field".to_owned())),
    }
}

fn check_lines(content: &[u8]) -> Result<(), SubmitError> {
    let bad = |why: &str| Err(SubmitError::BadInput(format!("the content {why}")));
    if !content.ends_with(b"\r\n") {
        return bad("does not end in CRLF");
    }
    if memchr::memchr(0, content).is_some() {
        return bad("has a NUL octet");
    }
    let mut begin = 0;
    let mut ends = memchr2_iter(b'\r', b'\n', content);
    while let Some(at) = ends.next() {
        if content[at] != b'\r' || content.get(at + 1) != Some(&b'\n') {
            return bad("has a line that does not end in CRLF");
        }
        ends.next();
        if at - begin > MAX_LINE_OCTETS {
            return bad("has a line of more than 998 octets");
        }
        begin = at + 2;
    }
    Ok(())
}

fn unavailable(error: &dyn std::fmt::Display) -> SubmitError {
    SubmitError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
