//! The place where rounds happen: a server's folder, on a disk of its own where that can be had, a next hop, and the ledger.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::Disk;
use super::ledger::{self, Ledger};
use super::shim::Shim;
use super::traffic::{LATER, Traffic};
use crate::harness::{Act, LONG, NextHop, Server, Setup, wait_until};

/// What the next hop does about recipients.
#[derive(Debug, Default)]
struct Mood {
    /// Calls are refused.
    closed: AtomicBool,
    /// Even those who are put off are taken.
    generous: AtomicBool,
}

/// A world; its queue goes from one round to the next.
pub(super) struct World {
    pub(super) disk: Option<Disk>,
    pub(super) setup: Setup,
    pub(super) shim: Shim,
    pub(super) ledger: Ledger,
    pub(super) rng: StdRng,
    pub(super) server: Option<Server>,
    hop: NextHop,
    mood: Arc<Mood>,
    seed: u64,
    rounds: u32,
    /// What servers logged that are gone.
    log: String,
    /// Bits were flipped in this life. What is read later, from a message that waited or once the index is gone, is set aside later.
    pub(super) has_flipped_bits: bool,
}

impl World {
    /// With `own_disk`, the data directory and the mailboxes are on a disk that can be cut, where this machine can have one.
    pub(super) fn new(seed: u64, own_disk: bool) -> Self {
        let hop = NextHop::start();
        let base = Setup::without_domains();
        let place = base.path("place");
        std::fs::create_dir(&place).expect("a folder");
        let disk = if own_disk { Disk::new(base.path("disk"), place.clone()) } else { None };
        let shim = Shim::new(base.path("control"));
        let launcher = shim.launcher();
        let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
        let mut setup = base
            .launched_by(&launcher)
            .block(&format!(
                "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}/mail/{{local}}\" }}",
                place.display()
            ))
            .block(&format!(
                "[[domain]]\nname = \"relayed.example\"\ndeliver = {{ relay = \"{}\" }}",
                hop.address
            ))
            .hurries()
            .set("queue", "retry = [\"1s\"]")
            .set("queue", "delay-warning = \"0s\"")
            .set("queue", "min-free = \"1 MiB\"")
            .set("queue", "segment-size = \"4 MiB\"")
            .set("sender-auth", "check = false");
        setup.change_top("data-dir = \"place/data\"");
        let mut world = Self {
            disk,
            setup,
            shim,
            ledger: Ledger::default(),
            rng: StdRng::seed_from_u64(seed),
            server: None,
            hop,
            mood: Arc::default(),
            seed,
            rounds: 0,
            log: String::new(),
            has_flipped_bits: false,
        };
        world.directs_hop();
        world
    }

    fn directs_hop(&mut self) {
        let mood = Arc::clone(&self.mood);
        self.hop.does(move |line| {
            let is = |recipient: &str| line.starts_with("RCPT") && line.contains(recipient);
            if line == "connect" && mood.closed.load(Ordering::SeqCst) {
                Act::Say("421 4.3.2 closed")
            } else if is("refused@") {
                Act::Say("550 5.1.1 nobody of this name")
            } else if is("later@") && !mood.generous.load(Ordering::SeqCst) {
                Act::Say("451 4.2.0 another time")
            } else {
                Act::Usual
            }
        });
    }

    /// The next hop refuses calls, or takes them again.
    pub(super) fn close_hop(&self, closed: bool) {
        self.mood.closed.store(closed, Ordering::SeqCst);
    }

    /// The next hop takes those whom it puts off, or puts them off again.
    pub(super) fn be_generous(&self, generous: bool) {
        self.mood.generous.store(generous, Ordering::SeqCst);
    }

    /// Messages that the next hop has taken.
    pub(super) fn relayed(&self) -> usize {
        self.hop.count()
    }

    /// The next hop dies with its connections, and comes back at the same address.
    pub(super) fn restart_hop(&mut self) {
        let address = self.hop.address;
        let gone = std::mem::replace(&mut self.hop, NextHop::start());
        let last = gone.ends();
        self.hop = NextHop::on(address);
        self.directs_hop();
        self.ledger.gather(&self.setup.path("place/mail"), last);
    }

    pub(super) fn data(&self) -> PathBuf {
        self.setup.path("place/data")
    }

    pub(super) fn start(&mut self) {
        self.server = Some(self.setup.start());
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server that runs")
    }

    /// Clients that send until they are stopped.
    pub(super) fn traffic(&mut self, clients: u64) -> Traffic {
        self.traffic_with_pauses(clients, Duration::ZERO)
    }

    /// The same, with a rest between sessions.
    pub(super) fn traffic_with_pauses(&mut self, clients: u64, pause: Duration) -> Traffic {
        self.rounds += 1;
        let label = format!("{:x}-{}", self.seed, self.rounds);
        let (address, seed) = (self.server().address(), self.rng.random());
        Traffic::start(address, clients, pause, &label, seed, &self.ledger.promises)
    }

