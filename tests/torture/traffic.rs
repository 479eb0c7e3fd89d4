//! Clients that send all the time, and write down what was promised to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::ledger::{Promise, Promises};
use crate::harness::{Smtp, numbered};

/// Octets of body above which a message gets a spool file of its own.
const LARGE: usize = 300 * 1024;

/// Whom messages are for: a mailbox here, a recipient elsewhere, one whom the next hop refuses, one whom it puts off.
pub(super) const ALICE: &str = "alice@example.org";
pub(super) const ELSEWHERE: &str = "someone@relayed.example";
pub(super) const REFUSED: &str = "refused@relayed.example";
pub(super) const LATER: &str = "later@relayed.example";

/// Clients at work.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    refusals: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// So many clients, which rest for `pause` between sessions; `label` begins the id of each message.
    pub(super) fn start(
        address: SocketAddr,
        clients: u64,
        pause: Duration,
        label: &str,
        seed: u64,
        promises: &Arc<Promises>,
    ) -> Self {
        let (stop, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients)
            .map(|nth| {
                let mut client = Client {
                    address,
                    pause,
                    label: format!("{label}-{nth}"),
                    rng: StdRng::seed_from_u64(seed ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                    stop: Arc::clone(&stop),
                    refusals: Arc::clone(&refusals),
                    promises: Arc::clone(promises),
                };
                std::thread::spawn(move || client.run())
            })
            .collect();
        Self { stop, refusals, clients }
    }

    /// Messages that were put off with a 4yz so far.
    pub(super) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }

    /// Lets each client finish what it is about.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("a client");
        }
    }
}

struct Client {
    address: SocketAddr,
    pause: Duration,
    label: String,
    rng: StdRng,
    stop: Arc<AtomicBool>,
    refusals: Arc<AtomicUsize>,
    promises: Arc<Promises>,
}

impl Client {
    fn run(&mut self) {
        let mut count = 0;
        while !self.stop.load(Ordering::SeqCst) {
            if self.session(count).is_none() {
                // Nobody is there, or has no room: the next try is a moment later.
                std::thread::sleep(Duration::from_millis(5));
            }
            count += 1;
            std::thread::sleep(self.pause);
        }
    }

    /// One session; nothing when the server is gone or does not want to.
    fn session(&mut self, count: usize) -> Option<()> {
        let mut smtp = Smtp::tries_to_connect(self.address)?;
        self.taken(smtp.next_reply()?.code, 220)?;
        self.taken(smtp.tries("EHLO client.example.com")?.code, 250)?;
        for inner in 0..self.rng.random_range(1..5) {
            let id = format!("{}-{count}-{inner}", self.label);
            self.message(&mut smtp, &id)?;
            if self.rng.random_range(0..40) == 0 {
                // Some leave without a word.
                return Some(());
            }
        }
        smtp.tries("QUIT");
        Some(())
    }

    fn message(&mut self, smtp: &mut Smtp, id: &str) -> Option<()> {
        let octets = if self.rng.random_range(0..16) == 0 { LARGE } else { self.rng.random_range(10..6000) };
        let mut recipients = vec![[ALICE, ELSEWHERE][self.rng.random_range(0..2)]];
        for (one_in, to) in [(4, ELSEWHERE), (10, REFUSED), (12, LATER)] {
            if self.rng.random_range(0..one_in) == 0 && !recipients.contains(&to) {
                recipients.push(to);
            }
        }
        let crashes_before = self.promises.crashes();
        self.taken(smtp.tries("MAIL FROM:<bob@example.org>")?.code, 250)?;
        for to in &recipients {
            self.taken(smtp.tries(&format!("RCPT TO:<{to}>"))?.code, 250)?;
        }
        self.taken(smtp.tries("DATA")?.code, 354)?;
        if !smtp.try_raw(numbered(id, octets) + ".\r\n") {
            return None;
        }
        let reply = smtp.next_reply()?;
        self.taken(reply.code, 250)?;
        let queue_id = reply.text.rsplit(' ').next().expect("an id").to_owned();
        let promise = Promise { id: id.to_owned(), queue_id, recipients, crashes_before };
        self.promises.list().push(promise);
        Some(())
    }

    /// A 4yz is counted and ends the session; anything else that was not expected is a fault.
    fn taken(&self, code: u16, expected: u16) -> Option<()> {
        if code == expected {
            return Some(());
        }
        assert!((400..500).contains(&code), "{}: {code} in place of {expected}", self.label);
        self.refusals.fetch_add(1, Ordering::SeqCst);
        None
    }
}
