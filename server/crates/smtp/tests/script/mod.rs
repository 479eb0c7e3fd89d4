//! Reads dialogues: `../dialogues/*/*.smtp`, each a transcript that shows one behaviour.
//!
//! The same files are held with the session in memory (`../dialogues.rs`) and with the real server over a socket (the end-to-end tests).
//!
//! | line | means |
//! |---|---|
//! | `C: text` | the client sends the text and CRLF |
//! | `R: text` | the client sends the text alone |
//! | `S: 250 2.1.0` | the next reply begins so |
//! | `S*9: 250 2.1.0` | the next nine replies do |
//! | `S: 250 ... text ... !other` | it begins so, has one text somewhere, and has not the other |
//! | `S: end` | the server closes the connection |
//! | `tls: handshake` | the TLS handshake is made |
//! | `delivered: 1 text` | in the end alice has so many messages, each with this text; `\n` is its line end |
//! | `stamped: text` | each has this text in what a server writes on top; in memory that is Return-Path alone |
//! | `config: [limits] errors = 3` | a line of the configuration, before the server starts |
//! | `user: ann@example.org secret` | somebody who may authenticate |
//! | `only: server` | not held in memory; `only: session`: not over a socket. A comment says why |
//!
//! There are the mailboxes alice, bob, carol and dave at example.org; nobody may relay. In what the client sends, `\r \n \t \0 \\ \xHH`
//! are octets and `{a*300}` is an `a` 300 times. A line that begins with `#` says why.

use std::path::{Path, PathBuf};

/// One line that does something.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Sends(Vec<u8>),
    Hears(Expected),
    HearsTheEnd,
    Handshake,
    Delivered { count: usize, text: String },
    Stamped(String),
}

/// What a reply must be like.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    start: String,
    within: Vec<String>,
    without: Vec<String>,
}

impl Expected {
    /// Whether a reply is so: its code, a blank, and its lines without their codes.
    pub(crate) fn fits(&self, reply: &str) -> bool {
        reply.starts_with(&self.start)
            && self.within.iter().all(|text| reply.contains(text))
            && !self.without.iter().any(|text| reply.contains(text))
    }
}

/// Where a dialogue can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Session,
    Server,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Dialogue {
    /// Its folder and name, without the extension.
    pub(crate) name: String,
    /// Table and line.
    pub(crate) config: Vec<(String, String)>,
    /// Name and password.
    pub(crate) users: Vec<(String, String)>,
    only: Option<Place>,
    /// With the number of its line.
    pub(crate) steps: Vec<(usize, Step)>,
}

/// Every dialogue that can be held there, by name.
pub(crate) fn dialogues(folder: &Path, place: Place) -> Vec<Dialogue> {
    let mut files: Vec<PathBuf> = entries(folder).iter().flat_map(|topic| entries(topic)).collect();
    files.sort();
    assert!(files.len() > 150, "{files:?}");
    let all = files.iter().map(|file| {
        let name = file.strip_prefix(folder).expect("a file below").with_extension("").display().to_string();
        let text = std::fs::read_to_string(file).expect("a dialogue");
        read(&name, &text).unwrap_or_else(|(line, e)| panic!("{name}:{line}: {e}"))
    });
    all.filter(|dialogue| dialogue.only.is_none_or(|only| only == place)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn read(name: &str, text: &str) -> Result<Dialogue, (usize, String)> {
    let mut dialogue = Dialogue {
        name: name.to_owned(),
        config: Vec::new(),
        users: Vec::new(),
        only: None,
        steps: Vec::new(),
    };
    for (nth, line) in text.lines().enumerate() {
        if !line.is_empty() && !line.starts_with('#') {
            dialogue.line(nth + 1, line).map_err(|what| (nth + 1, format!("{what}: {line:?}")))?;
        }
    }
    Ok(dialogue)
}

impl Dialogue {
    fn line(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        let (kind, rest) = line.split_once(':').ok_or("no colon")?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (kind, times) = kind.split_once('*').unwrap_or((kind, "1"));
        let times: usize = times.parse().map_err(|_| "a number")?;
        match kind {
            "config" => {
                let line = rest.strip_prefix('[').and_then(|rest| rest.rsplit_once("] ")).ok_or("a table")?;
                self.config.push((line.0.to_owned(), line.1.to_owned()));
            }
            "user" => {
                let (name, password) = rest.split_once(' ').ok_or("a name and a password")?;
                self.users.push((name.to_owned(), password.to_owned()));
            }
            "only" => {
                self.only = Some(match rest {
                    "session" => Place::Session,
                    "server" => Place::Server,
                    _ => return Err("session or server"),
                });
            }
            _ => {
                let step = step(kind, rest)?;
                self.steps.extend(std::iter::repeat_n((number, step), times));
            }
        }
        Ok(())
    }

    /// How many messages alice has in the end.
    pub(crate) fn delivered(&self) -> usize {
        let count = |step: &(usize, Step)| match step.1 {
            Step::Delivered { count, .. } => Some(count),
            _ => None,
        };
        self.steps.iter().rev().find_map(count).unwrap_or(0)
    }
}

fn step(kind: &str, rest: &str) -> Result<Step, &'static str> {
    match kind {
        "C" => Ok(Step::Sends([octets(rest).ok_or("an escape")?, b"\r\n".to_vec()].concat())),
        "R" => octets(rest).map(Step::Sends).ok_or("an escape"),
        "S" if rest == "end" => Ok(Step::HearsTheEnd),
        "S" => {
            let mut parts = rest.split(" ... ");
            let start = parts.next().unwrap_or_default().to_owned();
            let (without, within): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with('!'));
            let within = within.into_iter().map(str::to_owned).collect();
            let without = without.into_iter().map(|part| part[1..].to_owned()).collect();
            Ok(Step::Hears(Expected { start, within, without }))
        }
        "tls" if rest == "handshake" => Ok(Step::Handshake),
        "delivered" => {
            let (count, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let count = count.parse().map_err(|_| "a number")?;
            Ok(Step::Delivered { count, text: text.replace("\\n", "\n") })
        }
        "stamped" => Ok(Step::Stamped(rest.to_owned())),
        _ => Err("a line of no kind"),
    }
}

/// The octets that a text with escapes stands for.
fn octets(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\\' => {
                let (octet, len) = match rest.as_bytes().get(1)? {
                    b'r' => (b'\r', 2),
                    b'n' => (b'\n', 2),
                    b't' => (b'\t', 2),
                    b'0' => (0, 2),
                    b'\\' => (b'\\', 2),
                    b'x' => (u8::from_str_radix(rest.get(2..4)?, 16).ok()?, 4),
                    _ => return None,
                };
                out.push(octet);
                len
            }
            '{' => {
                let (inner, _) = rest[1..].split_once('}')?;
                let (repeated, count) = inner.rsplit_once('*')?;
                out.extend(octets(repeated)?.repeat(count.parse().ok()?));
                inner.len() + 2
            }
            c => {
                out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    Some(out)
}