    /// Some mail, until all of it has arrived and nobody waits for the disk.
    pub(super) fn mail_and_rest(&mut self) {
        let traffic = self.traffic(4);
        self.wait_for_promises(10);
        traffic.stop();
        wait_until("the mail to arrive", || self.is_idle());
    }

    /// Waits for a moment that nobody can foresee; the moment is what the round is about.
    pub(super) fn wait_a_moment(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(1..most_ms)));
    }

    /// Waits until so many more messages were promised.
    pub(super) fn wait_for_promises(&self, count: usize) {
        let enough = self.ledger.promised() + count;
        wait_until("messages to be taken", || self.ledger.promised() >= enough);
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        let server = self.server.take().expect("a server that runs");
        self.log += &server.log();
        self.log += "--- kill -9\n";
        server.dies();
        self.ledger.crashed();
    }

    /// SIGTERM.
    pub(super) fn stop(&mut self) {
        let server = self.server.take().expect("a server that runs");
        self.log += &server.log();
        server.stops();
    }

    /// Pieces of the queue that were set aside as damaged.
    pub(super) fn set_aside(&self) -> usize {
        self.named().len()
    }

    /// Whether only what the next hop puts off, or what was set aside, has not arrived.
    pub(super) fn is_idle(&mut self) -> bool {
        self.gather();
        let waiting = self.ledger.open().into_iter().filter(|(_, to)| *to != LATER);
        self.excused(waiting.map(|(promise, _)| promise.queue_id).collect())
    }

    fn gather(&mut self) {
        let mailboxes = self.setup.path("place/mail");
        self.ledger.gather(&mailboxes, self.hop.take());
    }

    /// Waits until every message that was promised is delivered, bounced, set aside and named, or still queued because the
    /// next hop puts it off.
    pub(super) fn settle(&mut self) {
        // What the disk had no room for, a report above all, rests for up to 90 s.
        let until = Instant::now() + 2 * LONG;
        loop {
            self.gather();
            let waiting: Vec<_> = self.ledger.open().into_iter().filter(|(_, to)| *to != LATER).collect();
            if self.excused(waiting.iter().map(|(promise, _)| promise.queue_id.clone()).collect()) {
                break;
            }
            let ids = waiting.iter().map(|(promise, _)| promise.queue_id.clone()).collect();
            let lines = || self.lines_about(&ids);
            assert!(
                Instant::now() < until,
                "world {:x}: what has become of these? {ids:?}\n{}",
                self.seed,
                lines()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let later: HashSet<String> =
            self.ledger.open().into_iter().map(|(promise, _)| promise.queue_id).collect();
        let queued = ledger::queued(&self.setup);
        let lost: HashSet<String> = later.into_iter().filter(|id| !queued.contains(id)).collect();
        // What the next hop took meanwhile is no longer queued.
        self.gather();
        let open: HashSet<String> =
            self.ledger.open().into_iter().map(|(promise, _)| promise.queue_id).collect();
        let lost: HashSet<String> = lost.into_iter().filter(|id| open.contains(id)).collect();
        assert!(
            self.excused(lost.clone()),
            "neither queued nor delivered: {lost:?}\n{}",
            self.lines_about(&lost)
        );
        self.ledger.duplicates();
    }

    /// Whether damage explains that these are missing: each is named, or there are as many pieces of the log whose owner could not be known.
    fn excused(&self, missing: HashSet<String>) -> bool {
        let named = self.named();
        let unnamed = named.iter().filter(|name| name.ends_with(".octets")).count();
        let unexplained = missing.iter().filter(|id| !named.iter().any(|name| name.starts_with(*id))).count();
        unexplained <= unnamed
    }

    /// What all servers so far have logged about these messages, and about themselves.
    fn lines_about(&self, ids: &HashSet<String>) -> String {
        let log = self.log.clone() + &self.server.as_ref().map(Server::log).unwrap_or_default();
        let is_about = |line: &&str| {
            ids.iter().any(|id| line.contains(id.as_str()))
                || !line.contains("INFO")
                || line.contains("store::")
        };
        log.lines().filter(is_about).collect::<Vec<_>>().join("\n")
    }

    fn named(&self) -> Vec<String> {
        ledger::set_aside(&self.data())
    }

    /// The end of a life: the next hop takes everything, and the queue is empty.
    pub(super) fn finish(mut self) -> Ledger {
        if self.server.is_none() {
            self.start();
        }
        self.be_generous(true);
        self.close_hop(false);
        assert_eq!(self.setup.command(&["queue", "retry", "--all"]).code, 0);
        self.settle();
        wait_until("the queue to be empty", || {
            let status = self.setup.json(&["status"]);
            status["queue"]["waiting"] == 0 && status["queue"]["held"] == 0
        });
        self.gather();
        let open: HashSet<String> =
            self.ledger.open().into_iter().map(|(promise, _)| promise.queue_id).collect();
        assert!(self.excused(open.clone()), "lost: {open:?}");
        self.stop();
        self.ledger
    }
}
