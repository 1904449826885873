//! Transactions.

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
