//! Random creations, cancellations, publications, slow readers, overflows, compactions and snapshots over several
//! streams, against what a client may expect: every event of its range once, in order, whole revisions at a time.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchResponse,
};
use mainstay_proto::mvccpb::Event;
use mainstay_proto::mvccpb::event::EventType;
use mainstay_watch::{History, Hub, HubOptions, Poll, Shard, StreamId};
use proptest::prelude::*;
use support::{Revision, Store, Write, create, decode, header_revision, request};

const SHARDS: usize = 2;
const STREAMS: usize = 4;
const KEYS: [&str; 6] = ["a", "ab", "abc", "b", "ba", "c"];
const RANGES: [(&str, &str); 9] = [
    ("a", ""),
    ("ab", ""),
    ("b", ""),
    ("a", "b"),
    ("ab", "ac"),
    ("a", "ba"),
    ("ab", "c"),
    ("b", "\0"),
    ("", "\0"),
];

#[derive(Clone, Debug)]
enum Op {
    /// Write so many revisions; publish them now or later.
    Write(Vec<Vec<(usize, bool)>>, bool),
    Publish,
    Create {
        stream: usize,
        range: usize,
        start: i64,
        flags: u8,
    },
    Cancel {
        stream: usize,
        which: usize,
    },
    Progress {
        stream: usize,
    },
    Poll {
        stream: usize,
        max_bytes: usize,
    },
    Drain {
        shard: usize,
    },
    Compact(i64),
    /// What was written and not published comes as a snapshot.
    Reset,
    Tick,
    Reopen {
        stream: usize,
    },
    Fail(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let stream = 0..STREAMS;
    let write = prop::collection::vec((0..KEYS.len(), any::<bool>()), 1..4);
    prop_oneof![
        8 => (prop::collection::vec(write, 1..4), any::<bool>()).prop_map(|(w, n)| Op::Write(w, n)),
        2 => Just(Op::Publish),
        5 => (stream.clone(), 0..RANGES.len(), -12..4_i64, any::<u8>())
            .prop_map(|(stream, range, start, flags)| Op::Create { stream, range, start, flags }),
        2 => (stream.clone(), 0..8_usize).prop_map(|(stream, which)| Op::Cancel { stream, which }),
        2 => stream.clone().prop_map(|stream| Op::Progress { stream }),
        8 => (stream.clone(), prop_oneof![Just(1), Just(300), Just(100_000)])
            .prop_map(|(stream, max_bytes)| Op::Poll { stream, max_bytes }),
        6 => (0..SHARDS).prop_map(|shard| Op::Drain { shard }),
        1 => (0..10_i64).prop_map(Op::Compact),
        1 => Just(Op::Reset),
        1 => Just(Op::Tick),
        1 => stream.prop_map(|stream| Op::Reopen { stream }),
        1 => prop::bool::weighted(0.3).prop_map(Op::Fail),
    ]
}

/// What a client knows of a watch.
#[derive(Debug)]
struct Client {
    create: WatchCreateRequest,
    /// The next revision it may see.
    next: i64,
    /// Starts above the revision at its creation.
    future_from: i64,
    /// Every event still to come that was written by now.
    expected: Vec<Event>,
    /// Created but the answer was not read yet, with the revision of the time.
    asked_at: i64,
}

struct Conn {
    shard: usize,
    id: StreamId,
    clients: BTreeMap<i64, Client>,
    /// Creations in the order of their answers.
    creating: Vec<Client>,
    cancelling: Vec<i64>,
    /// Watches that compaction ended and the client did not cancel yet.
    compacted: Vec<i64>,
    progress_asked: Option<i64>,
}

struct World {
    store: Store,
    hub: Hub,
    shards: Vec<Shard>,
    conns: Vec<Conn>,
    unpublished: Vec<Revision>,
    now: u64,
}

fn in_range(create: &WatchCreateRequest, key: &[u8]) -> bool {
    let start: &[u8] = if create.key.is_empty() {
        b"\0"
    } else {
        &create.key
    };
    match &create.range_end[..] {
        b"" => key == start,
        b"\0" => key >= start,
        end => key >= start && key < end,
    }
}

/// An event as this client is to see it, if at all.
fn seen_by(create: &WatchCreateRequest, event: &Event) -> Option<Event> {
    let mut event = event.clone();
    let kv = event.kv.as_mut().expect("events have one");
    if !in_range(create, &kv.key) || create.filters.contains(&event.r#type) {
        return None;
    }
    if event.r#type == EventType::Delete as i32 {
        kv.version = 0;
    }
    if !create.prev_kv {
        event.prev_kv = None;
    }
    Some(event)
}

impl World {
    fn new(ring_bytes: usize, step: usize) -> Self {
        let store = Store::new();
        store.set_step(step);
        let options = HubOptions {
            ring_bytes,
            ..HubOptions::default()
        };
        let (hub, seeds) = Hub::new(SHARDS, store.revision(), options);
        let shards: Vec<_> = seeds.into_iter().map(|s| s.start(|| {})).collect();
        let mut world = Self {
            store,
            hub,
            shards,
            conns: Vec::new(),
            unpublished: Vec::new(),
            now: 0,
        };
        for n in 0..STREAMS {
            let conn = world.open(n % SHARDS);
            world.conns.push(conn);
        }
        world
    }

