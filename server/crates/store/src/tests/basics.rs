use model::{Piece, Source};
use queue::{Due, StoreError};

use super::*;
use crate::OpenError;

#[test]
fn what_was_committed_is_there_after_a_close_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = put(&store, 5000);
    store.close();
    drop(store);
    let store = open(dir.path());
    let second = put(&store, 0);
    store.crash();
    let store = open(dir.path());
    assert_eq!(ids(&store), [first, second]);
    assert_eq!(read(&store, first), text(first, 5000));
    assert!(read(&store, second).is_empty());
    assert_eq!(store.totals().waiting, 2);
    assert!(store.new_id() > second);
}

#[test]
fn a_second_server_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(DiskStore::open(options(dir.path())), Err(OpenError::Locked(_))));
    drop(store);
    open(dir.path());
}

#[test]
fn an_entry_is_gone_once_it_is_delivered_and_stays_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (gone, stays) = (put(&store, 10), put(&store, 10));
    deliver(&store, gone);
    assert!(matches!(store.entry(gone), Err(StoreError::NotFound(_))));
    assert!(matches!(wait(store.update(change(gone, 0, State::Delivered))), Err(StoreError::NotFound(_))));
    // An update that was not written yet would be lost with the process, as it may be.
    until("the update to be written", || is_settled(&store));
    store.crash();
    assert_eq!(ids(&open(dir.path())), [stays]);
}

#[test]
fn an_entry_that_is_delivered_at_once_never_touches_sled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = put(&store, 10);
    deliver(&store, id);
    until("a checkpoint behind the entry", || is_settled(&store));
    assert_eq!(store.core().table.lock().in_sled, 0);
    assert!(store.core().with_tree(|tree| tree.head(id)).unwrap().is_none());
}

#[test]
fn states_change_in_memory_and_in_sled_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id();
    wait(store.commit(entry(id, 20), Content::from(text(id, 100)))).unwrap();
    let waiting = |due| State::Waiting { due: Timestamp(due) };
    wait(store.update(change(id, 0, State::Delivered))).unwrap();
    until("the entry to be in sled", || is_settled(&store));
    wait(store.update(change(id, 19, State::Held { reason: "odd".to_owned() }))).unwrap();
    for recipient in 1..19 {
        wait(store.update(change(id, recipient, waiting(9000)))).unwrap();
    }
    let check = |store: &DiskStore| {
        let entry = store.entry(id).unwrap();
        assert_eq!(entry.recipients.len(), 20);
        assert_eq!(entry.recipients[0].state, State::Delivered);
        assert_eq!(entry.recipients[7].state, waiting(9000));
        assert_eq!(entry.recipients[19].state.name(), "held");
        assert_eq!(store.next_due().unwrap(), Some(Due { at: Timestamp(9000), id }));
        assert_eq!(store.list(None, 10).unwrap(), [entry]);
    };
    check(&store);
    until("the changes to be in sled", || is_settled(&store));
    check(&store);
    store.crash();
    let store = open(dir.path());
    check(&store);
    store.crash();
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    check(&open(dir.path()));
}

#[test]
fn the_schedule_is_one_over_memory_and_sled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let old: Vec<_> = (0..5).map(|_| put(&store, 1)).collect();
    for (nth, id) in old.iter().enumerate() {
        wait(store.update(change(*id, 0, State::Waiting { due: Timestamp(2000 + nth as u64) }))).unwrap();
    }
    until("the entries to be in sled", || is_settled(&store));
    let new = put(&store, 1);
    wait(store.update(change(old[0], 0, State::Waiting { due: Timestamp(9000) }))).unwrap();
    wait(store.update(change(old[1], 0, State::Held { reason: String::new() }))).unwrap();
    deliver(&store, old[2]);
    let found = |after, limit| -> Vec<QueueId> {
        store.due(Timestamp(5000), after, limit).unwrap().iter().map(|due| due.id).collect()
    };
    assert_eq!(found(None, 10), [new, old[3], old[4]]);
    assert_eq!(found(None, 2), [new, old[3]]);
    let after = Due { at: Timestamp(2003), id: old[3] };
    assert_eq!(found(Some(after), 10), [old[4]]);
    let totals = store.totals();
    assert_eq!((totals.waiting, totals.held), (4, 1));
}

