//! Recipients that plugins refused alone, when the message was whole: who hears of it, and how.
//!
//! By LMTP and PRDR the client hears a reply for each recipient. Elsewhere it hears one for all, and a refusal becomes the end of the
//! recipient's first attempt ([`model::REFUSED`]), which is not made: with 5xx the sender is told by a report, as of every failure, and
//! with 4xx the recipient waits in the queue as after an attempt that failed for now. When every recipient is refused, the message
//! is, and nothing of it stays.
//!
//! Standards: RFC 2033 section 4.2, draft-hall-prdr.

use std::collections::HashSet;

use model::{Param, REFUSED, Reply};
use smtp::server::Answer;
use tracing::info;

use crate::transaction::Transaction;

/// What is answered to the end of a message.
#[derive(Debug)]
pub(crate) struct Replies {
    /// For each RCPT its refusal, or nothing where it is taken on with the message. Empty when nobody was refused.
    each: Vec<Option<Reply>>,
    /// The client hears them apart.
    hears_each: bool,
}

impl Transaction {
    /// Takes those recipients out of the envelope that nobody needs to be told of any more, and marks the others for delivery to tell.
    pub(crate) fn settle_refusals(&mut self, hears_each: bool) -> Replies {
        if self.refusals.is_empty() {
            return Replies { each: Vec::new(), hears_each };
        }
        let each = self.refused();
        if each.iter().all(Option::is_some) {
            return Replies { each, hears_each };
        }
        let named: HashSet<u32> = self.accepted.iter().flatten().copied().collect();
        let groups = self.accepted.iter().zip(&each).filter(|(_, refusal)| hears_each && refusal.is_some());
        let told: HashSet<u32> = groups.flat_map(|(group, _)| group).copied().collect();
        let mut envelope = self.envelope().clone();
        envelope.recipients.retain_mut(|recipient| {
            let Some(reply) = self.refusals.get(&recipient.id) else { return true };
            // Nobody but plugins knows of one that they added: nobody wants a report of it.
            if told.contains(&recipient.id) || reply.is_permanent() && !named.contains(&recipient.id) {
                return false;
            }
            let value = Some(reply.to_string());
            recipient.params.push(Param { keyword: REFUSED.to_owned(), value });
            true
        });
        self.set_envelope(envelope);
        Replies { each, hears_each }
    }

    /// For each RCPT the reply that refuses all that came of it.
    fn refused(&self) -> Vec<Option<Reply>> {
        let present: HashSet<u32> = self.envelope().recipients.iter().map(|recipient| recipient.id).collect();
        let refusal = |group: &Vec<u32>| {
            let mut refusals = group.iter().filter(|id| present.contains(id)).map(|id| self.refusals.get(id));
            let first = refusals.next()??;
            refusals.all(|refusal| refusal.is_some()).then(|| first.clone())
        };
        self.accepted.iter().map(refusal).collect()
    }
}

impl Replies {
    /// The answer when every recipient was refused: the message is not taken on.
    pub(crate) fn refused_whole(&self) -> Option<Answer> {
        let refusals: Option<Vec<Reply>> = self.each.iter().cloned().collect();
        let refusals = refusals.filter(|refusals| !refusals.is_empty())?;
        if self.hears_each {
            return Some(Answer::Each(refusals));
        }
        // A client that may succeed later for one of them comes again for all.
        let transient = refusals.iter().find(|reply| reply.is_transient());
        transient.or(refusals.first()).cloned().map(Answer::Say)
    }

