//! AUTH (RFC 4954), before the first transaction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Reply;

use super::{Expect, Session};
use crate::client::sasl::{Exchange, Mechanism, SaslFault};
use crate::client::transaction::{Failure, Step};

/// Octets of a line with AUTH and an initial response (RFC 4954 section 4); a longer response follows the first challenge.
const MAX_COMMAND_OCTETS: usize = 512;

/// One mechanism under way.
#[derive(Debug)]
pub(super) struct Attempt {
    mechanism: Mechanism,
    exchange: Exchange,
    /// An initial response that was too long for the command.
    unsaid: Option<Vec<u8>>,
}

impl Session {
    pub(super) fn begin_auth(&mut self) {
        self.mechanisms = Mechanism::usable(&self.offered.auth, self.is_secured, self.binding.is_some());
        self.try_mechanism(Failure::NoMechanism);
    }

    /// Begins the best that is left; `otherwise` there is no session.
    fn try_mechanism(&mut self, otherwise: Failure) {
        let (Some(mechanism), Some(credentials)) = (self.mechanisms.pop_front(), &self.options.credentials)
        else {
            self.fail(otherwise);
            return self.say_quit();
        };
        let is_bound_offered = self.offered.auth.iter().any(|name| name == Mechanism::ScramSha256Plus.name());
        let begun = Exchange::begin(mechanism, credentials, self.binding.as_ref(), is_bound_offered);
        let (exchange, initial) = match begun {
            Ok(begun) => begun,
            Err(fault) => return self.break_off(fault),
        };
        let mut line = format!("AUTH {}", mechanism.name());
        let mut unsaid = None;
        if let Some(initial) = initial {
            let encoded = STANDARD.encode(&initial);
            match line.len() + encoded.len() + 3 <= MAX_COMMAND_OCTETS {
                true => line = format!("{line} {encoded}"),
                false => unsaid = Some(initial),
            }
        }
        line.push_str("\r\n");
        self.auth = Some(Attempt { mechanism, exchange, unsaid });
        self.command(Expect::Auth, line.as_bytes());
    }

    pub(super) fn take_auth(&mut self, reply: Reply) {
        let Some(attempt) = &mut self.auth else { return };
        if reply.code == 334 {
            let response = match attempt.unsaid.take() {
                Some(initial) => Ok(initial),
                None => STANDARD
                    .decode(reply.text.trim())
                    .map_err(|_| SaslFault::Challenge)
                    .and_then(|challenge| attempt.exchange.respond(&challenge)),
            };
            return match response {
                Ok(response) => {
                    let line = format!("{}\r\n", STANDARD.encode(response));
                    self.command(Expect::Auth, line.as_bytes());
                }
                Err(fault) => self.break_off(fault),
            };
        }
        let (mechanism, is_proven) = (attempt.mechanism, attempt.exchange.is_proven());
        self.auth = None;
        if reply.is_positive() {
            return match is_proven {
                true => self.become_ready(),
                // A yes to somebody who has not seen the other side's proof, or has not said all.
                false => self.break_off(SaslFault::NotMutual),
            };
        }
        // Peers differ in what they bind to; without binding it may go well.
        let may_try_another =
            reply.code == 504 || (reply.is_permanent() && mechanism == Mechanism::ScramSha256Plus);
        let refused = Failure::Refused { step: Step::Auth, reply };
        match may_try_another {
            true => self.try_mechanism(refused),
            false => self.fail(refused),
        }
    }

    /// Ends the session: the peer is not to be trusted with more.
    fn break_off(&mut self, fault: SaslFault) {
        self.auth = None;
        self.fail(fault.into());
    }
}
