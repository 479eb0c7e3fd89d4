//! Answers by which a destination asks for less: throttling and greylisting.
//!
//! Standards: RFC 5321 section 4.2.2 and 3.8 (421: the session ends), RFC 3463 sections 3.3 and 3.8 (X.2.0 and X.2.1, mailbox not accepting now; X.7, policy), RFC
//! 6647 section 2 (greylisting is answered so).

use model::Reply;
use smtp::client::{Fate, Step};

/// Who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Less {
    /// The sender or the session: the next message would hear the same.
    Session,
    /// The recipients of this message; those of another may fare better.
    Recipients,
}

/// Whether a transaction ended in the wish for fewer of its kind; with what was said.
pub(crate) fn wish(fates: &[Fate]) -> Option<(Less, &Reply)> {
    let refusals = fates.iter().map(|fate| match fate {
        Fate::Refused { step, reply } => Some((*step, reply)),
        _ => None,
    });
    let refusals: Vec<_> = refusals.collect::<Option<_>>()?;
    let (step, reply) = *refusals.first()?;
    let is_session = |(step, reply): &(Step, &Reply)| reply.code == 421 || *step == Step::Mail;
    if refusals.iter().any(|refusal| is_session(refusal) && asks_for_less(refusal.1)) {
        return Some((Less::Session, reply));
    }
    let is_all = step == Step::Rcpt && refusals.iter().all(|(_, reply)| asks_for_less(reply));
    is_all.then_some((Less::Recipients, reply))
}

/// 421, and what is refused for now by policy or because a mailbox takes nothing now. A full mailbox (X.2.2) is nobody else's concern.
fn asks_for_less(reply: &Reply) -> bool {
    let is_policy = reply
        .status
        .is_some_and(|status| status.subject == 7 || (status.subject == 2 && matches!(status.detail, 0 | 1)));
    reply.code == 421 || (matches!(reply.code, 450..=452) && is_policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(step: Step, code: u16, subject: u16, detail: u16) -> Fate {
        Fate::Refused { step, reply: Reply::new(code, (4, subject, detail), "no") }
    }

    fn who(fates: &[Fate]) -> Option<Less> {
        wish(fates).map(|(less, _)| less)
    }

    #[test]
    fn what_is_said_of_the_session_is_told_from_what_is_said_of_recipients() {
        let rcpt = |code, subject, detail| refused(Step::Rcpt, code, subject, detail);
        assert_eq!(who(&[refused(Step::Mail, 450, 7, 1)]), Some(Less::Session));
        assert_eq!(who(&[refused(Step::Mail, 421, 3, 2)]), Some(Less::Session));
        assert_eq!(who(&[rcpt(421, 7, 0)]), Some(Less::Session));
        assert_eq!(who(&[rcpt(451, 7, 1), rcpt(450, 2, 0)]), Some(Less::Recipients));
        let others = [
            vec![],
            vec![rcpt(452, 2, 2)],
            vec![refused(Step::Mail, 451, 3, 0)],
            vec![rcpt(450, 7, 1), rcpt(550, 1, 1)],
            vec![rcpt(450, 7, 1), Fate::Accepted(Reply::new(250, (2, 0, 0), "ok"))],
        ];
        for fates in others {
            assert_eq!(who(&fates), None, "{fates:?}");
        }
    }
}
