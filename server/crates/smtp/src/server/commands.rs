//! What each command does in each state, and what follows its answer.

use super::{
    Answer, Asked, CloseReason, Event, Param, Reception, Reply, ResetReason, ReversePath, Session, State,
    params,
};
use crate::{Command, CommandError};

impl Session {
    /// Carries out one line.
    pub(super) fn command(&mut self, line: &[u8]) {
        let command = match Command::parse(line, self.options.paths) {
            Ok(command) => command,
            Err(error) => return self.say_refusal(&syntax_reply(&error)),
        };
        if !leads_to_a_message(&command) {
            self.idle_commands += 1;
            if self.idle_commands > self.options.limits.idle_commands {
                return self.give_up("too many commands without a message");
            }
        }
        match command {
            Command::Helo { name } => self.hello(name, false),
            Command::Ehlo { name } => self.hello(name, true),
            Command::Mail { sender, params } => self.mail(sender, params),
            Command::Rcpt { path, params } => self.rcpt(path, params),
            Command::Data => self.data(),
            Command::Rset => {
                self.reset();
                self.say(&Reply::new(250, (2, 0, 0), "reset"));
            }
            Command::Noop => self.say(&Reply::new(250, (2, 0, 0), "ok")),
            //= RFC 5321 section 3.5.3: 252 where addresses are not verified.
            Command::Vrfy => self.say(&Reply::new(252, (2, 5, 2), "not verified; try RCPT")),
            Command::Help => {
                self.say(&Reply::new(
                    214,
                    (2, 0, 0),
                    "HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT; RFC 5321",
                ));
            }
            Command::Quit => {
                self.say(&Reply::new(
                    221,
                    (2, 0, 0),
                    format!("{} closes the channel", self.options.hostname),
                ));
                self.close(CloseReason::Quit);
            }
            Command::Lhlo { .. } => {
                self.say_refusal(&Reply::new(500, (5, 5, 1), "this is SMTP, not LMTP: use EHLO"))
            }
            Command::NotImplemented => {
                self.say_refusal(&Reply::new(502, (5, 5, 1), "command not implemented"))
            }
            // A browser was made to talk to us: the rest of its request must not be taken for commands.
            Command::Http => self.give_up("speaks SMTP, not HTTP"),
        }
    }

    fn hello(&mut self, name: String, extended: bool) {
        self.reset();
        self.ask(Asked::Hello { extended }, Event::Hello { name, extended });
    }

    fn mail(&mut self, sender: ReversePath, params: Vec<Param>) {
        match self.state {
            State::Ready => {}
            State::Recipients { .. } => return self.out_of_order("MAIL was given already"),
            _ => return self.out_of_order("EHLO or HELO comes first"),
        }
        if self.transactions >= self.options.limits.transactions {
            return self.give_up("too many messages in one session");
        }
        match params::check_mail(&sender, &params, self.extended, &self.options.limits) {
            Err(reply) => self.say_refusal(&reply),
            Ok(()) => {
                self.utf8 = params.iter().any(|param| param.keyword == "SMTPUTF8");
                self.ask(Asked::Mail, Event::Mail { sender, params });
            }
        }
    }

    fn rcpt(&mut self, path: model::ForwardPath, params: Vec<Param>) {
        let State::Recipients { taken } = self.state else {
            return self.out_of_order("MAIL comes first");
        };
        if let Err(reply) = params::check_rcpt(&path, &params, self.extended, self.utf8) {
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
            //= RFC 5321 section 3.3: DATA without a recipient that was taken is 554 (or 503).
            State::Recipients { taken: 0 } => {
                self.say_refusal(&Reply::new(554, (5, 5, 1), "no valid recipients"))
            }
            State::Recipients { .. } => self.ask(Asked::Data, Event::Data),
            _ => self.out_of_order("MAIL and RCPT come first"),
        }
    }

    fn out_of_order(&mut self, why: &str) {
        self.say_refusal(&Reply::new(503, (5, 5, 1), why));
    }

    /// Ends the transaction under way, if there is one.
    fn reset(&mut self) {
        if matches!(self.state, State::Recipients { .. }) {
            self.state = State::Ready;
            self.events.push_back(Event::Reset(ResetReason::Client));
        }
    }

    /// The answer was positive.
    pub(super) fn proceed(&mut self, asked: Asked, reply: Option<Reply>) {
        let usual = match asked {
            Asked::Connect => Reply::plain(220, format!("{} ESMTP", self.options.hostname)),
            Asked::Hello { extended } => {
                self.extended = extended;
                self.hello_reply(extended)
            }
            Asked::Mail => Reply::new(250, (2, 1, 0), "sender ok"),
            Asked::Rcpt { .. } => Reply::new(250, (2, 1, 5), "recipient ok"),
            Asked::Data => Reply::plain(354, "go ahead; end with a line that is one dot"),
            Asked::Message => Reply::new(250, (2, 0, 0), "ok"),
        };
        self.state = match asked {
            Asked::Connect => State::Greeted,
            Asked::Hello { .. } | Asked::Message => State::Ready,
            Asked::Mail => State::Recipients { taken: 0 },
            Asked::Rcpt { taken } => State::Recipients { taken: taken + 1 },
            Asked::Data => State::Content(Box::new(Reception::new(&self.options))),
        };
        match asked {
            Asked::Mail => self.transactions += 1,
            Asked::Data => self.deadline = self.now + self.options.limits.data_timeout,
            Asked::Message => self.idle_commands = 0,
            _ => {}
        }
        // EHLO's lines are its own, and 354 is fixed: clients read them by machine.
        let reply = match (asked, reply) {
            (Asked::Hello { .. } | Asked::Data, _) | (_, None) => usual,
            (_, Some(reply)) => reply,
        };
        self.say(&reply);
    }

    /// The answer was negative.
    pub(super) fn refuse(&mut self, asked: Asked, reply: Reply) {
        match asked {
            Asked::Connect => {
                self.say(&reply);
                return self.close(CloseReason::Refused);
            }
            Asked::Message => self.state = State::Ready,
            Asked::Data => {
                self.state = State::Ready;
                self.events.push_back(Event::Reset(ResetReason::Content));
            }
            Asked::Hello { .. } => self.state = State::Greeted,
            Asked::Mail | Asked::Rcpt { .. } => {}
        }
        self.say_refusal(&reply);
    }

    fn hello_reply(&self, extended: bool) -> Reply {
        let mut lines = vec![self.options.hostname.clone()];
        if extended {
            lines.extend(self.options.announced());
        }
        Reply::plain(250, lines.join("\n"))
    }
}

/// Commands of a transaction; the others are counted.
fn leads_to_a_message(command: &Command) -> bool {
    matches!(command, Command::Mail { .. } | Command::Rcpt { .. } | Command::Data | Command::Quit)
}

fn syntax_reply(error: &CommandError) -> Reply {
    match error {
        CommandError::Unknown => Reply::new(500, (5, 5, 2), error.to_string()),
        CommandError::Characters => Reply::new(500, (5, 5, 2), error.to_string()),
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
