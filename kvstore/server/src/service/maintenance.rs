//! The Maintenance service.

use super::{Call, decode};
use crate::errors;
use crate::grpc::Status;
use crate::serve::Pending;
use crate::version;
use bytes::Bytes;
use mainstay_mvcc::HashKv;
use mainstay_proto::etcdserverpb::alarm_request::AlarmAction;
use mainstay_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentResponse, DowngradeInfo,
    HashKvRequest, HashKvResponse, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    StatusResponse,
};
use mainstay_raft::{AlarmCause, AlarmChange, Error};

pub(super) fn status(call: Call) -> Option<Pending> {
    let shared = &call.services.shared;
    let status = shared.node.status();
    let mut problems: Vec<String> = Vec::new();
    if status.leader == 0 {
        problems.push("etcdserver: no leader".to_owned());
    }
    problems.extend(shared.node.alarms().iter().map(alarm_text));
    let response = StatusResponse {
        header: Some(call.services.header_now()),
        version: version::SERVER.to_owned(),
        db_size: status.db_size,
        leader: status.leader,
        raft_index: status.committed_index,
        raft_term: status.term,
        raft_applied_index: status.applied_index,
        errors: problems,
        db_size_in_use: status.db_in_use,
        is_learner: status.is_learner,
        storage_version: version::CLUSTER.to_owned(),
        db_size_quota: status.quota,
        downgrade_info: Some(DowngradeInfo::default()),
    };
    call.ok(&response);
    None
}

/// As Go prints the message: without what is zero.
fn alarm_text(alarm: &AlarmMember) -> String {
    let name = AlarmType::try_from(alarm.alarm).map_or("NONE", |kind| kind.as_str_name());
    match alarm.member_id {
        0 => format!("alarm:{name} "),
        id => format!("memberID:{id} alarm:{name} "),
    }
}

pub(super) fn alarm(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<AlarmRequest>(message.clone());
    Some(Box::pin(async move {
        let answered = async { alarms(&call, &request?).await.map_err(Status::from) };
        let (alarms, revision) = match call.within(answered).await {
            Ok(answer) => answer,
            Err(status) => return call.end(status),
        };
        let header = Some(call.services.header(revision));
        call.ok(&AlarmResponse { header, alarms });
    }))
}

/// The alarms that a request is about, and the revision of the answer.
async fn alarms(call: &Call, r: &AlarmRequest) -> Result<(Vec<AlarmMember>, i64), Error> {
    let node = &call.services.shared.node;
    // An action or type that does not exist changes nothing, as in etcd.
    let kind = AlarmType::try_from(r.alarm).unwrap_or_default();
    let active = match AlarmAction::try_from(r.action) {
        Ok(AlarmAction::Activate) => true,
        Ok(AlarmAction::Deactivate) => false,
        Ok(AlarmAction::Get) | Err(_) => {
            node.read_index().await?;
            let wanted = |alarm: &AlarmMember| r.alarm == 0 || alarm.alarm == r.alarm;
            let alarms = node.alarms().into_iter().filter(wanted).collect();
            return Ok((alarms, node.reader().revision()));
        }
    };
    let change = AlarmChange {
        active,
        member: r.member_id,
        kind,
        cause: AlarmCause::Lasting,
    };
    let (named, revision) = node.change_alarm(change).await?;
    Ok((named.into_iter().collect(), revision))
}

/// Nothing needs it: space is given back in the background. It only waits for that.
pub(super) fn defragment(call: Call) -> Option<Pending> {
    Some(Box::pin(async move {
        let node = &call.services.shared.node;
        node.settle_space().await;
        call.ok(&DefragmentResponse { header: None });
    }))
}

pub(super) fn hash(call: Call) -> Option<Pending> {
    Some(Box::pin(async move {
        let response = hashed(&call, 0).await.map(|hash| HashResponse {
            header: Some(call.services.header(hash.revision)),
            hash: hash.hash,
        });
        call.answer(response);
    }))
}

pub(super) fn hash_kv(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<HashKvRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let hash = hashed(&call, request?.revision).await?;
            Ok(HashKvResponse {
                header: Some(call.services.header(hash.revision)),
                hash: hash.hash,
                compact_revision: hash.compact_revision,
                hash_revision: hash.hash_revision,
            })
        }
        .await;
        call.answer(response);
    }))
}

/// Hashing reads everything, so it runs beside the serving thread.
async fn hashed(call: &Call, revision: i64) -> Result<HashKv, Status> {
    let node = call.services.shared.node.clone();
    let work = tokio::task::spawn_blocking(move || node.reader().hash_kv(revision));
    let done = async {
        work.await
            .map_err(|_| errors::STOPPED)?
            .map_err(Status::from)
    };
    call.within(done).await
}

pub(super) fn move_leader(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MoveLeaderRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let target = request?.target_id;
            let shared = &call.services.shared;
            if shared.node.leader().leader != Some(shared.member_id) {
                return Err(errors::NOT_LEADER);
            }
            let moving = async { shared.node.move_leader(target).await.map_err(Status::from) };
            call.within(moving).await?;
            Ok(MoveLeaderResponse { header: None })
        }
        .await;
        call.answer(response);
    }))
}
