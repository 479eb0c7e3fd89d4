//! What follows the answer to each event that asked.

use model::Reply;

use super::announced::announced;
use super::content::Reception;
use super::params::Wishes;
use super::{Asked, CloseReason, Event, ResetReason, Session, State};

impl Session {
    /// The answer was positive.
    pub(super) fn proceed(&mut self, asked: Asked, reply: Option<Reply>) {
        self.enter(asked);
        // EHLO's lines are its own, and 354 is fixed: clients read them by machine.
        let reply = match (asked, reply) {
            (Asked::Hello { .. } | Asked::Data { .. }, _) | (_, None) => self.usual_reply(asked),
            (_, reply) => reply,
        };
        match (asked, reply) {
            (Asked::Message { recipients }, Some(reply)) => self.conclude_alike(recipients, &reply),
            (_, Some(reply)) => self.say(&reply),
            (_, None) => {}
        }
    }

    /// The state that a positive answer leads to.
    fn enter(&mut self, asked: Asked) {
        if let Asked::Hello { .. } = asked {
            self.reset();
        }
        self.state = match asked {
            Asked::Connect | Asked::XClient => State::Greeted,
            Asked::Hello { .. } | Asked::Auth | Asked::Message { .. } => State::Ready,
            Asked::StartTls => State::Handshaking,
            Asked::Mail { .. } => State::Recipients { taken: 0 },
            Asked::Rcpt { taken } => State::Recipients { taken: taken + 1 },
            Asked::Data { taken } => State::Content(Box::new(Reception::of_data(&self.options, taken))),
            // The chunk is being received already; from now on its octets have their own time.
            Asked::Chunk => {
                self.deadline = self.now + self.options.limits.data_timeout;
                return;
            }
        };
        match asked {
            Asked::Hello { extended } => self.extended = extended,
            Asked::XClient => self.extended = false,
            Asked::StartTls => self.input.clear(),
            Asked::Auth => self.authenticated = true,
            Asked::Mail { wishes } => {
                self.wishes = wishes;
                self.transactions += 1;
            }
            Asked::Data { .. } => self.deadline = self.now + self.options.limits.data_timeout,
            Asked::Message { .. } => self.idle_commands = 0,
            _ => {}
        }
    }

    fn usual_reply(&self, asked: Asked) -> Option<Reply> {
        let greeting = || Reply::plain(220, format!("{} {}", self.options.hostname, self.protocol_name()));
        Some(match asked {
            Asked::Connect | Asked::XClient => greeting(),
            Asked::Hello { extended } => self.hello_reply(extended),
            Asked::StartTls => Reply::new(220, (2, 0, 0), "ready for the handshake"),
            Asked::Auth => Reply::new(235, (2, 7, 0), "authenticated"),
            Asked::Mail { .. } => Reply::new(250, (2, 1, 0), "sender ok"),
            Asked::Rcpt { .. } => Reply::new(250, (2, 1, 5), "recipient ok"),
            Asked::Data { .. } => Reply::plain(354, "go ahead; end with a line that is one dot"),
            Asked::Message { .. } => Reply::new(250, (2, 0, 0), "ok"),
            Asked::Chunk => return None,
        })
    }

    fn protocol_name(&self) -> &'static str {
        match self.options.protocol {
            super::Protocol::Smtp => "ESMTP",
            super::Protocol::Lmtp => "LMTP",
        }
    }

    fn hello_reply(&self, extended: bool) -> Reply {
        let mut lines = vec![self.options.hostname.clone()];
        if extended {
            lines.extend(announced(&self.options, &self.channel, self.authenticated, self.wall()));
        }
        Reply::plain(250, lines.join("\n"))
    }

    /// The answer was negative.
    pub(super) fn refuse(&mut self, asked: Asked, reply: Reply) {
        match asked {
            //= RFC 5321 section 3.1: after 554 instead of a greeting the server waits for QUIT.
            Asked::Connect if reply.is_permanent() => {
                self.state = State::Unserved;
                return self.say(&reply);
            }
            Asked::Connect | Asked::XClient => {
                self.say(&reply);
                return self.close(CloseReason::Refused);
            }
            Asked::Auth => return self.auth_failed(&reply),
            Asked::Message { recipients } => {
                self.state = State::Ready;
                return match self.replies_each(recipients) {
                    true => self.conclude_alike(recipients, &reply),
                    false => self.say_no(&reply),
                };
            }
            Asked::Data { .. } => {
                self.state = State::Ready;
                self.events.push_back(Event::Reset(ResetReason::Content));
            }
            Asked::Chunk => {
                // Its octets come all the same; the reply waits for their end.
                if let State::Content(reception) = &mut self.state {
                    reception.refusal = Some(reply);
                }
                return self.events.push_back(Event::Reset(ResetReason::Content));
            }
            //= RFC 5321 section 4.1.4: a greeting that is refused leaves the session where it was.
            Asked::Hello { .. } | Asked::StartTls | Asked::Mail { .. } | Asked::Rcpt { .. } => {}
        }
        self.say_no(&reply);
    }

    /// Refuses a message whole, for what it is.
    pub(super) fn refuse_message(&mut self, recipients: usize, reply: &Reply) {
        if self.replies_each(recipients) {
            self.events.push_back(Event::Refused(reply.clone()));
            return self.conclude_alike(recipients, reply);
        }
        self.say_refusal(reply);
    }

    /// One reply for all recipients, said as often as the client waits for one.
    fn conclude_alike(&mut self, recipients: usize, reply: &Reply) {
        match self.replies_each(recipients) {
            true => self.say_each(&vec![reply.clone(); recipients]),
            false => self.say(reply),
        }
        self.wishes = Wishes::default();
    }

    /// A reply for each recipient.
    pub(super) fn conclude(&mut self, asked: Asked, replies: &[Reply]) {
        let Asked::Message { recipients } = asked else {
            return self.refuse(asked, Reply::new(451, (4, 3, 0), "internal error, try again later"));
        };
        if !self.replies_each(recipients) || replies.len() != recipients {
            // Nobody may be told that mail was taken which was not.
            let refused = replies.iter().find(|reply| !reply.is_positive()).or(replies.first());
            return match refused.cloned() {
                Some(reply) if reply.is_positive() => self.proceed(asked, Some(reply)),
                Some(reply) => self.refuse(asked, reply),
                None => self.refuse(asked, Reply::new(451, (4, 3, 0), "internal error, try again later")),
            };
        }
        self.enter(asked);
        self.say_each(replies);
        self.wishes = Wishes::default();
    }

    fn say_each(&mut self, replies: &[Reply]) {
        let prdr = self.options.protocol == super::Protocol::Smtp;
        if prdr {
            self.say(&Reply::plain(353, "a reply for each recipient follows"));
        }
        for reply in replies {
            self.say(reply);
        }
        if prdr {
            // The last one stands for the message: taken when anybody has it.
            let taken = replies.iter().find(|reply| reply.is_positive());
            if let Some(reply) = taken.or(replies.first()) {
                self.say(reply);
            }
        }
    }
}
