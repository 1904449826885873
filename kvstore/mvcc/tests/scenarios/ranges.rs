//! Range.

use super::*;

#[test]
fn an_empty_key_and_unknown_sort_enums_are_refused() {
    assert_eq!(validate_range(&range_of("", "")), Err(MvccError::EmptyKey));
    for (sort_order, sort_target) in [(3, 0), (0, 5), (-1, 0)] {
        let r = RangeRequest {
            sort_order,
            sort_target,
            ..range_of("a", "")
        };
        assert_eq!(validate_range(&r), Err(MvccError::InvalidSortOption));
    }
    assert_eq!(validate_range(&range_of("a", "")), Ok(()));
}

#[test]
fn a_zero_byte_range_end_means_from_key_and_with_a_zero_byte_key_everything() {
    let mut store = store();
    for key in ["\0", "a", "b"] {
        put(&mut store, key, "");
    }
    assert_eq!(keys(&range(&store, &range_of("b", "\0")).unwrap()), ["b"]);
    assert_eq!(
        keys(&range(&store, &range_of("\0", "\0")).unwrap()),
        ["\0", "a", "b"]
    );
}

#[test]
fn a_reversed_range_is_empty_not_an_error() {
    let mut store = store();
    put(&mut store, "a", "");
    let response = range(&store, &range_of("b", "a")).unwrap();
    assert_eq!((response.count, response.kvs.len()), (0, 0));
}

#[test]
fn revisions_future_compacted_and_the_compacted_one_itself() {
    let mut store = store();
    put(&mut store, "a", "1");
    put(&mut store, "a", "2");
    put(&mut store, "a", "3");
    compact(&mut store, 3).unwrap();
    assert_eq!(range(&store, &at("a", 5)), Err(MvccError::FutureRevision));
    assert_eq!(range(&store, &at("a", 2)), Err(MvccError::Compacted));
    store.engine().reclaim(3).unwrap();
    let response = range(&store, &at("a", 3)).unwrap();
    assert_eq!(response.kvs[0].value, "2");
    assert_eq!(
        response.header.unwrap().revision,
        4,
        "current, not requested"
    );
    assert_eq!(range(&store, &at("a", -7)).unwrap().kvs[0].value, "3");
}

#[test]
fn count_ignores_limit_and_filters_and_count_only_never_has_more() {
    let mut store = store();
    for key in ["a", "b", "c"] {
        put(&mut store, key, "");
    }
    let limited = RangeRequest {
        limit: 2,
        ..range_of("a", "\0")
    };
    let response = range(&store, &limited).unwrap();
    assert_eq!(
        (response.count, response.more, response.kvs.len()),
        (3, true, 2)
    );
    let exact = RangeRequest {
        limit: 3,
        ..range_of("a", "\0")
    };
    assert!(!range(&store, &exact).unwrap().more);
    let filtered = RangeRequest {
        min_mod_revision: 3,
        limit: 1,
        ..range_of("a", "\0")
    };
    let response = range(&store, &filtered).unwrap();
    assert_eq!((response.count, response.more), (3, true));
    assert_eq!(keys(&response), ["b"]);
    let count_only = RangeRequest {
        count_only: true,
        ..limited
    };
    let response = range(&store, &count_only).unwrap();
    assert_eq!(
        (response.count, response.more, response.kvs.len()),
        (3, false, 0)
    );
}

#[test]
fn a_sort_target_without_order_sorts_what_the_limit_has_cut() {
    let mut store = store();
    for key in ["c", "b", "a"] {
        put(&mut store, key, "");
    }
    let r = RangeRequest {
        sort_target: SortTarget::Mod as i32,
        limit: 1,
        ..range_of("a", "\0")
    };
    // Limit 1 leaves a and b; of these b was modified first. With an order it would be c.
    assert_eq!(keys(&range(&store, &r).unwrap()), ["b"]);
    let ascend = RangeRequest {
        sort_order: SortOrder::Ascend as i32,
        ..r.clone()
    };
    assert_eq!(keys(&range(&store, &ascend).unwrap()), ["c"]);
    let descend = RangeRequest {
        sort_order: SortOrder::Descend as i32,
        ..r
    };
    assert_eq!(keys(&range(&store, &descend).unwrap()), ["a"]);
}

#[test]
fn a_sorted_limit_over_many_keys_keeps_the_right_ones() {
    let mut store = store();
    let mut batch = store.begin();
    for n in 0..5000 {
        let key = format!("{:04}", n * 7919 % 5000);
        batch.put(&put_of(&key, ""), &NO_LEASES).unwrap();
    }
    batch.commit().unwrap();
    let r = RangeRequest {
        sort_target: SortTarget::Create as i32,
        sort_order: SortOrder::Descend as i32,
        limit: 3,
        ..range_of("\0", "\0")
    };
    let response = range(&store, &r).unwrap();
    let created: Vec<_> = response.kvs.iter().map(|kv| kv.create_revision).collect();
    assert_eq!(created, [5001, 5000, 4999]);
    assert_eq!((response.count, response.more), (5000, true));
}

#[test]
fn keys_only_tells_the_lease() {
    let mut store = store();
    let r = PutRequest {
        lease: 7,
        ..put_of("a", "v")
    };
    put_with(&mut store, &r, &Leases(&[7])).unwrap();
    let keys_only = RangeRequest {
        keys_only: true,
        ..range_of("a", "b")
    };
    let kv = range(&store, &keys_only).unwrap().kvs.remove(0);
    assert_eq!((kv.lease, kv.value.len(), kv.version), (7, 0, 1));
    let by_value = RangeRequest {
        sort_target: SortTarget::Value as i32,
        ..keys_only
    };
    let kv = range(&store, &by_value).unwrap().kvs.remove(0);
    assert_eq!((kv.lease, kv.value.len()), (7, 0));
}

#[test]
fn chunks_refuse_custom_orders_and_notice_a_compaction() {
    let mut store = store();
    for key in ["a", "b", "c"] {
        put(&mut store, key, "");
    }
    let sorted = RangeRequest {
        sort_order: SortOrder::Descend as i32,
        ..range_of("a", "\0")
    };
    assert!(store.reader().range_chunks(&sorted).is_err());
    let mut chunks = store.reader().range_chunks(&range_of("a", "\0")).unwrap();
    let first = chunks.next_chunk(1, usize::MAX).unwrap().unwrap();
    assert_eq!((keys(&first), first.header), (vec!["a".to_string()], None));
    put(&mut store, "aa", "");
    let second = chunks.next_chunk(1, usize::MAX).unwrap().unwrap();
    assert_eq!(keys(&second), ["b"], "later writes are not seen");
    let now = store.revision();
    compact(&mut store, now).unwrap();
    assert_eq!(chunks.next_chunk(1, usize::MAX), Err(MvccError::Compacted));
}
