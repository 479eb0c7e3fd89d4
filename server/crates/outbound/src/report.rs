//! Delivery status notifications: the entry that tells what [`crate::notice`] has decided on.
//!
//! Standards: RFC 3461 (RET, ENVID, ORCPT), RFC 3464, RFC 6533, RFC 5321 section 4.5.5 (the null reverse-path).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use accounts::{ExpandError, LocalDomains};
use message::{Action, Dsn, DsnRecipient, Report, Ret, Template};
use model::{
    Content, Domain, EXPANDED, EnhancedStatus, Envelope, Mailbox, Param, QueueId, ReversePath, Timestamp,
};
use queue::{Entry, State, Store, StoreError};

use crate::notice::Notice;
use crate::options::Options;

/// How senders are told.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// A message that is older than this and still waits is told of once; nothing: no message is.
    pub delay_warning: Option<Duration>,
    /// Who hears of reports that cannot be delivered; nothing: nobody.
    pub double_bounces_to: Option<Mailbox>,
    /// Whose mailbox a sender of our own is: reports follow aliases. Nothing: every address is taken as it is.
    pub accounts: Option<Arc<LocalDomains>>,
    /// What people read in a report.
    pub template: Template,
}

/// Commits one report on all these recipients; it comes back to be delivered like any other entry.
///
/// # Errors
/// What the store answers. Nothing was committed then.
pub(crate) async fn commit(
    store: &Arc<dyn Store>,
    entry: &Arc<Entry>,
    content: Option<Content>,
    told: &[Notice],
    options: &Options,
    now: Timestamp,
) -> Result<Option<(Arc<Entry>, Content)>, StoreError> {
    let is_double_bounce = matches!(entry.sender, ReversePath::Null);
    let to = entry.sender.mailbox().or(options.reports.double_bounces_to.as_ref());
    let Some(sender) = to.cloned() else { return Ok(None) };
    let recipients = recipients(&sender, &options.reports);
    if recipients.is_empty() {
        tracing::info!(queue_id = %entry.id, sender = %sender, "there is nobody to report to");
        return Ok(None);
    }
    let id = store.new_id();
    let told = told.iter().flat_map(|notice| tell(entry, notice, options)).collect();
    let is_header_only = entry.sender_param("RET").is_some_and(|ret| ret.eq_ignore_ascii_case("HDRS"));
    let (reader, failed_id) = (Arc::clone(store), entry.id);
    let hostname =
        Domain::parse(&options.hostname).map_or_else(|_| options.hostname.clone(), |name| name.to_ascii());
    let (envelope_id, arrival) = (entry.sender_param("ENVID").map(str::to_owned), entry.arrived);
    let template = options.reports.template.clone();
    let is_smtputf8 = entry.sender_param("SMTPUTF8").is_some();
    let signers = options.signers.clone();
    // What is returned of the message may have to be read from the disk.
    let write = move || -> Result<Report, StoreError> {
        let original = content.map_or_else(|| reader.content(failed_id), Ok)?;
        let dsn = Dsn {
            id,
            date: now,
            reporting_mta: hostname,
            sender,
            is_double_bounce,
            is_smtputf8,
            queue_id: failed_id,
            arrival,
            envelope_id,
            recipients: told,
            original,
            ret: if is_header_only { Ret::Headers } else { Ret::Full },
            template,
        };
        let mut report = dsn.render()?;
        if report.content.source().as_bytes().is_none() {
            // The message's place on the disk may be given away once it is finished.
            report.content = Content::from(report.content.to_bytes()?);
        }
        if let Some(signed) = signers.sign(&report.content, now)? {
            report.content = signed;
        }
        Ok(report)
    };
    let report = tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
    let entry = Arc::new(address(id, recipients, &report, now));
    store.commit(Arc::clone(&entry), report.content.clone()).await?;
    Ok(Some((entry, report.content)))
}

