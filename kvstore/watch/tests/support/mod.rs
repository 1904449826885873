//! A store of events in memory, and clients that read frames.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test code; each test uses its part"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::Bytes;
use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};
use mainstay_watch::{History, HistoryError, Hub, HubOptions, Poll, Shard, StreamId};
use prost::Message;

pub type Revision = (i64, Vec<Event>);

/// Every revision ever written.
#[derive(Default)]
pub struct Store {
    revisions: RefCell<Vec<Revision>>,
    live: RefCell<BTreeMap<Bytes, KeyValue>>,
    compacted: Cell<i64>,
    /// Most revisions returned at a time.
    step: Cell<usize>,
    pub fail: Cell<bool>,
    pub reads: Cell<usize>,
}

#[derive(Clone, Debug)]
pub enum Write {
    Put(String, usize),
    Delete(String),
}

impl Store {
    /// An empty store stands at revision 1.
    pub fn new() -> Self {
        let store = Self::default();
        store.step.set(usize::MAX);
        store
    }

    pub fn set_step(&self, step: usize) {
        self.step.set(step);
    }

    /// Writes one revision.
    pub fn write(&self, writes: &[Write]) -> Revision {
        let revision = self.revision() + 1;
        let mut live = self.live.borrow_mut();
        let events = writes
            .iter()
            .map(|w| match w {
                Write::Put(key, len) => {
                    let key = Bytes::from(key.clone());
                    let prev_kv = live.get(&key).cloned();
                    let value = Bytes::from(vec![b'v'; *len]);
                    let kv = KeyValue {
                        create_revision: prev_kv.as_ref().map_or(revision, |p| p.create_revision),
                        version: prev_kv.as_ref().map_or(1, |p| p.version + 1),
                        key: key.clone(),
                        mod_revision: revision,
                        value,
                        lease: 7,
                    };
                    live.insert(key, kv.clone());
                    Event {
                        r#type: EventType::Put as i32,
                        kv: Some(kv),
                        prev_kv,
                    }
                }
                Write::Delete(key) => {
                    let key = Bytes::from(key.clone());
                    let prev_kv = live.remove(&key);
                    // More than belongs in a deletion, to see that it is left out.
                    let kv = KeyValue {
                        key,
                        mod_revision: revision,
                        version: 9,
                        ..KeyValue::default()
                    };
                    Event {
                        r#type: EventType::Delete as i32,
                        kv: Some(kv),
                        prev_kv,
                    }
                }
            })
            .collect();
        let written = (revision, events);
        self.revisions.borrow_mut().push(written.clone());
        written
    }

    pub fn put(&self, key: &str) -> Revision {
        self.write(&[Write::Put(key.to_owned(), 3)])
    }

    pub fn delete(&self, key: &str) -> Revision {
        self.write(&[Write::Delete(key.to_owned())])
    }

    pub fn compact(&self, revision: i64) {
        self.compacted.set(revision);
    }

    pub fn all(&self) -> Vec<Revision> {
        self.revisions.borrow().clone()
    }
}

impl History for Store {
    fn events(
        &self,
        from: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<Revision>, HistoryError> {
        self.reads.set(self.reads.get() + 1);
        if self.fail.get() {
            return Err(HistoryError::Failed("disk".into()));
        }
        if from < self.compacted.get() {
            return Err(HistoryError::Compacted(self.compacted.get()));
        }
        let mut bytes = 0;
        let fits = |(_, events): &&Revision| {
            let before = bytes;
            bytes += events.iter().map(Message::encoded_len).sum::<usize>();
            before < max_bytes
        };
        let revisions = self.revisions.borrow();
        let found = revisions.iter().filter(|(r, _)| *r >= from);
        Ok(found
            .take(max_revisions.min(self.step.get()))
            .take_while(fits)
            .cloned()
            .collect())
    }

    fn revision(&self) -> i64 {
        self.revisions.borrow().last().map_or(1, |(r, _)| *r)
    }

    fn compacted(&self) -> i64 {
        self.compacted.get()
    }
}

pub fn create(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest {
        key: Bytes::from(key.to_owned()),
        range_end: Bytes::from(range_end.to_owned()),
        ..WatchCreateRequest::default()
    }
}

pub fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest {
        request_union: Some(union),
    }
}

