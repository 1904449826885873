//! Leases: grant, expiry, renewal, revocation, and what a change of leader does to them.

use crate::{etcd, one, refused};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::raw::{prefix_end, revision};
use mainstay_tests::{Cluster, Raw, wait_until};
use std::time::{Duration, Instant};
use tonic::Code;

async fn grant(raw: &Raw, ttl: i64, id: i64) -> pb::LeaseGrantResponse {
    raw.lease_grant(pb::LeaseGrantRequest { ttl, id })
        .await
        .unwrap()
}

async fn attach(raw: &Raw, key: &'static str, lease: i64) -> i64 {
    let put = pb::PutRequest {
        key: key.into(),
        value: "v".into(),
        lease,
        ..Default::default()
    };
    revision(raw.put(put).await.unwrap().header)
}

async fn time_to_live(raw: &Raw, id: i64) -> pb::LeaseTimeToLiveResponse {
    raw.lease_time_to_live(pb::LeaseTimeToLiveRequest { id, keys: true })
        .await
        .unwrap()
}

#[tokio::test]
async fn grants_choose_ids_and_raise_short_ttls() {
    let (_cluster, raw) = one().await;
    let chosen = grant(&raw, 60, 0).await;
    assert!(chosen.id > 0);
    assert_eq!((chosen.ttl, chosen.error.as_str()), (60, ""));
    assert_eq!(grant(&raw, 60, 77).await.id, 77);
    for ttl in [-5, 0, 1, 2] {
        assert_eq!(
            grant(&raw, ttl, 0).await.ttl,
            2,
            "1.5 election time-outs, rounded up"
        );
    }
    assert_eq!(grant(&raw, 3, 0).await.ttl, 3);
    assert_eq!(grant(&raw, 9_000_000_000, 0).await.ttl, 9_000_000_000);
    let large = raw
        .lease_grant(pb::LeaseGrantRequest {
            ttl: 9_000_000_001,
            id: 0,
        })
        .await;
    assert_eq!(
        refused(large),
        etcd(Code::OutOfRange, "too large lease TTL")
    );
    let again = raw
        .lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 77 })
        .await;
    assert_eq!(
        refused(again),
        etcd(Code::FailedPrecondition, "lease already exists")
    );
    assert_eq!(raw.revision().await.unwrap(), 1, "leases take no revision");
}

#[tokio::test]
async fn unknown_leases() {
    let (_cluster, raw) = one().await;
    let unknown = etcd(Code::NotFound, "requested lease not found");
    let revoked = raw.lease_revoke(pb::LeaseRevokeRequest { id: 5 }).await;
    assert_eq!(refused(revoked), unknown);
    let gone = time_to_live(&raw, 5).await;
    assert_eq!(
        (gone.id, gone.ttl, gone.granted_ttl, gone.keys.len()),
        (5, -1, 0, 0)
    );
    let mut stream = raw.keep_alive_stream();
    stream.send(pb::LeaseKeepAliveRequest { id: 5 }).await;
    let answer = stream.next().await.unwrap();
    assert_eq!((answer.id, answer.ttl), (5, 0));
    grant(&raw, 60, 6).await;
    stream.send(pb::LeaseKeepAliveRequest { id: 6 }).await;
    let answer = stream.next().await.unwrap();
    assert_eq!((answer.id, answer.ttl), (6, 60), "the stream stays open");
}

