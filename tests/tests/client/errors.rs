//! Wrong input: exact codes and texts.

use crate::{etcd, one, refused};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::limits::{CONVERGE_DEADLINE, TXN_OPS_MAX};
use mainstay_tests::{Cluster, wait_until};
use pb::request_op::Request;
use std::time::Duration;
use tonic::Code;

fn txn_of(operations: Vec<Option<Request>>) -> pb::TxnRequest {
    let success = operations
        .into_iter()
        .map(|request| pb::RequestOp { request })
        .collect();
    pb::TxnRequest {
        success,
        ..Default::default()
    }
}

fn put(key: &str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: "v".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn empty_keys() {
    let (_cluster, raw) = one().await;
    let empty = etcd(Code::InvalidArgument, "key is not provided");
    assert_eq!(refused(raw.range(Default::default()).await), empty);
    assert_eq!(refused(raw.put(Default::default()).await), empty);
    assert_eq!(refused(raw.delete_range(Default::default()).await), empty);
    for request in [
        Request::RequestRange(Default::default()),
        Request::RequestPut(Default::default()),
        Request::RequestDeleteRange(Default::default()),
    ] {
        assert_eq!(refused(raw.txn(txn_of(vec![Some(request)])).await), empty);
    }
    let compare = vec![pb::Compare::default()];
    assert_eq!(
        refused(
            raw.txn(pb::TxnRequest {
                compare,
                ..Default::default()
            })
            .await
        ),
        empty
    );
    assert_eq!(raw.revision().await.unwrap(), 1);
}

#[tokio::test]
async fn puts_that_contradict_themselves() {
    let (_cluster, raw) = one().await;
    let request = pb::PutRequest {
        ignore_value: true,
        ..put("k")
    };
    let provided = etcd(Code::InvalidArgument, "value is provided");
    assert_eq!(refused(raw.put(request.clone()).await), provided);
    let request = pb::PutRequest {
        value: "".into(),
        ..request
    };
    let missing = etcd(Code::InvalidArgument, "key not found");
    assert_eq!(refused(raw.put(request).await), missing);
    let request = pb::PutRequest {
        ignore_lease: true,
        ..put("k")
    };
    assert_eq!(refused(raw.put(request.clone()).await), missing);
    let request = pb::PutRequest {
        lease: 7,
        ..request
    };
    let provided = etcd(Code::InvalidArgument, "lease is provided");
    assert_eq!(refused(raw.put(request).await), provided);
    let request = pb::PutRequest {
        lease: 7,
        ..put("k")
    };
    let unknown = etcd(Code::NotFound, "requested lease not found");
    assert_eq!(refused(raw.put(request).await), unknown);
    assert_eq!(raw.revision().await.unwrap(), 1, "nothing was written");
}

#[tokio::test]
async fn revisions_out_of_range() {
    let (cluster, raw) = one().await;
    for _ in 0..5 {
        raw.set("k", "v").await.unwrap();
    }
    let future = etcd(
        Code::OutOfRange,
        "mvcc: required revision is a future revision",
    );
    let compacted = etcd(
        Code::OutOfRange,
        "mvcc: required revision has been compacted",
    );
    let at = async |revision| {
        let request = pb::RangeRequest {
            key: "k".into(),
            revision,
            ..Default::default()
        };
        raw.range(request).await
    };
    let compact = async |revision| {
        raw.compact(pb::CompactionRequest {
            revision,
            physical: true,
        })
        .await
    };
    assert_eq!(refused(at(7).await), future);
    assert_eq!(refused(compact(7).await), future);
    compact(4).await.unwrap();
    assert_eq!(refused(at(3).await), compacted);
    assert_eq!(
        at(4).await.unwrap().kvs[0].version,
        3,
        "the compacted revision is readable"
    );
    assert_eq!(refused(compact(4).await), compacted);
    assert_eq!(refused(compact(3).await), compacted);
    compact(6).await.unwrap();
    assert_eq!(at(0).await.unwrap().kvs[0].version, 5);
    assert_eq!(
        at(-1).await.unwrap().kvs[0].version,
        5,
        "negative is the latest outside of txns"
    );
    let hash = async |revision| raw.hash_kv(pb::HashKvRequest { revision }).await;
    assert_eq!(refused(hash(7).await), future);
    assert_eq!(refused(hash(5).await), compacted);
    if cluster.server().at_least(3, 6) {
        hash(6).await.unwrap();
    }
}

#[tokio::test]
async fn a_fresh_store_is_compacted_at_zero_once() {
    let (_cluster, raw) = one().await;
    raw.compact(pb::CompactionRequest {
        revision: 0,
        physical: false,
    })
    .await
    .unwrap();
    let compacted = etcd(
        Code::OutOfRange,
        "mvcc: required revision has been compacted",
    );
    let again = raw
        .compact(pb::CompactionRequest {
            revision: 0,
            physical: false,
        })
        .await;
    assert_eq!(refused(again), compacted);
}

#[tokio::test]
async fn unknown_sort_options() {
    let (cluster, raw) = one().await;
    if !cluster.server().at_least(3, 5) {
        println!("skipped: etcd 3.4 does not check sort options");
        return;
    }
    let invalid = etcd(Code::InvalidArgument, "invalid sort option");
    let order = pb::RangeRequest {
        key: "k".into(),
        sort_order: 7,
        ..Default::default()
    };
    assert_eq!(refused(raw.range(order).await), invalid);
    let target = pb::RangeRequest {
        key: "k".into(),
        sort_target: 9,
        ..Default::default()
    };
    assert_eq!(refused(raw.range(target.clone()).await), invalid);
    let inside = txn_of(vec![Some(Request::RequestRange(target))]);
    assert_eq!(refused(raw.txn(inside).await), invalid);
}

#[tokio::test]
async fn transactions_that_are_too_large_or_empty_inside() {
    let (_cluster, raw) = one().await;
    let puts = |count: usize| {
        txn_of(
            (0..count)
                .map(|index| Some(Request::RequestPut(put(&format!("k{index}")))))
                .collect(),
        )
    };
    let many = etcd(Code::InvalidArgument, "too many operations in txn request");
    raw.txn(puts(TXN_OPS_MAX)).await.unwrap();
    assert_eq!(refused(raw.txn(puts(TXN_OPS_MAX + 1)).await), many);
    let swapped = puts(TXN_OPS_MAX + 1);
    let failure = pb::TxnRequest {
        failure: swapped.success,
        ..Default::default()
    };
    assert_eq!(refused(raw.txn(failure).await), many, "both branches count");
    let compare = vec![
        pb::Compare {
            key: "k".into(),
            ..Default::default()
        };
        TXN_OPS_MAX + 1
    ];
    let compares = pb::TxnRequest {
        compare,
        ..Default::default()
    };
    assert_eq!(refused(raw.txn(compares).await), many);
    // A nested transaction has what its parent left over.
    let nested = txn_of(vec![Some(Request::RequestTxn(puts(TXN_OPS_MAX - 1)))]);
    raw.txn(nested).await.unwrap();
    let nested = txn_of(vec![Some(Request::RequestTxn(puts(TXN_OPS_MAX)))]);
    assert_eq!(refused(raw.txn(nested).await), many);
    let empty = etcd(Code::InvalidArgument, "key not found");
    assert_eq!(refused(raw.txn(txn_of(vec![None])).await), empty);
}

#[tokio::test]
async fn transactions_that_write_a_key_twice() {
    let (_cluster, raw) = one().await;
    let duplicate = etcd(Code::InvalidArgument, "duplicate key given in txn request");
    let put_op = |key: &str| Some(Request::RequestPut(put(key)));
    let delete_op = |key: &'static str, end: &'static str| {
        let (key, range_end) = (key.into(), end.into());
        Some(Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key,
            range_end,
            prev_kv: false,
        }))
    };
    let nested = |operations| Some(Request::RequestTxn(txn_of(operations)));
    for operations in [
        vec![put_op("a"), put_op("a")],
        vec![delete_op("a", ""), put_op("a")],
        vec![delete_op("a", "c"), put_op("b")],
        vec![put_op("b"), delete_op("a", "c")],
        vec![put_op("a"), nested(vec![put_op("a")])],
        vec![nested(vec![put_op("a")]), nested(vec![put_op("a")])],
    ] {
        assert_eq!(
            refused(raw.txn(txn_of(operations.clone())).await),
            duplicate,
            "{operations:?}"
        );
    }
    for operations in [
        vec![delete_op("a", "c"), delete_op("b", "d")],
        vec![delete_op("a", "c"), put_op("c")],
        vec![delete_op("a", "\0"), put_op("b")],
    ] {
        raw.txn(txn_of(operations.clone()))
            .await
            .unwrap_or_else(|s| panic!("{operations:?}: {s:?}"));
    }
    let branches = pb::TxnRequest {
        success: vec![pb::RequestOp {
            request: put_op("a"),
        }],
        failure: vec![pb::RequestOp {
            request: put_op("a"),
        }],
        ..Default::default()
    };
    raw.txn(txn_of(vec![Some(Request::RequestTxn(branches))]))
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_that_are_too_large() {
    let (_cluster, raw) = one().await;
    let sized = |bytes: usize| pb::PutRequest {
        value: vec![b'v'; bytes].into(),
        ..put("k")
    };
    raw.put(sized(1 << 20)).await.unwrap();
    let large = etcd(Code::InvalidArgument, "request is too large");
    assert_eq!(refused(raw.put(sized(1536 * 1024)).await), large);
    assert_eq!(refused(raw.put(sized(1900 * 1024)).await), large);
    let (code, _) = refused(raw.put(sized(3 << 20)).await);
    assert_eq!(
        code,
        Code::ResourceExhausted,
        "beyond what a message may hold"
    );
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let (_cluster, raw) = one().await;
    for path in ["/etcdserverpb.KV/Nonsense", "/nonsense.Service/Call"] {
        let result = raw
            .unary::<_, pb::RangeResponse>(path, pb::RangeRequest::default())
            .await;
        assert_eq!(refused(result).0, Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn required_leader_is_missing() {
    let mut cluster = Cluster::start(3).await;
    let survivor = cluster.follower().await;
    let raw = cluster.raw(survivor).with_deadline(Duration::from_secs(10));
    raw.set("k", "v").await.unwrap();
    let strict = raw.clone().require_leader();
    assert_eq!(
        strict.get("k").await.unwrap().count,
        1,
        "with a leader nothing is refused"
    );
    let mut strict_watch = strict.watch_stream();
    let mut loose_watch = raw.watch_stream();
    let request = pb::WatchCreateRequest {
        key: "k".into(),
        ..Default::default()
    };
    strict_watch.created(request.clone()).await;
    loose_watch.created(request).await;

    let others: Vec<usize> = (0..3).filter(|&index| index != survivor).collect();
    cluster.kill_together(&others);
    let none = etcd(Code::Unavailable, "no leader");
    let serializable = pb::RangeRequest {
        key: "k".into(),
        serializable: true,
        ..Default::default()
    };
    wait_until(
        "requests that need a leader are refused",
        CONVERGE_DEADLINE,
        async || {
            let status = strict.range(serializable.clone()).await.err()?;
            assert_eq!((status.code(), status.message().to_owned()), none);
            Some(())
        },
    )
    .await;
    assert_eq!(
        raw.range(serializable).await.unwrap().count,
        1,
        "others may read locally"
    );
    assert_eq!(
        refused(strict_watch.next().await),
        none,
        "open streams are cancelled"
    );
    let mut late = strict.watch_stream();
    late.create(pb::WatchCreateRequest {
        key: "k".into(),
        ..Default::default()
    })
    .await;
    assert_eq!(refused(late.next().await), none, "and new ones refused");
    let status = raw.status(pb::StatusRequest {}).await.unwrap();
    assert_eq!(
        (status.leader, status.errors),
        (0, vec!["etcdserver: no leader".to_owned()])
    );
    // A watch that did not ask for it survives and goes on once there is a leader again.
    cluster.start_all().await;
    let revision = cluster.raw(survivor).set("k", "w").await.unwrap();
    let response = loose_watch.next().await.unwrap();
    assert_eq!(
        response.events[0].kv.as_ref().unwrap().mod_revision,
        revision
    );
}
