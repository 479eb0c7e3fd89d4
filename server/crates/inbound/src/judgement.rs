//! The hooks are asked, and what they say becomes an answer to the client and a fate of the mail.

use std::sync::Arc;

use hooks::{News, RecipientAnswer, RecipientVerdict, Request, SessionFacts, Stage, Verdict};
use model::{ForwardPath, Param, QueueId, Reply};
use smtp::server::Answer;
use tracing::info;

use crate::connection::Connection;
use crate::fate::Fate;
use crate::live::VerdictView;
use crate::stats::count;
use crate::transaction::Transaction;

impl Connection {
    /// Asks the hooks, when any of them wants to be asked, and takes over what they rewrote.
    pub(crate) async fn ask(&mut self, request: Request<'_>) -> (Verdict, Option<Arc<str>>) {
        if !self.hooks.stages().contains(request.stage()) {
            return (Verdict::Proceed, None);
        }
        // It comes and goes with AUTH, with XCLIENT and with what the postmaster grants.
        let may_relay = self.may_relay();
        if self.facts.may_relay != may_relay {
            Arc::make_mut(&mut self.facts).may_relay = may_relay;
        }
        let transaction = self.transaction.as_ref().map(|transaction| &transaction.facts);
        let stage = request.stage();
        let answer = self.hooks.ask(request, &self.facts, transaction).await;
        self.shared.stats.judged(stage, &answer.verdict);
        if let Some(transaction) = &mut self.transaction {
            if let Some(envelope) = answer.envelope {
                transaction.set_envelope(envelope);
            }
            if let Some(content) = answer.content {
                transaction.set_content(content);
            }
            for (id, answer) in answer.recipients {
                decided(transaction, &self.facts, id, answer);
            }
        }
        (answer.verdict, answer.by)
    }

    /// Tells the hooks of what nobody decides on any more.
    pub(crate) async fn tell(&mut self, news: News<'_>) {
        let transaction = self.transaction.as_ref().map(|transaction| &transaction.facts);
        self.hooks.tell(news, &self.facts, transaction).await;
    }

    /// A recipient was refused before the hooks were asked.
    pub(crate) async fn tell_of_refused(&mut self, path: &ForwardPath, params: &[Param], reply: &Reply) {
        if let ForwardPath::Mailbox(recipient) = path {
            self.tell(News::RefusedRecipient { recipient, params, reply }).await;
        }
    }

    /// The transaction is over. The hooks hear of it; to those who heard the end of its message it is no news.
    pub(crate) async fn give_up_transaction(&mut self) {
        self.transaction = None;
        self.live.message(None);
        self.tell(News::Reset).await;
    }

    /// A verdict that covers every message of the session.
    pub(crate) fn session_verdict(&mut self, stage: Stage, verdict: (Verdict, Option<Arc<str>>)) -> Answer {
        let (answer, fate) = self.judge(stage, verdict);
        self.fate = std::mem::take(&mut self.fate).and(fate);
        answer
    }

    /// A verdict that covers the transaction.
    pub(crate) fn transaction_verdict(
        &mut self,
        stage: Stage,
        verdict: (Verdict, Option<Arc<str>>),
    ) -> Answer {
        let (answer, fate) = self.judge(stage, verdict);
        if let Some(transaction) = &mut self.transaction {
            transaction.fate = std::mem::take(&mut transaction.fate).and(fate);
        }
        answer
    }

    /// What is answered, and what becomes of what was decided on.
    pub(crate) fn judge(&self, stage: Stage, (verdict, by): (Verdict, Option<Arc<str>>)) -> (Answer, Fate) {
        if !matches!(verdict, Verdict::Proceed | Verdict::Accept) {
            self.log_verdict(stage, &verdict, by.as_deref());
        }
        match verdict {
            Verdict::Proceed | Verdict::Accept => (Answer::Proceed, Fate::Deliver),
            Verdict::Reject(reply) | Verdict::TempFail(reply) => (Answer::Say(reply), Fate::Deliver),
            Verdict::Disconnect(reply) => (Answer::Close(reply), Fate::Deliver),
            Verdict::Discard(reason) => (Answer::Proceed, Fate::Discard(reason.into())),
            Verdict::Quarantine(reason) => (Answer::Proceed, Fate::Hold(reason.into())),
        }
    }

    fn log_verdict(&self, stage: Stage, verdict: &Verdict, plugin: Option<&str>) {
        match verdict {
            Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => {
                self.log_refusal(stage, plugin, reply);
            }
            Verdict::Discard(reason) | Verdict::Quarantine(reason) => {
                info!(
                    queue_id = self.queue_id().map(tracing::field::display), session = %self.facts.id,
                    peer = %self.facts.peer.ip(), hook = stage.name(), plugin, verdict = verdict.name(), reason,
                    "decided by a plugin"
                );
                self.show(Some(stage), plugin, verdict.name(), reason.clone());
            }
            Verdict::Proceed | Verdict::Accept => {}
        }
    }

    /// The postmaster's page shows what was decided.
    fn show(&self, stage: Option<Stage>, plugin: Option<&str>, verdict: &'static str, text: String) {
        self.live.decided(VerdictView {
            at: clock::wall(),
            session: self.facts.id,
            listener: Arc::clone(&self.facts.listener),
            peer: self.facts.peer.ip(),
            stage,
            by: plugin.map(Arc::from),
            verdict,
            text,
            queue_id: self.queue_id(),
        });
    }

    pub(crate) fn log_refusal(&self, stage: Stage, plugin: Option<&str>, reply: &Reply) {
        let verdict = if reply.is_transient() { "tempfail" } else { "reject" };
        self.show(Some(stage), plugin, verdict, reply.to_string());
        info!(
            queue_id = self.queue_id().map(tracing::field::display), session = %self.facts.id,
            peer = %self.facts.peer.ip(), helo = self.facts.helo.as_deref(), hook = stage.name(), plugin, %reply,
            "refused"
        );
    }

    /// What the session refused without asking: a postmaster looks for it in the log all the same.
    pub(crate) fn refused_by_itself(&self, reply: &Reply) {
        count(&self.shared.stats.protocol_errors);
        self.show(None, None, "reject", reply.to_string());
        info!(
            queue_id = self.queue_id().map(tracing::field::display), session = %self.facts.id,
            peer = %self.facts.peer.ip(), helo = self.facts.helo.as_deref(), %reply, "refused by the protocol"
        );
    }

    fn queue_id(&self) -> Option<QueueId> {
        self.transaction.as_ref().map(Transaction::id)
    }
}

/// What a plugin decided of one recipient of a message.
fn decided(transaction: &mut Transaction, session: &SessionFacts, id: u32, answer: RecipientAnswer) {
    let Some(recipient) = transaction.envelope().recipients.iter().find(|recipient| recipient.id == id)
    else {
        return;
    };
    let (queue_id, rcpt, plugin) = (transaction.id(), &recipient.address, &*answer.by);
    match answer.verdict {
        RecipientVerdict::Refuse(reply) => {
            info!(%queue_id, session = %session.id, %rcpt, hook = Stage::Message.name(), plugin, %reply, "recipient refused");
            transaction.refusals.insert(id, reply);
        }
        RecipientVerdict::Hold(reason) => {
            info!(%queue_id, session = %session.id, %rcpt, hook = Stage::Message.name(), plugin, reason, "recipient held");
            transaction.set_recipient_fate(id, Fate::Hold(reason.into()));
        }
    }
}