/// Whom a report to this address reaches; nobody when it is one of ours that there is not.
fn recipients(sender: &Mailbox, options: &ReportOptions) -> Vec<Mailbox> {
    match options.accounts.as_ref().map(|accounts| accounts.recipients(sender)) {
        Some(Ok(recipients)) => recipients,
        Some(Err(ExpandError::Unknown(_))) => Vec::new(),
        Some(Err(_)) | None => vec![sender.clone()],
    }
}

/// The report's own entry.
fn address(id: QueueId, recipients: Vec<Mailbox>, report: &Report, now: Timestamp) -> Entry {
    let mut params = Vec::new();
    if report.is_eight_bit {
        params.push(Param { keyword: "BODY".to_owned(), value: Some("8BITMIME".to_owned()) });
    }
    if report.is_utf8 {
        params.push(Param { keyword: "SMTPUTF8".to_owned(), value: None });
    }
    //= RFC 5321 section 4.5.5: a report has the null reverse-path.
    let mut envelope = Envelope::new(ReversePath::Null, params);
    for recipient in recipients {
        envelope.add_recipient(recipient.clone(), recipient, Vec::new());
    }
    Entry::new(id, envelope, report.content.len(), now, None)
}

/// What is told of one recipient, for each thing that became of it.
fn tell(entry: &Entry, notice: &Notice, options: &Options) -> Vec<DsnRecipient> {
    let update = &notice.update;
    let Some(queued) = entry.recipients.iter().find(|queued| queued.recipient.id == update.id) else {
        return Vec::new();
    };
    let last = update.last.as_ref();
    // An alias that none of the recipients was named by: another's recipient carries the word of it.
    let alias = queued.recipient.param(EXPANDED).and_then(|alias| Mailbox::parse(alias).ok());
    let of = |action: &Action| {
        let base = DsnRecipient {
            address: queued.recipient.address.clone(),
            original: queued.recipient.param("ORCPT").map(str::to_owned),
            action: *action,
            status: status(*action, notice),
            remote_mta: last.and_then(|last| last.host.clone()),
            diagnostic: last.map(|last| last.reply.clone()),
            last_attempt: last.map(|last| last.at),
            will_retry_until: None,
        };
        match action {
            Action::Delayed => {
                DsnRecipient { will_retry_until: Some(options.retry.deadline(entry.arrived)), ..base }
            }
            //= RFC 3461 section 5.2.7.3: the report is about the alias, and does not say what it stands for.
            Action::Expanded => DsnRecipient {
                original: base.original.filter(|_| alias.is_none()),
                address: alias.clone().unwrap_or_else(|| queued.recipient.original.clone()),
                remote_mta: None,
                diagnostic: None,
                last_attempt: None,
                ..base
            },
            Action::Failed | Action::Delivered | Action::Relayed => base,
        }
    };
    notice.actions.iter().map(of).collect()
}

fn status(action: Action, notice: &Notice) -> EnhancedStatus {
    let last = notice.update.last.as_ref();
    let said = last.and_then(|last| EnhancedStatus::parse(last.reply.split(' ').nth(1)?));
    let (class, subject, detail) = match action {
        //= RFC 3463 section 3.5: X.4.7, delivery time expired.
        Action::Failed if notice.update.state == State::Expired => (4, 4, 7),
        Action::Failed => return said.unwrap_or(EnhancedStatus { class: 5, subject: 0, detail: 0 }),
        Action::Delayed => {
            let later = said.filter(|said| said.class == 4);
            return later.unwrap_or(EnhancedStatus { class: 4, subject: 0, detail: 0 });
        }
        //= RFC 3461 section 6.3: what was passed on, to a host or to several addresses, is 2.1.9 or 2.1.5 at best.
        Action::Relayed => (2, 1, 9),
        Action::Expanded => (2, 1, 5),
        Action::Delivered => {
            let done = said.filter(|said| said.class == 2);
            return done.unwrap_or(EnhancedStatus { class: 2, subject: 0, detail: 0 });
        }
    };
    EnhancedStatus { class, subject, detail }
}
