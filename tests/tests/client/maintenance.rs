//! Status, hashes, alarms, defragmentation and leadership.

use crate::{etcd, one, refused};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Cluster;
use mainstay_tests::server::parse_version;
use tonic::Code;

#[tokio::test]
async fn status_tells_version_sizes_and_raft_state() {
    let (cluster, raw) = one().await;
    raw.set("k", vec![b'v'; 1000]).await.unwrap();
    let status = raw.status(pb::StatusRequest {}).await.unwrap();
    assert_eq!(
        parse_version(&status.version),
        Some(cluster.server().version()),
        "{status:?}"
    );
    assert_eq!(status.leader, status.header.unwrap().member_id);
    assert!(status.db_size > 0 && status.db_size_in_use > 0);
    assert!(status.raft_index > 0 && status.raft_term > 0);
    assert!(status.raft_applied_index > 0 && status.raft_applied_index <= status.raft_index);
    assert!(status.errors.is_empty() && !status.is_learner);
    let before = status.raft_applied_index;
    raw.set("k", "w").await.unwrap();
    assert!(
        raw.status(pb::StatusRequest {})
            .await
            .unwrap()
            .raft_applied_index
            > before
    );
    if cluster.server().at_least(3, 7) {
        assert_eq!(status.storage_version, "3.7.0");
        assert_eq!(status.downgrade_info, Some(pb::DowngradeInfo::default()));
    }
}

#[tokio::test]
async fn hashes_are_equal_on_all_members_and_change_with_the_data() {
    let cluster = Cluster::start(3).await;
    let hash_all = async |revision| {
        let mut hashes = Vec::new();
        for raw in cluster.raws() {
            raw.revision().await.unwrap();
            let response = raw.hash_kv(pb::HashKvRequest { revision }).await.unwrap();
            hashes.push((
                response.hash,
                response.compact_revision,
                response.hash_revision,
            ));
        }
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
        hashes[0]
    };
    let raw = cluster.raw(0);
    for value in ["1", "2", "3"] {
        raw.set("k", value).await.unwrap();
    }
    let (now, compacted, at) = hash_all(0).await;
    assert_eq!(compacted, -1, "never compacted");
    if cluster.server().at_least(3, 6) {
        assert_eq!(at, 4);
    }
    assert_eq!(hash_all(4).await.0, now, "0 is the current revision");
    assert_ne!(hash_all(3).await.0, now);
    let past = hash_all(3).await.0;
    raw.set("k", "4").await.unwrap();
    assert_eq!(hash_all(3).await.0, past, "the past does not change");
    raw.compact(pb::CompactionRequest {
        revision: 4,
        physical: true,
    })
    .await
    .unwrap();
    assert_eq!(hash_all(5).await.1, 4);
    raw.hash(pb::HashRequest {}).await.unwrap();
}

#[tokio::test]
async fn there_are_no_alarms_and_defragmentation_keeps_everything() {
    let (_cluster, raw) = one().await;
    assert!(
        raw.alarm(pb::AlarmRequest::default())
            .await
            .unwrap()
            .alarms
            .is_empty()
    );
    for index in 0..100 {
        raw.set(format!("k{index}"), vec![b'v'; 2000])
            .await
            .unwrap();
    }
    let before = raw.get_prefix("k").await.unwrap().kvs;
    raw.defragment(pb::DefragmentRequest {}).await.unwrap();
    assert_eq!(raw.get_prefix("k").await.unwrap().kvs, before);
    assert_eq!(raw.revision().await.unwrap(), 101);
}

#[tokio::test]
async fn leadership_moves_on_request_only_through_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let target = (leader + 1) % 3;
    let target_id = cluster.id(target).await;
    let request = pb::MoveLeaderRequest { target_id };
    let refusal = cluster.raw(target).move_leader(request).await;
    assert_eq!(
        refused(refusal),
        etcd(Code::FailedPrecondition, "not leader")
    );
    let nobody = cluster
        .raw(leader)
        .move_leader(pb::MoveLeaderRequest { target_id: 1 })
        .await;
    assert_eq!(
        refused(nobody),
        etcd(Code::FailedPrecondition, "bad leader transferee")
    );
    let moved = cluster.raw(leader).move_leader(request).await.unwrap();
    assert_eq!(moved.header, None);
    assert_eq!(cluster.leader().await, target);
    for raw in cluster.raws() {
        raw.set("k", "v").await.unwrap();
    }
    let back = pb::MoveLeaderRequest {
        target_id: cluster.id(leader).await,
    };
    cluster.raw(target).move_leader(back).await.unwrap();
    assert_eq!(cluster.leader().await, leader);
    let itself = cluster.raw(leader).move_leader(back).await;
    assert!(
        itself.is_ok(),
        "moving to oneself is done already: {itself:?}"
    );
}

#[tokio::test]
async fn members_are_listed_with_names_and_urls() {
    let cluster = Cluster::start(3).await;
    let members = mainstay_tests::wait_until(
        "all members have published their URLs",
        mainstay_tests::limits::CONVERGE_DEADLINE,
        async || {
            let members = cluster.member_list(0).await;
            members
                .iter()
                .all(|member| !member.client_urls.is_empty())
                .then_some(members)
        },
    )
    .await;
    for index in 0..3 {
        let member = members
            .iter()
            .find(|member| member.name == cluster.name(index))
            .unwrap();
        assert_eq!(member.peer_urls, [cluster.peer_url(index)]);
        assert_eq!(member.client_urls, [cluster.endpoint(index)]);
        assert!(!member.is_learner);
    }
}
