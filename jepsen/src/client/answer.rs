//! Messages of the protocol as answers of the history.

use mainstay_check::history::{Answer, Event, EventKind, KeyValue, OpResult};
use mainstay_proto::etcdserverpb as pb;
use mainstay_proto::mvccpb;
use pb::response_op::Response;
use tonic::Status;

/// An answer that breaks the protocol, such as one without a header: nobody can say what happened.
pub(super) fn broken(what: &str) -> Status {
    Status::internal(format!("the answer breaks the protocol: {what}"))
}

/// The answer of an operation together with its header's revision.
pub(super) fn result(
    header: Option<pb::ResponseHeader>,
    answer: Answer,
) -> Result<OpResult, Status> {
    let header = header.ok_or_else(|| broken("no header"))?;
    Ok(OpResult {
        revision: header.revision,
        answer,
    })
}

pub(super) fn range(response: pb::RangeResponse) -> Result<OpResult, Status> {
    let header = response.header;
    result(header, range_body(response))
}

pub(super) fn put(response: pb::PutResponse) -> Result<OpResult, Status> {
    let header = response.header;
    result(header, put_body(response))
}

pub(super) fn delete(response: pb::DeleteRangeResponse) -> Result<OpResult, Status> {
    let header = response.header;
    result(header, delete_body(response))
}

pub(super) fn txn(response: pb::TxnResponse) -> Result<OpResult, Status> {
    let header = response.header;
    result(header, txn_body(response)?)
}

fn range_body(response: pb::RangeResponse) -> Answer {
    Answer::Range {
        kvs: response.kvs.into_iter().map(key_value).collect(),
        count: response.count,
        more: response.more,
    }
}

fn put_body(response: pb::PutResponse) -> Answer {
    Answer::Put {
        prev_kv: response.prev_kv.map(key_value),
    }
}

fn delete_body(response: pb::DeleteRangeResponse) -> Answer {
    Answer::Delete {
        deleted: response.deleted,
        prev_kvs: response.prev_kvs.into_iter().map(key_value).collect(),
    }
}

fn txn_body(response: pb::TxnResponse) -> Result<Answer, Status> {
    let steps = response.responses.into_iter().map(|step| {
        Ok(
            match step.response.ok_or_else(|| broken("an empty step"))? {
                Response::ResponseRange(response) => range_body(response),
                Response::ResponsePut(response) => put_body(response),
                Response::ResponseDeleteRange(response) => delete_body(response),
                Response::ResponseTxn(response) => txn_body(response)?,
            },
        )
    });
    Ok(Answer::Txn {
        succeeded: response.succeeded,
        responses: steps.collect::<Result<_, Status>>()?,
    })
}

fn key_value(kv: mvccpb::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key.into(),
        value: kv.value.into(),
        create: kv.create_revision,
        modified: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}

/// An event of a watch.
pub(super) fn event(event: mvccpb::Event) -> Event {
    let put = event.r#type == i32::from(mvccpb::event::EventType::Put);
    Event {
        kind: if put {
            EventKind::Put
        } else {
            EventKind::Delete
        },
        kv: event.kv.map(key_value).unwrap_or_default(),
        prev_kv: event.prev_kv.map(key_value),
    }
}
