//! Delivery status notifications: who is told, and the entry that tells it.
//!
//! Standards: RFC 3461 (NOTIFY, RET), RFC 3464, RFC 5321 section 4.5.5 (the null reverse-path).

use std::io;
use std::sync::Arc;

use message::{Action, Dsn, DsnRecipient, Report, Ret};
use model::{Content, Domain, EnhancedStatus, Envelope, Mailbox, Param, QueueId, ReversePath, Timestamp};
use queue::{Entry, QueuedRecipient, RecipientUpdate, State, Store, StoreError};

use crate::options::Options;

/// Whether the sender is to be told that this recipient has failed.
pub(crate) fn is_wanted(entry: &Entry, queued: &QueuedRecipient) -> bool {
    //= RFC 5321 section 4.5.5: nobody is told of a report that could not be delivered.
    if matches!(entry.sender, ReversePath::Null) {
        return false;
    }
    //= RFC 3461 section 4.1: without NOTIFY, failures are told; with it, when it says so.
    queued
        .recipient
        .param("NOTIFY")
        .is_none_or(|notify| notify.split(',').any(|word| word.trim().eq_ignore_ascii_case("FAILURE")))
}

/// Commits one report on all these recipients; it comes back to be delivered like any other entry.
///
/// # Errors
/// What the store answers. Nothing was committed then.
pub(crate) async fn commit(
    store: &Arc<dyn Store>,
    entry: &Arc<Entry>,
    content: Option<Content>,
    failed: &[RecipientUpdate],
    options: &Options,
    now: Timestamp,
) -> Result<(Arc<Entry>, Content), StoreError> {
    let Some(sender) = entry.sender.mailbox().cloned() else {
        return Err(StoreError::Disk(io::Error::other("a report has nobody to go to")));
    };
    let id = store.new_id();
    let told = failed.iter().filter_map(|update| tell(entry, update)).collect();
    let is_header_only = entry.sender_param("RET").is_some_and(|ret| ret.eq_ignore_ascii_case("HDRS"));
    let (reader, failed_id) = (Arc::clone(store), entry.id);
    let hostname =
        Domain::parse(&options.hostname).map_or_else(|_| options.hostname.clone(), |name| name.to_ascii());
    let (envelope_id, arrival) = (entry.sender_param("ENVID").map(str::to_owned), entry.arrived);
    let to = sender.clone();
    // What is returned of the message may have to be read from the disk.
    let write = move || -> Result<Report, StoreError> {
        let original = content.map_or_else(|| reader.content(failed_id), Ok)?;
        let dsn = Dsn {
            id,
            date: now,
            reporting_mta: hostname,
            sender: to,
            queue_id: failed_id,
            arrival,
            envelope_id,
            recipients: told,
            original,
            ret: if is_header_only { Ret::Headers } else { Ret::Full },
        };
        let mut report = dsn.render()?;
        if report.content.source().as_bytes().is_none() {
            // The message's place on the disk may be given away once it is finished.
            report.content = Content::from(report.content.to_bytes()?);
        }
        Ok(report)
    };
    let report = tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
    let entry = Arc::new(address(id, sender, &report, now));
    store.commit(Arc::clone(&entry), report.content.clone()).await?;
    Ok((entry, report.content))
}

/// The report's own entry.
fn address(id: QueueId, sender: Mailbox, report: &Report, now: Timestamp) -> Entry {
    let mut params = Vec::new();
    if report.is_eight_bit {
        params.push(Param { keyword: "BODY".to_owned(), value: Some("8BITMIME".to_owned()) });
    }
    if report.is_utf8 {
        params.push(Param { keyword: "SMTPUTF8".to_owned(), value: None });
    }
    //= RFC 5321 section 4.5.5: a report has the null reverse-path.
    let mut envelope = Envelope::new(ReversePath::Null, params);
    envelope.add_recipient(sender.clone(), sender, Vec::new());
    Entry::new(id, envelope, report.content.len(), now, None)
}

/// What is told of one recipient.
fn tell(entry: &Entry, update: &RecipientUpdate) -> Option<DsnRecipient> {
    let queued = entry.recipients.iter().find(|queued| queued.recipient.id == update.id)?;
    let last = update.last.as_ref();
    let said = last.and_then(|last| EnhancedStatus::parse(last.reply.split(' ').nth(1)?));
    let status = match update.state {
        //= RFC 3463 section 3.5: X.4.7, delivery time expired.
        State::Expired => EnhancedStatus { class: 4, subject: 4, detail: 7 },
        _ => said.unwrap_or(EnhancedStatus { class: 5, subject: 0, detail: 0 }),
    };
    Some(DsnRecipient {
        address: queued.recipient.address.clone(),
        original: queued.recipient.param("ORCPT").map(str::to_owned),
        action: Action::Failed,
        status,
        remote_mta: last.and_then(|last| last.host.clone()),
        diagnostic: last.map(|last| last.reply.clone()),
        last_attempt: last.map(|last| last.at),
        will_retry_until: None,
    })
}
