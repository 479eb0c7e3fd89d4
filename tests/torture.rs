//! The torture: mail, faults at random moments, and a ledger that has to balance. Every message that was answered 250 is delivered,
//! bounced or still queued, whole, at least once; a second copy is there only where a crash fell between a delivery and its record.
//!
//! `make test` runs the short form, a few rounds of each kind; `make torture` the long one, which writes what it did into
//! `target/torture`. `docs/durability.md` has the figures of one run.
//!
//! TORTURE_ROUNDS (200) says how many rounds the long form has, TORTURE_SEED which ones: a run prints its seed, and the same seed
//! gives the same kinds, messages and damage; when exactly a fault strikes is still up to the machine.

mod conversations;
mod differential;
mod disk;
mod floods;
mod ledger;
mod report;
mod rounds;
mod shim;
mod soak;
mod traffic;
mod world;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::target_dir;
use report::Report;
use rounds::Kind;
use world::World;

/// Rounds of the short form.
const SHORT: usize = 2;
/// Rounds in one world, before its queue is emptied.
const LIFE: usize = 20;

/// The seed that was given, or a new one.
fn seed() -> u64 {
    let given = std::env::var("TORTURE_SEED").ok();
    given.map_or_else(|| rand::rng().random(), |text| text.parse().expect("TORTURE_SEED is a number"))
}

/// A few rounds of one kind.
fn short(kind: Kind) {
    let seed = seed();
    println!("TORTURE_SEED={seed}");
    let mut world = World::new(seed, kind.needs_disk());
    if kind.needs_disk() && world.disk.is_none() {
        return;
    }
    for _ in 0..SHORT {
        println!("{kind:?}: {:?}", kind.round(&mut world));
    }
    world.finish();
}

#[test]
fn kills_while_mail_comes_in_lose_nothing() {
    short(Kind::KillAtAccept);
}

#[test]
fn kills_while_mail_goes_out_lose_nothing() {
    short(Kind::KillAtRelay);
}

#[test]
fn kills_while_plugins_are_replaced_lose_nothing() {
    short(Kind::KillAtReload);
}

#[test]
fn power_cuts_lose_nothing() {
    short(Kind::PowerCut);
}

#[test]
fn a_full_disk_loses_nothing_and_delivers_nothing_twice() {
    short(Kind::DiskFull);
}

#[test]
fn without_file_descriptors_nothing_is_lost_or_delivered_twice() {
    short(Kind::OutOfFiles);
}

#[test]
fn a_failed_sync_is_no_promise() {
    short(Kind::FailedSync);
}

#[test]
fn a_disk_that_fails_to_flush_is_no_promise() {
    short(Kind::FailedFlush);
}

#[test]
fn a_disk_that_turns_read_only_loses_nothing_and_no_server_starts_on_it() {
    short(Kind::ReadOnlyDisk);
}

#[test]
fn a_flipped_bit_in_every_file_costs_no_more_than_what_is_named() {
    short(Kind::FlippedBits);
}

#[test]
fn without_its_index_the_queue_loses_nothing() {
    short(Kind::IndexDeleted);
}

#[test]
fn a_clock_that_jumps_both_ways_loses_nothing_and_delivers_nothing_twice() {
    short(Kind::ClockJumps);
}

#[test]
fn a_second_server_on_a_data_directory_is_refused_and_the_first_goes_on() {
    short(Kind::SecondServer);
}

#[test]
#[ignore = "long; make torture"]
fn rounds_of_all_kinds_in_any_order() {
    let rounds =
        std::env::var("TORTURE_ROUNDS").map_or(200, |text| text.parse().expect("a number of rounds"));
    let seed = seed();
    println!("TORTURE_SEED={seed} TORTURE_ROUNDS={rounds}");
    let (mut rng, mut report) = (StdRng::seed_from_u64(seed), Report::default());
    let mut done = 0;
    while done < rounds {
        let mut world = World::new(rng.random(), true);
        for _ in 0..LIFE.min(rounds - done) {
            let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
            if kind.needs_disk() && world.disk.is_none() {
                continue;
            }
            done += 1;
            println!("round {done}: {}", kind.name());
            let outcome = kind.round(&mut world);
            report.add(done, seed, kind, &outcome);
            report.write(&target_dir().join("torture"));
        }
        world.finish();
    }
    println!("{}", report.table());
}
