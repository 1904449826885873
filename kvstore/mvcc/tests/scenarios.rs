//! etcd's corners, one named test each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use mainstay_engine::{Engine, MemEngine};
use mainstay_mvcc::check::{validate_delete, validate_put, validate_range, validate_txn};
use mainstay_mvcc::{LeaseLookup, Mvcc, MvccError, is_read_only, is_serializable};
use mainstay_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use mainstay_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::*;
use mainstay_proto::mvccpb::KeyValue;
use mainstay_proto::mvccpb::event::EventType;
use std::sync::Arc;

type Store = Mvcc<MemEngine>;

struct Leases(&'static [i64]);

impl LeaseLookup for Leases {
    fn exists(&self, id: i64) -> bool {
        self.0.contains(&id)
    }
}

const NO_LEASES: Leases = Leases(&[]);

fn store() -> Store {
    Mvcc::open(Arc::new(MemEngine::new())).unwrap()
}

fn b(s: &str) -> Bytes {
    Bytes::copy_from_slice(s.as_bytes())
}

fn put_of(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: b(key),
        value: b(value),
        ..Default::default()
    }
}

fn delete_of(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: b(key),
        range_end: b(end),
        prev_kv: false,
    }
}

fn range_of(key: &str, end: &str) -> RangeRequest {
    RangeRequest {
        key: b(key),
        range_end: b(end),
        ..Default::default()
    }
}

fn at(key: &str, revision: i64) -> RangeRequest {
    RangeRequest {
        revision,
        ..range_of(key, "")
    }
}

fn put_with(store: &mut Store, r: &PutRequest, leases: &Leases) -> Result<PutResponse, MvccError> {
    let mut batch = store.begin();
    let response = batch.put(r, leases);
    batch.commit().unwrap();
    response
}

/// Puts and returns the revision of the response header.
fn put(store: &mut Store, key: &str, value: &str) -> i64 {
    let response = put_with(store, &put_of(key, value), &NO_LEASES).unwrap();
    response.header.unwrap().revision
}

fn delete(store: &mut Store, key: &str, end: &str) -> DeleteRangeResponse {
    let mut batch = store.begin();
    let response = batch.delete_range(&delete_of(key, end)).unwrap();
    batch.commit().unwrap();
    response
}

fn txn(store: &mut Store, r: &TxnRequest) -> Result<TxnResponse, MvccError> {
    let mut batch = store.begin();
    let response = batch.txn(r, &NO_LEASES);
    batch.commit().unwrap();
    response
}

fn compact(store: &mut Store, rev: i64) -> Result<(), MvccError> {
    let mut batch = store.begin();
    let response = batch.compact(rev);
    batch.commit().unwrap();
    response
}

fn get(store: &Store, key: &str) -> Option<KeyValue> {
    range(store, &range_of(key, "")).unwrap().kvs.pop()
}

fn range(store: &Store, r: &RangeRequest) -> Result<RangeResponse, MvccError> {
    store.reader().range(r)
}

fn keys(response: &RangeResponse) -> Vec<String> {
    let key = |kv: &KeyValue| String::from_utf8(kv.key.to_vec()).unwrap();
    response.kvs.iter().map(key).collect()
}

fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn put_op(key: &str) -> RequestOp {
    op(Request::RequestPut(put_of(key, "v")))
}

fn delete_op(key: &str, end: &str) -> RequestOp {
    op(Request::RequestDeleteRange(delete_of(key, end)))
}

fn range_op(r: RangeRequest) -> RequestOp {
    op(Request::RequestRange(r))
}

fn success(ops: Vec<RequestOp>) -> TxnRequest {
    TxnRequest {
        success: ops,
        ..Default::default()
    }
}

fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest {
        compare: Vec::new(),
        success,
        failure,
    }))
}

fn compare(result: CompareResult, target: CompareTarget, key: &str, union: TargetUnion) -> Compare {
    Compare {
        result: result as i32,
        target: target as i32,
        key: b(key),
        range_end: Bytes::new(),
        target_union: Some(union),
    }
}

fn holds(store: &mut Store, c: Compare) -> bool {
    let r = TxnRequest {
        compare: vec![c],
        ..Default::default()
    };
    txn(store, &r).unwrap().succeeded
}

mod ranges {
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
    fn keys_only_has_no_lease_unless_sorted_by_value() {
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
        assert_eq!((kv.lease, kv.value.len(), kv.version), (0, 0, 1));
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
}

mod writes {
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
}

mod txns {
    use super::*;

    #[test]
    fn operations_are_limited_per_level_and_nested_ones_get_what_is_left() {
        let puts = |n: usize| (0..n).map(|i| put_op(&i.to_string())).collect::<Vec<_>>();
        assert_eq!(validate_txn(&success(puts(128)), 128), Ok(()));
        assert_eq!(
            validate_txn(&success(puts(129)), 128),
            Err(MvccError::TooManyOps)
        );
        let nested = |n| success(vec![txn_op(puts(n), Vec::new())]);
        assert_eq!(validate_txn(&nested(127), 128), Ok(()));
        assert_eq!(validate_txn(&nested(128), 128), Err(MvccError::TooManyOps));
    }

