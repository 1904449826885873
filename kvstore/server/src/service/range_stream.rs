//! RangeStream: a range in chunks, so that neither side holds all of it.

use super::kv::{framed, set_header};
use super::{Call, StreamCall, decode};
use crate::errors;
use crate::grpc::{Code, Status};
use crate::serve::Pending;
use bytes::Bytes;
use mainstay_mvcc::{MvccError, check};
use mainstay_proto::etcdserverpb::{RangeRequest, RangeStreamResponse};

/// Keys of the first chunk, as in etcd; each further one has twice as many.
const FIRST_CHUNK_KEYS: usize = 10;
const CHUNK_KEYS_MAX: usize = 1 << 16;

/// Starts the stream.
pub(super) fn start(call: Call, message: &Bytes) -> Option<Pending> {
    let request = decode::<RangeRequest>(message.clone())
        .and_then(|request| {
            check::validate_range(&request)
                .map(|()| request)
                .map_err(Status::from)
        })
        .and_then(|request| {
            if is_plain(&request) {
                Ok(request)
            } else {
                Err(custom_order())
            }
        });
    match request {
        Ok(request) => {
            let stream = call.stream();
            Some(Box::pin(async move {
                let status = run(&stream, request).await.err().unwrap_or(Status::OK);
                stream.end(status);
            }))
        }
        Err(status) => {
            call.end(status);
            None
        }
    }
}

fn custom_order() -> Status {
    Status::fixed(
        Code::Unimplemented,
        "range stream does not support custom sort or revision filters",
    )
}

fn is_plain(r: &RangeRequest) -> bool {
    let sorted = r.sort_order > 1 || (r.sort_order == 1 && r.sort_target != 0);
    let filtered = r.min_mod_revision != 0
        || r.max_mod_revision != 0
        || r.min_create_revision != 0
        || r.max_create_revision != 0;
    !sorted && !filtered
}

async fn run(stream: &StreamCall, request: RangeRequest) -> Result<(), Status> {
    let shared = &stream.services.shared;
    let deadline = stream
        .head
        .timeout
        .map(|limit| tokio::time::Instant::now() + limit);
    let work = async {
        if !request.serializable {
            shared.node.read_index().await?;
        }
        let node = shared.node.clone();
        let mut chunks = blocking(move || node.reader().range_chunks(&request)).await?;
        let mut keys = FIRST_CHUNK_KEYS;
        let bytes_max = shared.options.max_request_bytes;
        let header = stream.services.header(0);
        loop {
            let (rest, chunk) = blocking(move || {
                let chunk = chunks.next_chunk(keys, bytes_max)?;
                let chunk = chunk.map(|mut response| {
                    if response.header.is_some() {
                        set_header(&mut response.header, header);
                    }
                    framed(&RangeStreamResponse {
                        range_response: Some(response),
                    })
                });
                Ok((chunks, chunk))
            })
            .await?;
            chunks = rest;
            let Some(chunk) = chunk else { return Ok(()) };
            keys = (keys * 2).min(CHUNK_KEYS_MAX);
            stream.duplex.reply.framed(&mut vec![chunk]);
            stream.duplex.room().await;
            if stream.duplex.inbox.is_reset() {
                return Ok(());
            }
        }
    };
    match deadline {
        Some(at) => tokio::time::timeout_at(at, work)
            .await
            .unwrap_or(Err(errors::DEADLINE)),
        None => work.await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MvccError> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Status::from),
        Err(_) => Err(errors::STOPPED),
    }
}
