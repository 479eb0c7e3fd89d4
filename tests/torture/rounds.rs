//! The kinds of rounds: mail, a fault at a moment that nobody can foresee, and a ledger that balances afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt;

use super::ledger::Fate;
use super::world::World;
use crate::harness::{Smtp, component, run, wait_until};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    KillAtAccept,
    KillAtRelay,
    KillAtReload,
    PowerCut,
    DiskFull,
    OutOfFiles,
    FailedSync,
    FailedFlush,
    ReadOnlyDisk,
    FlippedBits,
    IndexDeleted,
    ClockJumps,
    SecondServer,
}

/// What a round was.
#[derive(Debug, Default, Clone)]
pub(super) struct Outcome {
    pub(super) promised: usize,
    pub(super) copies: usize,
    pub(super) reports: usize,
    pub(super) duplicates: usize,
    pub(super) set_aside: usize,
}

impl Kind {
    pub(super) const ALL: [Self; 13] = [
        Self::KillAtAccept,
        Self::KillAtRelay,
        Self::KillAtReload,
        Self::PowerCut,
        Self::DiskFull,
        Self::OutOfFiles,
        Self::FailedSync,
        Self::FailedFlush,
        Self::ReadOnlyDisk,
        Self::FlippedBits,
        Self::IndexDeleted,
        Self::ClockJumps,
        Self::SecondServer,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillAtAccept => "kill -9 while mail comes in",
            Self::KillAtRelay => "kill -9 while mail goes out",
            Self::KillAtReload => "kill -9 while plugins are replaced",
            Self::PowerCut => "power cut, unflushed sectors torn",
            Self::DiskFull => "disk full",
            Self::OutOfFiles => "no file descriptors left",
            Self::FailedSync => "syncs of the spool fail",
            Self::FailedFlush => "the disk fails to flush",
            Self::ReadOnlyDisk => "the disk turns read-only",
            Self::FlippedBits => "a flipped bit in every file",
            Self::IndexDeleted => "the index is deleted",
            Self::ClockJumps => "the clock jumps both ways",
            Self::SecondServer => "a second server is started",
        }
    }

    /// Whether the round is about a disk of the server's own.
    pub(super) fn needs_disk(self) -> bool {
        matches!(self, Self::PowerCut | Self::DiskFull | Self::FailedFlush | Self::ReadOnlyDisk)
    }

    /// Runs a round. The server does not run before nor after.
    pub(super) fn round(self, world: &mut World) -> Outcome {
        let (promised, before) = (world.ledger.promised(), world.ledger.sums());
        let (duplicates, aside) = (world.ledger.duplicates(), world.set_aside());
        world.start();
        match self {
            Self::KillAtAccept => kill_at_accept(world),
            Self::KillAtRelay => kill_at_relay(world),
            Self::KillAtReload => kill_at_reload(world),
            Self::PowerCut => power_cut(world),
            Self::DiskFull => disk_full(world),
            Self::OutOfFiles => out_of_files(world),
            Self::FailedSync => failed_sync(world),
            Self::FailedFlush => failed_flush(world),
            Self::ReadOnlyDisk => read_only_disk(world),
            Self::FlippedBits => flipped_bits(world),
            Self::IndexDeleted => index_deleted(world),
            Self::ClockJumps => clock_jumps(world),
            Self::SecondServer => second_server(world),
        }
        world.settle();
        world.stop();
        let Fate { copies, reports } = world.ledger.sums();
        let outcome = Outcome {
            promised: world.ledger.promised() - promised,
            copies: copies - before.copies,
            reports: reports - before.reports,
            duplicates: world.ledger.duplicates() - duplicates,
            set_aside: world.set_aside() - aside,
        };
        assert!(world.has_flipped_bits || outcome.set_aside == 0, "{self:?}: {outcome:?}");
        outcome
    }
}

fn kill_at_accept(world: &mut World) {
    let traffic = world.traffic(4);
    world.wait_a_moment(400);
    world.kill();
    traffic.stop();
    world.start();
}

fn kill_at_relay(world: &mut World) {
    world.close_hop(true);
    let traffic = world.traffic(4);
    world.wait_for_promises(40);
    traffic.stop();
    world.close_hop(false);
    let count = world.relayed() + world.rng.random_range(1..30);
    // Some are for a mailbox here; the next hop may never see as many.
    wait_until("some to be relayed", || world.relayed() >= count || world.is_idle());
    world.kill();
    world.start();
}

fn kill_at_reload(world: &mut World) {
    let octets = std::fs::read(component("tag-headers")).expect("a plugin");
    let traffic = world.traffic(3);
    for nth in 0..world.rng.random_range(1..5u8) {
        // A custom section makes another plugin of it that does the same.
        world.setup.drop_in_octets("tag-headers", &[octets.as_slice(), &[0, 3, 1, b'n', nth]].concat());
        world.server().hang_up();
        world.wait_a_moment(250);
    }
    world.kill();
    traffic.stop();
    world.start();
}

fn power_cut(world: &mut World) {
    let traffic = world.traffic(4);
    world.wait_a_moment(1500);
    let seed = world.rng.random();
    world.disk.as_mut().expect("a disk").cut(seed);
    // Requests that are under way have the time to be answered wrongly.
    world.wait_a_moment(200);
    world.kill();
    traffic.stop();
    world.disk.as_mut().expect("a disk").power_returns();
    world.start();
}

