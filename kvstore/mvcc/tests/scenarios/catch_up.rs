//! Past events.

use super::*;

#[test]
fn revisions_come_whole_and_bounded_and_at_least_one() {
    let mut store = store();
    let ops = ["a", "b", "c"].map(put_op).to_vec();
    txn(&mut store, &success(ops)).unwrap();
    put(&mut store, "d", "v");
    put(&mut store, "e", "v");
    let reader = store.reader();
    let revisions = |max, bytes| {
        let events = reader.events(0, max, bytes).unwrap();
        events
            .iter()
            .map(|r| (r.revision, r.events.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(revisions(0, 0), [(2, 3)]);
    assert_eq!(revisions(10, 1), [(2, 3)]);
    assert_eq!(revisions(2, 1000), [(2, 3), (3, 1)]);
    assert_eq!(revisions(10, 1000), [(2, 3), (3, 1), (4, 1)]);
    assert!(reader.events(5, 10, 1000).unwrap().is_empty());
}

#[test]
fn large_values_and_previous_ones_are_found() {
    let mut store = store();
    let large = |c: &str| c.repeat(4000);
    put(&mut store, "a", &large("1"));
    put(&mut store, "a", &large("2"));
    delete(&mut store, "a", "");
    let events = store.reader().events(2, 10, 1 << 20).unwrap();
    let of = |n: usize| &events[n].events[0];
    assert_eq!(of(0).kv.as_ref().unwrap().value, large("1"));
    assert_eq!(of(0).prev_kv, None);
    assert_eq!(of(1).kv.as_ref().unwrap().value, large("2"));
    assert_eq!(of(1).prev_kv.as_ref().unwrap().value, large("1"));
    assert_eq!(of(2).prev_kv.as_ref().unwrap().value, large("2"));
}
