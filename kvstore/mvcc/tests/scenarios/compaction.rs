//! Compaction and hashing.

use super::*;

#[test]
fn zero_once_on_a_fresh_store_then_the_rules() {
    let mut store = store();
    assert_eq!(compact(&mut store, 0), Ok(()));
    assert_eq!(compact(&mut store, 0), Err(MvccError::Compacted));
    assert_eq!(compact(&mut store, 2), Err(MvccError::FutureRevision));
    assert_eq!(
        compact(&mut store, 1),
        Ok(()),
        "the current revision is allowed"
    );
    assert_eq!(compact(&mut store, 1), Err(MvccError::Compacted));
    assert_eq!(compact(&mut store, -5), Err(MvccError::Compacted));
}

#[test]
fn the_delete_at_the_compacted_revision_stays_visible_to_watchers() {
    let mut store = store();
    put(&mut store, "a", "v");
    delete(&mut store, "a", "");
    put(&mut store, "b", "v");
    compact(&mut store, 3).unwrap();
    store.engine().reclaim(3).unwrap();
    let reader = store.reader();
    assert_eq!(reader.events(2, 10, 1000), Err(MvccError::Compacted));
    let events = reader.events(3, 10, 1000).unwrap();
    assert_eq!((events[0].revision, events[1].revision), (3, 4));
    let event = &events[0].events[0];
    assert_eq!(event.r#type, EventType::Delete as i32);
    assert_eq!(event.prev_kv, None, "revision 2 is compacted");
    assert_eq!(range(&store, &at("a", 3)).unwrap().count, 0);
}

#[test]
fn a_reader_whose_revision_is_compacted_meanwhile_gets_an_error_not_a_gap() {
    let mut store = store();
    for n in 0..3 {
        put(&mut store, "a", &n.to_string());
    }
    let reader = store.reader();
    assert_eq!(reader.range(&at("a", 2)).unwrap().kvs[0].value, "0");
    compact(&mut store, 4).unwrap();
    store.engine().reclaim(4).unwrap();
    assert_eq!(reader.range(&at("a", 2)), Err(MvccError::Compacted));
    assert_eq!(reader.events(3, 1, 1), Err(MvccError::Compacted));
}

#[test]
fn hashes_refuse_what_is_future_or_compacted_and_ignore_dropping() {
    let mut store = store();
    for n in 0..5 {
        put(&mut store, "a", &n.to_string());
    }
    delete(&mut store, "a", "");
    let reader = store.reader();
    let fresh = reader.hash_kv(0).unwrap();
    assert_eq!((fresh.compact_revision, fresh.hash_revision), (-1, 7));
    compact(&mut store, 4).unwrap();
    assert_eq!(reader.hash_kv(8), Err(MvccError::FutureRevision));
    assert_eq!(reader.hash_kv(3), Err(MvccError::Compacted));
    let before = reader.hash_kv(4).unwrap();
    store.engine().reclaim(4).unwrap();
    assert_eq!(reader.hash_kv(4).unwrap(), before);
    assert_eq!(before.compact_revision, 4);
    put(&mut store, "b", "");
    let later = reader.hash_kv(4).unwrap();
    assert_eq!((later.hash, later.revision), (before.hash, 8));
    assert_ne!(reader.hash_kv(0).unwrap().hash, before.hash);
}
