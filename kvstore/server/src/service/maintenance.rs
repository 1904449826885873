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

/// etcd's default when `--quota-backend-bytes` is 0.
const QUOTA_BYTES_DEFAULT: i64 = 2 << 30;

pub(super) fn status(call: Call) -> Option<Pending> {
    let shared = &call.services.shared;
    let status = shared.node.status();
    let mut problems: Vec<String> = Vec::new();
    if status.leader == 0 {
        problems.push("etcdserver: no leader".to_owned());
    }
    problems.extend(shared.node.alarms().iter().map(alarm_text));
    let quota = shared.options.quota_bytes;
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
        db_size_quota: if quota == 0 {
            QUOTA_BYTES_DEFAULT
        } else {
            quota
        },
        downgrade_info: Some(DowngradeInfo::default()),
    };
    call.ok(&response);
    None
}

/// As Go prints the message.
fn alarm_text(alarm: &AlarmMember) -> String {
    let name = AlarmType::try_from(alarm.alarm).map_or("NONE", |kind| kind.as_str_name());
    format!("memberID:{} alarm:{name} ", alarm.member_id)
}

pub(super) fn alarm(call: Call, message: &Bytes) -> Option<Pending> {
    let request = match decode::<AlarmRequest>(message.clone()) {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    if request.action != AlarmAction::Get as i32 {
        call.end(errors::unimplemented(
            "setting or clearing an alarm by hand",
        ));
        return None;
    }
    let alarms = call.services.shared.node.alarms();
    let wanted = |alarm: &AlarmMember| request.alarm == 0 || alarm.alarm == request.alarm;
    let header = Some(call.services.header_now());
    call.ok(&AlarmResponse {
        header,
        alarms: alarms.into_iter().filter(wanted).collect(),
    });
    None
}

/// Nothing needs it: space is given back in the background.
pub(super) fn defragment(call: Call) -> Option<Pending> {
    tracing::info!("defragment requested; space is reclaimed in the background, nothing to do");
    call.ok(&DefragmentResponse { header: None });
    None
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
