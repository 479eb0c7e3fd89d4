//! Several that extend the server, asked one after the other as if they were one.
//!
//! A link sees the envelope and the message as the links before it left them. A refusal and `Discard` end the stage: what
//! follows is not asked. `Accept` and `Quarantine` of one link do not keep the others from being asked: a filter that is told of
//! a whole conversation has to hear all of it, and a held message may be released.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::session::BoxFuture;
use crate::{
    Answer, Hooks, News, RecipientVerdict, Request, SessionFacts, SessionHooks, Stages, TransactionFacts,
    Verdict,
};

/// The links, in the order in which they are asked.
#[derive(Debug, Clone)]
pub struct Chain(pub Vec<Arc<dyn Hooks>>);

impl Hooks for Chain {
    fn begin(&self) -> Box<dyn SessionHooks> {
        in_turn(self.0.iter().map(|link| link.begin()).collect())
    }
}

/// The links of one session, asked in this order.
pub fn in_turn(links: Vec<Box<dyn SessionHooks>>) -> Box<dyn SessionHooks> {
    Box::new(ChainSession(links))
}

/// The links of one session.
struct ChainSession(Vec<Box<dyn SessionHooks>>);

impl SessionHooks for ChainSession {
    fn stages(&self) -> Stages {
        self.0.iter().fold(Stages::NONE, |all, link| all.union(link.stages()))
    }

    fn ask<'a>(
        &'a mut self,
        request: Request<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let mut sum = Answer::default();
            let mut edited: Option<Arc<TransactionFacts>> = None;
            let mut links = self.0.iter_mut().filter(|link| link.stages().contains(request.stage()));
            for link in links.by_ref() {
                let said = link.ask(request, session, edited.as_ref().or(transaction)).await;
                if let Some(before) = edited.as_ref().or(transaction)
                    && let Some(after) = with_edits(before, &said)
                {
                    edited = Some(Arc::new(after));
                }
                if add(&mut sum, said) {
                    break;
                }
            }
            // Who is not asked any more may want to know.
            if let Request::Rcpt { recipient, params } = request
                && let Verdict::Reject(reply) | Verdict::TempFail(reply) = &sum.verdict
            {
                let news = News::RefusedRecipient { recipient, params, reply };
                for link in links {
                    link.tell(news, session, edited.as_ref().or(transaction)).await;
                }
            }
            sum
        })
    }

    fn tell<'a>(
        &'a mut self,
        news: News<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for link in &mut self.0 {
                link.tell(news, session, transaction).await;
            }
        })
    }
}

/// The facts as the next link sees them; nothing when they are the same.
fn with_edits(before: &TransactionFacts, said: &Answer) -> Option<TransactionFacts> {
    if said.envelope.is_none() && said.content.is_none() {
        return None;
    }
    let mut after = before.clone();
    if let Some(envelope) = &said.envelope {
        after.envelope = envelope.clone();
    }
    if let Some(content) = &said.content {
        after.content = Some(content.clone());
    }
    Some(after)
}

