//! The Cluster service. Its headers carry no revision.

use super::{Call, Services, decode};
use crate::grpc::Status;
use crate::serve::Pending;
use bytes::Bytes;
use mainstay_proto::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, ResponseHeader,
};

fn header(services: &Services) -> Option<ResponseHeader> {
    Some(services.header(0))
}

pub(super) fn add(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MemberAddRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let MemberAddRequest {
                peer_urls,
                is_learner,
            } = request?;
            let node = &call.services.shared.node;
            let adding = async {
                node.member_add(peer_urls, is_learner)
                    .await
                    .map_err(Status::from)
            };
            let (member, members) = call.within(adding).await?;
            let header = header(&call.services);
            Ok(MemberAddResponse {
                header,
                member: Some(member),
                members,
            })
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn remove(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MemberRemoveRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let id = request?.id;
            let node = &call.services.shared.node;
            let removing = async { node.member_remove(id).await.map_err(Status::from) };
            let members = call.within(removing).await?;
            Ok(MemberRemoveResponse {
                header: header(&call.services),
                members,
            })
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn update(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MemberUpdateRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let MemberUpdateRequest { id, peer_urls } = request?;
            let node = &call.services.shared.node;
            let updating = async {
                node.member_update(id, peer_urls)
                    .await
                    .map_err(Status::from)
            };
            let members = call.within(updating).await?;
            Ok(MemberUpdateResponse {
                header: header(&call.services),
                members,
            })
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn promote(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MemberPromoteRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let id = request?.id;
            let node = &call.services.shared.node;
            let promoting = async { node.member_promote(id).await.map_err(Status::from) };
            let members = call.within(promoting).await?;
            Ok(MemberPromoteResponse {
                header: header(&call.services),
                members,
            })
        }
        .await;
        call.answer(response);
    }))
}

pub(super) fn list(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<MemberListRequest>(message.clone());
    Some(Box::pin(async move {
        let response = async {
            let node = &call.services.shared.node;
            if request?.linearizable {
                call.within(async { node.read_index().await.map_err(Status::from) })
                    .await?;
            }
            Ok(MemberListResponse {
                header: header(&call.services),
                members: node.members(),
            })
        }
        .await;
        call.answer(response);
    }))
}
