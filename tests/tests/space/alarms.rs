//! What active alarms forbid and allow, on every member.

use super::{alarms_of, assert_no_space, put, revision};
use mainstay_proto::etcdserverpb::alarm_request::AlarmAction;
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{self as pb, AlarmType};
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::{Cluster, Raw, http_get, wait_until};
use tonic::{Code, Status};

fn change(action: AlarmAction, member: u64, kind: AlarmType) -> pb::AlarmRequest {
    pb::AlarmRequest {
        action: action as i32,
        member_id: member,
        alarm: kind as i32,
    }
}

fn txn(ops: Vec<Request>) -> pb::TxnRequest {
    let ops = ops.into_iter().map(|request| pb::RequestOp {
        request: Some(request),
    });
    pb::TxnRequest {
        success: ops.collect(),
        ..Default::default()
    }
}

fn delete(key: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    }
}

async fn everywhere(raws: &[Raw], expected: &[(u64, i32)]) {
    for raw in raws {
        wait_until(
            "the alarms are as expected",
            CONVERGE_DEADLINE,
            async || (alarms_of(raw).await? == expected).then_some(()),
        )
        .await;
    }
}

fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "etcdserver: corrupt cluster")
    );
}

#[tokio::test]
async fn no_space_forbids_what_adds_and_allows_the_rest() {
    let cluster = Cluster::start(3).await;
    let raws = cluster.raws();
    let id = cluster.id(1).await;
    raws[0].put(put(1, 10)).await.unwrap();
    raws[0].put(put(2, 10)).await.unwrap();
    let grant = |id| pb::LeaseGrantRequest { ttl: 600, id };
    for lease in [11, 12] {
        raws[0].lease_grant(grant(lease)).await.unwrap();
    }
    let raised = raws[0].alarm(change(AlarmAction::Activate, id, AlarmType::Nospace));
    let raised = raised.await.unwrap();
    let named = pb::AlarmMember {
        member_id: id,
        alarm: AlarmType::Nospace as i32,
    };
    assert_eq!(raised.alarms, [named]);
    assert_eq!(raised.header.unwrap().revision, 3);
    everywhere(&raws, &[(id, AlarmType::Nospace as i32)]).await;

    for (index, raw) in raws.iter().enumerate() {
        assert_no_space(raw.put(put(3, 10)).await);
        assert_no_space(raw.lease_grant(grant(13)).await);
        let both = txn(vec![
            Request::RequestDeleteRange(delete("key000001")),
            Request::RequestPut(put(3, 10)),
        ]);
        assert_no_space(raw.txn(both.clone()).await);
        // Also where the branch with the put is not taken.
        let other = pb::TxnRequest {
            failure: both.success,
            ..Default::default()
        };
        assert_no_space(raw.txn(other).await);
        let nested = txn(vec![Request::RequestTxn(txn(vec![Request::RequestPut(
            put(3, 10),
        )]))]);
        assert_no_space(raw.txn(nested).await);

        let errors = raw.status(pb::StatusRequest {}).await.unwrap().errors;
        assert_eq!(errors, [format!("memberID:{id} alarm:NOSPACE ")]);
        let port = cluster.client_port(index);
        let health = http_get::get(port, "/health", None).await.unwrap();
        assert_eq!(health.status, 503);
        let body = r#"{"health":"false","reason":"ALARM NOSPACE"}"#;
        assert_eq!(health.body.trim(), body);
        let health = http_get::get(port, "/health?exclude=NOSPACE", None).await;
        assert_eq!(health.unwrap().status, 200);
        assert_eq!(
            http_get::get(port, "/readyz", None).await.unwrap().status,
            200
        );
        let metrics = http_get::get(port, "/metrics", None).await.unwrap().body;
        let line = format!(
            "etcd_debugging_server_alarms{{alarm_type=\"NOSPACE\",server_id=\"{id:x}\"}} 1"
        );
        assert!(metrics.contains(&line));
    }

    let raw = &raws[2];
    let range = pb::RangeRequest {
        key: "key000001".into(),
        ..Default::default()
    };
    assert_eq!(raw.range(range.clone()).await.unwrap().count, 1);
    let deletes = txn(vec![
        Request::RequestDeleteRange(delete("key000001")),
        Request::RequestRange(range),
    ]);
    assert!(raw.txn(deletes).await.unwrap().succeeded);
    assert_eq!(
        raw.delete_range(delete("key000002")).await.unwrap().deleted,
        1
    );
    let revoke = pb::LeaseRevokeRequest { id: 11 };
    raw.lease_revoke(revoke).await.unwrap();
    let info = pb::LeaseTimeToLiveRequest {
        id: 12,
        keys: false,
    };
    assert!(raw.lease_time_to_live(info).await.unwrap().ttl > 0);
    let compaction = pb::CompactionRequest {
        revision: revision(raw).await,
        physical: true,
    };
    raw.compact(compaction).await.unwrap();

    let withdrawn = raws[0].alarm(change(AlarmAction::Deactivate, id, AlarmType::Nospace));
    assert_eq!(withdrawn.await.unwrap().alarms, [named]);
    let again = raws[0].alarm(change(AlarmAction::Deactivate, id, AlarmType::Nospace));
    assert!(again.await.unwrap().alarms.is_empty());
    for raw in &raws {
        raw.put(put(3, 10)).await.unwrap();
    }
    everywhere(&raws, &[]).await;
}

