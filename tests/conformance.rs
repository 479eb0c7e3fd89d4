//! Dialogues from `conformance/*.smtp`, held with the real server.
//!
//! | line | means |
//! |---|---|
//! | `C: text` | the client sends the text and CRLF |
//! | `R: text` | the client sends the text alone |
//! | `S: 250 2.1.0` | the next reply begins so |
//! | `S*9: 250 2.1.0` | the next nine replies do |
//! | `S: 250 ... text` | it begins so, and has this text somewhere |
//! | `S: end` | the server closes the connection |
//! | `delivered: 1 text` | in the end alice has one message more, with this text; `\n` is its line end |
//! | `config: [limits] errors = 3` | a line of the configuration, before the server starts |
//!
//! In what the client sends, `\r \n \t \0 \\ \xHH` are octets and `{a*300}` is an `a` 300 times. A line that begins with `#` says why.

use std::path::{Path, PathBuf};

use crate::harness::{Setup, Smtp};

#[derive(Clone)]
enum Step {
    Sends(Vec<u8>),
    Hears { start: String, within: String },
    HearsTheEnd,
    Delivered { count: usize, text: String },
}

struct Dialogue {
    config: Vec<(String, String)>,
    /// With the number of its line.
    steps: Vec<(usize, Step)>,
}

#[test]
fn every_dialogue_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let entries = std::fs::read_dir(folder).expect("the dialogues");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a dialogue").path()).collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let faults: Vec<String> = files.iter().filter_map(|file| hold(file).err()).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Holds one dialogue with a server of its own.
fn hold(file: &Path) -> Result<(), String> {
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).expect("a dialogue");
    let dialogue = read(&text).unwrap_or_else(|(line, e)| panic!("{name}:{line}: {e}"));
    let mut setup = Setup::new();
    for (table, line) in &dialogue.config {
        setup.change(table, line);
    }
    let server = setup.start();
    let mut client = Smtp::connect(server.address());
    for (line, step) in &dialogue.steps {
        let fault = |text: String| Err(format!("{name}:{line}: {text}"));
        match step {
            Step::Sends(octets) => {
                if !client.try_raw(octets) {
                    return fault("the server has closed the connection".to_owned());
                }
            }
            Step::Hears { start, within } => match client.next_reply() {
                Some(reply) if reply.begins(start) && reply.text.contains(within.as_str()) => {}
                Some(reply) => {
                    return fault(format!(
                        "expected {start} {within:?}, heard {} {}",
                        reply.code, reply.text
                    ));
                }
                None => return fault(format!("expected {start}, the server closed the connection")),
            },
            Step::HearsTheEnd => {
                if let Some(reply) = client.next_reply() {
                    return fault(format!("expected the end, heard {} {}", reply.code, reply.text));
                }
            }
            Step::Delivered { count, text } => {
                let messages = setup.mailbox("alice").wait(*count);
                if !messages.iter().all(|message| message.contains(text.as_str())) {
                    return fault(format!("expected {text:?} in {messages:#?}"));
                }
            }
        }
    }
    // What was never to arrive has not arrived either when the server has finished its work.
    let expected = dialogue.steps.iter().rev().find_map(|(_, step)| match step {
        Step::Delivered { count, .. } => Some(*count),
        _ => None,
    });
    drop(client);
    server.stops();
    setup.mailbox("alice").wait(expected.unwrap_or(0));
    Ok(())
}

fn read(text: &str) -> Result<Dialogue, (usize, String)> {
    let mut dialogue = Dialogue { config: Vec::new(), steps: Vec::new() };
    for (nth, line) in text.lines().enumerate() {
        let bad = |what: &str| (nth + 1, format!("{what}: {line:?}"));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (kind, rest) = line.split_once(':').ok_or_else(|| bad("no colon"))?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (kind, times) = kind.split_once('*').unwrap_or((kind, "1"));
        let times: usize = times.parse().map_err(|_| bad("a number"))?;
        let step = match kind {
            "C" => Step::Sends([octets(rest).ok_or_else(|| bad("an escape"))?, b"\r\n".to_vec()].concat()),
            "R" => Step::Sends(octets(rest).ok_or_else(|| bad("an escape"))?),
            "S" if rest == "end" => Step::HearsTheEnd,
            "S" => {
                let (start, within) = rest.split_once(" ... ").unwrap_or((rest, ""));
                Step::Hears { start: start.to_owned(), within: within.to_owned() }
            }
            "delivered" => {
                let (count, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let count = count.parse().map_err(|_| bad("a number"))?;
                Step::Delivered { count, text: text.replace("\\n", "\n") }
            }
            "config" => {
                let table = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.rsplit_once("] "))
                    .ok_or_else(|| bad("a table"))?;
                dialogue.config.push((table.0.to_owned(), table.1.to_owned()));
                continue;
            }
            _ => return Err(bad("a line of no kind")),
        };
        dialogue.steps.extend(std::iter::repeat_n((nth + 1, step), times));
    }
    Ok(dialogue)
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
