//! Half an hour of mail, with everything that goes on in a server's life: plugins are replaced, the next hop is started again, clients
//! vanish. Memory and file descriptors stay where they were, the queue is empty at the end, and the ledger is exact.

use std::fmt::Write;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::floods::pss_kib;
use super::seed;
use super::world::World;
use crate::harness::{Smtp, component, target_dir};

/// One look at the server.
struct Sample {
    at_s: u64,
    pss_kib: u64,
    files: usize,
    threads: usize,
    promised: usize,
}

fn look(world: &World, since: Instant) -> Sample {
    let pid = world.server().pid();
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("its state").count();
    Sample {
        at_s: since.elapsed().as_secs(),
        pss_kib: pss_kib(pid),
        files: count("fd"),
        threads: count("task"),
        promised: world.ledger.promised(),
    }
}

/// Clients that come, say something and vanish.
fn vanish(world: &mut World) {
    let address = world.server().address();
    for _ in 0..world.rng.random_range(1..6) {
        let Some(mut client) = Smtp::tries_to_connect(address) else { continue };
        let opening =
            "EHLO x.example\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n";
        let octets = world.rng.random_range(0..400_000);
        let content = "a line of a message that nobody will finish\r\n".repeat(octets / 45);
        let all = [opening, &content].concat();
        client.try_raw(&all[..world.rng.random_range(0..all.len())]);
    }
}

fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds,pss KiB,file descriptors,threads,answered 250\n".to_owned();
    for Sample { at_s, pss_kib, files, threads, promised } in samples {
        writeln!(text, "{at_s},{pss_kib},{files},{threads},{promised}").expect("memory");
    }
    text
}

/// The least of a quarter of the samples: what stays when the peaks are over.
fn least(samples: &[Sample], quarter: usize, of: impl Fn(&Sample) -> u64) -> u64 {
    let count = samples.len() / 4;
    samples[quarter * count..(quarter + 1) * count].iter().map(of).min().expect("samples")
}

/// Mail for so long; samples each `between`.
fn soak(length: Duration, between: Duration, pause: Duration) {
    let seed = seed();
    println!("TORTURE_SEED={seed} TORTURE_SOAK_S={}", length.as_secs());
    let mut world = World::new(seed, false);
    let plugin = std::fs::read(component("tag-headers")).expect("a plugin");
    world.setup.drop_in_octets("tag-headers", &plugin);
    world.start();
    let traffic = world.traffic_with_pauses(4, pause);
    let (since, mut samples) = (Instant::now(), Vec::new());
    let (mut replaced, mut restarts) = (0u32, 0);
    while since.elapsed() < length {
        std::thread::sleep(between);
        // Who is put off waits for half a minute at the most, or the queue would grow.
        world.be_generous(samples.len() % 6 == 0);
        match samples.len() % 6 {
            1 | 4 => {
                replaced += 1;
                let section = [&[0, 6, 1, b'n'][..], &replaced.to_le_bytes()].concat();
                world.setup.drop_in_octets("tag-headers", &[plugin.as_slice(), &section].concat());
            }
            2 => vanish(&mut world),
            5 => {
                world.restart_hop();
                restarts += 1;
            }
            _ => {}
        }
        world.is_idle();
        samples.push(look(&world, since));
        let folder = target_dir().join("torture");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("soak.csv"), csv(&samples)).expect("soak.csv");
    }
    traffic.stop();
    println!("{replaced} replacements, {restarts} restarts of the next hop");
    let ledger = world.finish();
    let (promised, sums, duplicates) = (ledger.promised(), ledger.sums(), ledger.duplicates());
    println!("{promised} answered 250, {sums:?}, {duplicates} duplicates");
    assert_eq!(duplicates, 0, "nothing crashed");
    assert!(promised > samples.len(), "{promised} messages");
    if samples.len() >= 40 {
        let (first, last) = (least(&samples, 1, |s| s.pss_kib), least(&samples, 3, |s| s.pss_kib));
        assert!(last <= first + first / 5 + 4096, "memory grows: {first} KiB, then {last} KiB");
        let (first, last) = (least(&samples, 1, |s| s.files as u64), least(&samples, 3, |s| s.files as u64));
        assert!(last <= first + 4, "file descriptors grow: {first}, then {last}");
    }
}

#[test]
fn mail_beside_replacements_restarts_and_vanishing_clients_is_exact() {
    soak(Duration::from_secs(4), Duration::from_millis(300), Duration::from_millis(20));
}

#[test]
#[ignore = "long; make torture"]
fn soak_for_half_an_hour() {
    let seconds = std::env::var("TORTURE_SOAK_S").map_or(1800, |text| text.parse().expect("seconds"));
    soak(Duration::from_secs(seconds), Duration::from_secs(5), Duration::from_millis(150));
}
