//! Fills a queue and says what it costs: `cargo run -p store --example fill DIR [ENTRIES [DOMAINS]]`, a million over 10,000 by default.
//!
//! Each entry has 1 KiB of content and one recipient, who waits for another attempt for some days. The store is then opened again, as a server
//! does that starts, and asked what the commands ask. DIR stays, for `tests/bench/queue` to run the server on it.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, ReversePath};
use queue::{Diagnostic, Entry, State, Store};
use store::{DiskStore, Options};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const OCTETS: usize = 1 << 10;
const TASKS: u64 = 128;
const FAR: Duration = Duration::from_secs(3 * 86_400);

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let entries: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let domains: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let store = Arc::new(DiskStore::open(Options::new(&dir))?);
    let began = clock::now();
    runtime.block_on(fill(&store, entries, domains))?;
    say("committed", began, &format!("{entries} entries of {domains} domains"));
    let began = clock::now();
    store.close();
    say("closed", began, &pss());
    drop(store);
    let began = clock::now();
    let store = DiskStore::open(Options::new(&dir))?;
    say("opened", began, &pss());
    let began = clock::now();
    let totals = store.totals();
    say("totals", began, &format!("{totals:?}"));
    let began = clock::now();
    let listed = store.list(None, 20)?;
    say("the first 20", began, &format!("{} listed", listed.len()));
    let began = clock::now();
    let view = store.census(20);
    say(
        "census",
        began,
        &format!("{} reasons, {} recipients elsewhere", view.reasons.len(), view.domains_left),
    );
    let began = clock::now();
    let due = store.next_due()?;
    say("what is due first", began, &format!("{}", due.is_some()));
    store.close();
    Ok(())
}

async fn fill(store: &Arc<DiskStore>, entries: u64, domains: u64) -> Outcome {
    let next = Arc::new(AtomicU64::new(0));
    let content = Bytes::from([&b"Subject: x\r\n\r\n"[..], &[b'x'; OCTETS]].concat());
    let running = (0..TASKS).map(|_| {
        let (store, next, content) = (Arc::clone(store), Arc::clone(&next), content.clone());
        tokio::spawn(async move {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= entries {
                    return Outcome::Ok(());
                }
                store.commit(entry(&store, nth, domains)?, Content::from(content.clone())).await?;
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

fn entry(store: &DiskStore, nth: u64, domains: u64) -> Outcome<Arc<Entry>> {
    let sender = ReversePath::Mailbox(Mailbox::parse("sender@example.org")?);
    let mut envelope = Envelope::new(sender, Vec::new());
    let mailbox = Mailbox::parse(&format!("user{nth}@d{}.example", nth % domains))?;
    envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
    let now = clock::wall();
    let mut entry = Entry::new(store.new_id(), envelope, OCTETS as u64, now, None);
    let queued = &mut entry.recipients[0];
    queued.attempts = 1;
    queued.state = State::Waiting { due: now + FAR };
    let reply = format!("451 4.7.{} try again in {nth} seconds", nth % 7);
    queued.last = Some(Diagnostic { at: now, host: Some("mx.example.net".to_owned()), reply });
    Ok(Arc::new(entry))
}

fn say(what: &str, began: Instant, more: &str) {
    println!("{what}: {:.3} s; {more}", clock::now().duration_since(began).as_secs_f64());
}

/// The proportional set size of this process.
fn pss() -> String {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or("Pss: unknown");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