/// Adds what a link said; says whether the stage ends with it.
fn add(sum: &mut Answer, said: Answer) -> bool {
    sum.envelope = said.envelope.or(sum.envelope.take());
    sum.content = said.content.or(sum.content.take());
    for (id, verdict) in said.recipients {
        match sum.recipients.entry(id) {
            Entry::Vacant(place) => {
                place.insert(verdict);
            }
            // As within one link: the first reason to hold stays, a refusal is stronger.
            Entry::Occupied(mut place) => {
                if matches!(verdict.verdict, RecipientVerdict::Refuse(_)) {
                    place.insert(verdict);
                }
            }
        }
    }
    let ends = match said.verdict {
        Verdict::Proceed => return false,
        Verdict::Accept | Verdict::Quarantine(_) => false,
        Verdict::Reject(_) | Verdict::TempFail(_) | Verdict::Discard(_) | Verdict::Disconnect(_) => true,
    };
    if ends || !matches!(sum.verdict, Verdict::Quarantine(_)) {
        (sum.verdict, sum.by) = (said.verdict, said.by);
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use model::{Content, Envelope, Mailbox, Reply, ReversePath, SessionId};

    use super::*;
    use crate::{Protocol, Stage};

    /// A link that says one thing, adds a recipient of its name, and counts how often it was asked with how many there.
    #[derive(Debug, Clone)]
    struct Link {
        verdict: Verdict,
        asked: Arc<AtomicUsize>,
        saw: Arc<AtomicUsize>,
    }

    impl Link {
        fn saying(verdict: Verdict) -> Self {
            Self { verdict, asked: Arc::default(), saw: Arc::default() }
        }
    }

    impl Hooks for Link {
        fn begin(&self) -> Box<dyn SessionHooks> {
            Box::new(self.clone())
        }
    }

    impl SessionHooks for Link {
        fn stages(&self) -> Stages {
            Stages::NONE.with(Stage::Message)
        }

        fn ask<'a>(
            &'a mut self,
            _: Request<'a>,
            _: &'a Arc<SessionFacts>,
            transaction: Option<&'a Arc<TransactionFacts>>,
        ) -> BoxFuture<'a, Answer> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut envelope = transaction.unwrap().envelope.clone();
            self.saw.store(envelope.recipients.len(), Ordering::Relaxed);
            let added = Mailbox::parse("bob@example.org").unwrap();
            envelope.add_recipient(added.clone(), added, Vec::new());
            let verdict = self.verdict.clone();
            let answer =
                Answer { verdict, envelope: Some(envelope), by: Some("link".into()), ..Answer::default() };
            Box::pin(std::future::ready(answer))
        }
    }

    fn ask(links: &[&Link], request: Request<'_>) -> Answer {
        let chain = Chain(links.iter().map(|link| Arc::new((*link).clone()) as Arc<dyn Hooks>).collect());
        let session = SessionFacts {
            id: SessionId(1),
            listener: "mx".into(),
            peer: ([192, 0, 2, 1], 25).into(),
            peer_name: None,
            helo: None,
            protocol: Protocol::Esmtp,
            tls: None,
            auth_user: None,
            auth_mechanism: None,
            may_relay: false,
            server_name: "mx.example.org".into(),
            local: ([192, 0, 2, 2], 25).into(),
        };
        let facts = TransactionFacts {
            id: model::QueueId(1),
            envelope: Envelope::new(ReversePath::Null, Vec::new()),
            content: Some(Content::from(bytes::Bytes::from_static(b"A: b\r\n\r\n"))),
            findings: Vec::new(),
        };
        chain.begin().ask(request, &Arc::new(session), Some(&Arc::new(facts))).now_or_never().unwrap()
    }

    #[test]
    fn each_link_sees_what_the_one_before_it_left() {
        let (first, second) = (Link::saying(Verdict::Proceed), Link::saying(Verdict::Accept));
        let answer = ask(&[&first, &second], Request::Message);
        assert_eq!((first.saw.load(Ordering::Relaxed), second.saw.load(Ordering::Relaxed)), (0, 1));
        assert_eq!(answer.envelope.unwrap().recipients.len(), 2);
        assert_eq!(answer.verdict, Verdict::Accept);
    }

    #[test]
    fn a_refusal_ends_the_stage_and_a_quarantine_does_not() {
        let hold = Link::saying(Verdict::Quarantine("spam".to_owned()));
        let accept = Link::saying(Verdict::Accept);
        let refuse = Link::saying(Verdict::Reject(Reply::new(550, (5, 7, 1), "no")));
        let last = Link::saying(Verdict::Proceed);
        assert_eq!(ask(&[&hold, &accept], Request::Message).verdict, hold.verdict);
        assert_eq!(ask(&[&hold, &refuse, &last], Request::Message).verdict, refuse.verdict);
        assert_eq!(last.asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_stage_that_no_link_hooks_asks_nobody() {
        let link = Link::saying(Verdict::Accept);
        assert_eq!(ask(&[&link], Request::Connect).verdict, Verdict::Proceed);
        assert_eq!(link.asked.load(Ordering::Relaxed), 0);
    }
}
