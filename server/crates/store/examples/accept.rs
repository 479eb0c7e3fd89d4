//! How fast entries are taken on durably: `cargo run -p store --release --example accept [DIR]`.
//!
//! Messages of 5 KB, committed by 1, 32 and 128 tasks for two seconds each and delivered at once. The directory should be on the disk
//! in question; without one, a directory under the current one is made and removed again.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, ReversePath, Timestamp};
use queue::{Entry, RecipientUpdate, State, Store, Update};
use store::{DiskStore, Options};

const RUN: Duration = Duration::from_secs(2);
const OCTETS: usize = 5 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = given.clone().unwrap_or_else(|| PathBuf::from("accept-bench"));
    for deliver in [true, false] {
        println!("{}", if deliver { "delivered at once" } else { "left in the queue" });
        for tasks in [1, 32, 128] {
            measure(&dir, tasks, deliver)?;
        }
    }
    if given.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn measure(dir: &Path, tasks: usize, deliver: bool) -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(DiskStore::open(Options::new(dir))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (began, cpu) = (clock::now(), cpu_ms());
    let count = Arc::new(AtomicU64::new(0));
    let content = Bytes::from(vec![b'x'; OCTETS]);
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let (store, count, content) = (Arc::clone(&store), Arc::clone(&count), content.clone());
            runtime.spawn(async move {
                while clock::now().duration_since(began) < RUN {
                    let entry = entry(&store);
                    let id = entry.id;
                    store.commit(entry, Content::from(content.clone())).await?;
                    if deliver {
                        let state = State::Delivered;
                        let change = RecipientUpdate { id: 0, state, attempts: 1, last: None, warned: None };
                        store.update(Update { id, recipients: vec![change] }).await?;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), queue::StoreError>(())
            })
        })
        .collect();
    for task in running {
        runtime.block_on(task)??;
    }
    let took = clock::now().duration_since(began).as_secs_f64();
    let count = count.load(Ordering::Relaxed);
    let each = (cpu_ms() - cpu) / count as f64;
    println!("{tasks:4} tasks: {:7.0} messages/s, {each:.3} ms of CPU a message", count as f64 / took);
    if !deliver {
        for entry in store.list(None, usize::MAX)? {
            let state = State::Removed;
            let change = RecipientUpdate { id: 0, state, attempts: 0, last: None, warned: None };
            runtime.block_on(store.update(Update { id: entry.id, recipients: vec![change] }))?;
        }
    }
    Ok(())
}

fn entry(store: &DiskStore) -> Arc<Entry> {
    let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
    if let Ok(mailbox) = Mailbox::parse("ann@example.org") {
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
    }
    Arc::new(Entry::new(store.new_id(), envelope, OCTETS as u64, Timestamp(1), None))
}

/// User and system time of this process so far, in milliseconds.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks * 10.0
}
