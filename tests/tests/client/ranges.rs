//! Range: bounds, limits, sorting, filters, history and streams.

use crate::{one, refused};
use bytes::Bytes;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Raw;
use mainstay_tests::load::fill;
use mainstay_tests::raw::prefix_end;
use pb::range_request::{SortOrder, SortTarget};
use tonic::Code;

fn all() -> pb::RangeRequest {
    pb::RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..Default::default()
    }
}

fn keys(response: &pb::RangeResponse) -> String {
    let keys = response
        .kvs
        .iter()
        .map(|kv| String::from_utf8_lossy(&kv.key).into_owned());
    keys.collect::<Vec<_>>().join(" ")
}

/// a=4 b=3 c=2 d=1, then b again with the value 9: revisions 2 to 6.
async fn filled(raw: &Raw) {
    for (key, value) in [("a", "4"), ("b", "3"), ("c", "2"), ("d", "1"), ("b", "9")] {
        raw.set(key, value).await.unwrap();
    }
}

#[tokio::test]
async fn bounds() {
    let (_cluster, raw) = one().await;
    filled(&raw).await;
    for (key, end, expected) in [
        ("b", "", "b"),
        ("x", "", ""),
        ("b", "d", "b c"),
        ("b", "\0", "b c d"),
        ("\0", "\0", "a b c d"),
        ("d", "b", ""),
        ("b", "b", ""),
        ("a\0", "z", "b c d"),
    ] {
        let request = pb::RangeRequest {
            key: key.into(),
            range_end: end.into(),
            ..Default::default()
        };
        let response = raw.range(request).await.unwrap();
        assert_eq!(keys(&response), expected, "[{key:?}, {end:?})");
        assert_eq!(response.count, response.kvs.len() as i64);
        assert!(!response.more);
    }
}

#[tokio::test]
async fn limits_counts_and_more() {
    let (_cluster, raw) = one().await;
    filled(&raw).await;
    for (limit, expected, more) in [
        (0, "a b c d", false),
        (1, "a", true),
        (3, "a b c", true),
        (4, "a b c d", false),
        (9, "a b c d", false),
    ] {
        let response = raw
            .range(pb::RangeRequest { limit, ..all() })
            .await
            .unwrap();
        assert_eq!(
            (keys(&response).as_str(), response.more),
            (expected, more),
            "limit {limit}"
        );
        assert_eq!(response.count, 4, "the count ignores the limit");
    }
    let count = pb::RangeRequest {
        count_only: true,
        limit: 2,
        ..all()
    };
    let response = raw.range(count).await.unwrap();
    assert_eq!(
        (response.kvs.len(), response.count, response.more),
        (0, 4, false)
    );
}

#[tokio::test]
async fn sorting() {
    let (_cluster, raw) = one().await;
    filled(&raw).await;
    for (target, ascending) in [
        (SortTarget::Key, "a b c d"),
        (SortTarget::Create, "a b c d"),
        (SortTarget::Mod, "a c d b"),
        (SortTarget::Value, "d c a b"),
    ] {
        for order in [SortOrder::Ascend, SortOrder::Descend] {
            let request = pb::RangeRequest {
                sort_order: order.into(),
                sort_target: target.into(),
                ..all()
            };
            let mut expected: Vec<&str> = ascending.split(' ').collect();
            if order == SortOrder::Descend {
                expected.reverse();
            }
            let response = raw.range(request.clone()).await.unwrap();
            assert_eq!(keys(&response), expected.join(" "), "{target:?} {order:?}");
            let first = raw
                .range(pb::RangeRequest {
                    limit: 1,
                    ..request
                })
                .await
                .unwrap();
            assert_eq!(keys(&first), expected[0], "the limit applies after sorting");
            assert!(first.more);
        }
    }
    let version = pb::RangeRequest {
        sort_order: SortOrder::Descend.into(),
        sort_target: SortTarget::Version.into(),
        limit: 1,
        ..all()
    };
    assert_eq!(keys(&raw.range(version).await.unwrap()), "b");
}

#[tokio::test]
async fn a_sort_target_without_an_order_sorts_what_the_limit_left() {
    let (_cluster, raw) = one().await;
    for (key, value) in [("a", "4"), ("b", "3"), ("c", "2"), ("d", "1")] {
        raw.set(key, value).await.unwrap();
    }
    // One key more than the limit is read in key order (a b c), then sorted by value, then cut.
    let request = pb::RangeRequest {
        limit: 2,
        sort_target: SortTarget::Value.into(),
        ..all()
    };
    let response = raw.range(request).await.unwrap();
    assert_eq!((keys(&response).as_str(), response.more), ("c b", true));
}

#[tokio::test]
async fn revision_filters() {
    let (_cluster, raw) = one().await;
    filled(&raw).await;
    let filters: [(&str, pb::RangeRequest); 6] = [
        (
            "b c d",
            pb::RangeRequest {
                min_mod_revision: 4,
                ..all()
            },
        ),
        (
            "a c",
            pb::RangeRequest {
                max_mod_revision: 4,
                ..all()
            },
        ),
        (
            "c d",
            pb::RangeRequest {
                min_create_revision: 4,
                ..all()
            },
        ),
        (
            "a b",
            pb::RangeRequest {
                max_create_revision: 3,
                ..all()
            },
        ),
        (
            "b",
            pb::RangeRequest {
                min_mod_revision: 6,
                max_create_revision: 3,
                ..all()
            },
        ),
        (
            "d",
            pb::RangeRequest {
                min_mod_revision: 5,
                max_mod_revision: 5,
                ..all()
            },
        ),
    ];
    for (expected, request) in filters {
        let response = raw.range(request.clone()).await.unwrap();
        assert_eq!(keys(&response), expected, "{request:?}");
        assert_eq!(response.count, 4, "the count ignores the filters");
    }
    let request = pb::RangeRequest {
        min_mod_revision: 4,
        limit: 2,
        ..all()
    };
    let response = raw.range(request).await.unwrap();
    assert_eq!((keys(&response).as_str(), response.more), ("b c", true));
}

