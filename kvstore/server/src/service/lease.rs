//! The Lease service.

use super::{Call, StreamCall, decode};
use crate::errors;
use crate::grpc::{Code, Status};
use crate::serve::{Incoming, Pending};
use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};
use mainstay_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use mainstay_raft::{Applied, Charge, Command};
use std::hash::{BuildHasher, RandomState};

/// Longest TTL in seconds, as in etcd.
const TTL_SECONDS_MAX: i64 = 9_000_000_000;
/// Keep-alives of one stream that are under way together; answers keep their order.
const KEEP_ALIVES_IN_FLIGHT: usize = 256;

pub(super) fn grant(call: Call, message: &Bytes) -> Option<Pending> {
    let request = match decode::<LeaseGrantRequest>(message.clone()) {
        Ok(request) if request.ttl > TTL_SECONDS_MAX => Err(errors::LEASE_TTL_TOO_LARGE),
        other => other,
    };
    let LeaseGrantRequest { ttl, id } = match request {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    let id = if id == 0 { random_id() } else { id };
    Some(Box::pin(async move {
        let node = &call.services.shared.node;
        let granting = async {
            node.admit(Charge::lease_grant()).await?;
            node.propose(Command::LeaseGrant { id, ttl }).await
        };
        let granted = call
            .within(async { granting.await.map_err(Status::from) })
            .await;
        let response = granted.and_then(|applied| match applied {
            Applied::LeaseGrant { id, ttl, revision } => Ok(LeaseGrantResponse {
                header: Some(call.services.header(revision)),
                id,
                ttl,
                error: String::new(),
            }),
            _ => Err(unexpected()),
        });
        call.answer(response);
    }))
}

/// A positive id. The hasher's keys are random per process and differ on every call.
fn random_id() -> i64 {
    let id = RandomState::new().hash_one(std::time::Instant::now());
    i64::try_from(id >> 1).unwrap_or(1).max(1)
}

async fn propose(call: &Call, command: Command) -> Result<Applied, Status> {
    let node = &call.services.shared.node;
    call.within(async { node.propose(command).await.map_err(Status::from) })
        .await
}

fn unexpected() -> Status {
    Status::fixed(Code::Internal, "unexpected result")
}

pub(super) fn revoke(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<LeaseRevokeRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let id = request?.id;
            match propose(&call, Command::LeaseRevoke { id }).await? {
                Applied::LeaseRevoke { revision } => Ok(LeaseRevokeResponse {
                    header: Some(call.services.header(revision)),
                }),
                _ => Err(unexpected()),
            }
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn time_to_live(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<LeaseTimeToLiveRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let LeaseTimeToLiveRequest { id, keys } = request?;
            let node = &call.services.shared.node;
            let asked = async {
                node.lease_time_to_live(id, keys)
                    .await
                    .map_err(Status::from)
            };
            let info = call.within(asked).await?;
            Ok(LeaseTimeToLiveResponse {
                header: Some(call.services.header_now()),
                id,
                ttl: info.ttl,
                granted_ttl: info.granted_ttl,
                keys: info.keys,
            })
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn leases(call: Call) -> Option<Pending> {
    let leases = call.services.shared.node.lease_list();
    let leases = leases.into_iter().map(|id| LeaseStatus { id }).collect();
    let header = Some(call.services.header_now());
    call.ok(&LeaseLeasesResponse { header, leases });
    None
}

/// Renews leases as the client asks, until it stops or the stream must end.
pub(super) async fn keep_alive(call: StreamCall) {
    let status = renew_all(&call).await;
    call.end(status);
}

async fn renew_all(call: &StreamCall) -> Status {
    let services = &call.services;
    let mut leader_lost = services.leader_lost.subscribe();
    let mut renewing = FuturesOrdered::new();
    let mut reading = true;
    loop {
        if !reading && renewing.is_empty() {
            return Status::OK;
        }
        tokio::select! {
            biased;
            Some(renewed) = renewing.next(), if !renewing.is_empty() => {
                let renewed: Result<LeaseKeepAliveResponse, Status> = renewed;
                match renewed {
                    Ok(response) => call.duplex.reply.push(&response),
                    Err(status) => return status,
                }
                call.duplex.room().await;
            }
            incoming = call.duplex.next(), if reading && renewing.len() < KEEP_ALIVES_IN_FLIGHT => {
                match incoming {
                    Incoming::Message(message) => match decode(message) {
                        Ok(request) => renewing.push_back(renew(call, request)),
                        Err(status) => return status,
                    },
                    Incoming::End => reading = false,
                    Incoming::Gone => return Status::fixed(Code::Canceled, "etcdserver: request canceled"),
                    Incoming::Broken(status) => return status,
                }
            }
            _ = leader_lost.changed(), if call.head.require_leader => return errors::NO_LEADER,
        }
    }
}

async fn renew(
    call: &StreamCall,
    request: LeaseKeepAliveRequest,
) -> Result<LeaseKeepAliveResponse, Status> {
    // The revision is taken before renewing: a client that sees TTL 0 may rely on it.
    let header = call.services.header_now();
    let ttl = call
        .services
        .shared
        .node
        .lease_keep_alive(request.id)
        .await?;
    Ok(LeaseKeepAliveResponse {
        header: Some(header),
        id: request.id,
        ttl,
    })
}
