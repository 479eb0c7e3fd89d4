//! From the greeting to the moment when a transaction may start.

use std::time::Instant;

use model::Reply;

use super::{Event, Expect, Phase, Session};
use crate::client::extensions::Extensions;
use crate::client::options::{Protocol, Tls};
use crate::client::reply::ReplyReader;
use crate::client::sasl::Binding;
use crate::client::transaction::Failure;

impl Session {
    /// The handshake that [`Event::StartTls`] asked for is done: the peer is greeted anew.
    pub fn secured(&mut self, binding: Option<Binding>, now: Instant) {
        if matches!(self.phase, Phase::Handshake) {
            self.progress = now;
            self.is_secured = true;
            self.binding = binding;
            self.phase = Phase::Opening;
            self.say_hello();
        }
    }

    pub(super) fn take_opening(&mut self, expect: Expect, reply: Reply) {
        let is_smtp = self.options.protocol == Protocol::Smtp;
        match expect {
            Expect::Greeting if reply.is_positive() => self.say_hello(),
            Expect::Ehlo if reply.is_positive() => {
                self.offered = Extensions::read(&reply);
                self.greeted();
            }
            Expect::Helo if reply.is_positive() => self.greeted(),
            //= RFC 5321 section 3.2: a server that does not know EHLO is greeted with HELO.
            Expect::Ehlo if is_smtp && reply.is_permanent() => {
                let line = format!("HELO {}\r\n", self.options.hostname);
                self.command(Expect::Helo, line.as_bytes());
            }
            Expect::StartTls if reply.is_positive() => {
                //= RFC 3207 section 4.2: what was learned before the handshake is forgotten.
                self.offered = Extensions::default();
                self.replies = ReplyReader::default();
                self.phase = Phase::Handshake;
                self.events.push_back(Event::StartTls);
            }
            _ => self.fail(Failure::Refused { step: expect.step(), reply }),
        }
    }

    fn say_hello(&mut self) {
        let verb = if self.options.protocol == Protocol::Smtp { "EHLO" } else { "LHLO" };
        let line = format!("{verb} {}\r\n", self.options.hostname);
        self.command(Expect::Ehlo, line.as_bytes());
    }

    /// The peer has said what it offers: what is to be done with that before the first transaction.
    fn greeted(&mut self) {
        match self.options.tls {
            Tls::IfOffered | Tls::Required if !self.is_secured && self.offered.starttls => {
                return self.command(Expect::StartTls, b"STARTTLS\r\n");
            }
            Tls::Required if !self.is_secured => {
                self.fail(Failure::NoTls);
                return self.say_quit();
            }
            _ => {}
        }
        match self.options.credentials {
            Some(_) => self.begin_auth(),
            None => self.become_ready(),
        }
    }

    /// The last word of a session that failed, though the peer did nothing wrong.
    pub(super) fn say_quit(&mut self) {
        if self.output.is_empty() {
            self.output.extend_from_slice(b"QUIT\r\n");
        }
    }

    pub(super) fn become_ready(&mut self) {
        self.phase = Phase::Ready;
        self.events.push_back(Event::Ready);
    }
}
