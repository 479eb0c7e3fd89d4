use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use queue::StoreError;

use super::*;

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, offset).unwrap();
    file.write_all_at(&[octet[0] ^ 0x10], offset).unwrap();
}

/// The segment and offset of an entry's record.
fn find(store: &DiskStore, dir: &Path, id: QueueId) -> (PathBuf, u64, u64) {
    let place = store.core().place(id).unwrap();
    let path = dir.join(format!("spool/{:08}.log", place.at.seq));
    (path, place.at.offset, u64::from(place.octets))
}

fn kept(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir.join("corrupt")).unwrap();
    names.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_flipped_bit_in_content_sets_that_entry_aside_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<_> = (0..3).map(|_| put(&store, 4000)).collect();
    let (path, offset, octets) = find(&store, dir.path(), all[1]);
    flip(&path, offset + octets - 100);
    assert!(matches!(store.content(all[1]), Err(StoreError::Corrupt(id)) if id == all[1]));
    assert!(matches!(store.content(all[1]), Err(StoreError::NotFound(_))));
    assert_eq!((ids(&store), store.totals().corrupt), (vec![all[0], all[2]], 1));
    assert_eq!(kept(dir.path()), [format!("{}.record", all[1])]);
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    assert_eq!((ids(&store), store.totals().corrupt), (vec![all[0], all[2]], 1));
}

#[test]
fn a_flipped_bit_in_a_spool_file_sets_its_entry_aside_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<_> = (0..2).map(|_| put(&store, 400_000)).collect();
    let other = read(&store, all[1]);
    store.crash();
    let files = std::fs::read_dir(dir.path().join("spool/large")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    flip(&files[0], 123_456);
    let store = open(dir.path());
    assert!(matches!(store.content(all[0]), Err(StoreError::Corrupt(id)) if id == all[0]));
    assert_eq!((ids(&store), store.totals().corrupt), (vec![all[1]], 1));
    assert!(kept(dir.path()).contains(&format!("{}.content", all[0])));
    assert_eq!(read(&store, all[1]), other);
}

#[test]
fn damage_anywhere_in_the_log_costs_what_it_hit() {
    for (what, at) in [("header", 9), ("meta", 70), ("content", 900)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let all: Vec<_> = (0..4).map(|_| put(&store, 4000)).collect();
        let (path, offset, _) = find(&store, dir.path(), all[1]);
        store.crash();
        flip(&path, offset + at);
        std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
        let store = open(dir.path());
        assert_eq!(ids(&store), [all[0], all[2], all[3]], "{what}");
        assert_eq!(store.totals().corrupt, 1, "{what}");
        assert!(kept(dir.path())[0].contains(if what == "header" { "octets" } else { "record" }));
        assert_eq!(read(&store, all[2]), text(all[2], 4000));
    }
}

#[test]
fn a_damaged_first_record_of_a_segment_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<_> = (0..3).map(|_| put(&store, 500)).collect();
    let (path, ..) = find(&store, dir.path(), all[0]);
    store.crash();
    flip(&path, 20);
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    assert_eq!(ids(&open(dir.path())), all);
}

#[test]
fn a_torn_tail_was_never_acknowledged_and_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (first, second) = (put(&store, 4000), put(&store, 4000));
    let (path, offset, octets) = find(&store, dir.path(), second);
    store.crash();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(offset + octets / 2).unwrap();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    assert_eq!((ids(&store), store.totals().corrupt), (vec![first], 0));
    let third = put(&store, 100);
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    assert_eq!((ids(&store), store.totals().corrupt), (vec![first, third], 0));
}

#[test]
fn an_index_that_is_missing_damaged_or_old_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let old = put(&store, 100);
    until("the entry to be in sled", || is_settled(&store));
    drop(store);
    let queue = dir.path().join("queue");
    let stale = std::fs::read(queue.join("db")).unwrap();
    let store = open(dir.path());
    let new = put(&store, 100);
    deliver(&store, old);
    until("the changes to be in sled", || is_settled(&store));
    drop(store);
    for damage in ["old", "cut", "garbage", "missing", "generating"] {
        let db = queue.join("db");
        match damage {
            "old" => std::fs::write(&db, &stale).unwrap(),
            "cut" => OpenOptions::new().write(true).open(&db).unwrap().set_len(1000).unwrap(),
            "garbage" => std::fs::write(&db, vec![0xa5; stale.len()]).unwrap(),
            "missing" => std::fs::remove_dir_all(&queue).unwrap(),
            _ => std::fs::write(queue.join("snap.0000000000000001.generating"), b"x").unwrap(),
        }
        let store = open(dir.path());
        assert_eq!(ids(&store), [new], "{damage}");
        assert_eq!(read(&store, new), text(new, 100));
    }
}

#[test]
fn a_record_that_somebody_mails_is_never_taken_for_one_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let victim = put(&store, 64);
    let (path, offset, octets) = find(&store, dir.path(), victim);
    let mut record = vec![0; octets as usize];
    OpenOptions::new().read(true).open(&path).unwrap().read_exact_at(&mut record, offset).unwrap();
    let id = store.new_id();
    wait(store.commit(entry(id, 1), Content::from(Bytes::from(record.repeat(20))))).unwrap();
    deliver(&store, victim);
    // The record that says so is durable with this one.
    let last = put(&store, 10);
    let (path, offset, _) = find(&store, dir.path(), id);
    store.crash();
    flip(&path, offset + 9);
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    assert_eq!((ids(&store), store.totals().corrupt), (vec![last], 1));
}
