use hooks::{KeyValue, KvError};

use super::*;
use crate::{KvLimits, KvStore};

const NOW: Timestamp = Timestamp(1_000_000);

fn keys(dir: &Path) -> KvStore {
    KvStore::open(dir, KvLimits { keys: 5, octets: 1 << 20 }).unwrap()
}

fn value(store: &KvStore, key: &str, now: Timestamp) -> Option<Vec<u8>> {
    store.get("greylist", key, now).unwrap().map(|found| found.value)
}

#[test]
fn spaces_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    store.set("a", "k", b"1", None, NOW).unwrap();
    store.set("ab", "k", b"2", None, NOW).unwrap();
    assert_eq!(store.get("a", "k", NOW).unwrap().unwrap().value, b"1");
    assert_eq!(store.scan("a", "", None, 10, NOW).unwrap().keys, ["k"]);
    assert!(store.get("b", "k", NOW).unwrap().is_none());
    assert!(matches!(store.set("a\0b", "k", b"", None, NOW), Err(KvError::BadInput(_))));
}

#[test]
fn a_value_ends_with_its_lifetime_and_a_counter_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    let second = Some(Duration::from_secs(1));
    store.set("greylist", "k", b"v", second, NOW).unwrap();
    assert_eq!(store.increment("greylist", "n", 2, second, NOW).unwrap(), 2);
    let later = NOW + Duration::from_millis(999);
    assert_eq!(store.increment("greylist", "n", 3, second, later).unwrap(), 5);
    assert_eq!(value(&store, "k", later), Some(b"v".to_vec()));
    let over = NOW + Duration::from_secs(1);
    assert_eq!(value(&store, "k", over), None);
    assert_eq!(store.scan("greylist", "", None, 10, over).unwrap().keys, Vec::<String>::new());
    assert!(!store.delete("greylist", "k", over).unwrap());
    assert_eq!(store.increment("greylist", "n", 1, second, over).unwrap(), 1);
    store.set("greylist", "text", b"x", None, over).unwrap();
    assert!(matches!(store.increment("greylist", "text", 1, None, over), Err(KvError::BadInput(_))));
}

#[test]
fn versions_rise_and_never_return() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    let set = |store: &KvStore| store.set("greylist", "k", b"v", None, NOW).unwrap();
    let first = set(&store);
    assert!(first > 0);
    assert!(!store.compare_and_set("greylist", "k", None, b"w", None, NOW).unwrap());
    assert!(store.delete("greylist", "k", NOW).unwrap());
    assert!(store.compare_and_set("greylist", "k", None, b"w", None, NOW).unwrap());
    assert!(!store.compare_and_set("greylist", "k", Some(first), b"x", None, NOW).unwrap());
    let second = store.get("greylist", "k", NOW).unwrap().unwrap().version;
    assert!(store.compare_and_set("greylist", "k", Some(second), b"x", None, NOW).unwrap());
    store.delete("greylist", "k", NOW).unwrap();
    drop(store);
    let store = keys(dir.path());
    assert!(set(&store) > second + 1);
}

#[test]
fn limits_are_kept_and_what_is_over_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    let short = Some(Duration::from_secs(1));
    for nth in 0..5 {
        store.set("greylist", &format!("k{nth}"), b"v", short, NOW).unwrap();
    }
    let later = NOW + Duration::from_secs(2);
    store.set("greylist", "k4", b"longer", None, NOW).unwrap();
    store.set("greylist", "new", b"v", None, later).unwrap();
    for nth in 0..3 {
        store.set("greylist", &format!("more{nth}"), b"v", None, later).unwrap();
    }
    assert!(matches!(store.set("greylist", "sixth", b"v", None, later), Err(KvError::Quota(_))));
    store.set("other", "k", b"v", None, later).unwrap();
    let long = "k".repeat(513);
    assert!(matches!(store.set("other", &long, b"v", None, NOW), Err(KvError::Quota(_))));
    assert!(matches!(store.set("other", "k", &[0; 65_537], None, NOW), Err(KvError::Quota(_))));
    assert!(matches!(store.set("other", "", b"v", None, NOW), Err(KvError::BadInput(_))));
    store.set("other", &"k".repeat(512), &[1; 65_536], None, NOW).unwrap();
}

#[test]
fn pages_follow_each_other_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    for key in ["a", "b1", "b1x", "b2", "c"] {
        store.set("greylist", key, b"", None, NOW).unwrap();
    }
    let page = store.scan("greylist", "b", None, 2, NOW).unwrap();
    assert_eq!(page.keys, ["b1", "b1x"]);
    let next = store.scan("greylist", "b", page.cursor.as_deref(), 2, NOW).unwrap();
    assert_eq!((next.keys, next.cursor), (vec!["b2".to_owned()], None));
}

#[test]
fn increments_and_swaps_of_many_threads_are_all_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    store.set("greylist", "cas", b"0", None, NOW).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    store.increment("greylist", "n", 1, None, NOW).unwrap();
                    loop {
                        let found = store.get("greylist", "cas", NOW).unwrap().unwrap();
                        let number: u32 = String::from_utf8(found.value).unwrap().parse().unwrap();
                        let next = (number + 1).to_string();
                        let version = Some(found.version);
                        if store
                            .compare_and_set("greylist", "cas", version, next.as_bytes(), None, NOW)
                            .unwrap()
                        {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(value(&store, "n", NOW), Some(b"400".to_vec()));
    assert_eq!(value(&store, "cas", NOW), Some(b"400".to_vec()));
}

#[test]
fn what_was_written_outlives_sled_without_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = keys(dir.path());
    store.set("greylist", "kept", b"1", None, NOW).unwrap();
    store.set("greylist", "gone", b"1", None, NOW).unwrap();
    store.delete("greylist", "gone", NOW).unwrap();
    // A copy of the journal is what a killed process leaves, at the least.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.0", "journal.1"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let killed = keys(copy.path());
    let synced =
        value(&store, "kept", NOW).is_some() && std::fs::metadata(dir.path().join("journal.0")).is_ok();
    assert!(synced);
    if killed.scan("greylist", "", None, 10, NOW).unwrap().keys.is_empty() {
        // The second was over between writing and copying: then sled has it.
        drop(store);
        assert_eq!(value(&keys(dir.path()), "kept", NOW), Some(b"1".to_vec()));
    } else {
        assert_eq!(value(&killed, "kept", NOW), Some(b"1".to_vec()));
        assert_eq!(value(&killed, "gone", NOW), None);
    }
}

#[test]
fn a_damaged_database_is_set_aside_and_the_queue_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = put(&store, 10);
    store.key_value().set("greylist", "k", b"v", None, NOW).unwrap();
    drop(store);
    std::fs::write(dir.path().join("kv/index/db"), vec![0x5a; 1 << 20]).unwrap();
    std::fs::write(dir.path().join("kv/index/conf"), b"garbage").unwrap();
    let store = open(dir.path());
    assert_eq!(ids(&store), [id]);
    assert!(store.key_value().get("greylist", "k", NOW).unwrap().is_none());
    store.key_value().set("greylist", "k", b"v", None, NOW).unwrap();
}