/// Messages from the bytes of a gRPC body.
pub fn decode(pieces: &[Bytes]) -> Vec<WatchResponse> {
    let all = pieces.concat();
    let mut rest = &all[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[0], 0, "not compressed");
        let len = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        messages.push(WatchResponse::decode(&rest[5..5 + len]).unwrap());
        rest = &rest[5 + len..];
    }
    messages
}

/// One shard, its hub and its store, driven by hand.
pub struct Bench {
    pub hub: Hub,
    pub shard: Shard,
    pub store: Store,
    pub now: u64,
}

pub const INTERVAL_MS: u64 = 600_000;

impl Bench {
    pub fn new() -> Self {
        Self::with(Store::new(), HubOptions::default())
    }

    pub fn with(store: Store, options: HubOptions) -> Self {
        let (hub, mut seeds) = Hub::new(1, store.revision(), options);
        let mut shard = seeds.pop().unwrap().start(|| {});
        shard.set_header(11, 22, 33);
        Self {
            hub,
            shard,
            store,
            now: 1_000,
        }
    }

    pub fn open(&mut self) -> StreamId {
        self.shard.open_stream(self.now, INTERVAL_MS)
    }

    pub fn send(&mut self, stream: StreamId, union: RequestUnion) {
        self.shard
            .request(stream, &request(union), &self.store, self.now);
    }

    pub fn create(&mut self, stream: StreamId, create: WatchCreateRequest) {
        self.send(stream, RequestUnion::CreateRequest(create));
    }

    pub fn cancel(&mut self, stream: StreamId, watch_id: i64) {
        self.send(
            stream,
            RequestUnion::CancelRequest(WatchCancelRequest { watch_id }),
        );
    }

    pub fn progress(&mut self, stream: StreamId) {
        self.send(
            stream,
            RequestUnion::ProgressRequest(WatchProgressRequest {}),
        );
    }

    /// Creates a watch and swallows the answer.
    pub fn watch(&mut self, stream: StreamId, create: WatchCreateRequest) -> i64 {
        self.create(stream, create);
        let answer = self.read(stream);
        let first = answer.first().expect("an answer");
        assert!(first.created && !first.canceled, "{answer:?}");
        assert_eq!(answer.len(), 1, "{answer:?}");
        first.watch_id
    }

    pub fn put(&mut self, key: &str) -> i64 {
        let revision = self.store.put(key);
        self.publish(vec![revision])
    }

    pub fn delete(&mut self, key: &str) -> i64 {
        let revision = self.store.delete(key);
        self.publish(vec![revision])
    }

    pub fn publish(&mut self, revisions: Vec<Revision>) -> i64 {
        let last = revisions.last().unwrap().0;
        self.hub.publish(revisions);
        self.drain();
        last
    }

    pub fn drain(&mut self) {
        while self.shard.drain_inbox(&self.store) {}
    }

    /// Everything the stream has to send.
    pub fn read(&mut self, stream: StreamId) -> Vec<WatchResponse> {
        let mut pieces = Vec::new();
        for _ in 0..100_000 {
            if self.shard.poll(stream, &self.store, &mut pieces, 64 << 10) == Poll::Idle {
                return decode(&pieces);
            }
        }
        panic!("a stream that never rests");
    }

    pub fn woken(&mut self) -> Vec<StreamId> {
        let mut woken = Vec::new();
        self.shard.take_woken(&mut woken);
        woken
    }
}

/// Revisions of the events of responses.
pub fn revisions(responses: &[WatchResponse]) -> Vec<i64> {
    responses
        .iter()
        .flat_map(|r| &r.events)
        .map(|e| e.kv.as_ref().unwrap().mod_revision)
        .collect()
}

pub fn header_revision(response: &WatchResponse) -> i64 {
    response.header.as_ref().unwrap().revision
}