    fn open(&mut self, shard: usize) -> Conn {
        Conn {
            shard,
            id: self.shards[shard].open_stream(self.now, 1_000),
            clients: BTreeMap::new(),
            creating: Vec::new(),
            cancelling: Vec::new(),
            compacted: Vec::new(),
            progress_asked: None,
        }
    }

    fn write(&mut self, revisions: Vec<Vec<(usize, bool)>>) {
        for writes in revisions {
            let mut keys: Vec<_> = writes;
            keys.sort_unstable();
            keys.dedup_by_key(|w| w.0);
            let writes: Vec<_> = keys
                .iter()
                .map(|&(key, put)| match put {
                    true => Write::Put(KEYS[key].to_owned(), 10),
                    false => Write::Delete(KEYS[key].to_owned()),
                })
                .collect();
            let (revision, events) = self.store.write(&writes);
            for client in self
                .conns
                .iter_mut()
                .flat_map(|c| c.clients.values_mut().chain(&mut c.creating))
            {
                if revision >= client.next {
                    client
                        .expected
                        .extend(events.iter().filter_map(|e| seen_by(&client.create, e)));
                }
            }
            self.unpublished.push((revision, events));
        }
    }

    fn create(&mut self, stream: usize, range: usize, start: i64, flags: u8) {
        let revision = self.store.revision();
        let mut request_ = create(RANGES[range].0, RANGES[range].1);
        request_.start_revision = match start {
            -3..=0 => 0,
            other => (revision + other).max(1),
        };
        request_.prev_kv = flags & 1 != 0;
        request_.progress_notify = flags & 2 != 0;
        request_.fragment = flags & 4 != 0;
        if flags & 0x18 == 0x18 {
            request_.filters.push(i32::from(flags & 0x20 != 0));
        }
        let next = match request_.start_revision {
            0 => revision + 1,
            explicit => explicit,
        };
        let events = self
            .store
            .all()
            .into_iter()
            .filter(|(r, _)| *r >= next)
            .flat_map(|(_, e)| e);
        let expected = events.filter_map(|e| seen_by(&request_, &e)).collect();
        let client = Client {
            create: request_.clone(),
            next,
            future_from: if request_.start_revision > revision {
                next
            } else {
                0
            },
            expected,
            asked_at: revision,
        };
        let conn = &mut self.conns[stream];
        conn.creating.push(client);
        let request_ = request(RequestUnion::CreateRequest(request_));
        self.shards[conn.shard].request(conn.id, &request_, &self.store, self.now);
    }

