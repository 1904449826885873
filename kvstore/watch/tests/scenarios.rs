//! What etcd's watch service promises, line by line.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

#[path = "scenarios/creating.rs"]
mod creating;
#[path = "scenarios/delivering.rs"]
mod delivering;
#[path = "scenarios/trouble.rs"]
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mainstay_proto::etcdserverpb::watch_create_request::FilterType;
use mainstay_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_watch::limits::{
    CONTROL_QUEUE_MAX, FRAGMENT_OVERHEAD_BYTES, HISTORY_RETRY_MS, PENDING_PER_GROUP_MAX,
};
use mainstay_watch::{History, Hub, HubOptions, Poll};
use support::{Bench, INTERVAL_MS, Store, Write, create, decode, header_revision, revisions};

const EVERYTHING: &str = "\0";

fn from(start_revision: i64, request: WatchCreateRequest) -> WatchCreateRequest {
    WatchCreateRequest {
        start_revision,
        ..request
    }
}

fn only(mut responses: Vec<WatchResponse>) -> WatchResponse {
    assert_eq!(responses.len(), 1, "{responses:?}");
    responses.remove(0)
}