#[test]
fn a_large_message_is_a_file_that_goes_with_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let large = dir.path().join("spool/large");
    let files = || std::fs::read_dir(&large).unwrap().count();
    let id = store.new_id();
    let all = text(id, 300_000);
    let mut writer = store.spool(id).unwrap();
    all.chunks(7000).for_each(|chunk| writer.write(chunk).unwrap());
    let source = writer.finish().unwrap();
    let pieces = vec![
        Piece::New(Bytes::from_static(b"Received: by us\r\n")),
        Piece::Stored { offset: 10, len: source.len() - 10 },
        Piece::New(Bytes::from_static(b"footer\r\n")),
    ];
    let content = Content::spliced(source, pieces).unwrap();
    wait(store.commit(entry(id, 1), content)).unwrap();
    let expected = [b"Received: by us\r\n", &all[10..], b"footer\r\n"].concat();
    assert_eq!(read(&store, id), expected);
    store.crash();
    let store = open(dir.path());
    assert_eq!(read(&store, id), expected);
    // A second entry of the same content shares the file.
    let twin = store.new_id();
    wait(store.commit(entry(twin, 1), store.content(id).unwrap())).unwrap();
    assert_eq!(files(), 1);
    deliver(&store, id);
    assert_eq!(read(&store, twin), expected);
    let held = store.content(twin).unwrap();
    deliver(&store, twin);
    until("the release", || store.core().releases.lock().is_empty());
    assert_eq!(held.to_bytes().unwrap(), expected);
    drop(held);
    until("the file's end", || files() == 0);
}

#[test]
fn spool_files_that_nobody_commits_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let large = dir.path().join("spool/large");
    let files = || std::fs::read_dir(&large).unwrap().count();
    let mut writer = store.spool(store.new_id()).unwrap();
    writer.write(b"half").unwrap();
    assert_eq!(files(), 1);
    drop(writer);
    assert_eq!(files(), 0);
    let mut writer = store.spool(store.new_id()).unwrap();
    writer.write(b"whole").unwrap();
    drop(writer.finish().unwrap());
    assert_eq!(files(), 0);
    std::fs::write(large.join(QueueId(77).to_string()), b"of a crash").unwrap();
    drop(store);
    open(dir.path());
    assert_eq!(files(), 0);
}

#[test]
fn memory_content_over_the_limit_and_content_of_others_is_kept_whole() {
    #[derive(Debug)]
    struct Elsewhere(Bytes);
    impl Source for Elsewhere {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read_at(offset, buffer)
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (big, other, small) = (store.new_id(), store.new_id(), store.new_id());
    wait(store.commit(entry(big, 1), Content::from(text(big, 400_000)))).unwrap();
    let elsewhere = |id, octets| Content::whole(Arc::new(Elsewhere(text(id, octets))));
    wait(store.commit(entry(other, 1), elsewhere(other, 200_000))).unwrap();
    wait(store.commit(entry(small, 1), elsewhere(small, 2_000))).unwrap();
    store.crash();
    let store = open(dir.path());
    assert_eq!(read(&store, big), text(big, 400_000));
    assert_eq!(read(&store, other), text(other, 200_000));
    assert_eq!(read(&store, small), text(small, 2_000));
}

#[test]
fn five_thousand_recipients_stay_within_the_limits_of_sled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id();
    // As one record this is more than half a segment.
    wait(store.commit(entry(id, 5_000), Content::from(text(id, 100)))).unwrap();
    until("the entry to be in sled", || is_settled(&store));
    wait(store.update(change(id, 4_321, State::Delivered))).unwrap();
    until("the change to be in sled", || is_settled(&store));
    drop(store);
    let store = open(dir.path());
    let entry = store.entry(id).unwrap();
    let done: Vec<u32> = entry
        .recipients
        .iter()
        .filter(|queued| queued.state.is_final())
        .map(|queued| queued.recipient.id)
        .collect();
    assert_eq!((entry.recipients.len(), done), (5_000, vec![4_321]));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id();
    assert!(wait(store.commit(entry(id, 0), Content::from(Bytes::new()))).is_err());
    assert!(wait(store.commit(entry(id, 50_000), Content::from(Bytes::new()))).is_err());
    assert_eq!(ids(&store), []);
}

