//! What response headers carry.

use crate::one;
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Cluster;
use mainstay_tests::raw::revision;
use pb::request_op::Request;
use pb::response_op::Response;

#[tokio::test]
async fn the_first_write_is_revision_two() {
    let (_cluster, raw) = one().await;
    assert_eq!(
        raw.revision().await.unwrap(),
        1,
        "nothing internal takes a revision"
    );
    assert_eq!(raw.set("k", "v").await.unwrap(), 2);
    assert_eq!(
        raw.set("k", "v").await.unwrap(),
        3,
        "the same value again is a write"
    );
    assert_eq!(
        raw.remove("missing").await.unwrap(),
        3,
        "deleting nothing is none"
    );
    assert_eq!(raw.remove("k").await.unwrap(), 4);
}

#[tokio::test]
async fn headers_name_cluster_member_and_term() {
    let cluster = Cluster::start(3).await;
    let mut clusters = Vec::new();
    let mut members = Vec::new();
    for raw in cluster.raws() {
        raw.set("k", "v").await.unwrap();
        let header = raw.get("k").await.unwrap().header.unwrap();
        assert!(header.raft_term > 0);
        let status = raw.status(pb::StatusRequest {}).await.unwrap();
        let status_header = status.header.unwrap();
        assert_eq!(status_header.member_id, header.member_id);
        assert_eq!(status_header.raft_term, status.raft_term);
        clusters.push(header.cluster_id);
        members.push(header.member_id);
    }
    assert!(clusters.iter().all(|&id| id == clusters[0] && id != 0));
    let mut listed: Vec<u64> = cluster
        .member_list(0)
        .await
        .iter()
        .map(|member| member.id)
        .collect();
    listed.sort_unstable();
    members.sort_unstable();
    assert_eq!(members, listed);
}

#[tokio::test]
async fn old_reads_carry_the_current_revision() {
    let (_cluster, raw) = one().await;
    for value in ["1", "2", "3"] {
        raw.set("k", value).await.unwrap();
    }
    let request = pb::RangeRequest {
        key: "k".into(),
        revision: 2,
        ..Default::default()
    };
    let response = raw.range(request).await.unwrap();
    assert_eq!(response.kvs[0].value, "1");
    assert_eq!(revision(response.header), 4);
}

#[tokio::test]
async fn cluster_calls_carry_no_revision_and_some_no_header() {
    let (cluster, raw) = one().await;
    raw.set("k", "v").await.unwrap();
    let request = pb::MemberListRequest { linearizable: true };
    let header = raw.member_list(request).await.unwrap().header.unwrap();
    assert_eq!(header.revision, 0);
    assert_ne!(
        (header.cluster_id, header.member_id, header.raft_term),
        (0, 0, 0)
    );
    assert_eq!(
        raw.defragment(pb::DefragmentRequest {})
            .await
            .unwrap()
            .header,
        None
    );
    assert_eq!(
        revision(raw.hash(pb::HashRequest {}).await.unwrap().header),
        2
    );
    let alarms = raw.alarm(pb::AlarmRequest::default()).await.unwrap();
    if cluster.server().at_least(3, 6) {
        assert_eq!(revision(alarms.header), 2);
    }
    assert_eq!(
        revision(
            raw.lease_leases(pb::LeaseLeasesRequest {})
                .await
                .unwrap()
                .header
        ),
        2
    );
}

#[tokio::test]
async fn headers_inside_transactions_hold_a_revision_only() {
    let (_cluster, raw) = one().await;
    let put = pb::PutRequest {
        key: "k".into(),
        ..Default::default()
    };
    let range = pb::RangeRequest {
        key: "k".into(),
        ..Default::default()
    };
    let delete = pb::DeleteRangeRequest {
        key: "other".into(),
        ..Default::default()
    };
    let success = [
        Request::RequestPut(put),
        Request::RequestRange(range),
        Request::RequestDeleteRange(delete),
        Request::RequestTxn(pb::TxnRequest::default()),
    ];
    let success = success
        .map(|request| pb::RequestOp {
            request: Some(request),
        })
        .to_vec();
    let response = raw
        .txn(pb::TxnRequest {
            success,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(revision(response.header), 2);
    let bare = |revision| pb::ResponseHeader {
        revision,
        ..Default::default()
    };
    let headers: Vec<pb::ResponseHeader> = response
        .responses
        .into_iter()
        .map(|op| match op.response.unwrap() {
            Response::ResponseRange(range) => range.header.unwrap(),
            Response::ResponsePut(put) => put.header.unwrap(),
            Response::ResponseDeleteRange(delete) => delete.header.unwrap(),
            Response::ResponseTxn(txn) => txn.header.unwrap(),
        })
        .collect();
    // The delete found nothing, but the put before it has begun revision 2.
    assert_eq!(headers, [bare(2), bare(2), bare(2), bare(0)]);
}