#[tokio::test]
async fn damage_forbids_every_change_and_survives_restarts() {
    let mut cluster = Cluster::start(3).await;
    let raws = cluster.raws();
    raws[0].put(put(1, 10)).await.unwrap();
    let lease = pb::LeaseGrantRequest { ttl: 600, id: 11 };
    raws[0].lease_grant(lease).await.unwrap();
    let raised = raws[1].alarm(change(AlarmAction::Activate, 0, AlarmType::Corrupt));
    raised.await.unwrap();
    everywhere(&raws, &[(0, AlarmType::Corrupt as i32)]).await;
    cluster.kill_together(&[0, 1, 2]);
    for index in 0..3 {
        cluster.spawn(index);
    }
    let raws = cluster.raws();
    everywhere(&raws, &[(0, AlarmType::Corrupt as i32)]).await;
    for (index, raw) in raws.iter().enumerate() {
        assert_corrupt(raw.put(put(2, 10)).await);
        assert_corrupt(raw.delete_range(delete("key000001")).await);
        let deletes = txn(vec![Request::RequestDeleteRange(delete("key000001"))]);
        assert_corrupt(raw.txn(deletes).await);
        assert_corrupt(
            raw.lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 12 })
                .await,
        );
        assert_corrupt(raw.lease_revoke(pb::LeaseRevokeRequest { id: 11 }).await);
        let compaction = pb::CompactionRequest {
            revision: 2,
            physical: false,
        };
        assert_corrupt(raw.compact(compaction).await);
        let range = pb::RangeRequest {
            key: "key000001".into(),
            ..Default::default()
        };
        assert_eq!(raw.range(range).await.unwrap().count, 1);
        let port = cluster.client_port(index);
        let health = http_get::get(port, "/health", None).await.unwrap();
        let body = r#"{"health":"false","reason":"ALARM CORRUPT"}"#;
        assert_eq!((health.status, health.body.trim()), (503, body));
        let ready = http_get::get(port, "/readyz", None).await.unwrap();
        assert_eq!(ready.status, 503);
        assert!(
            ready
                .body
                .contains("[-]data_corruption failed: alarm activated: CORRUPT")
        );
        let errors = raw.status(pb::StatusRequest {}).await.unwrap().errors;
        assert_eq!(errors, ["alarm:CORRUPT "]);
    }
    // Raised beside another one, each is listed by its type.
    let id = cluster.id(0).await;
    let second = raws[0].alarm(change(AlarmAction::Activate, id, AlarmType::Nospace));
    second.await.unwrap();
    everywhere(&raws, &[(id, 1), (0, 2)]).await;
    let only = pb::AlarmRequest {
        alarm: AlarmType::Corrupt as i32,
        ..Default::default()
    };
    assert_eq!(raws[0].alarm(only).await.unwrap().alarms.len(), 1);
    for (member, kind) in [(0, AlarmType::Corrupt), (id, AlarmType::Nospace)] {
        let request = change(AlarmAction::Deactivate, member, kind);
        raws[2].alarm(request).await.unwrap();
    }
    raws[2].put(put(2, 10)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_alarm_changes_nothing() {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw(0);
    for action in [AlarmAction::Activate, AlarmAction::Deactivate] {
        let answer = raw.alarm(change(action, 7, AlarmType::None)).await;
        assert!(answer.unwrap().alarms.is_empty());
    }
    assert_eq!(alarms_of(&raw).await, Some(vec![]));
    raw.put(put(1, 10)).await.unwrap();
}
