//! An SMTP client that says anything, in any order and in any pieces, and a model of what it must hear.
//!
//! The model is written from RFC 5321 (4.1.4 the order of commands, 4.3.2 the codes of each) and RFC 3030, not from the server. It knows
//! of every command whether it is taken, in the state in which it comes; so a whole session can be sent without waiting, and the replies
//! compared afterwards. What was taken has to be in the mailbox once, whole, and nothing else.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::seed;
use crate::harness::{Setup, Smtp, numbered, proved, wait_until};

/// Sessions of the short form; TORTURE_SESSIONS says another number.
const SESSIONS: usize = 300;

/// What the server knows of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connected,
    Greeted,
    Mail,
    Rcpt,
    /// Some chunks came; the message is whole with the last one.
    Chunks,
    Over,
}

/// What is said, and the codes one of which must be heard.
#[derive(Debug)]
struct Step {
    octets: Vec<u8>,
    codes: &'static [u16],
}

/// A session as it is made up.
struct Author {
    rng: StdRng,
    state: State,
    steps: Vec<Step>,
    /// Ids of messages that must arrive.
    taken: Vec<String>,
    /// Of the chunks so far.
    chunked: Vec<u8>,
    label: String,
    messages: usize,
}

impl Author {
    fn new(seed: u64, label: String) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            rng,
            state: State::Connected,
            steps: Vec::new(),
            taken: Vec::new(),
            chunked: Vec::new(),
            label,
            messages: 0,
        }
    }

    /// A session of so many commands, and QUIT.
    fn write(mut self, commands: usize) -> Self {
        // Most begin as they should.
        if self.rng.random_range(0..5) > 0 {
            self.line("EHLO client.example.com", &[250]);
            self.state = State::Greeted;
        }
        for _ in 0..commands {
            self.command();
        }
        let in_any_case = ["QUIT", "quit", "QuIt"].choose(&mut self.rng).copied().unwrap_or("QUIT");
        self.line(in_any_case, &[221]);
        self.state = State::Over;
        self
    }

    fn line(&mut self, line: &str, codes: &'static [u16]) {
        self.steps.push(Step { octets: format!("{line}\r\n").into_bytes(), codes });
    }

    fn command(&mut self) {
        match self.rng.random_range(0..100) {
            0..8 => self.greeting(),
            8..30 => self.mail(),
            30..55 => self.rcpt(),
            55..72 => self.data(),
            72..82 => self.chunk(),
            82..86 => self.reset(),
            _ => self.other(),
        }
    }

    //= RFC 5321 section 4.1.4: EHLO and HELO may come at any time, and begin anew.
    fn greeting(&mut self) {
        match self.rng.random_range(0..4) {
            0 => return self.line("EHLO", &[501]),
            1 => self.line("HELO client.example.com", &[250]),
            2 => self.line("EHLO [192.0.2.1]", &[250]),
            _ => self.line("ehlo client.example.com", &[250]),
        }
        self.state = State::Greeted;
        self.chunked.clear();
    }

    fn mail(&mut self) {
        let is_good = self.rng.random_range(0..5) > 0;
        let line = if is_good {
            [
                "MAIL FROM:<ann@example.com>",
                "MAIL FROM:<>",
                "mail from:<ann@example.com>",
                "MAIL FROM:<\"a b\"@example.com>",
            ]
        } else {
            [
                "MAIL FROM:<ann@@example.com>",
                "MAIL FROM:<ann@example.com",
                "MAIL TO:<ann@example.com>",
                "MAIL FROM:<a..b@example.com>",
            ]
        };
        let line = line.choose(&mut self.rng).copied().unwrap_or_default();
        match self.state {
            State::Greeted if is_good => {
                self.line(line, &[250]);
                self.state = State::Mail;
            }
            State::Greeted => self.line(line, &[501, 553]),
            // What cannot be read may be said to be so before it is said to be out of order.
            _ => self.line(line, if is_good { &[503] } else { &[501, 503, 553] }),
        }
    }

    fn rcpt(&mut self) {
        let (line, codes): (_, &'static [u16]) = match self.rng.random_range(0..8) {
            0 => ("RCPT TO:<nobody@example.org>", &[550]),
            1 => ("RCPT TO:<bob@elsewhere.example>", &[550, 551, 554]),
            2 => ("RCPT TO:<alice@example.org", &[501, 553]),
            3 => ("RCPT TO:<>", &[501, 550, 553]),
            4 => ("rcpt to:<ALICE@example.org>", &[250]),
            _ => ("RCPT TO:<alice@example.org>", &[250]),
        };
        match self.state {
            State::Mail | State::Rcpt => {
                self.line(line, codes);
                if codes == [250] {
                    self.state = State::Rcpt;
                }
            }
            _ => self.line(line, &[501, 503, 553]),
        }
    }

    fn data(&mut self) {
        match self.state {
            State::Rcpt => {}
            //= RFC 5321 section 4.1.1.4: without a valid recipient 503 or 554.
            _ => return self.line("DATA", &[503, 554]),
        }
        self.line("DATA", &[354]);
        let (mut content, id) = self.message();
        let is_whole = self.rng.random_range(0..6) > 0;
        if !is_whole {
            // A lone line end somewhere, with a dot behind it as those have it who smuggle.
            let bare = ["\n.\n", "\r.\r\n", "\n.\r\n", "\rx"].choose(&mut self.rng).copied().unwrap_or("\n");
            let at = self.rng.random_range(0..content.len());
            // Neither half of a CRLF becomes one of its own by chance.
            if content.as_bytes()[at] != b'\n' && (at == 0 || content.as_bytes()[at - 1] != b'\r') {
                content.insert_str(at, bare);
            } else {
                content.insert_str(0, "x\ny");
            }
        }
        let codes: &[u16] = if is_whole { &[250] } else { &[550, 554] };
        self.steps.push(Step { octets: format!("{content}.\r\n").into_bytes(), codes });
        if is_whole {
            self.taken.push(id);
        }
        self.state = State::Greeted;
    }

    fn message(&mut self) -> (String, String) {
        self.messages += 1;
        let id = format!("{}-{}", self.label, self.messages);
        let octets = self.rng.random_range(0..3000);
        (numbered(&id, octets), id)
    }

    /// BDAT. Its octets follow whatever is answered, and none of them is a command.
    fn chunk(&mut self) {
        let (content, id) = self.message();
        let is_last = self.rng.random_range(0..3) > 0;
        let cut = if is_last { content.len() } else { self.rng.random_range(0..content.len()) };
        // A CR at the end of a chunk would stand alone in front of the next one.
        let chunk = content[..cut].trim_end_matches('\r').as_bytes();
        let mut octets =
            format!("BDAT {}{}\r\n", chunk.len(), if is_last { " LAST" } else { "" }).into_bytes();
        octets.extend_from_slice(chunk);
        let codes: &[u16] = match self.state {
            State::Rcpt | State::Chunks => &[250],
            _ => &[503, 554],
        };
        match (self.state, is_last) {
            // A message of its own begins the chunk; what was sent before it is in front of it.
            (State::Rcpt, true) => {
                self.taken.push(id);
                self.state = State::Greeted;
            }
            (State::Chunks, true) => {
                self.chunked.extend_from_slice(chunk);
                self.taken.push(format!("{id} behind {} octets", self.chunked.len() - chunk.len()));
                self.state = State::Greeted;
            }
            (State::Rcpt | State::Chunks, false) => {
                self.chunked.extend_from_slice(chunk);
                self.state = State::Chunks;
            }
            _ => {}
        }
        if self.state != State::Chunks {
            self.chunked.clear();
        }
        self.steps.push(Step { octets, codes });
    }

    fn reset(&mut self) {
        self.line("RSET", &[250]);
        self.chunked.clear();
        if self.state != State::Connected {
            self.state = State::Greeted;
        }
    }

    /// Commands that change nothing, and what is none.
    fn other(&mut self) {
        let (line, codes): (_, &'static [u16]) = match self.rng.random_range(0..12) {
            0 => ("NOOP", &[250]),
            1 => ("NOOP with words", &[250]),
            2 => ("HELP", &[211, 214]),
            3 => ("VRFY alice", &[252, 250]),
            4 => ("EXPN staff", &[502, 252]),
            5 => ("XYZZY", &[500]),
            6 => ("", &[500]),
            7 => ("DATA now", &[501, 503]),
            8 => ("RSET now", &[501]),
            9 | 10 => ("TURN", &[500, 502]),
            _ => {
                let long = format!("NOOP {}", "x".repeat(self.rng.random_range(2100..9000)));
                return self.line(&long, &[500]);
            }
        };
        self.line(line, codes);
    }
}

