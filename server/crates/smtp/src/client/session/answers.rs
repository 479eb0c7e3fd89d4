//! What each of the peer's replies does to a session.

use model::Reply;

use super::{Event, Expect, Phase, Session, Writer};
use crate::client::options::Protocol;
use crate::client::transaction::{Failure, Fate, Step};
use crate::client::transparency::DotStuffing;

/// Whether a recipient was refused for the number of those before it.
fn is_too_many(reply: &Reply) -> bool {
    let status = reply.status.map(|status| (status.subject, status.detail));
    reply.code == 452 && matches!(status, None | Some((5, 3)))
}

impl Session {
    pub(super) fn take_reply(&mut self, reply: Reply) {
        let Some(expect) = self.expected.pop_front() else { return self.take_unexpected(reply) };
        //= RFC 5321 section 3.8: 421 may answer any command; the peer is about to close.
        if reply.code == 421 && expect != Expect::Quit {
            return self.fail(Failure::Refused { step: expect.step(), reply });
        }
        let is_awaited = matches!((expect, reply.code), (Expect::Data, 354) | (Expect::Auth, 334));
        if (300..400).contains(&reply.code) != is_awaited || (expect == Expect::Data && reply.code < 300) {
            return self.fail(Failure::Protocol(format!("{} was {reply}", expect.step().name())));
        }
        match expect {
            Expect::Greeting | Expect::Ehlo | Expect::Helo | Expect::StartTls => {
                self.take_opening(expect, reply)
            }
            Expect::Auth => self.take_auth(reply),
            Expect::Reset => match reply.is_positive() {
                true => self.send_next(),
                // That says nothing of the message, which must not bounce for it.
                false => self.fail(Failure::Protocol(format!("{} was {reply}", Step::Reset.name()))),
            },
            Expect::Mail => self.take_mail(reply),
            Expect::Rcpt(nth) => self.take_rcpt(nth, reply),
            Expect::Data => self.take_data(reply),
            // What comes behind a chunk that was refused changes nothing any more.
            _ if matches!(self.phase, Phase::Refused) => self.end_refused(),
            Expect::Chunk => self.take_chunk(reply),
            Expect::Final => self.take_final(reply),
            Expect::FinalOf(nth) => self.take_final_of(nth, reply),
            Expect::FinalOfNothing => self.finish_transaction(false),
            Expect::Quit => self.end(None),
        }
    }

    fn take_unexpected(&mut self, reply: Reply) {
        let step = self.current_step();
        match (&self.phase, reply.is_positive()) {
            // Some peers say why they will not read on, before they close.
            (Phase::Content(_), false) => self.fail(Failure::Refused { step, reply }),
            (_, false) if reply.code == 421 => self.fail(Failure::Refused { step, reply }),
            _ => self.fail(Failure::Protocol(format!("a reply that nothing had asked for: {reply}"))),
        }
    }

    fn take_mail(&mut self, reply: Reply) {
        let Some(open) = &mut self.open else { return };
        if reply.is_positive() {
            return self.send_next();
        }
        open.mail_refused = Some(reply);
        open.unsent.clear();
        if self.expected.is_empty() {
            self.finish_transaction(false);
        }
    }

    fn take_rcpt(&mut self, nth: usize, reply: Reply) {
        let Some(open) = &mut self.open else { return };
        if open.mail_refused.is_none() {
            match reply.is_positive() {
                true => open.accepted.push(nth),
                //= RFC 5321 section 4.5.3.1.10: too many recipients is no word on the message; they have a transaction of their own.
                false if is_too_many(&reply) && !open.accepted.is_empty() => {
                    open.fates[nth] = Some(Fate::LeftOver(Some(reply)));
                }
                false => open.fates[nth] = Some(Fate::Refused { step: Step::Rcpt, reply }),
            }
        }
        if open.chunks.is_some() && open.unsent.is_empty() && self.expected.is_empty() {
            return self.begin_chunks();
        }
        let is_data_next = matches!(open.unsent.front(), Some((Expect::Data, _)));
        if is_data_next && open.accepted.is_empty() {
            return self.finish_transaction(true);
        }
        self.send_next();
    }

