//! Short ways to write requests, answers and records by hand.

use mainstay_check::history::{
    Answer, Blob, Cmp, Compare, DeleteOp, Event, EventKind, Failure, FailureKind, KeyValue, Op,
    OpResult, Operation, Outcome, PutOp, RangeOp, Target, TxnOp, WatchNews, WatchRecord,
    WatchRequest,
};

pub fn put(key: &str, value: &str) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        ..PutOp::default()
    })
}

pub fn put_leased(key: &str, value: &str, lease: i64) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        lease,
        ..PutOp::default()
    })
}

pub fn put_prev(key: &str, value: &str) -> Op {
    Op::Put(PutOp {
        key: key.into(),
        value: value.into(),
        prev_kv: true,
        ..PutOp::default()
    })
}

pub fn delete(key: &str) -> Op {
    Op::Delete(DeleteOp {
        key: key.into(),
        ..DeleteOp::default()
    })
}

pub fn get(key: &str) -> Op {
    Op::Range(RangeOp {
        key: key.into(),
        ..RangeOp::default()
    })
}

pub fn get_at(key: &str, revision: i64) -> Op {
    Op::Range(RangeOp {
        key: key.into(),
        revision,
        ..RangeOp::default()
    })
}

/// Everything.
pub fn list() -> Op {
    Op::Range(RangeOp {
        key: vec![0].into(),
        end: vec![0].into(),
        ..RangeOp::default()
    })
}

/// Put if the key's modification revision is `modified`.
pub fn cas(key: &str, modified: i64, value: &str) -> Op {
    Op::Txn(TxnOp {
        compares: vec![Compare {
            key: key.into(),
            end: Blob::default(),
            target: Target::Mod(modified),
            cmp: Cmp::Equal,
        }],
        then: vec![put(key, value)],
        otherwise: vec![get(key)],
    })
}

pub fn kv(key: &str, value: &str, create: i64, modified: i64, version: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
        create,
        modified,
        version,
        lease: 0,
    }
}

pub fn range(kvs: Vec<KeyValue>) -> Answer {
    Answer::Range {
        count: i64::try_from(kvs.len()).unwrap(),
        kvs,
        more: false,
    }
}

pub fn written() -> Answer {
    Answer::Put { prev_kv: None }
}

pub fn deleted(deleted: i64) -> Answer {
    Answer::Delete {
        deleted,
        prev_kvs: Vec::new(),
    }
}

/// An operation of client `client` from `call` to `returned`; ids are the calls.
pub fn ok(
    client: u32,
    call: u64,
    returned: u64,
    op: Op,
    revision: i64,
    answer: Answer,
) -> Operation {
    Operation {
        client,
        member: 1,
        id: call,
        op,
        call,
        returned: Some(returned),
        outcome: Outcome::Ok,
        result: Some(OpResult { revision, answer }),
        error: None,
    }
}

pub fn unknown(client: u32, call: u64, op: Op) -> Operation {
    Operation {
        client,
        member: 1,
        id: call,
        op,
        call,
        returned: None,
        outcome: Outcome::Unknown,
        result: None,
        error: None,
    }
}

pub fn failed(client: u32, call: u64, returned: u64, op: Op, kind: FailureKind) -> Operation {
    Operation {
        returned: Some(returned),
        outcome: Outcome::Fail,
        error: Some(Failure {
            kind,
            text: String::new(),
        }),
        ..unknown(client, call, op)
    }
}

pub fn watching(key: &str, start_revision: i64) -> WatchRequest {
    WatchRequest {
        key: key.into(),
        start_revision,
        prev_kv: true,
        ..WatchRequest::default()
    }
}

pub fn news(time: u64, header_revision: i64, news: WatchNews) -> WatchRecord {
    WatchRecord {
        watch: 1,
        client: 100,
        member: 1,
        request: None,
        time,
        header_revision,
        news,
    }
}

pub fn was_put(kv: KeyValue, prev_kv: Option<KeyValue>) -> Event {
    Event {
        kind: EventKind::Put,
        kv,
        prev_kv,
    }
}

pub fn was_deleted(key: &str, revision: i64, prev_kv: Option<KeyValue>) -> Event {
    Event {
        kind: EventKind::Delete,
        kv: KeyValue {
            key: key.into(),
            modified: revision,
            ..KeyValue::default()
        },
        prev_kv,
    }
}