/// Sends a session in pieces of any size, and compares what comes back.
fn hold(setup: &Setup, address: std::net::SocketAddr, author: &mut Author) {
    let mut client = Smtp::connect(address);
    client.hears("220");
    let wire: Vec<u8> = author.steps.iter().flat_map(|step| step.octets.iter().copied()).collect();
    let (mut at, mut heard) = (0, 0);
    // Not more on its way than both sides' buffers hold, as nobody reads replies meanwhile.
    let mut sent_of_step = 0;
    while at < wire.len() {
        let to = wire.len().min(at + author.rng.random_range(1..4000));
        client.raw(&wire[at..to]);
        at = to;
        while heard < author.steps.len() && sent_of_step + author.steps[heard].octets.len() <= at {
            sent_of_step += author.steps[heard].octets.len();
            let (step, reply) = (&author.steps[heard], client.next_reply());
            let code = reply.as_ref().map(|reply| reply.code);
            let said = String::from_utf8_lossy(&step.octets[..step.octets.len().min(120)]).into_owned();
            assert!(
                code.is_some_and(|code| step.codes.contains(&code)),
                "{}: {said:?} is answered {reply:?} and not {:?}; before it:\n{}\n{}",
                author.label,
                step.codes,
                history(&author.steps[..heard]),
                setup.path("").display()
            );
            heard += 1;
        }
    }
    client.hears_the_end();
}