#[test]
fn ids_rise_even_when_the_clock_falls_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ahead = QueueId((clock::wall().0 + 1_000_000) << 20);
    wait(store.commit(entry(ahead, 1), Content::from(Bytes::new()))).unwrap();
    deliver(&store, ahead);
    drop(store);
    assert!(open(dir.path()).new_id() > ahead);
}

#[test]
fn many_committers_share_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&store);
            runtime.spawn(async move {
                let mut mine = Vec::new();
                for nth in 0..40 {
                    let id = store.new_id();
                    store.commit(entry(id, 1), Content::from(text(id, 3000))).await.unwrap();
                    if nth % 2 == 0 {
                        store.update(change(id, 0, State::Delivered)).await.unwrap();
                    } else {
                        mine.push(id);
                    }
                }
                mine
            })
        })
        .collect();
    let mut expected: Vec<QueueId> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).unwrap()).collect();
    expected.sort_unstable();
    drop(runtime);
    assert_eq!(ids(&store), expected);
    Arc::into_inner(store).unwrap().crash();
    let store = open(dir.path());
    assert_eq!(ids(&store), expected);
    assert!(expected.iter().all(|id| read(&store, *id) == text(*id, 3000)));
}

#[test]
fn attempts_and_counts_come_back_after_a_crash_and_from_a_new_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = put(&store, 10);
    let gone = put(&store, 10);
    let attempt = |at: u64| {
        let mut update = change(id, 0, State::Waiting { due: Timestamp(at + 1) });
        update.recipients[0].last =
            Some(Diagnostic { at: Timestamp(at), host: None, reply: format!("451 4.3.0 later, {at}") });
        update
    };
    (1..=3).for_each(|at| wait(store.update(attempt(at))).unwrap());
    deliver(&store, gone);
    until("sled to have it", || is_settled(&store));
    // Comes back from sled, is changed and goes there again.
    (4..=6).for_each(|at| wait(store.update(attempt(at))).unwrap());
    until("sled to have it again", || is_settled(&store));
    let (entry, census) = (store.entry(id).unwrap(), store.census(9));
    let times: Vec<u64> = entry.recipients[0].history.iter().map(|said| said.at.0).collect();
    assert_eq!(times, [1, 2, 3, 4, 5]);
    assert_eq!((census.waiting, census.domains[0].name.as_str()), (1, "example.net"));
    assert_eq!(census.reasons[0].name, "451 4.3.0 later, #");
    store.crash();
    let store = open(dir.path());
    assert_eq!((store.entry(id).unwrap(), store.census(9)), (entry.clone(), census.clone()));
    store.close();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("queue")).unwrap();
    let store = open(dir.path());
    assert_eq!((store.entry(id).unwrap(), store.census(9)), (entry, census));
}

#[test]
fn histories_never_make_a_value_of_sled_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id();
    wait(store.commit(entry(id, 9), Content::from(text(id, 10)))).unwrap();
    for at in 0..25 {
        let long = "x".repeat(1000);
        let updates = (0..8).map(|recipient| {
            let last = Some(Diagnostic { at: Timestamp(at), host: Some(long.clone()), reply: long.clone() });
            let state = State::Waiting { due: Timestamp(at) };
            RecipientUpdate { id: recipient, state, attempts: 1, last, warned: None }
        });
        wait(store.update(Update { id, recipients: updates.collect() })).unwrap();
    }
    until("sled to have it", || is_settled(&store));
    let kept = store.entry(id).unwrap();
    assert_eq!(kept.recipients.len(), 9);
    assert!(kept.recipients[0].last.is_some());
    assert!(kept.recipients[..8].iter().all(|queued| queued.history.is_empty()));
}

#[test]
fn an_entry_that_changes_while_the_queue_is_listed_is_listed_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let all: Vec<_> = (0..300).map(|_| put(&store, 10)).collect();
    for round in 0..6 {
        until("the entries to be in sled", || is_settled(&store));
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                for id in all.iter().rev() {
                    let due = Timestamp(9_000 + round);
                    wait(store.update(change(*id, 0, State::Waiting { due }))).unwrap();
                }
            });
            while !changes.is_finished() {
                assert_eq!(ids(&store), all);
            }
        });
    }
}
