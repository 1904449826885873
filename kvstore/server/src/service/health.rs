//! `grpc.health.v1`: the overall service is what can be asked for.

use super::{Call, decode};
use crate::grpc::{Code, Status};
use crate::serve::Pending;
use bytes::Bytes;
use std::future::poll_fn;
use std::task::Poll;

#[derive(Clone, PartialEq, ::prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, ::prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const SERVICE_UNKNOWN: i32 = 3;

pub(super) fn check(call: Call, message: &Bytes) -> Option<Pending> {
    let response = decode::<HealthCheckRequest>(message.clone()).and_then(|request| {
        if request.service.is_empty() {
            Ok(HealthCheckResponse { status: SERVING })
        } else {
            Err(Status::fixed(Code::NotFound, "unknown service"))
        }
    });
    call.answer(response);
    None
}

/// Tells the state and, as it never changes while the process serves, waits for the client to leave.
pub(super) fn watch(call: Call, message: &Bytes) -> Option<Pending> {
    let request = match decode::<HealthCheckRequest>(message.clone()) {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    let stream = call.stream();
    Some(Box::pin(async move {
        let status = if request.service.is_empty() {
            SERVING
        } else {
            SERVICE_UNKNOWN
        };
        stream.duplex.reply.push(&HealthCheckResponse { status });
        poll_fn(|cx| {
            stream.duplex.inbox.register(cx.waker());
            if stream.duplex.inbox.is_reset() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        stream.end(Status::fixed(Code::Canceled, "Stream has ended."));
    }))
}
