//! Txn: compares, branches, order, atomicity and checks before anything happens.

use crate::{etcd, one, refused};
use bytes::Bytes;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Raw;
use mainstay_tests::raw::revision;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use pb::response_op::Response;
use tonic::Code;

fn ops(requests: Vec<Request>) -> Vec<pb::RequestOp> {
    requests
        .into_iter()
        .map(|request| pb::RequestOp {
            request: Some(request),
        })
        .collect()
}

fn put(key: &str, value: &str) -> Request {
    let (key, value) = (Bytes::from(key.to_owned()), Bytes::from(value.to_owned()));
    Request::RequestPut(pb::PutRequest {
        key,
        value,
        ..Default::default()
    })
}

fn get(key: &str) -> Request {
    Request::RequestRange(pb::RangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    })
}

fn delete(key: &str) -> Request {
    let key = key.to_owned().into();
    Request::RequestDeleteRange(pb::DeleteRangeRequest {
        key,
        ..Default::default()
    })
}

fn compare(key: &str, result: CompareResult, union: TargetUnion) -> pb::Compare {
    let target = match union {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: key.to_owned().into(),
        range_end: Bytes::new(),
        target_union: Some(union),
    }
}

async fn holds(raw: &Raw, compare: Vec<pb::Compare>) -> bool {
    raw.txn(pb::TxnRequest {
        compare,
        ..Default::default()
    })
    .await
    .unwrap()
    .succeeded
}

