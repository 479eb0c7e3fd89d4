//! Makes lines of the octets of both sides, and knows which of them nobody is to see.
//!
//! It decides nothing for the session; it follows along, and where it is in doubt it shows less.

use crate::hub::Who;

/// Octets of a line that are shown.
const LINE_OCTETS: usize = 1_000;
/// Octets of a message's content that are shown.
const CONTENT_OCTETS: usize = 2 << 10;

/// Commands. A line that begins with none of them may be anything, a password too.
const VERBS: [&str; 18] = [
    "AUTH", "BDAT", "DATA", "EHLO", "ETRN", "EXPN", "HELO", "HELP", "LHLO", "MAIL", "NOOP", "QUIT", "RCPT",
    "RSET", "STARTTLS", "TURN", "VRFY", "XCLIENT",
];

/// What the client's next octets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nobody listened before: not known until the server speaks.
    Joining,
    Commands,
    /// After DATA.
    Content {
        octets: u64,
    },
    /// After BDAT.
    Chunk {
        left: u64,
        octets: u64,
    },
    /// After AUTH, until its own reply; so many replies come before that.
    Secrets {
        before: usize,
    },
}

/// A line that is coming in.
#[derive(Debug, Default)]
struct Incoming {
    kept: Vec<u8>,
    /// All of it, with what was not kept.
    octets: u64,
}

impl Incoming {
    /// Takes octets up to the end of the line; gives back what is behind it, and whether it ended.
    fn take<'a>(&mut self, octets: &'a [u8]) -> (&'a [u8], bool) {
        let (line, rest, ended) = match octets.iter().position(|octet| *octet == b'\n') {
            Some(end) => (&octets[..=end], &octets[end + 1..], true),
            None => (octets, &[][..], false),
        };
        self.octets += line.len() as u64;
        let room = (LINE_OCTETS + 2).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&line[..line.len().min(room)]);
        (rest, ended)
    }

    /// The line without its end, and how many octets it had.
    fn finish(&mut self) -> (String, u64) {
        let (kept, octets) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.octets));
        let end = kept.iter().rposition(|octet| !matches!(octet, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let mut text = String::from_utf8_lossy(&kept[..end]).into_owned();
        if octets > kept.len() as u64 {
            text.push_str(&format!(" ... ({octets} octets)"));
        }
        (text, octets)
    }
}

#[derive(Debug)]
pub(crate) struct Follower {
    mode: Mode,
    /// Replies that the client waits for.
    due: usize,
    client: Incoming,
    server: Incoming,
}

impl Follower {
    /// `from_the_start`: nothing was said yet, and the server greets.
    pub(crate) fn new(from_the_start: bool) -> Self {
        let (mode, due) = if from_the_start { (Mode::Commands, 1) } else { (Mode::Joining, 0) };
        Self { mode, due, client: Incoming::default(), server: Incoming::default() }
    }

    /// A handshake was made after STARTTLS: what was said in the clear is forgotten.
    pub(crate) fn secured(&mut self) {
        *self = Self { mode: Mode::Commands, due: 0, ..Self::new(true) };
    }