    fn cancel(&mut self, stream: usize, which: usize) {
        let conn = &mut self.conns[stream];
        let all: Vec<i64> = conn
            .clients
            .keys()
            .chain(&conn.compacted)
            .copied()
            .collect();
        let Some(&watch_id) = all.get(which) else {
            return;
        };
        if conn.cancelling.contains(&watch_id) {
            return;
        }
        conn.cancelling.push(watch_id);
        let cancel = request(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }));
        self.shards[conn.shard].request(conn.id, &cancel, &self.store, self.now);
    }

    fn poll(&mut self, stream: usize, max_bytes: usize) -> Poll {
        let conn = &mut self.conns[stream];
        let mut out: Vec<Bytes> = Vec::new();
        let shard = &mut self.shards[conn.shard];
        let poll = shard.poll(conn.id, &self.store, &mut out, max_bytes);
        let responses = decode(&out);
        if let Poll::Ready(count) = poll {
            assert_eq!(count, responses.len());
        } else {
            assert!(responses.is_empty());
        }
        for response in responses {
            Self::receive(&self.store, &mut self.conns[stream], response);
        }
        poll
    }

    fn receive(store: &Store, conn: &mut Conn, response: WatchResponse) {
        let id = response.watch_id;
        let revision = header_revision(&response);
        assert!(revision <= store.revision());
        if response.created {
            assert!(!response.canceled, "{response:?}");
            let client = conn.creating.remove(0);
            assert_eq!(revision, client.asked_at);
            let Entry::Vacant(entry) = conn.clients.entry(id) else {
                panic!("{id} is in use")
            };
            entry.insert(client);
        } else if response.compact_revision != 0 {
            let client = conn.clients.remove(&id).expect("a live watch");
            assert!(response.canceled && revision == 0 && response.cancel_reason.is_empty());
            assert!(response.compact_revision <= store.compacted());
            assert!(
                client.next < response.compact_revision,
                "nothing was lost: {client:?}"
            );
            conn.compacted.push(id);
        } else if response.canceled {
            let at = conn
                .cancelling
                .iter()
                .position(|c| *c == id)
                .expect("cancelled by client");
            conn.cancelling.remove(at);
            let known = conn.clients.remove(&id).is_some();
            let before = conn.compacted.len();
            conn.compacted.retain(|c| *c != id);
            assert!(known || conn.compacted.len() < before);
        } else if response.events.is_empty() && id == -1 {
            let asked = conn.progress_asked.take().expect("asked for");
            assert!(
                revision >= asked,
                "progress to {revision} answers a request at {asked}"
            );
            for client in conn.clients.values() {
                Self::no_less_than(client, revision);
            }
        } else if response.events.is_empty() {
            let client = &conn.clients[&id];
            assert!(client.create.progress_notify);
            Self::no_less_than(client, revision);
        } else {
            let client = conn.clients.get_mut(&id).expect("created before");
            assert!(response.events.len() <= client.expected.len());
            let now: Vec<_> = client.expected.drain(..response.events.len()).collect();
            assert_eq!(response.events, now);
            let last = now[now.len() - 1].kv.as_ref().unwrap().mod_revision;
            assert!(revision >= last && !response.fragment);
            if let Some(next) = client.expected.first() {
                assert!(
                    next.kv.as_ref().unwrap().mod_revision > last,
                    "whole revisions"
                );
            }
            client.next = client.next.max(last + 1);
        }
    }

    /// The client has been sent everything up to a revision.
    fn no_less_than(client: &Client, revision: i64) {
        assert!(
            client.future_from <= revision,
            "no progress below the start: {client:?}"
        );
        if let Some(next) = client.expected.first() {
            assert!(
                next.kv.as_ref().unwrap().mod_revision > revision,
                "{client:?} at {revision}"
            );
        }
    }

    fn publish(&mut self) {
        for chunk in std::mem::take(&mut self.unpublished).chunks(2) {
            self.hub.publish(chunk.to_vec());
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Write(revisions, now) => {
                self.write(revisions);
                if now {
                    self.publish();
                }
            }
            Op::Publish => self.publish(),
            Op::Create {
                stream,
                range,
                start,
                flags,
            } => self.create(stream, range, start, flags),
            Op::Cancel { stream, which } => self.cancel(stream, which),
            Op::Progress { stream } => {
                let conn = &mut self.conns[stream];
                // An answer may cover several requests, so it is held to the first open one.
                conn.progress_asked.get_or_insert(self.store.revision());
                let progress = request(RequestUnion::ProgressRequest(WatchProgressRequest {}));
                self.shards[conn.shard].request(conn.id, &progress, &self.store, self.now);
            }
            Op::Poll { stream, max_bytes } => {
                self.poll(stream, max_bytes);
            }
            Op::Drain { shard } => {
                self.shards[shard].drain_inbox(&self.store);
            }
            Op::Compact(behind) => {
                let to = (self.store.revision() - behind).max(self.store.compacted());
                self.store.compact(to);
                self.hub.set_compacted(to);
            }
            Op::Reset => {
                self.unpublished.clear();
                self.hub
                    .reset(self.store.revision(), self.store.compacted());
            }
            Op::Tick => {
                self.now += 700;
                for shard in &mut self.shards {
                    shard.tick(self.now);
                    shard.drain_inbox(&self.store);
                }
            }
            Op::Reopen { stream } => {
                let (shard, id) = (self.conns[stream].shard, self.conns[stream].id);
                self.shards[shard].close_stream(id);
                self.conns[stream] = self.open(shard);
            }
            Op::Fail(fail) => self.store.fail.set(fail),
        }
    }

    /// Lets everything come to rest, driving streams by wake-ups only.
    fn settle(&mut self) {
        self.store.fail.set(false);
        self.publish();
        for n in 0..SHARDS {
            for _ in 0..10_000 {
                self.now += 200;
                self.shards[n].tick(self.now);
                while self.shards[n].drain_inbox(&self.store) {}
                let mut woken = Vec::new();
                self.shards[n].take_woken(&mut woken);
                if woken.is_empty() {
                    break;
                }
                for id in woken {
                    let stream = self
                        .conns
                        .iter()
                        .position(|c| c.shard == n && c.id == id)
                        .expect("open");
                    self.poll(stream, 100_000);
                }
            }
        }
        for conn in &self.conns {
            assert!(conn.creating.is_empty() && conn.cancelling.is_empty());
            for (id, client) in &conn.clients {
                assert!(
                    client.expected.is_empty(),
                    "watch {id} lacks events: {client:?}"
                );
            }
        }
        for shard in &self.shards {
            let stats = shard.stats();
            assert_eq!((stats.unsynced, stats.pending), (0, 0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_event_once_in_order(
        ring_bytes in prop_oneof![Just(1_usize), Just(700), Just(3_000), Just(1 << 20)],
        step in 1..6_usize,
        ops in prop::collection::vec(op(), 1..150),
        more in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(ring_bytes, step);
        for op in ops {
            world.step(op);
        }
        world.settle();
        for op in more {
            world.step(op);
        }
        world.settle();
        for n in 0..STREAMS {
            world.step(Op::Reopen { stream: n });
        }
        for shard in &world.shards {
            let stats = shard.stats();
            prop_assert_eq!((stats.watchers, stats.ranges, stats.ring_bytes), (0, 0, 0));
        }
    }
}
