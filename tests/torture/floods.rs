//! Many clients, and slow ones: they are let go or wait, and nobody else notices; memory and file descriptors stay within their bounds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Server, Setup, Smtp, message, wait_for, wait_until};

fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its files").count()
}

/// KiB of memory that the server has for itself, with its share of what it has in common with others.
pub(super) fn pss_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("its memory");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line of Pss");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn slow_clients_are_let_go_and_others_do_not_notice() {
    let setup = Setup::new().set("limits", "command-timeout = \"1s\"").set("limits", "data-timeout = \"1s\"");
    let server = setup.start();
    let before = open_files(&server);
    // In a command, and in the middle of a message: an octet now and then keeps nobody.
    let mut slow: Vec<TcpStream> = (0..40)
        .map(|nth| {
            let mut stream = TcpStream::connect(server.address()).expect("a connection");
            if nth % 2 == 0 {
                let opening = "EHLO x.example\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n";
                stream.write_all(opening.as_bytes()).expect("the opening");
            }
            stream.set_nonblocking(true).expect("non-blocking");
            stream
        })
        .collect();
    let mut said = vec![Vec::new(); slow.len()];
    let mut other = server.client();
    let mut answered = 0;
    wait_until("the slow ones to be let go", || {
        other.sends("ann@example.com", &["alice@example.org"], message("meanwhile"));
        answered += 1;
        let mut is_over = true;
        for (stream, said) in slow.iter_mut().zip(&mut said) {
            // A connection that was closed takes nothing.
            let _ = stream.write(b"x");
            let mut buffer = [0; 512];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                said.extend_from_slice(&buffer[..count]);
            }
            is_over &= String::from_utf8_lossy(said).contains("421 4.4.2");
        }
        is_over
    });
    drop(slow);
    drop(other);
    setup.mailbox("alice").wait(answered);
    wait_until("their file descriptors to be free", || open_files(&server) <= before + 4);
}

#[test]
fn a_flood_of_connections_leaves_the_server_at_work() {
    let setup = Setup::new().set("limits", "sessions-per-address = 50");
    let server = setup.start();
    let mut early = server.client();
    let before = open_files(&server);
    let address = server.address();
    let flood: Vec<_> = (0..4).map(|_| std::thread::spawn(move || pour(address))).collect();
    let mut answered = 0;
    while answered < 5 || flood.iter().any(|thread| !thread.is_finished()) {
        early.sends("ann@example.com", &["alice@example.org"], message("meanwhile"));
        answered += 1;
    }
    let turned_away: usize = flood.into_iter().map(|thread| thread.join().expect("the flood")).sum();
    assert!(turned_away > 0, "nobody was turned away");
    setup.mailbox("alice").wait(answered);
    wait_until("their file descriptors to be free", || open_files(&server) <= before + 4);
    server.client().sends("ann@example.com", &["alice@example.org"], message("afterwards"));
}

/// Connections that are held, or reset at once; says how many were turned away with 421 4.7.0.
fn pour(address: SocketAddr) -> usize {
    let mut held = Vec::new();
    let mut turned_away = 0;
    for nth in 0..500 {
        let Some(mut client) = Smtp::tries_to_connect(address) else { continue };
        match nth % 4 {
            // Neither a word nor a look.
            0 => drop(client),
            1 => drop(client.try_raw([0xff; 3000])),
            _ if client.next_reply().is_some_and(|reply| reply.code == 421) => turned_away += 1,
            _ => held.push(client),
        }
    }
    turned_away
}

/// So many clients write messages that never end; says the server's memory before and meanwhile, in KiB.
fn write_without_end(writers: usize, octets: usize, budget: &str) -> (u64, u64) {
    let files = getrlimit(Resource::Nofile);
    let many = Rlimit { current: Some(65_536), maximum: Some(65_536) };
    if setrlimit(Resource::Nofile, many).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).expect("more files");
    }
    let setup = Setup::new()
        .set("limits", &format!("content-memory = \"{budget}\""))
        .set("limits", "sessions-per-address = 1000000")
        .set("limits", "sessions = 1000000");
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], message("first"));
    setup.mailbox("alice").wait(1);
    let before = pss_kib(server.pid());
    // Connected while there are file descriptors: of those, each writer may take two.
    let mut other = server.client();
    let mut clients: Vec<Smtp> = (0..writers).map(|_| server.client()).collect();
    for client in &mut clients {
        client.begins_message("ann@example.com", &["alice@example.org"]);
        client.raw("Subject: without end\r\n\r\n");
    }
    let piece = "a line of a message that does not come to its end\r\n".repeat(8 << 10 >> 6);
    let mut peak = before;
    for nth in 0..octets / piece.len() {
        for client in &mut clients {
            client.raw(&piece);
        }
        peak = peak.max(pss_kib(server.pid()));
        if nth == 0 {
            println!("{writers} writers, {} octets each: {peak} KiB", piece.len());
        }
    }
    // Mail may be put off now, but nobody waits for an answer.
    other.says("MAIL FROM:<ann@example.com>");
    let code = other.next_reply().expect("a reply").code;
    assert!(matches!(code, 250 | 452), "{code}");
    peak = peak.max(pss_kib(server.pid()));
    drop(clients);
    let files = || std::fs::read_dir(setup.path("data/spool/large")).expect("the folder").count();
    let mut left = usize::MAX;
    while left > 0 {
        let before = left;
        let fewer = || Some(files()).filter(|count| *count < before);
        left = wait_for("the files of unfinished messages to become fewer", fewer);
    }
    drop(other);
    server.client().sends("ann@example.com", &["alice@example.org"], message("afterwards"));
    setup.mailbox("alice").with("Subject: afterwards");
    server.stops();
    (before, peak)
}

/// KiB that the server may take, with so many writers and so many KiB for content: twice those, behind which all goes to the disk; for
/// each session a piece of 8 KiB that waits for it, and 12 KiB of its own; and 32 MiB for the threads that write, and what allocators keep.
fn bound(before: u64, writers: usize, budget: u64) -> u64 {
    before + 2 * budget + (8 + 12) * writers as u64 + (32 << 10)
}

#[test]
fn writers_that_never_end_take_no_more_memory_than_their_budget() {
    let (before, peak) = write_without_end(150, 512 << 10, "4 MiB");
    println!("{before} KiB before, {peak} KiB with 150 writers of 512 KiB");
    // 75 MiB were sent.
    assert!(peak <= bound(before, 150, 4 << 10), "{before} KiB before, {peak} KiB at the most");
}

#[test]
#[ignore = "long; make torture"]
fn ten_thousand_writers_take_no_more_memory_than_their_budget() {
    let writers = std::env::var("TORTURE_WRITERS").map_or(10_000, |text| text.parse().expect("a number"));
    let (before, peak) = write_without_end(writers, 64 << 10, "64 MiB");
    println!("{before} KiB before, {peak} KiB with {writers} writers of 64 KiB");
    assert!(peak <= bound(before, writers, 64 << 10), "{before} KiB before, {peak} KiB at the most");
}