    /// What the client said.
    pub(crate) fn client(&mut self, mut octets: &[u8], say: &mut impl FnMut(Who, String)) {
        while !octets.is_empty() {
            match &mut self.mode {
                Mode::Joining => return,
                Mode::Chunk { left, octets: shown } => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(octets.len());
                    let (piece, rest) = octets.split_at(count);
                    *left -= count as u64;
                    let (all_there, so_far) = (*left == 0, *shown);
                    *shown += count as u64;
                    octets = rest;
                    show_content(piece, so_far, say);
                    if all_there {
                        self.mode = Mode::Commands;
                    }
                }
                _ => {
                    let (rest, ended) = self.client.take(octets);
                    octets = rest;
                    if ended {
                        let (line, octets) = self.client.finish();
                        self.client_line(line, octets, say);
                    }
                }
            }
        }
    }

    fn client_line(&mut self, line: String, octets: u64, say: &mut impl FnMut(Who, String)) {
        match &mut self.mode {
            Mode::Content { octets: so_far } => {
                if line == "." && octets <= 3 {
                    say(Who::Client, format!(". ({so_far} octets of content)"));
                    self.mode = Mode::Commands;
                    self.due += 1;
                    return;
                }
                let before = *so_far;
                *so_far += octets;
                if before < CONTENT_OCTETS as u64 {
                    say(Who::Client, line);
                    if *so_far >= CONTENT_OCTETS as u64 {
                        say(Who::Note, "the rest of the content is left out".to_owned());
                    }
                }
            }
            Mode::Secrets { .. } if line == "*" => say(Who::Client, line),
            Mode::Secrets { .. } => say(Who::Client, format!("({octets} octets of credentials)")),
            _ => self.command(&line, octets, say),
        }
    }

    fn command(&mut self, line: &str, octets: u64, say: &mut impl FnMut(Who, String)) {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let argument = words.next();
        let before = self.due;
        self.due += 1;
        match verb.as_str() {
            "AUTH" => {
                let with = if words.next().is_some() { " (credentials)" } else { "" };
                say(Who::Client, format!("AUTH {}{with}", argument.unwrap_or_default()));
                self.mode = Mode::Secrets { before };
            }
            "BDAT" => {
                say(Who::Client, line.to_owned());
                if let Some(left) = argument.and_then(|text| text.parse().ok()).filter(|left| *left > 0) {
                    self.mode = Mode::Chunk { left, octets: 0 };
                }
            }
            verb if VERBS.contains(&verb) => say(Who::Client, line.to_owned()),
            _ => say(Who::Client, format!("({octets} octets that are no command)")),
        }
    }

    /// What the server said.
    pub(crate) fn server(&mut self, mut octets: &[u8], say: &mut impl FnMut(Who, String)) {
        while !octets.is_empty() {
            let (rest, ended) = self.server.take(octets);
            octets = rest;
            if ended {
                let (line, _) = self.server.finish();
                self.server_line(line, say);
            }
        }
    }

    fn server_line(&mut self, line: String, say: &mut impl FnMut(Who, String)) {
        let (code, is_last) =
            (line.get(..3).unwrap_or_default().to_owned(), line.as_bytes().get(3) != Some(&b'-'));
        match code.as_str() {
            "334" => say(Who::Server, "334 (a challenge)".to_owned()),
            _ => say(Who::Server, line),
        }
        if !is_last {
            return;
        }
        match (code.as_str(), &mut self.mode) {
            // The exchange goes on.
            ("334", Mode::Secrets { .. }) => {}
            ("334", mode) => *mode = Mode::Secrets { before: 0 },
            ("354", mode) => {
                *mode = Mode::Content { octets: 0 };
                self.due = self.due.saturating_sub(1);
            }
            (_, mode) => {
                match mode {
                    Mode::Secrets { before: before @ 1.. } => *before -= 1,
                    Mode::Secrets { .. } | Mode::Joining => *mode = Mode::Commands,
                    _ => {}
                }
                self.due = self.due.saturating_sub(1);
            }
        }
    }
}

/// A piece of a chunk, of which so much was there before.
fn show_content(piece: &[u8], before: u64, say: &mut impl FnMut(Who, String)) {
    let room = (CONTENT_OCTETS as u64).saturating_sub(before);
    if room == 0 {
        return;
    }
    let shown = &piece[..piece.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
    for line in shown.split_inclusive(|octet| *octet == b'\n') {
        let cut = &line[..line.len().min(LINE_OCTETS)];
        say(Who::Client, String::from_utf8_lossy(cut).trim_end_matches(['\r', '\n']).to_owned());
    }
    if piece.len() as u64 >= room {
        say(Who::Note, "the rest of the content is left out".to_owned());
    }
}
