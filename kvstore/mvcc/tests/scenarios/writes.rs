//! Put, DeleteRange and lease revocation.

use super::*;

#[test]
fn an_empty_store_is_at_revision_1_and_the_first_write_is_2() {
    let mut store = store();
    let response = range(&store, &range_of("a", "")).unwrap();
    assert_eq!(response.header.unwrap().revision, 1);
    assert_eq!(put(&mut store, "a", ""), 2);
}

#[test]
fn ignore_flags_and_missing_leases() {
    let value = PutRequest {
        ignore_value: true,
        ..put_of("a", "v")
    };
    assert_eq!(validate_put(&value), Err(MvccError::ValueProvided));
    let lease = PutRequest {
        ignore_lease: true,
        lease: 1,
        ..put_of("a", "v")
    };
    assert_eq!(validate_put(&lease), Err(MvccError::LeaseProvided));
    assert_eq!(validate_put(&put_of("", "v")), Err(MvccError::EmptyKey));
    assert_eq!(
        validate_delete(&delete_of("", "")),
        Err(MvccError::EmptyKey)
    );

    let mut store = store();
    let ignore = PutRequest {
        ignore_value: true,
        ..put_of("a", "")
    };
    let missing = put_with(&mut store, &ignore, &NO_LEASES);
    assert_eq!(missing, Err(MvccError::KeyNotFound));
    let leased = PutRequest {
        lease: 5,
        ..put_of("a", "v")
    };
    let missing = put_with(&mut store, &leased, &NO_LEASES);
    assert_eq!(missing, Err(MvccError::LeaseNotFound));
    assert_eq!(store.revision(), 1, "refusals use no revision");
}

#[test]
fn a_put_with_lease_0_detaches_and_ignore_lease_keeps() {
    let mut store = store();
    let leased = PutRequest {
        lease: 5,
        ..put_of("a", "v")
    };
    put_with(&mut store, &leased, &Leases(&[5])).unwrap();
    assert_eq!(store.reader().lease_keys(5).unwrap(), ["a"]);
    let keep = PutRequest {
        ignore_lease: true,
        ..put_of("a", "w")
    };
    put_with(&mut store, &keep, &NO_LEASES).unwrap();
    assert_eq!(get(&store, "a").unwrap().lease, 5);
    put(&mut store, "a", "x");
    assert_eq!(get(&store, "a").unwrap().lease, 0);
    assert!(store.reader().lease_keys(5).unwrap().is_empty());
}

#[test]
fn the_same_value_counts_and_a_delete_starts_over() {
    let mut store = store();
    put(&mut store, "a", "v");
    assert_eq!(put(&mut store, "a", "v"), 3);
    let kv = get(&store, "a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 3, 2));
    delete(&mut store, "a", "");
    put(&mut store, "a", "v");
    let kv = get(&store, "a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (5, 5, 1));
}

#[test]
fn deleting_nothing_uses_no_revision() {
    let mut store = store();
    put(&mut store, "a", "v");
    let response = delete(&mut store, "b", "\0");
    assert_eq!(
        (response.deleted, response.header.unwrap().revision),
        (0, 2)
    );
    assert_eq!(store.revision(), 2);
}

#[test]
fn deleting_many_is_one_revision_with_an_event_per_key_in_key_order() {
    let mut store = store();
    for key in ["b", "a", "c"] {
        put(&mut store, key, "v");
    }
    let mut batch = store.begin();
    assert_eq!(
        batch.delete_range(&delete_of("a", "\0")).unwrap().deleted,
        3
    );
    let events = batch.commit().unwrap().remove(0);
    assert_eq!(events.revision, 5);
    for (event, key) in events.events.iter().zip(["a", "b", "c"]) {
        assert_eq!(event.r#type, EventType::Delete as i32);
        let only_key_and_revision = KeyValue {
            key: b(key),
            mod_revision: 5,
            ..Default::default()
        };
        assert_eq!(event.kv.as_ref(), Some(&only_key_and_revision));
        assert_eq!(event.prev_kv.as_ref().unwrap().value, "v");
    }
}

#[test]
fn revoking_a_lease_deletes_its_keys_in_one_revision_also_within_the_batch() {
    let mut store = store();
    let leases = Leases(&[5, 6]);
    let leased = |key: &str, lease| PutRequest {
        lease,
        ..put_of(key, "v")
    };
    put_with(&mut store, &leased("c", 5), &leases).unwrap();
    put_with(&mut store, &leased("b", 5), &leases).unwrap();
    let mut batch = store.begin();
    batch.put(&leased("a", 5), &leases).unwrap();
    batch.put(&leased("b", 6), &leases).unwrap();
    assert_eq!(batch.delete_lease_keys(5).unwrap(), 2);
    assert_eq!(
        batch.delete_lease_keys(5).unwrap(),
        0,
        "no keys: no revision"
    );
    assert_eq!(batch.revision(), 6);
    let events = batch.commit().unwrap().pop().unwrap();
    let keys: Vec<_> = events
        .events
        .iter()
        .map(|e| e.kv.clone().unwrap().key)
        .collect();
    assert_eq!(keys, ["a", "c"]);
    assert_eq!(get(&store, "b").unwrap().lease, 6);
}

#[test]
fn a_dropped_batch_changes_nothing() {
    let mut store = store();
    let mut batch = store.begin();
    batch.put(&put_of("a", "v"), &NO_LEASES).unwrap();
    drop(batch);
    assert_eq!(store.revision(), 1);
    assert_eq!(put(&mut store, "b", ""), 2);
    assert!(get(&store, "a").is_none());
}
