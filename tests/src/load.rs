//! Fills a store with keys quickly.

use crate::limits::TXN_OPS_MAX;
use crate::raw::Raw;
use bytes::Bytes;
use mainstay_proto::etcdserverpb::request_op::Request;
use mainstay_proto::etcdserverpb::{PutRequest, RequestOp, TxnRequest};

/// Transactions in flight while filling.
const IN_FLIGHT: usize = 32;

/// Key number `index` of the filled range.
pub fn key(index: usize) -> Bytes {
    format!("fill/{index:012}").into()
}

/// Writes `count` keys with values of `value_bytes` bytes through one member, in transactions as large as allowed.
pub async fn fill(raw: &Raw, count: usize, value_bytes: usize) {
    let value = Bytes::from(vec![b'v'; value_bytes]);
    let batches: Vec<usize> = (0..count).step_by(TXN_OPS_MAX).collect();
    let mut next = batches.into_iter();
    let mut running = tokio::task::JoinSet::new();
    loop {
        while running.len() < IN_FLIGHT {
            let Some(first) = next.next() else { break };
            let last = (first + TXN_OPS_MAX).min(count);
            let (raw, value) = (raw.clone(), value.clone());
            running.spawn(async move { raw.txn(puts(first..last, &value)).await });
        }
        match running.join_next().await {
            None => return,
            Some(result) => {
                result
                    .expect("the task does not panic")
                    .expect("filling a healthy store succeeds");
            }
        }
    }
}

fn puts(range: std::ops::Range<usize>, value: &Bytes) -> TxnRequest {
    let put = |index| PutRequest {
        key: key(index),
        value: value.clone(),
        ..Default::default()
    };
    let success = range.map(|index| RequestOp {
        request: Some(Request::RequestPut(put(index))),
    });
    TxnRequest {
        success: success.collect(),
        ..Default::default()
    }
}
