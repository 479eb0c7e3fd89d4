use std::io;

use queue::StoreError;

use super::*;
use crate::fault::{Fault, FaultDisk};

fn log_octets(dir: &Path) -> u64 {
    let names = std::fs::read_dir(dir.join("spool")).unwrap();
    // Segments come and go meanwhile.
    names
        .filter_map(|item| item.unwrap().metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}

#[test]
fn room_comes_back_when_mail_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for _ in 0..200 {
        let id = put(&store, 60_000);
        deliver(&store, id);
    }
    // Twelve segments were written; one is open, and spare files go when nothing moves.
    until("little room", || log_octets(dir.path()) <= 1 << 20);
    assert_eq!(ids(&store), []);
}

#[test]
fn old_mail_is_copied_forward_out_of_sparse_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut kept = Vec::new();
    for nth in 0..300 {
        let id = put(&store, 60_000);
        if nth % 30 == 0 {
            wait(store.update(change(id, 0, State::Waiting { due: Timestamp(7_000) }))).unwrap();
            kept.push(id);
        } else {
            deliver(&store, id);
        }
    }
    until("little room", || log_octets(dir.path()) <= 5 << 20);
    let check = |store: &DiskStore| {
        assert_eq!(ids(store), kept);
        for id in &kept {
            assert_eq!(read(store, *id), text(*id, 60_000));
            assert_eq!(store.entry(*id).unwrap().due(), Some(Timestamp(7_000)));
        }
    };
    check(&store);
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    check(&store);
    kept.iter().for_each(|id| deliver(&store, *id));
    until("less room", || log_octets(dir.path()) <= 2 << 20);
}

#[test]
fn a_queue_at_its_limits_takes_nothing_on_and_works_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(1);
    let options = Options { max_entries: 2, min_free_octets: 1000, ..options(dir.path()) };
    let store = DiskStore::open_on(options, Arc::new(disk.clone())).unwrap();
    store.admit().unwrap();
    let id = put(&store, 10);
    put(&store, 10);
    assert!(matches!(store.admit(), Err(StoreError::Full(_))));
    deliver(&store, id);
    store.admit().unwrap();
    disk.set_free(999);
    until("a refusal", || matches!(store.admit(), Err(StoreError::Full(_))));
    disk.set_free(1000);
    until("room", || store.admit().is_ok());
}

#[test]
fn a_full_disk_refuses_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(2);
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.clone())).unwrap();
    let (first, second) = (put(&store, 1000), put(&store, 1000));
    disk.set_fault(Some(Fault { after: 0, count: 1_000_000, kind: io::ErrorKind::StorageFull }));
    let refused = store.new_id();
    let answer = wait(store.commit(entry(refused, 1), Content::from(text(refused, 1000))));
    assert!(matches!(answer, Err(StoreError::Full(_))), "{answer:?}");
    deliver(&store, first);
    disk.set_fault(None);
    let third = store.new_id();
    until("a commit", || wait(store.commit(entry(third, 1), Content::from(text(third, 1000)))).is_ok());
    assert_eq!(ids(&store), [second, third]);
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.power_cut())).unwrap();
    assert_eq!(ids(&store), [second, third]);
}

#[test]
fn a_failed_sync_is_an_answer_and_its_message_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(3);
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.clone())).unwrap();
    let (first, deferred) = (put(&store, 1000), put(&store, 1000));
    wait(store.update(change(deferred, 0, State::Waiting { due: Timestamp(8_000) }))).unwrap();
    let refused = store.new_id();
    disk.set_fault(Some(Fault { after: 1, count: 1, kind: io::ErrorKind::Other }));
    let mut answers = Vec::new();
    until("a failed sync", || {
        answers.push(wait(store.commit(entry(refused, 1), Content::from(text(refused, 1000)))));
        answers.last().is_some_and(Result::is_err)
    });
    let last = put(&store, 500);
    let acknowledged = answers.len() > 1;
    let expected: Vec<_> =
        [first, deferred].into_iter().chain(acknowledged.then_some(refused)).chain([last]).collect();
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.power_cut())).unwrap();
    assert_eq!(ids(&store), expected);
    assert_eq!(store.entry(deferred).unwrap().due(), Some(Timestamp(8_000)));
}

#[test]
fn a_disk_that_takes_nothing_closes_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(4);
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.clone())).unwrap();
    let first = put(&store, 1000);
    disk.set_fault(Some(Fault { after: 0, count: 1_000_000, kind: io::ErrorKind::Other }));
    let id = store.new_id();
    assert!(wait(store.commit(entry(id, 1), Content::from(Bytes::new()))).is_err());
    until("the end", || matches!(store.admit(), Err(StoreError::Closed(_))));
    assert!(matches!(
        wait(store.commit(entry(id, 1), Content::from(Bytes::new()))),
        Err(StoreError::Closed(_))
    ));
    assert_eq!(ids(&store), [first]);
    store.crash();
    let store = DiskStore::open_on(options(dir.path()), Arc::new(disk.power_cut())).unwrap();
    assert_eq!(ids(&store), [first]);
}

#[test]
fn a_hundred_thousand_entries_leave_the_memory_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_octets: 64 << 20, ..options(dir.path()) };
    let store = DiskStore::open(options.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = store.new_id();
    let mut last = first;
    for _ in 0..100 {
        let commits: Vec<_> = (0..1000)
            .map(|_| {
                last = store.new_id();
                store.commit(entry(last, 1), Content::from(text(last, 20)))
            })
            .collect();
        commits.into_iter().for_each(|commit| runtime.block_on(commit).unwrap());
    }
    until("an empty table", || is_settled(&store));
    store.crash();
    let store = DiskStore::open(options).unwrap();
    assert_eq!((store.totals().waiting, is_settled(&store)), (100_000, true));
    assert_eq!(store.due(Timestamp(1_000), None, 100).unwrap().len(), 100);
    assert_eq!(read(&store, last), text(last, 20));
}

#[test]
fn sled_is_written_anew_without_what_it_no_longer_needs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (gone, kept) = (put(&store, 10), put(&store, 10));
    until("the entries to be in sled", || is_settled(&store));
    deliver(&store, gone);
    until("the end to be in sled", || is_settled(&store));
    crate::settle::compact(store.core()).unwrap();
    assert_eq!((ids(&store), read(&store, kept)), (vec![kept], text(kept, 10)));
    let late = put(&store, 10);
    until("the entry to be in sled", || is_settled(&store));
    store.crash();
    assert_eq!(ids(&open(dir.path())), [kept, late]);
}
