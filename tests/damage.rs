//! A damaged disk: what is damaged is set aside and named, what is not flows on.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::harness::{NextHop, Setup, message, unique, wait_until};

/// A server's folder with messages in its queue, for a next hop that is down; the server is stopped.
fn queued(words: &[String]) -> (Setup, SocketAddr) {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().smarthost(address).relays().hurries();
    let server = setup.start();
    for word in words {
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message(word));
    }
    server.stops();
    (setup, address)
}

/// The segments of the log.
fn segments(setup: &Setup) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(setup.path("data/spool")).expect("the spool");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect()
}

#[test]
fn without_its_index_the_queue_is_found_again_in_the_log() {
    let words: Vec<String> = (0..20).map(|_| unique("indexed")).collect();
    let (setup, address) = queued(&words);
    std::fs::remove_dir_all(setup.path("data/queue")).expect("the index goes");
    let hop = NextHop::on(address);
    let server = setup.start();
    let received = hop.wait(20);
    for word in &words {
        assert!(
            received.iter().any(|message| message.content.contains(word)),
            "{word} is lost:\n{}",
            server.log()
        );
    }
}

#[test]
fn a_damaged_index_is_set_aside_and_built_anew() {
    let words: Vec<String> = (0..20).map(|_| unique("indexed")).collect();
    let (setup, address) = queued(&words);
    for entry in std::fs::read_dir(setup.path("data/queue")).expect("the index") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let mut octets = std::fs::read(&path).expect("the file");
            octets.iter_mut().skip(7).step_by(11).for_each(|octet| *octet ^= 0x55);
            std::fs::write(&path, octets).expect("the file");
        }
    }
    let hop = NextHop::on(address);
    let server = setup.start();
    assert!(hop.wait(20).len() >= 20);
    drop(server);
}

#[test]
fn one_flipped_bit_costs_one_message_which_is_named_and_set_aside() {
    let words: Vec<String> = (0..5).map(|_| unique("flipped")).collect();
    let (setup, address) = queued(&words);
    let damaged = &words[2];
    let mut flipped = 0;
    for segment in segments(&setup) {
        let mut octets = std::fs::read(&segment).expect("a segment");
        let subject = format!("Subject: {damaged}\r\n");
        if let Some(at) = octets.windows(subject.len()).position(|window| window == subject.as_bytes()) {
            octets[at] ^= 1;
            std::fs::write(&segment, octets).expect("the segment");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1, "the message is in one segment");
    let hop = NextHop::on(address);
    let server = setup.start();
    let received = hop.wait(4);
    for word in words.iter().filter(|word| *word != damaged) {
        assert!(
            received.iter().any(|message| message.content.contains(word)),
            "{word} is lost:\n{}",
            server.log()
        );
    }
    wait_until("the damage to be said", || {
        server.log().to_lowercase().contains("damaged") || server.log().contains("corrupt")
    });
    wait_until("the queue to be empty", || setup.json(&["status"])["queue"]["waiting"] == 0);
    assert!(
        hop.received().iter().all(|message| !message.content.contains(damaged)),
        "the damaged message was sent"
    );
    let aside = std::fs::read_dir(setup.path("data/corrupt")).expect("what was set aside").count();
    assert!(aside >= 1, "nothing was set aside");
    assert!(setup.json(&["status"])["queue"]["corrupt"].as_u64().is_some_and(|count| count >= 1));
}

#[test]
fn a_large_message_whose_file_is_gone_is_named_and_the_others_flow() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().smarthost(address).relays().hurries();
    let server = setup.start();
    let large = format!("Subject: large\r\n\r\n{}", "a line of a large message\r\n".repeat(40_000));
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], large);
    server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("small"));
    server.stops();
    for entry in std::fs::read_dir(setup.path("data/spool/large")).expect("the large ones") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("the file goes");
    }
    let hop = NextHop::on(address);
    let server = setup.start();
    assert!(hop.wait(1)[0].content.contains("Subject: small"), "{}", server.log());
    wait_until("the damage to be counted", || {
        setup.json(&["status"])["queue"]["corrupt"].as_u64().is_some_and(|count| count >= 1)
    });
    wait_until("the queue to be empty", || setup.json(&["status"])["queue"]["waiting"] == 0);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_said_with_its_path() {
    let setup = Setup::new();
    setup.write();
    std::fs::write(setup.path("data"), "in the way").expect("a file");
    let output = setup.command(&["serve"]);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.err.contains(&setup.path("data").display().to_string()), "{}", output.err);
}
