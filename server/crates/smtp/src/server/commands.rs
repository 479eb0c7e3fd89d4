//! What each command does in each state.

use model::{ForwardPath, Param, Reply, ReversePath};

use super::content::{Reception, most_discarded};
use super::params::Judge;
use super::{Answer, Asked, CloseReason, Event, Protocol, ResetReason, Session, State};
use crate::{Command, CommandError};

impl Session {
    /// Carries out one line.
    pub(super) fn command(&mut self, line: &[u8]) {
        let command = match Command::parse(line, self.options.paths) {
            Ok(command) => command,
            //= RFC 3030 section 2: what follows a BDAT that was not understood could be anything.
            Err(error @ CommandError::ChunkSize) if self.options.extensions.chunking => {
                self.say(&syntax_reply(&error));
                return self.close(CloseReason::Limit);
            }
            Err(CommandError::ChunkSize) => return self.not_implemented(),
            Err(error) => {
                if error == CommandError::Unknown {
                    self.is_unknown(line);
                }
                return self.say_refusal(&syntax_reply(&error));
            }
        };
        if !leads_to_a_message(&command) {
            self.idle_commands += 1;
            if self.idle_commands > self.options.limits.idle_commands {
                return self.give_up("too many commands without a message");
            }
        }
        //= RFC 5321 section 3.1: behind a greeting that refuses, everything but QUIT is 503. A chunk must go by all the same.
        let is_heard = matches!(command, Command::Quit | Command::Bdat { .. } | Command::Http);
        if matches!(self.state, State::Unserved) && !is_heard {
            return self.out_of_order("nothing is served here");
        }
        let lmtp = self.options.protocol == Protocol::Lmtp;
        match command {
            //= RFC 2033 section 4.1: LHLO takes the place of HELO and EHLO.
            Command::Helo { .. } | Command::Ehlo { .. } if lmtp => {
                self.say_refusal(&Reply::new(500, (5, 5, 1), "this is LMTP, not SMTP: use LHLO"));
            }
            Command::Lhlo { .. } if !lmtp => {
                self.say_refusal(&Reply::new(500, (5, 5, 1), "this is SMTP, not LMTP: use EHLO"));
            }
            Command::Helo { name } => self.hello(name, false),
            Command::Ehlo { name } | Command::Lhlo { name } => self.hello(name, true),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::XClient(client) => self.xclient(client),
            Command::Mail { sender, params } => self.mail(sender, params),
            Command::Rcpt { path, params } => self.rcpt(path, params),
            Command::Data => self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            // A browser was made to talk to us: the rest of its request must not be taken for commands.
            Command::Http => self.give_up("speaks SMTP, not HTTP"),
            Command::NotImplemented => {
                self.is_unknown(line);
                self.not_implemented();
            }
            Command::Rset | Command::Noop | Command::Vrfy | Command::Help | Command::Quit => {
                self.simple(&command);
            }
        }
    }

    /// The commands that nobody is asked about.
    fn simple(&mut self, command: &Command) {
        let reply = match command {
            Command::Rset => {
                self.reset();
                Reply::new(250, (2, 0, 0), "reset")
            }
            //= RFC 5321 section 3.5.3: 252 where addresses are not verified.
            Command::Vrfy => Reply::new(252, (2, 5, 2), "not verified; try RCPT"),
            Command::Help => Reply::new(214, (2, 0, 0), self.help()),
            Command::Quit => {
                let text = format!("{} closes the channel", self.options.hostname);
                self.say(&Reply::new(221, (2, 0, 0), text));
                return self.close(CloseReason::Quit);
            }
            _ => Reply::new(250, (2, 0, 0), "ok"),
        };
        self.say(&reply);
    }

    fn help(&self) -> String {
        let hello = match self.options.protocol {
            Protocol::Smtp => "HELO EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let more = [
            (self.options.extensions.chunking, " BDAT"),
            (self.channel.starttls && !self.channel.secured, " STARTTLS"),
            (!self.channel.mechanisms.is_empty(), " AUTH"),
        ];
        let more: String =
            more.into_iter().filter(|(is_offered, _)| *is_offered).map(|(_, verb)| verb).collect();
        format!("{hello} MAIL RCPT DATA{more} RSET NOOP VRFY HELP QUIT; RFC 5321")
    }

    fn is_unknown(&mut self, line: &[u8]) {
        self.events.push_back(Event::Unknown(String::from_utf8_lossy(line).into_owned()));
    }

    fn not_implemented(&mut self) {
        self.say_refusal(&Reply::new(502, (5, 5, 1), "command not implemented"));
    }

