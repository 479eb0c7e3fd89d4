//! Whether a message is from whom it says: asked before the hooks are, so that they see what was found. What we hand on is signed or
//! sealed here.
//!
//! Checked is what strangers bring to an `mx` listener. Who may relay is known by other means, and so are loopback and private
//! addresses, which no SPF record can name. Results that pretend to be ours go from every message but those by LMTP.
//!
//! Standards: RFC 8601 section 5, RFC 7372.

use std::io;
use std::sync::Arc;

use hooks::{Stage, Verdict};
use model::{Content, Reply, Timestamp};
use queue::Entry;
use sender_auth::{Checked, Evaluation, Origin};
use smtp::server::Answer;
use tracing::{error, info};

use crate::connection::Connection;
use crate::dialogue::is_global;
use crate::fate::Fate;
use crate::options::{Kind, Options};
use crate::sender_reports;

impl Connection {
    /// Checks the message that is whole now. Anything but `Proceed` is its end.
    pub(crate) async fn check_sender(&mut self, content: Content) -> Answer {
        let Some(rules) = self.options.senders.clone() else { return self.keep(content) };
        if self.listener.kind == Kind::Lmtp {
            return self.keep(content);
        }
        let limit = self.listener.sender_action.filter(|_| self.is_stranger());
        let checked = match (limit, &self.transaction) {
            (Some(limit), Some(transaction)) => {
                let origin = Origin {
                    client: self.facts.peer.ip(),
                    client_name: self.facts.peer_name.as_deref(),
                    reverse_dns: self.reverse_dns,
                    helo: self.facts.helo.as_deref().unwrap_or_default(),
                    sender: &transaction.envelope().sender,
                };
                // What the checks hold is 20 KiB, which a session does not carry about from its first octet on.
                Box::pin(rules.check(&*self.shared.services.resolver, origin, &content, limit)).await
            }
            _ => Ok(None),
        };
        match checked {
            Ok(Some(checked)) => {
                let ledger = self.options.sender_ledger.as_deref();
                let about = (&checked.evaluation, &checked.content);
                sender_reports::note(&self.shared, ledger, &rules, about, limit.unwrap_or_default());
                self.take_findings(checked)
            }
            Ok(None) => match rules.cleaned(content) {
                Ok(content) => self.keep(content),
                Err(error) => self.unreadable(&error),
            },
            Err(error) => self.unreadable(&error),
        }
    }

    /// Whether nothing but the message itself says whom this client speaks for.
    fn is_stranger(&self) -> bool {
        self.listener.kind == Kind::Mx && !self.may_relay() && is_global(self.facts.peer.ip())
    }

    fn keep(&mut self, content: Content) -> Answer {
        if let Some(transaction) = &mut self.transaction {
            transaction.set_content(content);
        }
        Answer::Proceed
    }

    fn take_findings(&mut self, checked: Checked) -> Answer {
        let Checked { evaluation, content, verdict } = checked;
        self.shared.stats.checked(&evaluation);
        let Some(transaction) = &mut self.transaction else { return Answer::Proceed };
        info!(
            queue_id = %transaction.id(), session = %self.facts.id, peer = %self.facts.peer.ip(),
            spf = evaluation.spf_for_dmarc().outcome.name(), dmarc = evaluation.dmarc.outcome.name(),
            author = evaluation.dmarc.domain, arc = evaluation.arc.outcome.name(), verdict = verdict.name(),
            "the sender was checked"
        );
        transaction.set_content(content);
        transaction.set_findings(evaluation.findings());
        transaction.evaluation = Some(Arc::new(evaluation));
        match verdict {
            Verdict::Reject(reply) | Verdict::TempFail(reply) => {
                self.log_refusal(Stage::Message, None, &reply);
                reply.into()
            }
            Verdict::Quarantine(reason) => {
                transaction.fate = std::mem::take(&mut transaction.fate).and(Fate::Hold(reason.into()));
                Answer::Proceed
            }
            _ => Answer::Proceed,
        }
    }

    fn unreadable(&self, error: &io::Error) -> Answer {
        error!(session = %self.facts.id, %error, "the message could not be read back");
        Reply::new(451, (4, 3, 0), "the message could not be read back, try again later").into()
    }
}

/// What leaves under our name is signed; what a stranger sent and we hand on is sealed with what was found of it.
pub(crate) async fn vouch(
    entry: &Entry,
    content: Content,
    evaluation: Option<Arc<Evaluation>>,
    is_ours: bool,
    options: &Options,
    now: Timestamp,
) -> io::Result<Content> {
    let Some(rules) = options.senders.clone() else { return Ok(content) };
    let goes_on = || {
        let mut recipients = entry.recipients.iter();
        recipients.any(|queued| !options.local.is_local(queued.recipient.address.domain()))
    };
    let evaluation = evaluation.filter(|_| rules.signers.seals() && goes_on());
    let signs = is_ours && !rules.signers.keys().is_empty();
    if !signs && evaluation.is_none() {
        return Ok(content);
    }
    // Hashing reads all of the body, which may be on the disk, and a key takes a millisecond.
    let work = move || match evaluation {
        Some(evaluation) => rules.sealed(content, &evaluation, now),
        None => rules.signed(content, now),
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
