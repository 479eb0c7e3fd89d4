//! The store as a whole: on a real directory, and on a disk that forgets and fails.

mod basics;
mod damage;
mod keys;
mod power;
mod room;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Content, Envelope, Mailbox, QueueId, ReversePath, Timestamp};
use queue::{Diagnostic, Entry, RecipientUpdate, State, Store, Update};

use crate::{DiskStore, Options};

/// Small numbers, so that a test meets every limit soon.
fn options(dir: &Path) -> Options {
    Options {
        segment_octets: 1 << 20,
        inline_octets: 64 << 10,
        min_free_octets: 1,
        settle_delay: Duration::from_millis(300),
        ..Options::new(dir)
    }
}

fn open(dir: &Path) -> DiskStore {
    DiskStore::open(options(dir)).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Waits until something holds, for half a minute at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end: Instant = clock::now() + Duration::from_secs(30);
    while !holds() {
        assert!(clock::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn entry(id: QueueId, recipients: usize) -> Arc<Entry> {
    let sender = Mailbox::parse("sender@example.org").unwrap();
    let mut envelope = Envelope::new(ReversePath::Mailbox(sender), Vec::new());
    for nth in 0..recipients {
        let mailbox = Mailbox::parse(&format!("user{nth}@example.net")).unwrap();
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
    }
    Arc::new(Entry::new(id, envelope, 0, Timestamp(1_000), None))
}

/// Content that is different for each entry.
fn text(id: QueueId, octets: usize) -> Bytes {
    let line = format!("{id} says hello\r\n");
    line.bytes().cycle().take(octets).collect()
}

fn put(store: &DiskStore, octets: usize) -> QueueId {
    let id = store.new_id();
    wait(store.commit(entry(id, 1), Content::from(text(id, octets)))).unwrap();
    id
}

fn change(id: QueueId, recipient: u32, state: State) -> Update {
    let last = Some(Diagnostic { at: Timestamp(5), host: None, reply: "451 4.3.0 later".to_owned() });
    Update { id, recipients: vec![RecipientUpdate { id: recipient, state, attempts: 1, last, warned: None }] }
}

fn deliver(store: &DiskStore, id: QueueId) {
    wait(store.update(change(id, 0, State::Delivered))).unwrap();
}

fn read(store: &DiskStore, id: QueueId) -> Bytes {
    store.content(id).unwrap().to_bytes().unwrap()
}

fn ids(store: &DiskStore) -> Vec<QueueId> {
    store.list(None, usize::MAX).unwrap().iter().map(|entry| entry.id).collect()
}

/// Whether everything is in sled and nothing in memory.
fn is_settled(store: &DiskStore) -> bool {
    let table = store.core().table.lock();
    table.weight() == 0 && table.oldest_dirty().is_none()
}