fn values(response: &pb::TxnResponse) -> Vec<String> {
    response
        .responses
        .iter()
        .filter_map(|op| match op.response.as_ref().unwrap() {
            Response::ResponseRange(range) => Some(
                range
                    .kvs
                    .iter()
                    .map(|kv| String::from_utf8_lossy(&kv.value))
                    .collect::<String>(),
            ),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn every_target_and_result() {
    let (_cluster, raw) = one().await;
    let lease = raw
        .lease_grant(pb::LeaseGrantRequest { ttl: 600, id: 5 })
        .await
        .unwrap()
        .id;
    raw.set("k", "m").await.unwrap();
    let request = pb::PutRequest {
        key: "k".into(),
        value: "m".into(),
        lease,
        ..Default::default()
    };
    raw.put(request).await.unwrap();
    // created at 2, modified at 3, version 2, value m, lease 5
    let below_equal_above = [
        [
            TargetUnion::Version(1),
            TargetUnion::Version(2),
            TargetUnion::Version(3),
        ],
        [1, 2, 3].map(TargetUnion::CreateRevision),
        [2, 3, 4].map(TargetUnion::ModRevision),
        [4, 5, 6].map(TargetUnion::Lease),
        ["l", "m", "n"].map(|value| TargetUnion::Value(value.into())),
    ];
    for [below, equal, above] in below_equal_above {
        for (union, expected) in [
            (below, [false, true, false, true]),
            (equal, [true, false, false, false]),
            (above, [false, false, true, true]),
        ] {
            for (result, expected) in [
                CompareResult::Equal,
                CompareResult::Greater,
                CompareResult::Less,
                CompareResult::NotEqual,
            ]
            .into_iter()
            .zip(expected)
            {
                let held = holds(&raw, vec![compare("k", result, union.clone())]).await;
                assert_eq!(held, expected, "{result:?} {union:?}");
            }
        }
    }
}

#[tokio::test]
async fn missing_keys_compare_as_zero_but_have_no_value() {
    let (_cluster, raw) = one().await;
    for union in [
        TargetUnion::Version(0),
        TargetUnion::CreateRevision(0),
        TargetUnion::ModRevision(0),
        TargetUnion::Lease(0),
    ] {
        assert!(holds(&raw, vec![compare("missing", CompareResult::Equal, union)]).await);
    }
    for result in [
        CompareResult::Equal,
        CompareResult::NotEqual,
        CompareResult::Less,
    ] {
        let union = TargetUnion::Value("x".into());
        assert!(
            !holds(&raw, vec![compare("missing", result, union)]).await,
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn compares_are_a_conjunction_over_whole_ranges() {
    let (_cluster, raw) = one().await;
    raw.set("a/1", "x").await.unwrap();
    raw.set("a/2", "x").await.unwrap();
    raw.set("a/3", "y").await.unwrap();
    let over = |end: &'static str, result| {
        let single = compare("a/", result, TargetUnion::Value("x".into()));
        vec![pb::Compare {
            range_end: end.into(),
            ..single
        }]
    };
    assert!(holds(&raw, over("a/3", CompareResult::Equal)).await);
    assert!(
        !holds(&raw, over("a0", CompareResult::Equal)).await,
        "one key differs"
    );
    assert!(
        !holds(&raw, over("a0", CompareResult::NotEqual)).await,
        "two keys do not"
    );
    let yes = compare("a/1", CompareResult::Equal, TargetUnion::Version(1));
    let no = compare("a/1", CompareResult::Equal, TargetUnion::Version(2));
    assert!(holds(&raw, vec![]).await, "no compare is a success");
    assert!(holds(&raw, vec![yes.clone(), yes.clone()]).await);
    assert!(!holds(&raw, vec![yes, no]).await);
}

#[tokio::test]
async fn only_the_chosen_branch_runs() {
    let (_cluster, raw) = one().await;
    let request = |version| pb::TxnRequest {
        compare: vec![compare(
            "k",
            CompareResult::Equal,
            TargetUnion::Version(version),
        )],
        success: ops(vec![put("k", "then"), get("k")]),
        failure: ops(vec![get("k")]),
    };
    let first = raw.txn(request(0)).await.unwrap();
    assert!(first.succeeded);
    assert_eq!(
        (values(&first), revision(first.header)),
        (vec!["then".to_owned()], 2)
    );
    let second = raw.txn(request(0)).await.unwrap();
    assert!(!second.succeeded);
    assert_eq!(
        (values(&second), revision(second.header)),
        (vec!["then".to_owned()], 2)
    );
}

#[tokio::test]
async fn later_operations_see_earlier_ones_in_one_revision() {
    let (_cluster, raw) = one().await;
    raw.set("b", "old").await.unwrap();
    let success = ops(vec![
        get("a"),
        put("a", "new"),
        get("a"),
        get("b"),
        delete("b"),
        get("b"),
        put("c", "x"),
    ]);
    let response = raw
        .txn(pb::TxnRequest {
            success,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(values(&response), ["", "new", "old", ""]);
    assert_eq!(revision(response.header), 3);
    for key in ["a", "c"] {
        let kv = raw.get(key).await.unwrap().kvs.remove(0);
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (3, 3, 1));
    }
}

#[tokio::test]
async fn nested_compares_see_the_state_before_the_transaction() {
    let (_cluster, raw) = one().await;
    let inner = pb::TxnRequest {
        compare: vec![compare("k", CompareResult::Equal, TargetUnion::Version(0))],
        success: ops(vec![put("inner", "before")]),
        failure: ops(vec![put("inner", "after")]),
    };
    let success = ops(vec![
        put("k", "v"),
        Request::RequestTxn(inner),
        get("inner"),
    ]);
    let response = raw
        .txn(pb::TxnRequest {
            success,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(values(&response), ["before"]);
    match response.responses[1].response.as_ref().unwrap() {
        Response::ResponseTxn(inner) => assert!(inner.succeeded),
        other => panic!("{other:?}"),
    }
    assert_eq!(raw.get("inner").await.unwrap().kvs[0].mod_revision, 2);
}

#[tokio::test]
async fn a_transaction_that_cannot_finish_changes_nothing() {
    let (_cluster, raw) = one().await;
    for value in ["1", "2", "3", "4"] {
        raw.set("k", value).await.unwrap();
    }
    raw.compact(pb::CompactionRequest {
        revision: 3,
        physical: true,
    })
    .await
    .unwrap();
    let before = raw.revision().await.unwrap();
    let at = |revision| {
        Request::RequestRange(pb::RangeRequest {
            key: "k".into(),
            revision,
            ..Default::default()
        })
    };
    let leased = Request::RequestPut(pb::PutRequest {
        key: "x".into(),
        lease: 77,
        ..Default::default()
    });
    let kept = Request::RequestPut(pb::PutRequest {
        key: "missing".into(),
        ignore_value: true,
        ..Default::default()
    });
    for (last, expected) in [
        (
            at(2),
            etcd(
                Code::OutOfRange,
                "mvcc: required revision has been compacted",
            ),
        ),
        (
            at(99),
            etcd(
                Code::OutOfRange,
                "mvcc: required revision is a future revision",
            ),
        ),
        (leased, etcd(Code::NotFound, "requested lease not found")),
        (kept, etcd(Code::InvalidArgument, "key not found")),
    ] {
        let success = ops(vec![put("first", "x"), last.clone()]);
        let request = pb::TxnRequest {
            success,
            ..Default::default()
        };
        assert_eq!(refused(raw.txn(request).await), expected);
        // The branch not taken is not checked for what the store holds.
        let failure = ops(vec![put("first", "x"), last]);
        let request = pb::TxnRequest {
            failure,
            ..Default::default()
        };
        assert!(raw.txn(request).await.unwrap().succeeded);
    }
    assert_eq!(raw.revision().await.unwrap(), before);
    assert_eq!(raw.get("first").await.unwrap().count, 0);
}

#[tokio::test]
async fn only_one_of_many_concurrent_guards_wins() {
    let (_cluster, raw) = one().await;
    let mut attempts = tokio::task::JoinSet::new();
    for attempt in 0..50 {
        let raw = raw.clone();
        attempts.spawn(async move {
            let request = pb::TxnRequest {
                compare: vec![compare(
                    "lock",
                    CompareResult::Equal,
                    TargetUnion::Version(0),
                )],
                success: ops(vec![put("lock", &attempt.to_string())]),
                failure: ops(vec![]),
            };
            raw.txn(request).await.unwrap().succeeded
        });
    }
    let won = attempts
        .join_all()
        .await
        .into_iter()
        .filter(|&won| won)
        .count();
    assert_eq!(won, 1);
    assert_eq!(raw.revision().await.unwrap(), 2, "the losers wrote nothing");
}
