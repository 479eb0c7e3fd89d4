//! A plugin that is replaced again and again under constant mail: no session fails, no verdict is skipped, and nothing is left behind.
//!
//! The long run is `cargo test -p tests --test waxwing -- --ignored --nocapture replacements`, with `WAXWING_REPLACEMENTS` and
//! `WAXWING_SESSIONS` for other numbers than 1,000 and 50; docs/benchmarks/README.md has its figures.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Server, Setup, Smtp, component, message, wait_for, wait_until};

/// Replacements before memory is looked at for the first time: by then all that is kept of older ones is there.
const WARM_UP: u32 = 12;
/// Contents that take turns: each is compiled once, and comes from the cache from then on.
const CONTENTS: u32 = 8;
/// Messages of one session.
const MESSAGES: u32 = 5;

/// The guest that drops every message: one that passes without it is in the mailbox.
const DROPS: &str = "settings = { at = \"message\", say = \"discard\" }";

/// What the server's process has.
#[derive(Debug, Clone, Copy)]
struct Footprint {
    pss_kib: u64,
    rss_kib: u64,
    mappings: usize,
    code_mappings: usize,
    files: usize,
    threads: usize,
}

impl Footprint {
    fn of(server: &Server) -> Self {
        let process = PathBuf::from(format!("/proc/{}", server.pid()));
        let read = |file: &str| std::fs::read_to_string(process.join(file)).expect("the server's process");
        let (rollup, maps) = (read("smaps_rollup"), read("maps"));
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
        };
        let is_code = |line: &&str| line.split_whitespace().nth(1).is_some_and(|rights| rights.contains('x'));
        let entries =
            |folder: &str| std::fs::read_dir(process.join(folder)).expect("the server's process").count();
        Self {
            pss_kib: field("Pss:"),
            rss_kib: field("Rss:"),
            mappings: maps.lines().count(),
            code_mappings: maps.lines().filter(is_code).count(),
            files: entries("fd"),
            threads: entries("task"),
        }
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pss_kib, rss_kib, mappings, code_mappings, files, threads } = self;
        write!(
            f,
            "PSS {:.1} MB, RSS {:.1} MB, {mappings} mappings, {code_mappings} of them code, {files} files, {threads} threads",
            *pss_kib as f64 / 1e3,
            *rss_kib as f64 / 1e3
        )
    }
}

fn plugin(setup: &Setup) -> Value {
    setup.json(&["plugin", "list"])["plugins"][0].clone()
}

/// The same component in another file: with a custom section of its own at the end.
fn version(number: u32) -> Vec<u8> {
    let mut octets = std::fs::read(component("verdict")).expect("a component");
    // Section 0; its length; the length of its name; the name; then what it holds.
    octets.extend([0, 8 + 9, 8]);
    octets.extend(format!("revision{number:08}").as_bytes());
    octets
}

/// Sessions that send one after the other until they are told to stop.
struct Load {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    senders: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, sessions: usize) -> Self {
        let (is_over, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let sender = |nth: usize| {
            let (is_over, sent, address) = (is_over.clone(), sent.clone(), server.address());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let mut client = Smtp::greeted(address);
                    for _ in 0..MESSAGES {
                        client.sends(
                            "ann@example.com",
                            &["alice@example.org"],
                            message(&format!("load {nth}")),
                        );
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                    client.asks("QUIT", "221");
                }
            })
        };
        let senders = (0..sessions).map(sender).collect();
        Self { is_over, sent, senders }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Ends the sessions, each of which went well; says how many messages were sent.
    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        for sender in self.senders {
            sender.join().expect("a session in which every reply was as it should be");
        }
        self.sent.load(Ordering::SeqCst)
    }
}

/// What a run came to.
struct Run {
    before: Footprint,
    after: Footprint,
    sent: u64,
    seconds: f64,
}

fn replace(replacements: u32, sessions: usize) -> Run {
    let setup = Setup::new().plugin("verdict", &[DROPS]);
    let server = setup.start();
    let load = Load::start(&server, sessions);
    let began = Instant::now();
    let mut generation = 1;
    let mut swap = |number: u32| {
        setup.drop_in_octets("verdict", &version(number % CONTENTS));
        generation = wait_for("the next generation", || {
            plugin(&setup)["generation"].as_u64().filter(|now| *now > generation)
        });
    };
    (0..WARM_UP).for_each(&mut swap);
    wait_until("mail to flow", || load.sent() > sessions as u64);
    let before = Footprint::of(&server);
    for number in WARM_UP..WARM_UP + replacements {
        swap(number);
        if (number - WARM_UP + 1).is_multiple_of(100) {
            println!("{} replacements: {}", number - WARM_UP + 1, Footprint::of(&server));
        }
    }
    let after = Footprint::of(&server);
    let seconds = began.elapsed().as_secs_f64();
    let sent = load.end();
    // The sessions are over: what they began with goes with them.
    wait_until("the old generations to go", || plugin(&setup)["generations-alive"] == 1);
    let status = plugin(&setup);
    assert_eq!(
        (&status["failures"], &status["not-asked"], &status["verdicts"]["discard"]),
        (&0.into(), &0.into(), &sent.into()),
        "{status}"
    );
    assert_eq!(status["idle-instances"], 0);
    setup.mailbox("alice").wait(0);
    server.stops();
    Run { before, after, sent, seconds }
}

/// What is left behind by each replacement shows in one of these.
fn assert_nothing_was_left(run: &Run, replacements: u32) {
    let (before, after) = (run.before, run.after);
    let grew = |what: &str, before: usize, after: usize, by: usize| {
        assert!(
            after <= before + by,
            "{what} grew from {before} to {after} over {replacements} replacements"
        );
    };
    // Each generation is code, memory images and a few allocations; those that sessions hold come and go.
    let spared = (replacements / 2) as usize;
    grew("mappings of code", before.code_mappings, after.code_mappings, spared);
    grew("open files", before.files, after.files, spared);
    grew("threads", before.threads, after.threads, 4);
}

#[test]
fn under_constant_mail_a_plugin_is_replaced_without_a_failure_and_leaves_nothing_behind() {
    const REPLACEMENTS: u32 = 60;
    let run = replace(REPLACEMENTS, 8);
    assert_nothing_was_left(&run, REPLACEMENTS);
}

#[test]
#[ignore = "takes minutes: the figures of docs/benchmarks"]
fn a_thousand_replacements_under_fifty_sessions() {
    let number = |name: &str, usual: u32| {
        std::env::var(name)
            .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let (replacements, sessions) = (number("WAXWING_REPLACEMENTS", 1_000), number("WAXWING_SESSIONS", 50));
    let run = replace(replacements, sessions as usize);
    println!(
        "{replacements} replacements under {sessions} sessions in {:.0} s, {} messages",
        run.seconds, run.sent
    );
    println!("after {WARM_UP}: {}\nafter all: {}", run.before, run.after);
    assert_nothing_was_left(&run, replacements);
    let grown = run.after.pss_kib.saturating_sub(run.before.pss_kib);
    assert!(grown < 32 << 10, "{grown} KiB more than after {WARM_UP} replacements");
}
