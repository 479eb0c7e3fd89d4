//! Dialogues from `server/crates/smtp/dialogues`, held with the real server over a socket; `script` says how they are written.
//!
//! The smtp crate holds the same ones in memory. Dialogues that ask for the same configuration, and leave no message behind, share
//! a server.

#[path = "../server/crates/smtp/tests/script/mod.rs"]
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::harness::{Maildir, Server, Setup, Smtp, run_with_input};
use script::{Dialogue, Place, Step, dialogues};

/// What a server is set up by: configuration, users, and a name where it is for one dialogue alone.
type Like<'a> = (&'a [(String, String)], &'a [(String, String)], Option<&'a str>);

#[test]
fn every_dialogue_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/crates/smtp/dialogues");
    let all = dialogues(&folder, Place::Server);
    let mut alike: BTreeMap<Like<'_>, Vec<&Dialogue>> = BTreeMap::new();
    for dialogue in &all {
        let alone = Some(dialogue.name.as_str()).filter(|_| dialogue.delivered() > 0);
        alike.entry((&dialogue.config, &dialogue.users, alone)).or_default().push(dialogue);
    }
    let faults: Vec<String> = alike.values().flat_map(|dialogues| hold_all(dialogues)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Holds dialogues that are set up alike, one after the other; what went wrong comes back.
fn hold_all(dialogues: &[&Dialogue]) -> Vec<String> {
    let mut setup = Setup::new();
    let certificate = set_up(&mut setup, dialogues[0]);
    let server = setup.start();
    let mailbox = setup.mailbox("alice");
    let held = dialogues.iter().filter_map(|dialogue| hold(dialogue, &server, &certificate, &mailbox).err());
    let faults = held.collect();
    // What was never to arrive has not arrived either when the server has finished its work.
    server.stops();
    mailbox.wait(dialogues[0].delivered());
    faults
}

/// Writes what a dialogue asks for into the configuration. The certificate is made in any case.
fn set_up(setup: &mut Setup, dialogue: &Dialogue) -> PathBuf {
    for (table, line) in &dialogue.config {
        setup.change(table, line);
    }
    for (name, password) in &dialogue.users {
        let record = run_with_input(setup.binary().arg("passwd"), password.as_bytes());
        assert_eq!(record.code, 0, "{}", record.err);
        setup.change("[user]", &format!("name = \"{name}\""));
        setup.change("[user]", &format!("password-hash = \"{}\"", record.out.trim()));
    }
    setup.certificate()
}

fn hold(dialogue: &Dialogue, server: &Server, certificate: &Path, mailbox: &Maildir) -> Result<(), String> {
    println!("{}", dialogue.name);
    let mut client = Smtp::connect(server.address());
    let is_implicit = |(_, line): &(String, String)| line == "tls = \"implicit\"";
    if dialogue.config.iter().any(is_implicit) {
        client.secures(certificate);
    }
    for (line, step) in &dialogue.steps {
        let fault = |text: String| Err(format!("{}:{line}: {text}", dialogue.name));
        match step {
            Step::Sends(octets) => {
                if !client.try_raw(octets) {
                    return fault("the server has closed the connection".to_owned());
                }
            }
            Step::Hears(expected) => match client.next_reply() {
                Some(reply) if expected.fits(&format!("{} {}", reply.code, reply.text)) => {}
                Some(reply) => {
                    return fault(format!("expected {expected:?}, heard {} {}", reply.code, reply.text));
                }
                None => return fault(format!("expected {expected:?}, the server closed the connection")),
            },
            Step::HearsTheEnd => {
                if let Some(reply) = client.next_reply() {
                    return fault(format!("expected the end, heard {} {}", reply.code, reply.text));
                }
            }
            Step::Handshake => client.secures(certificate),
            Step::Delivered { count, text } => has(mailbox, *count, text).or_else(fault)?,
            Step::Stamped(text) => has(mailbox, dialogue.delivered(), text).or_else(fault)?,
        }
    }
    Ok(())
}

/// Whether so many messages come, each with this text.
fn has(mailbox: &Maildir, count: usize, text: &str) -> Result<(), String> {
    let messages = mailbox.wait(count);
    match messages.iter().all(|message| message.contains(text)) {
        true => Ok(()),
        false => Err(format!("expected {text:?} in {messages:#?}")),
    }
}
