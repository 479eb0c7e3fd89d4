//! What the book and the other papers tell to type is typed, against a server that runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::pages::{blocks, pages, root, spans};
use crate::harness::{Api, Server, Setup, component, message, run, run_with_input};

/// A place for commands of the book: a server with a message that has arrived, an API and the files that the pages name.
struct Place {
    setup: Setup,
    server: Server,
    /// What stands before each block: the binary on the path, and what the reader has.
    before: String,
}

impl Place {
    fn new() -> Self {
        let (setup, looks) = Setup::new().answers_over_http().token("looks", &["--scope", "read"]);
        let setup = setup.block("[[user]]\nname = \"shop@example.org\"\n");
        let (setup, sends) = setup.token("sends", &["--scope", "send", "--user", "shop@example.org"]);
        let server = setup.start();
        server.client().sends("ann@example.com", &["alice@example.org"], message("before"));
        setup.mailbox("alice").with("Subject: before");
        fs::copy(component("tag-headers"), setup.path("my.wasm")).expect("a plugin");
        let suite = "plugin = \"my.wasm\"\n[[case]]\nname = \"nothing is asked\"\nsteps = [ { mail = \"ann@example.com\" } ]\n";
        for name in ["plugin-test.toml", "other.toml"] {
            fs::write(setup.path(name), suite).expect("a suite");
        }
        fs::write(setup.path("letter.eml"), message("letter")).expect("a message");
        let program = setup.binary().get_program().to_owned();
        let bin = Path::new(&program).parent().expect("a folder").display().to_string();
        let before = format!(
            "set -eu\nPATH={bin}:$PATH\nLISTENER={}\nLOOKS={looks}\nSENDS={sends}\ncurl() {{ command curl -sS --fail-with-body \"$@\"; }}\n",
            server.address()
        );
        Self { setup, server, before }
    }

    /// Runs a block.
    ///
    /// # Errors
    /// What it said, when it did not succeed.
    fn runs(&self, text: &str) -> Result<(), String> {
        let api = Api::of(&self.server, "").address.to_string();
        let token = if text.contains("/v1/messages") { "SENDS" } else { "LOOKS" };
        let script = format!("{}TOKEN=${token}\n{}", self.before, text.replace("127.0.0.1:9026", &api));
        let mut shell = Command::new("bash");
        shell.current_dir(self.setup.path("")).env("NO_COLOR", "1");
        let output = run_with_input(&mut shell, script.as_bytes());
        match output.code {
            0 => Ok(()),
            code => Err(format!("exit code {code}:\n{text}{}{}", output.out, output.err)),
        }
    }
}

#[test]
fn every_command_in_the_book_runs_or_says_why_it_does_not() {
    let place = Place::new();
    let mut faults = Vec::new();
    for (name, text) in pages() {
        for block in blocks(&text) {
            // Each tutorial is followed from its first line to its last, in `languages`.
            let is_followed = name.starts_with("plugins/first-plugin-");
            let ended = match block.is_run() {
                Ok(true) if !is_followed => place.runs(&block.text),
                Ok(_) => Ok(()),
                Err(fault) => Err(fault),
            };
            faults.extend(ended.err().map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    place.setup.mailbox("alice").wait(3);
}

#[test]
fn the_other_papers_have_no_command_that_nobody_runs() {
    let mut faults = Vec::new();
    // The README is walked in `readme`.
    let mut papers = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "wit/README.md"]
        .map(|name| root().join(name))
        .to_vec();
    for folder in fs::read_dir(root().join("plugins")).expect("the plugins") {
        papers.extend(Some(folder.expect("an entry").path().join("README.md")).filter(|page| page.is_file()));
    }
    for name in papers {
        let text = fs::read_to_string(&name).expect("a paper");
        let name = name.display();
        for block in blocks(&text) {
            match block.is_run() {
                Ok(false) => {}
                Ok(true) => faults.push(format!("{name}: nobody runs this:\n{}", block.text)),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// The command that a span names: the words of it, and the options.
fn command(span: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let mut words = span.split_whitespace();
    let first = words.next()?;
    if first != "waxwing" && !first.ends_with("/waxwing") {
        return None;
    }
    let words: Vec<&str> = words.collect();
    let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let named = words.iter().take_while(is_name).filter(|word| !word.starts_with('-'));
    let options = words.iter().filter(|word| word.starts_with("--"));
    Some((named.copied().collect(), options.map(|word| word.split('=').next().unwrap_or(word)).collect()))
}

#[test]
fn every_command_in_a_sentence_is_one_and_has_the_options_that_it_is_given() {
    let setup = Setup::new();
    let folder = setup.path("manual");
    fs::create_dir_all(&folder).expect("a folder");
    assert_eq!(run(setup.binary().arg("manual").arg(&folder)).code, 0);
    let page = |words: &[&str]| {
        let name = ["waxwing"].iter().chain(words).copied().collect::<Vec<_>>().join("-");
        fs::read_to_string(folder.join(format!("{name}.1"))).ok()
    };
    let papers = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"]
        .map(|name| (name.to_owned(), fs::read_to_string(root().join(name)).expect("a paper")));
    let (mut faults, mut count) = (Vec::new(), 0);
    for (name, text) in pages().into_iter().chain(papers) {
        for span in spans(&text) {
            let Some((words, options)) = command(&span) else { continue };
            count += 1;
            // What follows a command's own words may be an argument of it.
            let known = (0..=words.len()).rev().find_map(|end| Some((end, page(&words[..end])?)));
            match known {
                Some((0, _)) if !words.is_empty() => faults.push(format!("{name}: `{span}` is no command")),
                Some((_, manual)) => {
                    let manual = manual.replace('\\', "");
                    faults.extend(
                        options
                            .iter()
                            .filter(|option| !manual.contains(**option))
                            .map(|option| format!("{name}: `{span}`: there is no {option}")),
                    );
                }
                None => faults.push(format!("{name}: `{span}` has no manual page")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 50, "{count} commands: the pages are not understood any more");
}