fn history(steps: &[Step]) -> String {
    let lines = steps.iter().map(|step| {
        let octets = &step.octets[..step.octets.len().min(60)];
        format!("{:?} {:?}", String::from_utf8_lossy(octets), step.codes)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn random_sessions_hear_what_the_model_says() {
    let sessions = std::env::var("TORTURE_SESSIONS").map_or(SESSIONS, |text| text.parse().expect("a number"));
    let seed = seed();
    println!("TORTURE_SEED={seed} TORTURE_SESSIONS={sessions}");
    let setup = Setup::new()
        .set("limits", "errors = 1000000")
        .set("limits", "idle-commands = 1000000")
        .set("limits", "tarpit-delay = \"0s\"");
    let server = setup.start();
    let mut expected = BTreeSet::new();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut commands = 0;
    for nth in 0..sessions {
        let length = rng.random_range(1..40);
        let mut author = Author::new(rng.random(), format!("session-{nth}")).write(length);
        commands += author.steps.len();
        hold(&setup, server.address(), &mut author);
        expected.extend(author.taken);
    }
    let mut arrived = BTreeSet::new();
    wait_until("the messages to arrive", || setup.mailbox("alice").octets().len() >= expected.len());
    server.stops();
    for message in setup.mailbox("alice").messages() {
        // What stands in front of the last chunk is a part of another message.
        let id = proved(&message[message.rfind("Subject: ledger").unwrap_or(0)..]);
        assert!(arrived.insert(id.clone()), "{id} is there twice");
    }
    let expected: BTreeSet<String> =
        expected.iter().map(|id| id.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(arrived, expected);
    println!("{sessions} sessions, {commands} commands, {} messages taken", expected.len());
}
