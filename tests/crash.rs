//! kill -9 at random moments: what was answered with 250 is delivered, whole; nothing else is half there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;

use crate::harness::{NextHop, Setup, Smtp, numbered, proved, wait_until};

const ROUNDS: usize = 50;
const SENDERS: usize = 4;
/// Octets of body above which a message gets a spool file of its own.
const LARGE: usize = 300 * 1024;

/// Sends until the server is gone; what was acknowledged goes into the ledger.
fn send(address: SocketAddr, sender: &str, ledger: &Mutex<Vec<String>>) {
    let mut rng = rand::rng();
    for count in 0.. {
        let Some(mut client) = greeted(address) else { return };
        for inner in 0..rng.random_range(1..4) {
            let id = format!("{sender}-{count}-{inner}");
            let octets = if rng.random_range(0..12) == 0 { LARGE } else { rng.random_range(10..6000) };
            let local =
                if rng.random_range(0..2) == 0 { "alice@example.org" } else { "someone@relayed.example" };
            for (line, code) in
                [("MAIL FROM:<ann@example.com>", 250), (&format!("RCPT TO:<{local}>"), 250), ("DATA", 354)]
            {
                match client.tries(line) {
                    Some(reply) => assert_eq!(reply.code, code, "{line}: {}", reply.text),
                    None => return,
                }
            }
            if !client.try_raw(numbered(&id, octets) + ".\r\n") {
                return;
            }
            match client.next_reply() {
                Some(reply) => assert_eq!(reply.code, 250, "{}", reply.text),
                None => return,
            }
            ledger.lock().expect("the ledger").push(id);
        }
    }
}

fn greeted(address: SocketAddr) -> Option<Smtp> {
    let mut client = Smtp::tries_to_connect(address)?;
    client.next_reply()?;
    client.tries("EHLO client.example.com")?;
    Some(client)
}

#[test]
fn after_fifty_kills_every_acknowledged_message_is_delivered_whole() {
    let hop = NextHop::start();
    let setup = Setup::new()
        .block(&format!(
            "[[domain]]\nname = \"relayed.example\"\ndeliver = {{ relay = \"{}\" }}",
            hop.address
        ))
        .hurries();
    let ledger = Arc::new(Mutex::new(Vec::new()));
    for round in 0..ROUNDS {
        let server = setup.start();
        let senders: Vec<_> = (0..SENDERS)
            .map(|nth| {
                let (address, ledger) = (server.address(), Arc::clone(&ledger));
                std::thread::spawn(move || send(address, &format!("{round}-{nth}"), &ledger))
            })
            .collect();
        // The moment is what the test is about; nothing waits for it.
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(1..150)));
        server.dies();
        for sender in senders {
            sender.join().expect("a sender");
        }
    }
    let ledger = ledger.lock().expect("the ledger").clone();
    assert!(ledger.len() > ROUNDS, "only {} messages were acknowledged in all rounds", ledger.len());

    let server = setup.start();
    wait_until("the queue to be empty", || {
        let listed = setup.json(&["queue", "list"]).to_string();
        !listed.contains("example")
    });
    let mut copies: HashMap<String, usize> = HashMap::new();
    let relayed = hop.received().into_iter().map(|message| message.content);
    for message in setup.mailbox("alice").messages().into_iter().chain(relayed) {
        *copies.entry(proved(&message)).or_default() += 1;
    }
    let lost: Vec<_> = ledger.iter().filter(|id| !copies.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are lost: {lost:?}", lost.len(), ledger.len());
    let twice = copies.values().filter(|count| **count > 1).count();
    println!(
        "{} acknowledged in {ROUNDS} rounds, {} delivered, {twice} of them more than once",
        ledger.len(),
        copies.len()
    );
    server.stops();
}