    #[test]
    fn an_empty_operation_is_key_not_found_and_an_empty_compare_key_is_an_empty_key() {
        let empty = success(vec![RequestOp { request: None }]);
        assert_eq!(validate_txn(&empty, 128), Err(MvccError::KeyNotFound));
        let r = TxnRequest {
            compare: vec![Compare::default()],
            ..Default::default()
        };
        assert_eq!(validate_txn(&r, 128), Err(MvccError::EmptyKey));
    }

    #[test]
    fn duplicate_keys() {
        let duplicate = Err(MvccError::DuplicateKey);
        for (ops, want) in [
            (vec![put_op("a"), put_op("a")], &duplicate),
            (vec![put_op("a"), delete_op("a", "")], &duplicate),
            (vec![delete_op("a", "c"), put_op("b")], &duplicate),
            (vec![delete_op("a", "b"), put_op("b")], &Ok(())),
            (vec![delete_op("a", "c"), delete_op("b", "d")], &Ok(())),
            // A from-key delete slips through: its end is taken literally.
            (vec![delete_op("a", "\0"), put_op("b")], &Ok(())),
            (
                vec![put_op("a"), txn_op(vec![put_op("a")], vec![])],
                &duplicate,
            ),
            (vec![txn_op(vec![put_op("a")], vec![put_op("a")])], &Ok(())),
            (
                vec![
                    txn_op(vec![put_op("a")], vec![]),
                    txn_op(vec![], vec![put_op("a")]),
                ],
                &duplicate,
            ),
            (
                vec![txn_op(vec![delete_op("a", "")], vec![]), put_op("a")],
                &duplicate,
            ),
            // Nested puts meet the deletes of nested transactions before them, not after.
            (
                vec![
                    txn_op(vec![delete_op("a", "")], vec![]),
                    txn_op(vec![put_op("a")], vec![]),
                ],
                &duplicate,
            ),
            (
                vec![
                    txn_op(vec![put_op("a")], vec![]),
                    txn_op(vec![delete_op("a", "")], vec![]),
                ],
                &Ok(()),
            ),
        ] {
            assert_eq!(&validate_txn(&success(ops.clone()), 128), want, "{ops:?}");
            let failure = TxnRequest {
                failure: ops,
                ..Default::default()
            };
            assert_eq!(&validate_txn(&failure, 128), want);
        }
    }

    #[test]
    fn a_missing_key_compares_as_zero_but_its_value_never() {
        use CompareResult::*;
        let mut store = store();
        for (target, union) in [
            (CompareTarget::Version, TargetUnion::Version(0)),
            (CompareTarget::Create, TargetUnion::CreateRevision(0)),
            (CompareTarget::Mod, TargetUnion::ModRevision(0)),
            (CompareTarget::Lease, TargetUnion::Lease(0)),
        ] {
            assert!(holds(
                &mut store,
                compare(Equal, target, "a", union.clone())
            ));
            assert!(!holds(&mut store, compare(NotEqual, target, "a", union)));
        }
        for result in [Equal, NotEqual, Less, Greater] {
            let value = TargetUnion::Value(Bytes::new());
            assert!(!holds(
                &mut store,
                compare(result, CompareTarget::Value, "a", value)
            ));
        }
    }

    #[test]
    fn a_range_compare_needs_all_keys_and_odd_enums_have_their_meaning() {
        use CompareResult::*;
        let mut store = store();
        put(&mut store, "a", "v");
        put(&mut store, "b", "v");
        put(&mut store, "b", "v");
        let range = |result, version| Compare {
            range_end: b("\0"),
            ..compare(
                result,
                CompareTarget::Version,
                "a",
                TargetUnion::Version(version),
            )
        };
        assert!(holds(&mut store, range(Less, 3)));
        assert!(!holds(&mut store, range(Equal, 1)));
        // The operand of another target counts as zero.
        let mismatch = compare(Greater, CompareTarget::Version, "a", TargetUnion::Lease(9));
        assert!(holds(&mut store, mismatch.clone()));
        let unknown = Compare {
            result: 9,
            ..mismatch
        };
        assert!(holds(&mut store, unknown));
    }

    #[test]
    fn nested_compares_see_the_state_before_the_transaction() {
        let mut store = store();
        let exists = compare(
            CompareResult::Greater,
            CompareTarget::Version,
            "a",
            TargetUnion::Version(0),
        );
        let nested = op(Request::RequestTxn(TxnRequest {
            compare: vec![exists],
            success: vec![put_op("yes")],
            failure: vec![put_op("no")],
        }));
        let response = txn(&mut store, &success(vec![put_op("a"), nested])).unwrap();
        assert!(get(&store, "no").is_some() && get(&store, "yes").is_none());
        assert_eq!(response.header.unwrap().revision, 2);
        let Some(Response::ResponseTxn(nested)) = &response.responses[1].response else {
            panic!("{response:?}");
        };
        assert_eq!(nested.header.unwrap().revision, 0);
    }