#[tokio::test]
async fn revocation_deletes_all_keys_in_one_revision() {
    let (_cluster, raw) = one().await;
    grant(&raw, 600, 7).await;
    for key in ["l/c", "l/a", "l/b"] {
        attach(&raw, key, 7).await;
    }
    raw.set("l/free", "stays").await.unwrap();
    let mut keys = time_to_live(&raw, 7).await.keys;
    keys.sort_unstable();
    assert_eq!(keys, ["l/a", "l/b", "l/c"]);
    let mut watch = raw.watch_stream();
    let request = pb::WatchCreateRequest {
        key: "l/".into(),
        range_end: prefix_end(b"l/"),
        ..Default::default()
    };
    watch.created(request).await;
    let header = raw
        .lease_revoke(pb::LeaseRevokeRequest { id: 7 })
        .await
        .unwrap()
        .header;
    assert_eq!(revision(header), 6);
    let events = watch.next().await.unwrap().events;
    let seen: Vec<_> = events
        .into_iter()
        .map(|event| (event.r#type, event.kv.unwrap()))
        .map(|(kind, kv)| (kind, kv.key, kv.mod_revision))
        .collect();
    assert_eq!(
        seen,
        [
            (1, "l/a".into(), 6),
            (1, "l/b".into(), 6),
            (1, "l/c".into(), 6)
        ]
    );
    assert_eq!(raw.get_prefix("l/").await.unwrap().count, 1);
    grant(&raw, 600, 8).await;
    raw.lease_revoke(pb::LeaseRevokeRequest { id: 8 })
        .await
        .unwrap();
    assert_eq!(
        raw.revision().await.unwrap(),
        6,
        "a lease without keys takes no revision"
    );
}

#[tokio::test]
async fn leases_expire_unless_kept_alive() {
    let (_cluster, raw) = one().await;
    grant(&raw, 2, 1).await;
    grant(&raw, 2, 2).await;
    let granted = Instant::now();
    attach(&raw, "dies", 1).await;
    attach(&raw, "lives", 2).await;
    let mut stream = raw.keep_alive_stream();
    wait_until("the lease expires", Duration::from_secs(12), async || {
        stream.send(pb::LeaseKeepAliveRequest { id: 2 }).await;
        assert_eq!(stream.next().await.unwrap().ttl, 2);
        (raw.get("dies").await.unwrap().count == 0).then_some(())
    })
    .await;
    let lived = granted.elapsed();
    assert!(
        lived >= Duration::from_millis(1900),
        "not before its time: {lived:?}"
    );
    assert!(lived <= Duration::from_secs(6), "{lived:?}");
    assert_eq!(time_to_live(&raw, 1).await.ttl, -1);
    assert_eq!(raw.get("lives").await.unwrap().count, 1);
    assert_eq!(time_to_live(&raw, 2).await.keys, ["lives"]);
}

#[tokio::test]
async fn remaining_time_counts_down_and_keep_alive_restores_it() {
    let (_cluster, raw) = one().await;
    grant(&raw, 30, 1).await;
    let first = time_to_live(&raw, 1).await;
    assert_eq!(first.granted_ttl, 30);
    assert!((28..=30).contains(&first.ttl), "{first:?}");
    wait_until("time passes", Duration::from_secs(10), async || {
        (time_to_live(&raw, 1).await.ttl <= 27).then_some(())
    })
    .await;
    let mut stream = raw.keep_alive_stream();
    stream.send(pb::LeaseKeepAliveRequest { id: 1 }).await;
    assert_eq!(stream.next().await.unwrap().ttl, 30);
    assert!(time_to_live(&raw, 1).await.ttl >= 28);
}

#[tokio::test]
async fn overwriting_moves_a_key_to_another_lease() {
    let (_cluster, raw) = one().await;
    grant(&raw, 600, 1).await;
    grant(&raw, 600, 2).await;
    attach(&raw, "k", 1).await;
    attach(&raw, "k", 2).await;
    assert_eq!(time_to_live(&raw, 1).await.keys.len(), 0);
    assert_eq!(time_to_live(&raw, 2).await.keys, ["k"]);
    raw.lease_revoke(pb::LeaseRevokeRequest { id: 1 })
        .await
        .unwrap();
    assert_eq!(raw.get("k").await.unwrap().count, 1);
    raw.remove("k").await.unwrap();
    assert_eq!(
        time_to_live(&raw, 2).await.keys.len(),
        0,
        "deletion detaches"
    );
}

#[tokio::test]
async fn leases_are_listed_by_every_member_and_served_through_followers() {
    let mut cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    let raw = cluster.raw(follower);
    for (ttl, id) in [(300, 1), (100, 2), (200, 3)] {
        grant(&raw, ttl, id).await;
    }
    attach(&raw, "k", 1).await;
    for raw in cluster.raws() {
        raw.revision().await.unwrap();
        let leases = raw
            .lease_leases(pb::LeaseLeasesRequest {})
            .await
            .unwrap()
            .leases;
        let mut ids: Vec<i64> = leases.iter().map(|lease| lease.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3]);
    }
    let mut stream = raw.keep_alive_stream();
    stream.send(pb::LeaseKeepAliveRequest { id: 2 }).await;
    assert_eq!(stream.next().await.unwrap().ttl, 100);
    let info = time_to_live(&raw, 1).await;
    assert!((297..=300).contains(&info.ttl), "{info:?}");
    assert_eq!(info.keys, ["k"]);
    raw.lease_revoke(pb::LeaseRevokeRequest { id: 1 })
        .await
        .unwrap();
    assert_eq!(raw.get("k").await.unwrap().count, 0);
}

#[tokio::test]
async fn a_leaders_death_neither_ends_nor_prolongs_leases_for_good() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let raw = cluster.raw((leader + 1) % 3);
    grant(&raw, 4, 1).await;
    grant(&raw, 600, 2).await;
    attach(&raw, "short", 1).await;
    attach(&raw, "long", 2).await;
    cluster.kill(leader);
    let started = Instant::now();
    wait_until(
        "the short lease ends under the new leader",
        CONVERGE_DEADLINE,
        async || {
            let response = raw
                .clone()
                .with_deadline(Duration::from_secs(2))
                .get("short")
                .await
                .ok()?;
            (response.count == 0).then_some(())
        },
    )
    .await;
    let ended = started.elapsed();
    assert!(ended <= Duration::from_secs(15), "{ended:?}");
    assert_eq!(raw.get("long").await.unwrap().count, 1);
    assert!(time_to_live(&raw, 2).await.ttl > 580);
    cluster.start_all().await;
}

#[tokio::test]
async fn leases_and_their_keys_survive_a_restart() {
    let (mut cluster, raw) = one().await;
    grant(&raw, 600, 1).await;
    attach(&raw, "k", 1).await;
    cluster.kill(0);
    cluster.start_all().await;
    let raw = cluster.raw(0);
    let info = time_to_live(&raw, 1).await;
    assert_eq!((info.granted_ttl, info.keys), (600, vec!["k".into()]));
    raw.lease_revoke(pb::LeaseRevokeRequest { id: 1 })
        .await
        .unwrap();
    assert_eq!(raw.get("k").await.unwrap().count, 0);
}
