//! Every dialogue, held with the session in memory: no socket, and time goes on when the client waits.
//!
//! The driver is what the end-to-end tests set up as a server: example.org has four mailboxes, nobody may relay, users have passwords.

#![expect(clippy::disallowed_methods, reason = "a test may start its own time anywhere")]

mod driver;
mod script;

use std::path::Path;

use driver::Driver;
use script::{Dialogue, Place, Step, dialogues};

#[test]
fn every_dialogue_goes_as_it_is_written() {
    hold_all(usize::MAX);
}

#[test]
fn every_dialogue_goes_the_same_an_octet_at_a_time() {
    hold_all(1);
}

/// Holds all of them; what the client sends at once comes in pieces of at most so many octets.
fn hold_all(piece: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues");
    let all = dialogues(&folder, Place::Session);
    let faults: Vec<String> = all.iter().filter_map(|dialogue| hold(dialogue, piece).err()).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn hold(dialogue: &Dialogue, piece: usize) -> Result<(), String> {
    let mut driver = Driver::new(dialogue);
    for (line, step) in &dialogue.steps {
        let fault = |text: String| Err(format!("{}:{line}: {text}", dialogue.name));
        match step {
            Step::Sends(_) if driver.is_closed() => return fault("the session is over".to_owned()),
            Step::Sends(octets) => octets.chunks(piece).for_each(|piece| driver.says(piece)),
            Step::Hears(expected) => match driver.next_reply() {
                Some(reply) if expected.fits(&reply) => {}
                Some(reply) => return fault(format!("expected {expected:?}, heard {reply}")),
                None => return fault(format!("expected {expected:?}, heard nothing more")),
            },
            Step::HearsTheEnd => match driver.next_reply() {
                Some(reply) => return fault(format!("expected the end, heard {reply}")),
                None if !driver.is_closed() => return fault("the session goes on".to_owned()),
                None => {}
            },
            Step::Handshake if !driver.shakes_hands() => return fault("no handshake is wanted".to_owned()),
            Step::Delivered { text, .. } => {
                if !driver.delivered.iter().all(|message| message.contains(text.as_str())) {
                    return fault(format!("expected {text:?} in {:#?}", driver.delivered));
                }
            }
            Step::Stamped(text)
                if text.starts_with("Return-Path: ") && !driver.stamps.iter().all(|s| s == text) =>
            {
                return fault(format!("expected {text:?} in {:?}", driver.stamps));
            }
            Step::Handshake | Step::Stamped(_) => {}
        }
    }
    if driver.has_more_to_say() {
        return Err(format!("{}: a reply was not heard", dialogue.name));
    }
    match (driver.delivered.len(), dialogue.delivered()) {
        (found, expected) if found == expected => Ok(()),
        (found, expected) => Err(format!("{}: expected {expected} messages, found {found}", dialogue.name)),
    }
}
