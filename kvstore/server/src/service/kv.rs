//! Range, Put, DeleteRange, Txn and Compact.
//!
//! A write is decoded once, to check it; what is replicated are the bytes the client sent. A serializable read of a
//! single key is answered before the connection's task does anything else.

use super::{Call, decode};
use crate::errors;
use crate::grpc::{self, Status};
use crate::os::Node;
use crate::serve::Pending;
use bytes::Bytes;
use mainstay_mvcc::{MvccError, check, is_read_only, is_serializable};
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp,
    ResponseHeader, TxnRequest,
};
use mainstay_raft::{Applied, Charge, Command};
use prost::Message;

pub(super) fn put(call: Call, message: Bytes) -> Option<Pending> {
    let checked = decode::<PutRequest>(message.clone()).and_then(|request| {
        check::validate_put(&request)
            .map(|()| Charge::put(&request))
            .map_err(Status::from)
    });
    write(call, message, checked, Command::Put)
}

pub(super) fn delete_range(call: Call, message: Bytes) -> Option<Pending> {
    let checked = decode::<DeleteRangeRequest>(message.clone()).and_then(|request| {
        check::validate_delete(&request)
            .map(|()| Charge::delete_range(&request))
            .map_err(Status::from)
    });
    write(call, message, checked, Command::DeleteRange)
}

pub(super) fn txn(call: Call, message: Bytes) -> Option<Pending> {
    let max_ops = call.services.shared.options.max_txn_ops;
    let request = match decode::<TxnRequest>(message.clone()) {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    if let Err(error) = check::validate_txn(&request, max_ops) {
        call.end(error.into());
        return None;
    }
    if is_read_only(&request) {
        return Some(Box::pin(read_txn(call, request)));
    }
    write(call, message, Ok(Charge::txn(&request)), Command::Txn)
}

/// Proposes a request that passed the checks, if there is room for what it writes.
fn write(
    call: Call,
    message: Bytes,
    checked: Result<Charge, Status>,
    command: fn(Bytes) -> Command,
) -> Option<Pending> {
    let charge = match checked {
        Ok(charge) => charge,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    if message.len() > call.services.shared.options.max_request_bytes {
        call.end(errors::REQUEST_TOO_LARGE);
        return None;
    }
    Some(Box::pin(async move {
        let node = &call.services.shared.node;
        let proposed = async {
            node.admit(charge).await?;
            node.propose(command(message)).await
        };
        let proposed = async { proposed.await.map_err(Status::from) };
        match call.within(proposed).await {
            Ok(applied) => applied_answer(call, applied),
            Err(status) => call.end(status),
        }
    }))
}

fn applied_answer(call: Call, applied: Applied) {
    let fill = |header: &mut Option<ResponseHeader>| {
        let revision = header.as_ref().map_or(0, |h| h.revision);
        *header = Some(call.services.header(revision));
    };
    match applied {
        Applied::Put(mut response) => {
            fill(&mut response.header);
            call.ok(&response);
        }
        Applied::DeleteRange(mut response) => {
            fill(&mut response.header);
            call.ok(&response);
        }
        Applied::Txn(mut response) => {
            fill(&mut response.header);
            call.ok(&response);
        }
        Applied::Compact { revision } => {
            let header = Some(call.services.header(revision));
            call.ok(&CompactionResponse { header });
        }
        // A command is answered in its own kind.
        _ => call.end(Status::fixed(grpc::Code::Internal, "unexpected result")),
    }
}

pub(super) fn compact(call: Call, message: &Bytes) -> Option<Pending> {
    let request = match decode::<CompactionRequest>(message.clone()) {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    let CompactionRequest { revision, physical } = request;
    Some(Box::pin(async move {
        let node = &call.services.shared.node;
        let command = Command::Compact { revision, physical };
        let proposed = async { node.propose(command).await.map_err(Status::from) };
        match call.within(proposed).await {
            Ok(applied) => applied_answer(call, applied),
            Err(status) => call.end(status),
        }
    }))
}

pub(super) fn range(call: Call, message: Bytes) -> Option<Pending> {
    let request = decode::<RangeRequest>(message).and_then(|request| {
        check::validate_range(&request)
            .map(|()| request)
            .map_err(Status::from)
    });
    let request = match request {
        Ok(request) => request,
        Err(status) => {
            call.end(status);
            return None;
        }
    };
    if request.serializable && is_small(&request) {
        range_here(call, &request);
        return None;
    }
    Some(Box::pin(async move {
        if !request.serializable {
            let node = &call.services.shared.node;
            let confirmed = async { node.read_index().await.map_err(Status::from) };
            if let Err(status) = call.within(confirmed).await {
                return call.end(status);
            }
        }
        if is_small(&request) {
            return range_here(call, &request);
        }
        let node = call.services.shared.node.clone();
        let header = call.services.header(0);
        aside(call, move || {
            let mut response = node.reader().range(&request)?;
            set_header(&mut response.header, header);
            Ok(framed(&response))
        })
        .await;
    }))
}

fn range_here(call: Call, request: &RangeRequest) {
    match call.services.shared.node.reader().range(request) {
        Ok(mut response) => {
            set_header(&mut response.header, call.services.header(0));
            call.ok(&response);
        }
        Err(error) => call.end(error.into()),
    }
}

async fn read_txn(call: Call, request: TxnRequest) {
    let node = call.services.shared.node.clone();
    if !is_serializable(&request) {
        let confirmed = async { node.read_index().await.map_err(Status::from) };
        if let Err(status) = call.within(confirmed).await {
            return call.end(status);
        }
    }
    let header = call.services.header(0);
    let ops = || request.success.iter().chain(&request.failure);
    let work = move |node: &Node, request: &TxnRequest| {
        let mut response = node.reader().txn(request)?;
        set_header(&mut response.header, header);
        Ok::<_, MvccError>(response)
    };
    if ops().all(is_small_op) && request.compare.iter().all(|c| c.range_end.is_empty()) {
        return call.answer(work(&node, &request).map_err(Status::from));
    }
    aside(call, move || {
        work(&node, &request).map(|response| framed(&response))
    })
    .await;
}

/// Runs a read that may take long beside the serving thread.
async fn aside<F>(call: Call, work: F)
where
    F: FnOnce() -> Result<Bytes, MvccError> + Send + 'static,
{
    let done = async {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(Status::from),
            // The runtime is going down, or the read panicked, which ends the process.
            Err(_) => Err(errors::STOPPED),
        }
    };
    match call.within(done).await {
        Ok(framed) => call.ok_framed(framed),
        Err(status) => call.end(status),
    }
}

/// A message with its gRPC prefix.
pub(super) fn framed<M: Message>(message: &M) -> Bytes {
    let len = message.encoded_len();
    let mut out = Vec::with_capacity(grpc::PREFIX_BYTES + len);
    grpc::prefix(&mut out, len);
    // `Vec` grows as needed, so encoding into it cannot fail.
    let _ = message.encode(&mut out);
    Bytes::from(out)
}

/// Keeps the revision the store put in.
pub(super) fn set_header(slot: &mut Option<ResponseHeader>, header: ResponseHeader) {
    let revision = slot.as_ref().map_or(header.revision, |h| h.revision);
    *slot = Some(ResponseHeader { revision, ..header });
}

/// Whether a read is of one key. Anything else may have to count a large range, limit or not.
fn is_small(request: &RangeRequest) -> bool {
    request.range_end.is_empty()
}

fn is_small_op(op: &RequestOp) -> bool {
    matches!(&op.request, Some(Request::RequestRange(request)) if is_small(request))
}
