//! Put and DeleteRange.

use crate::one;
use bytes::Bytes;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::raw::revision;

fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.into(),
        value: value.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_put_returns_the_previous_value_when_asked() {
    let (_cluster, raw) = one().await;
    let first = raw
        .put(pb::PutRequest {
            prev_kv: true,
            ..put("k", "1")
        })
        .await
        .unwrap();
    assert_eq!(first.prev_kv, None, "there was none");
    let silent = raw.put(put("k", "2")).await.unwrap();
    assert_eq!(silent.prev_kv, None, "not asked");
    let last = raw
        .put(pb::PutRequest {
            prev_kv: true,
            ..put("k", "3")
        })
        .await
        .unwrap();
    let previous = last.prev_kv.unwrap();
    assert_eq!(
        (previous.value, previous.version, previous.mod_revision),
        ("2".into(), 2, 3)
    );
}

#[tokio::test]
async fn ignored_values_and_leases_stay() {
    let (_cluster, raw) = one().await;
    let lease = raw
        .lease_grant(pb::LeaseGrantRequest { ttl: 600, id: 0 })
        .await
        .unwrap()
        .id;
    raw.put(pb::PutRequest {
        lease,
        ..put("k", "1")
    })
    .await
    .unwrap();
    raw.put(pb::PutRequest {
        ignore_lease: true,
        ..put("k", "2")
    })
    .await
    .unwrap();
    let kv = raw.get("k").await.unwrap().kvs.remove(0);
    assert_eq!((kv.value, kv.lease, kv.version), ("2".into(), lease, 2));
    raw.put(pb::PutRequest {
        ignore_value: true,
        ..put("k", "")
    })
    .await
    .unwrap();
    let kv = raw.get("k").await.unwrap().kvs.remove(0);
    assert_eq!(
        (kv.value, kv.lease, kv.version),
        ("2".into(), 0, 3),
        "lease 0 detaches"
    );
    raw.lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap();
    assert_eq!(
        raw.get("k").await.unwrap().count,
        1,
        "a detached key outlives the lease"
    );
}

#[tokio::test]
async fn deletes_count_return_and_number_what_they_found() {
    let (_cluster, raw) = one().await;
    for key in ["a", "b", "c"] {
        raw.set(key, key.to_uppercase()).await.unwrap();
    }
    let range = pb::DeleteRangeRequest {
        key: "a".into(),
        range_end: "c".into(),
        prev_kv: true,
    };
    let response = raw.delete_range(range.clone()).await.unwrap();
    assert_eq!((response.deleted, revision(response.header)), (2, 5));
    let values: Vec<&Bytes> = response.prev_kvs.iter().map(|kv| &kv.value).collect();
    assert_eq!(values, ["A", "B"]);
    let again = raw.delete_range(range).await.unwrap();
    assert_eq!(
        (again.deleted, revision(again.header), again.prev_kvs.len()),
        (0, 5, 0)
    );
    let everything = pb::DeleteRangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        prev_kv: false,
    };
    let rest = raw.delete_range(everything).await.unwrap();
    assert_eq!((rest.deleted, rest.prev_kvs.len()), (1, 0));
}

#[tokio::test]
async fn binary_keys_and_values_are_kept() {
    let (_cluster, raw) = one().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    raw.set(every_byte.clone(), every_byte.clone())
        .await
        .unwrap();
    raw.set(vec![0_u8], "zero").await.unwrap();
    raw.set(vec![0_u8, 0], "zeros").await.unwrap();
    raw.set(vec![0xff_u8, 0xff], "last").await.unwrap();
    assert_eq!(
        raw.get(every_byte.clone()).await.unwrap().kvs[0].value,
        every_byte
    );
    let request = pb::RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..Default::default()
    };
    let found: Vec<Bytes> = raw
        .range(request)
        .await
        .unwrap()
        .kvs
        .into_iter()
        .map(|kv| kv.key)
        .collect();
    let expected: [Vec<u8>; 4] = [vec![0], vec![0, 0], every_byte, vec![0xff, 0xff]];
    assert_eq!(found, expected.map(Bytes::from));
}