    fn take_data(&mut self, reply: Reply) {
        let Some(open) = &mut self.open else { return };
        match (reply.is_positive(), open.accepted.is_empty()) {
            (true, false) => {
                self.phase = Phase::Content(Writer::Data(DotStuffing::default()));
                self.events.push_back(Event::ContentWanted);
            }
            //= RFC 2920 section 3.1: 354 though no recipient stands is answered with a lone dot.
            (true, true) if self.options.protocol == Protocol::Smtp => {
                self.phase = Phase::Final;
                self.command(Expect::FinalOfNothing, b".\r\n");
            }
            (true, true) => self.fail(Failure::Protocol("354 though no recipient was accepted".to_owned())),
            (false, _) => {
                for nth in std::mem::take(&mut open.accepted) {
                    open.fates[nth] = Some(Fate::Refused { step: Step::Data, reply: reply.clone() });
                }
                self.finish_transaction(true);
            }
        }
    }

    /// All recipients have been answered for.
    fn begin_chunks(&mut self) {
        let Some(open) = &mut self.open else { return };
        let (Some(chunks), false) = (open.chunks.take(), open.accepted.is_empty()) else {
            let needs_reset = open.mail_refused.is_none();
            return self.finish_transaction(needs_reset);
        };
        chunks.begin(&mut self.output);
        self.phase = Phase::Content(Writer::Bdat(chunks));
        self.events.push_back(Event::ContentWanted);
    }

    fn take_chunk(&mut self, reply: Reply) {
        let Some(open) = self.open.as_mut().filter(|_| !reply.is_positive()) else { return };
        for nth in std::mem::take(&mut open.accepted) {
            open.fates[nth] = Some(Fate::Refused { step: Step::Chunk, reply: reply.clone() });
        }
        self.phase = Phase::Refused;
        self.end_refused();
    }

    /// Nothing of the content is worth going on with: over when all replies are in.
    fn end_refused(&mut self) {
        if self.expected.is_empty() {
            self.finish_transaction(true);
        }
    }

    fn take_final(&mut self, reply: Reply) {
        let accepted = self.open.as_mut().map(|open| std::mem::take(&mut open.accepted)).unwrap_or_default();
        for nth in accepted {
            self.settle(nth, reply.clone());
        }
        self.finish_transaction(false);
    }

    fn take_final_of(&mut self, nth: usize, reply: Reply) {
        self.settle(nth, reply);
        if self.expected.is_empty() {
            self.finish_transaction(false);
        }
    }

    fn settle(&mut self, nth: usize, reply: Reply) {
        if let Some(open) = &mut self.open {
            open.fates[nth] = Some(match reply.is_positive() {
                true => Fate::Accepted(reply),
                false => Fate::Refused { step: Step::Final, reply },
            });
        }
    }

    pub(super) fn finish_transaction(&mut self, needs_reset: bool) {
        self.needs_reset |= needs_reset;
        self.phase = Phase::Ready;
        self.close_transaction(|_| {
            Fate::Failed(Failure::Protocol("the peer did not answer for this recipient".to_owned()))
        });
    }

    /// Says what became of everybody; `otherwise` is for those whose fate nobody told.
    fn close_transaction(&mut self, otherwise: impl Fn(usize) -> Fate) {
        let Some(open) = self.open.take() else { return };
        let mail_refused = open.mail_refused.map(|reply| Fate::Refused { step: Step::Mail, reply });
        let fate = |(nth, fate): (usize, Option<Fate>)| {
            fate.or_else(|| mail_refused.clone()).unwrap_or_else(|| otherwise(nth))
        };
        let fates = open.fates.into_iter().enumerate().map(fate).collect();
        self.events.push_back(Event::Done(fates));
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.close_transaction(|_| match &failure {
            Failure::Refused { step, reply } => Fate::Refused { step: *step, reply: reply.clone() },
            failure => Fate::Failed(failure.clone()),
        });
        self.end(Some(failure));
    }

    pub(super) fn end(&mut self, failure: Option<Failure>) {
        self.output.clear();
        self.taken = 0;
        //= RFC 5321 section 3.1: a client that is refused at the greeting should still say QUIT.
        if let Some(Failure::Refused {
            step: Step::Greeting | Step::Hello | Step::StartTls | Step::Auth,
            reply,
        }) = &failure
            && reply.code != 421
        {
            self.output.extend_from_slice(b"QUIT\r\n");
        }
        self.expected.clear();
        self.phase = Phase::Ended;
        self.events.push_back(Event::Ended(failure));
    }
}