    #[test]
    fn ranges_see_what_the_transaction_did_before_unless_they_name_a_revision() {
        let mut store = store();
        put(&mut store, "a", "old");
        let ops = vec![
            range_op(range_of("a", "")),
            put_op("a"),
            range_op(range_of("a", "\0")),
            range_op(at("a", 2)),
            delete_op("a", ""),
            range_op(range_of("a", "")),
        ];
        let response = txn(&mut store, &success(ops)).unwrap();
        let seen: Vec<_> = response
            .responses
            .iter()
            .filter_map(|op| match op.response.as_ref().unwrap() {
                Response::ResponseRange(r) => Some((
                    r.header.unwrap().revision,
                    r.kvs.first().map(|kv| kv.value.clone()),
                )),
                _ => None,
            })
            .collect();
        let want = [
            (2, Some("old")),
            (3, Some("v")),
            (3, Some("old")),
            (3, None),
        ];
        assert_eq!(seen, want.map(|(rev, value)| (rev, value.map(b))));
    }

    #[test]
    fn everything_is_checked_before_anything_is_done() {
        let mut store = store();
        put(&mut store, "a", "");
        put(&mut store, "a", "");
        compact(&mut store, 3).unwrap();
        let ignore = |key| {
            op(Request::RequestPut(PutRequest {
                ignore_value: true,
                ..put_of(key, "")
            }))
        };
        for (bad, want) in [
            (vec![range_op(at("a", 9))], MvccError::FutureRevision),
            (vec![range_op(at("a", 4))], MvccError::FutureRevision),
            (vec![range_op(at("a", 2))], MvccError::Compacted),
            (vec![range_op(at("a", -1))], MvccError::Compacted),
            (vec![ignore("missing")], MvccError::KeyNotFound),
            (
                vec![delete_op("a", "\0"), ignore("a")],
                MvccError::KeyNotFound,
            ),
        ] {
            let mut ops = vec![put_op("b")];
            ops.extend(bad);
            let deep = success(vec![put_op("c"), txn_op(ops.clone(), Vec::new())]);
            assert_eq!(txn(&mut store, &success(ops)), Err(want.clone()));
            assert_eq!(txn(&mut store, &deep), Err(want));
        }
        assert_eq!(store.revision(), 3);
        // The branch not taken is not checked.
        let r = TxnRequest {
            failure: vec![range_op(at("a", 9))],
            ..Default::default()
        };
        assert!(txn(&mut store, &r).is_ok());
    }

    #[test]
    fn minus_one_is_readable_in_a_transaction_of_a_fresh_store_only() {
        let mut store = store();
        assert!(txn(&mut store, &success(vec![range_op(at("a", -1))])).is_ok());
        let below = txn(&mut store, &success(vec![range_op(at("a", -2))]));
        assert_eq!(below, Err(MvccError::Compacted));
    }

    #[test]
    fn a_transaction_that_writes_nothing_uses_no_revision() {
        let mut store = store();
        let response = txn(&mut store, &success(vec![delete_op("a", "\0")])).unwrap();
        assert_eq!(response.header.unwrap().revision, 1);
        assert_eq!(store.revision(), 1);
    }

    #[test]
    fn deleted_and_put_again_within_one_revision() {
        let mut store = store();
        put(&mut store, "a", "old");
        let large = "x".repeat(5000);
        let ops = vec![
            op(Request::RequestPut(put_of("b", &large))),
            delete_op("a", "\0"),
            op(Request::RequestPut(put_of("a", &large))),
        ];
        let r = success(ops);
        assert_eq!(validate_txn(&r, 128), Ok(()));
        let mut batch = store.begin();
        batch.txn(&r, &NO_LEASES).unwrap();
        let live = batch.commit().unwrap();
        let kv = get(&store, "a").unwrap();
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (3, 3, 1));
        assert!(get(&store, "b").is_none());
        let past = store.reader().events(3, 1, 0).unwrap();
        assert_eq!(past, live, "the large value of b is kept for watchers");
        let kinds: Vec<_> = past[0].events.iter().map(|e| e.r#type).collect();
        assert_eq!(kinds, [0, 1, 1, 0]);
        assert_eq!(range(&store, &at("a", 2)).unwrap().kvs[0].value, "old");
    }

    #[test]
    fn read_only_and_serializable() {
        let serializable = RangeRequest {
            serializable: true,
            ..range_of("a", "")
        };
        let linearizable = range_of("a", "");
        for (ops, read_only, local) in [
            (vec![], true, true),
            (vec![range_op(serializable)], true, true),
            (vec![range_op(linearizable)], true, false),
            (vec![put_op("a")], false, false),
            (vec![txn_op(vec![], vec![])], false, false),
        ] {
            let failure = TxnRequest {
                failure: ops.clone(),
                ..Default::default()
            };
            for r in [success(ops), failure] {
                assert_eq!((is_read_only(&r), is_serializable(&r)), (read_only, local));
            }
        }
        let refused = store().reader().txn(&success(vec![put_op("a")]));
        assert_eq!(refused, Err(MvccError::NotReadOnly));
    }
}

mod compaction {
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
}

mod catch_up {
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
}