#[tokio::test]
async fn history() {
    let (_cluster, raw) = one().await;
    filled(&raw).await;
    raw.remove("a").await.unwrap();
    raw.set("a", "new").await.unwrap();
    for (revision, expected) in [
        (1, ""),
        (2, "a"),
        (4, "a b c"),
        (6, "a b c d"),
        (7, "b c d"),
        (8, "a b c d"),
        (0, "a b c d"),
    ] {
        let response = raw
            .range(pb::RangeRequest { revision, ..all() })
            .await
            .unwrap();
        assert_eq!(keys(&response), expected, "at {revision}");
        assert_eq!(response.count, response.kvs.len() as i64);
    }
    let at = async |revision| {
        let request = pb::RangeRequest {
            key: "b".into(),
            revision,
            ..Default::default()
        };
        let kv = raw.range(request).await.unwrap().kvs.remove(0);
        (kv.create_revision, kv.mod_revision, kv.version, kv.value)
    };
    assert_eq!(at(5).await, (3, 3, 1, "3".into()));
    assert_eq!(at(6).await, (3, 6, 2, "9".into()));
    let recreated = raw.get("a").await.unwrap().kvs.remove(0);
    assert_eq!((recreated.create_revision, recreated.version), (8, 1));
}

#[tokio::test]
async fn keys_only_leaves_values_out() {
    let (_cluster, raw) = one().await;
    let lease = raw
        .lease_grant(pb::LeaseGrantRequest { ttl: 600, id: 0 })
        .await
        .unwrap()
        .id;
    let put = pb::PutRequest {
        key: "k".into(),
        value: "v".into(),
        lease,
        ..Default::default()
    };
    raw.put(put).await.unwrap();
    let request = pb::RangeRequest {
        key: "k".into(),
        keys_only: true,
        ..Default::default()
    };
    let kv = raw.range(request.clone()).await.unwrap().kvs.remove(0);
    assert_eq!(
        (kv.key, kv.value, kv.version, kv.mod_revision),
        ("k".into(), "".into(), 1, 2)
    );
    // The 3.7 of the original forgets it (etcd-io/etcd#22209).
    assert_eq!(kv.lease, lease);
    let sorted = pb::RangeRequest {
        sort_target: SortTarget::Value.into(),
        ..request
    };
    let kv = raw.range(sorted).await.unwrap().kvs.remove(0);
    assert_eq!(
        (kv.value, kv.lease),
        ("".into(), lease),
        "sorting by value reads the records"
    );
}

#[tokio::test]
async fn streamed_ranges_concatenate_to_the_unary_answer() {
    let (cluster, raw) = one().await;
    fill(&raw, 5000, 500).await;
    let request = pb::RangeRequest {
        key: "fill/".into(),
        range_end: prefix_end(b"fill/"),
        ..Default::default()
    };
    if !cluster.server().at_least(3, 7) {
        let status = raw.range_stream(request).await.unwrap_err();
        assert_eq!(
            status.code(),
            Code::Unimplemented,
            "older servers lack RangeStream"
        );
        return;
    }
    let old = raw.revision().await.unwrap();
    raw.set("fill/later", "x").await.unwrap();
    for request in [
        request.clone(),
        pb::RangeRequest {
            limit: 1234,
            ..request.clone()
        },
        pb::RangeRequest {
            revision: old,
            ..request.clone()
        },
        pb::RangeRequest {
            keys_only: true,
            ..request.clone()
        },
        pb::RangeRequest {
            count_only: true,
            ..request.clone()
        },
        pb::RangeRequest {
            serializable: true,
            ..request.clone()
        },
        pb::RangeRequest {
            key: "nothing".into(),
            range_end: "".into(),
            ..request.clone()
        },
    ] {
        let unary = raw.range(request.clone()).await.unwrap();
        let chunks = raw.range_stream(request.clone()).await.unwrap();
        let (last, earlier) = chunks.split_last().expect("there is always a last chunk");
        for chunk in earlier {
            assert!(
                chunk.header.is_none() && !chunk.more && chunk.count == 0,
                "only on the last"
            );
        }
        let kvs: Vec<_> = chunks.iter().flat_map(|chunk| chunk.kvs.clone()).collect();
        assert!(kvs == unary.kvs, "{request:?}");
        assert_eq!(
            (last.more, last.count),
            (unary.more, unary.count),
            "{request:?}"
        );
        assert_eq!(last.header, unary.header);
    }
    assert!(
        raw.range_stream(request.clone()).await.unwrap().len() > 1,
        "2.5 MB come in pieces"
    );
    let sorted = pb::RangeRequest {
        sort_target: SortTarget::Value.into(),
        sort_order: SortOrder::Descend.into(),
        ..request.clone()
    };
    assert_eq!(
        refused(raw.range_stream(sorted).await).0,
        Code::Unimplemented
    );
    let filtered = pb::RangeRequest {
        min_mod_revision: 2,
        ..request.clone()
    };
    assert_eq!(
        refused(raw.range_stream(filtered).await).0,
        Code::Unimplemented
    );
    let future = pb::RangeRequest {
        revision: 1 << 40,
        ..request
    };
    assert_eq!(refused(raw.range_stream(future).await).0, Code::OutOfRange);
    let empty = pb::RangeRequest::default();
    assert_eq!(
        refused(raw.range_stream(empty).await).0,
        Code::InvalidArgument
    );
}
