//! Answers to clients, held against the model: right, and not older than they may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use mainstay_proto::etcdserverpb::response_op::Response;
use mainstay_proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    ResponseHeader, TxnRequest, TxnResponse,
};
use mainstay_raft::inspect::{Content, Decoded};

use super::model::{Model, Write};
use super::{Checked, violated};

/// When a call began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Began {
    /// The highest revision that anybody had been told of.
    pub(crate) told: i64,
}

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The highest revision anybody was told of.
    pub(crate) told: i64,
    /// Values are unique: each may be written once.
    values: BTreeMap<Bytes, u64>,
    pub(crate) checked: u64,
}

fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |h| h.revision)
}

/// Headers are compared by hand; nested ones say nothing.
fn bare_txn(mut response: TxnResponse) -> TxnResponse {
    response.header = None;
    for op in &mut response.responses {
        match &mut op.response {
            Some(Response::ResponsePut(r)) => r.header = None,
            Some(Response::ResponseRange(r)) => r.header = None,
            Some(Response::ResponseDeleteRange(r)) => r.header = None,
            _ => {}
        }
    }
    response
}

impl Answers {
    /// Every command is carried out once, however often it was sent.
    pub(crate) fn committed(&mut self, index: u64, content: &Content) -> Checked {
        let Content::Command(command) = content else {
            return Ok(());
        };
        let values: Vec<Bytes> = match command {
            Decoded::Put(put) => vec![put.value.clone()],
            // The first operation's value names the transaction.
            Decoded::Txn(txn) => txn
                .compare
                .iter()
                .map(|compare| compare.key.clone())
                .filter(|key| key.starts_with(b"nonce"))
                .collect(),
            _ => Vec::new(),
        };
        for value in values {
            if let Some(first) = self.values.insert(value.clone(), index) {
                violated!("{value:?} was written twice, at log indexes {first} and {index}");
            }
        }
        Ok(())
    }

    fn tell(&mut self, revision: i64) {
        self.checked += 1;
        self.told = self.told.max(revision);
    }

    pub(crate) fn put(
        &mut self,
        model: &Model,
        began: Began,
        request: &PutRequest,
        response: &PutResponse,
    ) -> Checked {
        let at = revision(response.header.as_ref());
        match model.writes.get(&at) {
            Some(Write::Put(wrote, answer)) if wrote == request => {
                if answer.prev_kv != response.prev_kv {
                    violated!(
                        "put at revision {at} was answered with {:?}, right is {:?}",
                        response.prev_kv,
                        answer.prev_kv
                    );
                }
            }
            other => violated!("put {request:?} was acknowledged at {at}, which is {other:?}"),
        }
        self.wrote(began, at)
    }

    fn wrote(&mut self, began: Began, at: i64) -> Checked {
        if at <= began.told {
            violated!(
                "a write got revision {at} after {} had been told",
                began.told
            );
        }
        self.tell(at);
        Ok(())
    }

    pub(crate) fn delete(
        &mut self,
        model: &Model,
        began: Began,
        request: &DeleteRangeRequest,
        response: &DeleteRangeResponse,
    ) -> Checked {
        let at = revision(response.header.as_ref());
        if response.deleted == 0 {
            if !model.live(at, &request.key, &request.range_end).is_empty() {
                violated!("a deletion at {at} found nothing where there was something");
            }
            return self.current(model, began, at);
        }
        let bare = DeleteRangeResponse {
            header: None,
            ..response.clone()
        };
        match model.writes.get(&at) {
            Some(Write::Delete(wrote, answer)) if wrote == request && *answer == bare => {}
            other => violated!("deletion {request:?} was answered {bare:?} at {at}: {other:?}"),
        }
        self.wrote(began, at)
    }

    pub(crate) fn txn(
        &mut self,
        model: &Model,
        began: Began,
        request: &TxnRequest,
        response: &TxnResponse,
    ) -> Checked {
        let at = revision(response.header.as_ref());
        let bare = bare_txn(response.clone());
        if let Some(Write::Txn(wrote, answer)) = model.writes.get(&at)
            && wrote == request
        {
            if *answer != bare {
                violated!("transaction at {at} was answered {bare:?}, right is {answer:?}");
            }
            return self.wrote(began, at);
        }
        let right = model.read_only_txn(request, at);
        if right != bare {
            violated!("transaction {request:?} at {at} was answered {bare:?}, right is {right:?}");
        }
        self.current(model, began, at)
    }

    /// An answer that shows the state of revision `at` as the current one.
    fn current(&mut self, model: &Model, began: Began, at: i64) -> Checked {
        if at < began.told {
            violated!(
                "stale: answered at revision {at} after {} had been told",
                began.told
            );
        }
        if at > model.revision {
            violated!(
                "answered at revision {at}, the store is at {}",
                model.revision
            );
        }
        self.tell(at);
        Ok(())
    }

    pub(crate) fn range(
        &mut self,
        model: &Model,
        began: Began,
        request: &RangeRequest,
        response: &RangeResponse,
    ) -> Checked {
        let at = revision(response.header.as_ref());
        let bare = RangeResponse {
            header: None,
            ..response.clone()
        };
        if at > model.revision {
            violated!(
                "a range at revision {at}, the store is at {}",
                model.revision
            );
        }
        let right = model.range(request, at);
        if right != bare {
            violated!("range {request:?} at {at} was answered {bare:?}, right is {right:?}");
        }
        if request.serializable {
            self.tell(at);
            return Ok(());
        }
        self.current(model, began, at)
    }

    /// A compaction or lease command says where the store stands.
    pub(crate) fn header(&mut self, model: &Model, began: Began, at: i64) -> Checked {
        self.current(model, began, at)
    }
}
