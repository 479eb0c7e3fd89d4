//! A process that is killed at random moments: every message that it said was taken on is there, once and whole.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, Timestamp};
use queue::{Entry, RecipientUpdate, State, Store, Update};
use store::{DiskStore, Options};

const ROUNDS: u64 = 8;

fn options(dir: &Path) -> Options {
    Options { segment_octets: 1 << 20, inline_octets: 64 << 10, min_free_octets: 1, ..Options::new(dir) }
}

fn text(id: QueueId) -> Bytes {
    let octets = 100 + (id.0 % 7) as usize * 9_000;
    format!("{id} was here\r\n").bytes().cycle().take(octets).collect()
}

fn entry(id: QueueId) -> Arc<Entry> {
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    if let Ok(mailbox) = Mailbox::parse("ann@example.org") {
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
    }
    Arc::new(Entry::new(id, envelope, 0, Timestamp(1), None))
}

/// The process that is killed: commits for ever, delivers every third, and says so line by line.
#[test]
#[ignore = "runs only as the child of the test below"]
fn child() {
    let store = Arc::new(DiskStore::open(options(&std::env::current_dir().unwrap())).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            runtime.spawn(async move {
                for nth in 0u64.. {
                    let id = store.new_id();
                    store.commit(entry(id), Content::from(text(id))).await.unwrap();
                    println!("\nok {id}");
                    if nth.is_multiple_of(3) {
                        println!("\ngone {id}");
                        let state = State::Delivered;
                        let change = RecipientUpdate { id: 0, state, attempts: 1, last: None, warned: None };
                        store.update(Update { id, recipients: vec![change] }).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = 0;
        let mut note = |line: String| {
            let (word, id) = line.split_once(' ').unwrap_or_default();
            match (word, id.parse::<QueueId>()) {
                ("ok", Ok(id)) => acknowledged.insert(id),
                ("gone", Ok(id)) => gone.insert(id),
                _ => false,
            }
        };
        while said < 50 + round * 97 {
            said += u64::from(note(lines.next().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| {
            note(line);
        });
        let store = DiskStore::open(options(dir.path())).unwrap();
        let entries = store.list(None, usize::MAX).unwrap();
        let found: BTreeSet<QueueId> = entries.iter().map(|entry| entry.id).collect();
        assert_eq!(found.len(), entries.len());
        let lost: Vec<_> = acknowledged.difference(&found).filter(|id| !gone.contains(*id)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} are lost");
        for id in &found {
            assert_eq!(store.content(*id).unwrap().to_bytes().unwrap(), text(*id));
        }
        assert_eq!(store.totals().corrupt, 0);
    }
}