fn disk_full(world: &mut World) {
    let traffic = world.traffic(4);
    world.wait_for_promises(10);
    let filler = world.setup.path("place/filler");
    let refused = traffic.refusals();
    wait_until("the disk to be full", || {
        let output = run(Command::new("dd")
            .args(["if=/dev/zero", "bs=64k", "conv=notrunc", "oflag=append"])
            .arg(of(&filler)));
        output.code != 0
    });
    wait_until("mail to be put off", || traffic.refusals() > refused + 4);
    world.wait_a_moment(300);
    std::fs::remove_file(filler).expect("room again");
    world.wait_for_promises(10);
    traffic.stop();
    // A failure whose report could not be queued waits for minutes.
    assert_eq!(world.setup.command(&["queue", "retry", "--all"]).code, 0);
}

fn of(file: &Path) -> String {
    format!("of={}", file.display())
}

fn out_of_files(world: &mut World) {
    let traffic = world.traffic(4);
    world.wait_for_promises(5);
    let pid = world.server().pid().to_string();
    let limit = |count: &str| {
        let output = run(Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={count}:")]));
        assert_eq!(output.code, 0, "{}", output.err);
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count();
    limit(&(open + world.rng.random_range(0..6)).to_string());
    // They take what is left, and wait in the kernel for more.
    let crowd: Vec<_> = (0..40).filter_map(|_| Smtp::tries_to_connect(world.server().address())).collect();
    world.wait_a_moment(400);
    limit("4096");
    drop(crowd);
    world.wait_for_promises(10);
    traffic.stop();
}

fn failed_sync(world: &mut World) {
    let traffic = world.traffic(4);
    world.wait_for_promises(10);
    let (before, count) = (world.shim.failed_syncs(), world.rng.random_range(1..3));
    world.shim.fail_syncs(count);
    wait_until("syncs to fail", || world.shim.failed_syncs() >= before + count);
    // After one, mail goes on in another segment; when that cannot be begun either, the queue is closed until the next start.
    if count == 1 {
        world.wait_for_promises(20);
    }
    world.kill();
    traffic.stop();
    world.start();
}

/// What such a flush should have made durable is lost; where it was the journal's, the file system turns read-only.
fn failed_flush(world: &mut World) {
    world.mail_and_rest();
    let count = world.rng.random_range(1..4);
    world.disk.as_mut().expect("a disk").fail_flushes(count);
    let traffic = world.traffic(1);
    let disk = world.disk.as_mut().expect("a disk");
    wait_until("flushes to fail", || disk.has_failed());
    // What a mailbox got and could not sync is delivered again: each failure may cost as much as a crash.
    (0..count).for_each(|_| world.ledger.crashed());
    world.wait_a_moment(300);
    let seed = world.rng.random();
    world.disk.as_mut().expect("a disk").cut(seed);
    world.kill();
    traffic.stop();
    world.disk.as_mut().expect("a disk").power_returns();
    world.start();
}

/// At rest: ext4 answers a sync with success that is under way while it gives up (seen on Linux 6.18), and nobody can tell.
fn read_only_disk(world: &mut World) {
    world.mail_and_rest();
    world.disk.as_ref().expect("a disk").turn_read_only();
    let traffic = world.traffic(4);
    wait_until("mail to be put off", || traffic.refusals() > 4);
    world.kill();
    traffic.stop();
    let disk = world.disk.as_mut().expect("a disk");
    disk.unmount(true);
    disk.mount("ro");
    let output = world.setup.command(&["serve"]);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.err.contains("place/data"), "{}", output.err);
    let disk = world.disk.as_mut().expect("a disk");
    disk.unmount(true);
    disk.mount("rw");
    world.start();
}

fn flipped_bits(world: &mut World) {
    world.close_hop(true);
    let traffic = world.traffic(4);
    world.wait_for_promises(40);
    traffic.stop();
    world.stop();
    world.has_flipped_bits = true;
    // An update of a state may be among what is hit: its delivery is made again.
    world.ledger.crashed();
    let mut files = Vec::new();
    files_below(&world.data(), &mut files);
    for file in files {
        let mut octets = std::fs::read(&file).expect("a file");
        if !octets.is_empty() {
            let at = world.rng.random_range(0..octets.len());
            octets[at] ^= 1 << world.rng.random_range(0..8);
            std::fs::write(&file, octets).expect("the file");
        }
    }
    world.close_hop(false);
    world.start();
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() && entry.file_name() != "corrupt" {
            files_below(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn index_deleted(world: &mut World) {
    world.close_hop(true);
    let traffic = world.traffic(4);
    world.wait_for_promises(20);
    if world.rng.random_range(0..2) == 0 {
        world.kill();
        traffic.stop();
    } else {
        traffic.stop();
        world.stop();
    }
    std::fs::remove_dir_all(world.data().join("queue")).expect("the index goes");
    world.close_hop(false);
    world.start();
}

fn clock_jumps(world: &mut World) {
    const HOUR: i64 = 3600;
    let traffic = world.traffic(3);
    for _ in 0..3 {
        let closed = world.rng.random_range(0..2) == 0;
        world.close_hop(closed);
        // Within the five days after which mail is given up; and back before anything was received.
        let hours = [1, 24, 90, -1, -24, -1000, -400_000][world.rng.random_range(0..7)];
        world.shim.set_clock(hours * HOUR);
        world.wait_for_promises(5);
        world.wait_a_moment(300);
    }
    world.shim.set_clock(0);
    world.close_hop(false);
    world.wait_for_promises(5);
    traffic.stop();
}

fn second_server(world: &mut World) {
    let traffic = world.traffic(3);
    world.wait_for_promises(5);
    let output = world.setup.command(&["serve"]);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    assert!(output.err.contains("another server"), "{}", output.err);
    world.wait_for_promises(5);
    traffic.stop();
}