    /// The answer when the message was taken on, or should have been, with this reply.
    pub(crate) fn with(self, reply: Reply) -> Answer {
        let refused = self.each.iter().flatten().count();
        if refused == 0 || !self.hears_each {
            return Answer::Say(reply);
        }
        info!(refused, %reply, "the client hears of each recipient");
        Answer::Each(self.each.into_iter().map(|refusal| refusal.unwrap_or_else(|| reply.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use model::{Mailbox, QueueId, ReversePath};

    use super::*;

    fn no(code: u16) -> Reply {
        Reply::new(code, (u8::try_from(code / 100).unwrap(), 7, 1), "no")
    }

    /// A transaction with a recipient for each RCPT, refused with these codes where there is one.
    fn transaction(codes: &[Option<u16>]) -> Transaction {
        let mut transaction = Transaction::new(QueueId(1), ReversePath::Null, Vec::new());
        for (nth, code) in codes.iter().enumerate() {
            let mailbox = Mailbox::parse(&format!("u{nth}@example.org")).unwrap();
            let id = transaction.add_recipient(mailbox, Vec::new());
            transaction.accept_recipient(id);
            if let Some(code) = code {
                transaction.refusals.insert(id, no(*code));
            }
        }
        transaction
    }

    fn left(transaction: &Transaction) -> Vec<(u32, Option<Reply>)> {
        transaction.envelope().recipients.iter().map(|r| (r.id, r.refusal())).collect()
    }

    #[test]
    fn who_hears_each_is_told_and_of_the_refused_nothing_stays() {
        let mut refused = transaction(&[None, Some(550), Some(450)]);
        let replies = refused.settle_refusals(true);
        assert!(replies.refused_whole().is_none());
        assert_eq!(left(&refused), [(0, None)]);
        let taken = Reply::new(250, (2, 0, 0), "queued");
        assert_eq!(replies.with(taken.clone()), Answer::Each(vec![taken, no(550), no(450)]));
    }

    #[test]
    fn who_hears_one_reply_hears_of_the_message_and_delivery_tells_of_the_others() {
        let mut refused = transaction(&[None, Some(550), Some(450)]);
        let replies = refused.settle_refusals(false);
        assert!(replies.refused_whole().is_none());
        assert_eq!(left(&refused), [(0, None), (1, Some(no(550))), (2, Some(no(450)))]);
        let taken = Reply::new(250, (2, 0, 0), "queued");
        assert_eq!(replies.with(taken.clone()), Answer::Say(taken));
    }

    #[test]
    fn a_message_that_all_are_refused_is_refused_and_for_now_comes_before_for_good() {
        let answer = |codes: &[Option<u16>], each| transaction(codes).settle_refusals(each).refused_whole();
        assert_eq!(answer(&[Some(550), Some(451)], false), Some(Answer::Say(no(451))));
        assert_eq!(answer(&[Some(550), Some(552)], false), Some(Answer::Say(no(550))));
        assert_eq!(answer(&[Some(550), Some(451)], true), Some(Answer::Each(vec![no(550), no(451)])));
        assert_eq!(answer(&[None], true), None);
    }

    #[test]
    fn what_plugins_put_in_the_place_of_a_recipient_is_refused_when_all_of_it_is() {
        let mut refused = transaction(&[None]);
        let other = || Mailbox::parse("other@example.org").unwrap();
        let ids = [0, 1].map(|_| refused.add_recipient(other(), Vec::new()));
        refused.remove_recipient(0);
        refused.accepted = vec![vec![0, ids[0], ids[1]]];
        refused.refusals.insert(ids[0], no(550));
        assert!(refused.settle_refusals(true).refused_whole().is_none());
        assert_eq!(left(&refused), [(1, Some(no(550))), (2, None)]);
        refused.refusals.insert(ids[1], no(551));
        assert_eq!(refused.settle_refusals(false).refused_whole(), Some(Answer::Say(no(550))));
    }

    #[test]
    fn nobody_is_told_of_a_refused_recipient_that_a_plugin_added() {
        let mut refused = transaction(&[None]);
        let added = refused.add_recipient(Mailbox::parse("archive@example.org").unwrap(), Vec::new());
        refused.refusals.insert(added, no(550));
        refused.settle_refusals(false);
        assert_eq!(left(&refused), [(0, None)]);
    }
}