    fn hello(&mut self, name: String, extended: bool) {
        self.ask(Asked::Hello { extended }, Event::Hello { name, extended });
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            options: &self.options,
            extended: self.extended,
            secured: self.channel.secured,
            knows_auth: self.authenticated || !self.channel.mechanisms.is_empty(),
            wall: self.wall(),
        }
    }

    fn mail(&mut self, sender: ReversePath, params: Vec<Param>) {
        match self.state {
            State::Ready => {}
            State::Recipients { .. } | State::Chunks(_) => {
                return self.out_of_order("MAIL was given already");
            }
            _ => return self.out_of_order("EHLO or HELO comes first"),
        }
        //= RFC 3207 section 4: 530 where TLS is needed.
        if self.options.require_tls && !self.channel.secured {
            return self.say_refusal(&Reply::new(530, (5, 7, 0), "STARTTLS comes first"));
        }
        //= RFC 4954 section 6: 530 where authentication is needed.
        if self.options.require_auth && !self.authenticated {
            return self.say_refusal(&Reply::new(530, (5, 7, 0), "authentication required"));
        }
        if self.transactions >= self.options.limits.transactions {
            return self.give_up("too many messages in one session");
        }
        match self.judge().mail(&sender, &params) {
            Err(reply) => self.say_refusal(&reply),
            Ok(wishes) => self.ask(Asked::Mail { wishes }, Event::Mail { sender, params }),
        }
    }

    fn rcpt(&mut self, path: ForwardPath, params: Vec<Param>) {
        let State::Recipients { taken } = self.state else {
            return self.out_of_order("MAIL comes first");
        };
        if let Err(reply) = self.judge().rcpt(&path, &params, self.wishes.utf8) {
            return self.say_refusal(&reply);
        }
        //= RFC 5321 section 4.5.3.1.10: too many recipients is 452, the earlier ones stand.
        if taken >= self.options.limits.recipients {
            return self.say(&Reply::new(452, (4, 5, 3), "too many recipients in one transaction"));
        }
        self.ask(Asked::Rcpt { taken }, Event::Rcpt { path, params });
    }

    fn data(&mut self) {
        match self.state {
            //= RFC 3030 section 3: binary content cannot come by DATA.
            State::Recipients { .. } if self.wishes.binary => {
                self.out_of_order("BODY=BINARYMIME needs BDAT");
            }
            State::Recipients { taken: 0 } => self.say_refusal(&self.no_recipients()),
            State::Recipients { taken } => self.ask(Asked::Data { taken }, Event::Data),
            State::Chunks(_) => self.out_of_order("DATA and BDAT exclude each other"),
            _ => self.out_of_order("MAIL and RCPT come first"),
        }
    }

    //= RFC 5321 section 3.3: DATA without a recipient that was taken is 554 (or 503).
    //= RFC 2033 section 4.2: in LMTP it is 503.
    fn no_recipients(&self) -> Reply {
        let code = if self.options.protocol == Protocol::Lmtp { 503 } else { 554 };
        Reply::new(code, (5, 5, 1), "no valid recipients")
    }

    /// The octets of a chunk follow whatever is said to it.
    fn bdat(&mut self, octets: u64, last: bool) {
        if !self.options.extensions.chunking {
            self.not_implemented();
            return self.close(CloseReason::Limit);
        }
        if octets > most_discarded(&self.options) {
            return self.give_up("the chunk goes on far beyond the limit of a message");
        }
        self.deadline = self.now + self.options.limits.data_timeout;
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Recipients { taken } if taken > 0 => {
                let mut reception = Reception::of_chunks(&self.options, taken, self.wishes);
                reception.begin_chunk(octets, last);
                self.state = State::Content(Box::new(reception));
                self.ask(Asked::Chunk, Event::Data);
            }
            State::Chunks(mut reception) => {
                reception.begin_chunk(octets, last);
                self.state = State::Content(reception);
            }
            then => {
                let reply = match then {
                    State::Recipients { .. } => self.no_recipients(),
                    _ => Reply::new(503, (5, 5, 1), "MAIL and RCPT come first"),
                };
                self.state = State::Discarding { left: octets, reply, then: Box::new(then) };
            }
        }
    }

    pub(super) fn out_of_order(&mut self, why: &str) {
        self.say_refusal(&Reply::new(503, (5, 5, 1), why));
    }

    /// Ends the transaction under way, if there is one.
    pub(super) fn reset(&mut self) {
        if self.state.has_transaction() {
            self.state = State::Ready;
            self.events.push_back(Event::Reset(ResetReason::Client));
        }
    }
}

/// Commands of a transaction; the others are counted.
fn leads_to_a_message(command: &Command) -> bool {
    use Command::{Bdat, Data, Mail, Quit, Rcpt};
    matches!(command, Mail { .. } | Rcpt { .. } | Data | Bdat { .. } | Quit)
}

fn syntax_reply(error: &CommandError) -> Reply {
    match error {
        CommandError::Unknown => Reply::new(500, (5, 5, 2), error.to_string()),
        CommandError::Characters => Reply::new(500, (5, 5, 2), error.to_string()),
        CommandError::Base64 => Reply::new(501, (5, 5, 2), error.to_string()),
        CommandError::ChunkSize => Reply::new(501, (5, 5, 4), error.to_string()),
        CommandError::Syntax(_) => Reply::new(501, (5, 5, 4), error.to_string()),
        CommandError::Sender(_) => Reply::new(501, (5, 1, 7), error.to_string()),
        CommandError::Recipient(_) => Reply::new(501, (5, 1, 3), error.to_string()),
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Say(reply)
    }
}
