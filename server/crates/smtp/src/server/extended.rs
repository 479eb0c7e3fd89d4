//! STARTTLS, AUTH and XCLIENT: the commands that change who the client is.

use model::Reply;

use super::{Asked, Event, Session, State};
use crate::ClientAttributes;
use crate::command::{decode_response, encode_challenge};

impl Session {
    pub(super) fn start_tls(&mut self) {
        if self.channel.secured {
            return self.out_of_order("TLS protects this session already");
        }
        if !self.channel.starttls {
            return self.say_refusal(&Reply::new(502, (5, 5, 1), "STARTTLS is not offered here"));
        }
        if !matches!(self.state, State::Greeted | State::Ready) {
            return self.out_of_order("STARTTLS is not allowed inside a transaction");
        }
        self.ask(Asked::StartTls, Event::StartTls);
    }

    pub(super) fn auth(&mut self, mechanism: String, initial: Option<Vec<u8>>) {
        match self.state {
            State::Ready if self.extended => {}
            State::Recipients { .. } | State::Chunks(_) => {
                return self.out_of_order("AUTH is not allowed inside a transaction");
            }
            _ => return self.out_of_order("EHLO comes first"),
        }
        if self.authenticated {
            return self.out_of_order("this session is authenticated already");
        }
        if self.channel.mechanisms.contains(&mechanism.as_str()) {
            return self.ask(Asked::Auth, Event::Auth { mechanism, initial });
        }
        //= RFC 4954 section 6: 538 where a mechanism needs the encryption that STARTTLS would bring.
        self.say_refusal(&match (
            self.channel.starttls && !self.channel.secured,
            self.channel.mechanisms.len(),
        ) {
            (true, _) => Reply::new(538, (5, 7, 11), "this mechanism needs TLS; STARTTLS comes first"),
            (false, 0) => Reply::new(502, (5, 5, 1), "AUTH is not offered here"),
            (false, _) => Reply::new(504, (5, 5, 4), "this mechanism is not offered"),
        });
    }

    /// A line behind a challenge.
    pub(super) fn auth_response(&mut self, line: &[u8]) {
        //= RFC 4954 section 4: a line that is "*" cancels the exchange; 501 answers it.
        if line == b"*" {
            self.cancel_auth();
            return self.say_refusal(&Reply::new(501, (5, 7, 0), "authentication cancelled"));
        }
        match decode_response(line) {
            Ok(response) => self.ask(Asked::Auth, Event::AuthResponse(response)),
            Err(error) => {
                self.cancel_auth();
                self.say_refusal(&Reply::new(501, (5, 5, 2), error.to_string()));
            }
        }
    }

    pub(super) fn cancel_auth(&mut self) {
        self.state = State::Ready;
        self.events.push_back(Event::AuthCancelled);
    }

    /// The driver has a challenge for the client.
    pub(super) fn challenge(&mut self, asked: Asked, challenge: &[u8]) {
        if asked != Asked::Auth {
            return self.refuse(asked, Reply::new(451, (4, 3, 0), "internal error, try again later"));
        }
        self.state = State::Authenticating;
        // A challenge may be longer than a line of a reply; it is not folded (RFC 4954 section 4).
        self.output.extend_from_slice(b"334 ");
        self.output.extend_from_slice(encode_challenge(challenge).as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    pub(super) fn auth_failed(&mut self, reply: &Reply) {
        self.state = State::Ready;
        if reply.is_permanent() {
            self.auth_failures += 1;
        }
        if self.auth_failures >= self.options.limits.auth_failures {
            return self.give_up("too many failed authentications");
        }
        self.say_no(reply);
    }

    pub(super) fn xclient(&mut self, client: ClientAttributes) {
        if !self.channel.xclient {
            return self.say_refusal(&Reply::new(550, (5, 7, 0), "XCLIENT is not for this client"));
        }
        match self.state {
            State::Greeted | State::Ready => self.ask(Asked::XClient, Event::XClient(client)),
            _ => self.out_of_order("XCLIENT is not allowed inside a transaction"),
        }
    }
}
