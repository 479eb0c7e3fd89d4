//! Reports to other domains, once a day is over: counted by day, told at a moment of each domain's own, and written to the disk once a
//! minute and when the engine stops. What a domain could not be told is tried again every minute until the day is too old.
//!
//! Reports by mail have the null reverse-path, so that none begets another, and are signed when there is a key for the contact's domain.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, Timestamp};
use queue::Entry;
use reporting::{Counts, Day, Ledger, Reporter};

use crate::engine::Inner;
use crate::options::Options;

/// Between two looks at what is to be written and sent.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts that other domains are told of.
pub(crate) trait Told: Counts {
    /// Who tells them; nothing: nobody does.
    fn reporter(options: &Options) -> Option<&Reporter>;

    /// Tells a domain of its day; whether it has been told, or does not want to be.
    fn tell(
        self,
        inner: &Arc<Inner>,
        about: (Day, &str),
        reporter: &Reporter,
    ) -> impl Future<Output = bool> + Send;
}

/// Writes and sends until the engine stops.
pub(crate) async fn run<C: Told>(inner: Arc<Inner>, ledger: Arc<Ledger<C>>) {
    while !inner.is_stopping() {
        let options = inner.options();
        if let Some(reporter) = C::reporter(&options) {
            for (day, domain) in ledger.due(clock::wall(), reporter) {
                if inner.is_stopping() {
                    break;
                }
                if ledger.get(day, &domain).tell(&inner, (day, &domain), reporter).await {
                    ledger.done(day, &domain);
                }
            }
        }
        write(&ledger).await;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = inner.stopped() => {}
        }
    }
    write(&ledger).await;
}

async fn write<C: Told>(ledger: &Arc<Ledger<C>>) {
    let ledger = Arc::clone(ledger);
    match tokio::task::spawn_blocking(move || ledger.write()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, what = C::WHAT, "the counts cannot be written"),
        Err(error) => tracing::error!(%error, what = C::WHAT, "the counts cannot be written"),
    }
}

/// Queues a report for a mailbox; whether that is done, or cannot be.
pub(crate) async fn mail(
    inner: &Arc<Inner>,
    mailbox: &str,
    domain: &str,
    letter: impl FnOnce((QueueId, Timestamp), &Mailbox) -> String,
) -> bool {
    let Ok(to) = Mailbox::parse(mailbox) else {
        tracing::warn!(domain, mailbox, "a report is wanted by what is no mailbox");
        return true;
    };
    let (id, now) = (inner.store.new_id(), clock::wall());
    let content = Content::from(Bytes::from(letter((id, now), &to)));
    let content = match inner.options().signers.signed(content, now).await {
        Ok(content) => content,
        Err(error) => {
            tracing::error!(domain, %error, "a report could not be signed");
            return false;
        }
    };
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    envelope.add_recipient(to.clone(), to, Vec::new());
    let entry = Arc::new(Entry::new(id, envelope, content.len(), now, None));
    match inner.store.commit(Arc::clone(&entry), content.clone()).await {
        Ok(()) => {
            tracing::info!(queue_id = %id, domain, mailbox, "a report is on its way");
            inner.take(entry, content);
            true
        }
        Err(error) => {
            tracing::error!(domain, %error, "a report could not be queued");
            false
        }
    }
}
