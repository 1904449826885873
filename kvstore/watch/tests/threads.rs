//! A publisher and shards on threads of their own: no wake-up is lost and nothing is missed.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::mvccpb::{Event, KeyValue};
use mainstay_watch::{History, HistoryError, Hub, HubOptions, Poll, ShardSeed};
use support::{Revision, create, decode, request, revisions};

const LAST: i64 = 20_000;
const DEADLINE: Duration = Duration::from_secs(20);

/// Shared by the publisher, which adds, and the shards, which read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<Revision>>>);

impl Shared {
    fn add(&self, revision: i64) -> Revision {
        let key = format!("k{}", revision % 3).into();
        let kv = KeyValue {
            key,
            mod_revision: revision,
            ..KeyValue::default()
        };
        let written = (
            revision,
            vec![Event {
                kv: Some(kv),
                ..Event::default()
            }],
        );
        self.0.lock().unwrap().push(written.clone());
        written
    }
}

impl History for Shared {
    fn events(&self, from: i64, max: usize, _: usize) -> Result<Vec<Revision>, HistoryError> {
        let all = self.0.lock().unwrap();
        let at = all.partition_point(|(r, _)| *r < from);
        Ok(all[at..].iter().take(max).cloned().collect())
    }

    fn revision(&self) -> i64 {
        self.0.lock().unwrap().last().map_or(1, |(r, _)| *r)
    }

    fn compacted(&self) -> i64 {
        0
    }
}

/// Serves two streams until both have seen the last revision; returns what they saw.
fn serve(
    seed: ShardSeed,
    store: &Shared,
    wakes: &Receiver<()>,
    wake: impl Fn() + Send + Sync + 'static,
    ready: &Barrier,
) -> [Vec<i64>; 2] {
    let mut shard = seed.start(wake);
    let streams = [
        shard.open_stream(0, 1_000_000),
        shard.open_stream(0, 1_000_000),
    ];
    for (stream, start_revision) in streams.into_iter().zip([0, 2]) {
        let mut all = create("k", "l");
        all.start_revision = start_revision;
        shard.request(stream, &request(RequestUnion::CreateRequest(all)), store, 0);
    }
    ready.wait();
    let mut seen = [Vec::new(), Vec::new()];
    let end = Instant::now() + DEADLINE;
    let mut woken = Vec::new();
    loop {
        let more = shard.drain_inbox(store);
        shard.take_woken(&mut woken);
        for stream in woken.drain(..) {
            let mut out = Vec::new();
            while shard.poll(stream, store, &mut out, 10_000) != Poll::Idle {}
            let at = streams.iter().position(|s| *s == stream).unwrap();
            seen[at].extend(revisions(&decode(&out)));
        }
        if seen.iter().all(|s| s.last() == Some(&LAST)) {
            return seen;
        }
        if !more {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                wakes.recv_timeout(left).is_ok(),
                "a wake-up was lost, or an event"
            );
        }
    }
}

#[test]
fn wake_ups_and_events_arrive() {
    for ring_bytes in [1 << 20, 2_000] {
        let store = Shared::default();
        let options = HubOptions {
            ring_bytes,
            ..HubOptions::default()
        };
        let (hub, seeds) = Hub::new(2, 1, options);
        let ready = Arc::new(Barrier::new(3));
        let shards: Vec<_> = seeds
            .into_iter()
            .map(|seed| {
                let (store, ready) = (store.clone(), Arc::clone(&ready));
                let (sender, wakes) = channel();
                let wake = move || {
                    // The receiver is gone once the shard has seen everything.
                    let _ = sender.send(());
                };
                thread::spawn(move || serve(seed, &store, &wakes, wake, &ready))
            })
            .collect();
        ready.wait();
        let mut revision = 1;
        while revision < LAST {
            let to = LAST.min(revision + 1 + revision % 4);
            let batch = (revision + 1..=to).map(|r| store.add(r)).collect();
            revision = to;
            hub.publish(batch);
        }
        for shard in shards {
            let [live, past] = shard.join().unwrap();
            let first = live[0];
            assert!(
                live.iter().copied().eq(first..=LAST),
                "from where it began, without a gap"
            );
            assert!(past.iter().copied().eq(2..=LAST));
        }
    }
}
