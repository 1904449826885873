//! What a delivered event costs: CPU time of matching and writing, and memory per watch.
//!
//! `cargo run --release -p mainstay-watch --example fanout [scenario]`. Without a name, every scenario runs in a
//! process of its own. Frames are produced and dropped; sockets are not part of the measurement.

#![allow(
    clippy::print_stdout,
    reason = "a measuring tool reports to its terminal"
)]

use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use mainstay_proto::mvccpb::{Event, KeyValue};
use mainstay_watch::{History, HistoryError, Hub, HubOptions, Poll, Shard, StreamId};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct NoHistory(i64);

impl History for NoHistory {
    fn events(&self, _: i64, _: usize, _: usize) -> Result<Vec<(i64, Vec<Event>)>, HistoryError> {
        Err(HistoryError::Failed("not kept".into()))
    }

    fn revision(&self) -> i64 {
        self.0
    }

    fn compacted(&self) -> i64 {
        0
    }
}

struct Scenario {
    name: &'static str,
    /// Distinct ranges, watchers of each, streams they are spread over.
    ranges: usize,
    watchers_each: usize,
    streams: usize,
    form: Form,
    /// Revisions published between two polls.
    lag: usize,
    rounds: usize,
    value_bytes: usize,
}

#[derive(Clone, Copy)]
enum Form {
    Key,
    Prefix,
    Span,
    /// Keys that no event touches.
    Untouched,
}

const SCENARIOS: &[Scenario] = &[
    s(
        "1 key, 10k watches, 10 streams",
        1,
        10_000,
        10,
        Form::Key,
        1,
        300,
        256,
    ),
    s(
        "1 key, 100k watches, 10 streams",
        1,
        100_000,
        10,
        Form::Key,
        1,
        50,
        256,
    ),
    s(
        "1 key, 100k watches, 10k streams",
        1,
        100_000,
        10_000,
        Form::Key,
        1,
        30,
        256,
    ),
    s(
        "1 key, 10k streams of one watch",
        1,
        10_000,
        10_000,
        Form::Key,
        1,
        200,
        256,
    ),
    s(
        "1 key, 10k watches, 8 KiB values",
        1,
        10_000,
        10,
        Form::Key,
        1,
        300,
        8 << 10,
    ),
    s(
        "1 key, 10k watches, lag 16",
        1,
        10_000,
        10,
        Form::Key,
        16,
        50,
        256,
    ),
    s(
        "100k keys, 10 streams",
        100_000,
        1,
        10,
        Form::Key,
        1,
        200_000,
        256,
    ),
    s(
        "100k keys, 10 streams, lag 64",
        100_000,
        1,
        10,
        Form::Key,
        64,
        5_000,
        256,
    ),
    s(
        "1M keys, 100 streams",
        1_000_000,
        1,
        100,
        Form::Key,
        1,
        200_000,
        256,
    ),
    s(
        "1M watches untouched",
        1_000_000,
        1,
        100,
        Form::Untouched,
        1,
        200_000,
        256,
    ),
    s(
        "100k prefixes, 10 streams",
        100_000,
        1,
        10,
        Form::Prefix,
        1,
        200_000,
        256,
    ),
    s(
        "100k spans, 10 streams",
        100_000,
        1,
        10,
        Form::Span,
        1,
        200_000,
        256,
    ),
];

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn s(
    name: &'static str,
    ranges: usize,
    watchers_each: usize,
    streams: usize,
    form: Form,
    lag: usize,
    rounds: usize,
    value_bytes: usize,
) -> Scenario {
    Scenario {
        name,
        ranges,
        watchers_each,
        streams,
        form,
        lag,
        rounds,
        value_bytes,
    }
}

fn key(range: usize) -> String {
    format!(
        "/registry/pods/namespace-{:04}/pod-{range:08}",
        range % 1_000
    )
}

fn create(form: Form, range: usize) -> WatchCreateRequest {
    let key = key(range);
    let (key, range_end) = match form {
        Form::Key => (key, String::new()),
        Form::Prefix => (format!("{key}/"), format!("{key}0")),
        Form::Span => (format!("{key}/a"), format!("{key}/d")),
        Form::Untouched => (format!("{key}-untouched"), String::new()),
    };
    WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        ..Default::default()
    }
}

fn event(form: Form, range: usize, revision: i64, value: &Bytes) -> Event {
    let key = match form {
        Form::Key | Form::Untouched => key(range),
        Form::Prefix | Form::Span => format!("{}/b", key(range)),
    };
    let kv = KeyValue {
        key: key.into(),
        create_revision: 2,
        mod_revision: revision,
        version: revision,
        value: value.clone(),
        lease: 0,
    };
    Event {
        r#type: 0,
        kv: Some(kv),
        prev_kv: None,
    }
}

/// Nanoseconds of CPU time this process has used.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}

struct Run {
    hub: Hub,
    shard: Shard,
    history: NoHistory,
    out: Vec<Bytes>,
    woken: Vec<StreamId>,
    bytes: u64,
    pieces: u64,
}

impl Run {
    fn poll_all(&mut self) {
        self.woken.clear();
        self.shard.take_woken(&mut self.woken);
        for &id in &self.woken {
            while self.shard.poll(id, &self.history, &mut self.out, 64 << 10) != Poll::Idle {
                self.bytes += self.out.iter().map(|b| b.len() as u64).sum::<u64>();
                self.pieces += self.out.len() as u64;
                self.out.clear();
            }
        }
        let mut left = Vec::new();
        self.shard.take_woken(&mut left);
    }
}

fn run(scenario: &Scenario) {
    // A small ring, so that it is full, and its memory in use, before anything is measured.
    let options = HubOptions {
        ring_bytes: 1 << 20,
        ..HubOptions::default()
    };
    let (hub, mut seeds) = Hub::new(1, 1, options);
    let Some(seed) = seeds.pop() else { return };
    let mut shard = seed.start(|| {});
    shard.set_header(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, 7);
    let history = NoHistory(1);
    let (out, woken) = (Vec::new(), Vec::new());
    let mut run = Run {
        hub,
        shard,
        history,
        out,
        woken,
        bytes: 0,
        pieces: 0,
    };
    let streams: Vec<_> = (0..scenario.streams)
        .map(|_| run.shard.open_stream(0, 600_000))
        .collect();
    run.poll_all();

    let before = (resident_bytes(), cpu_ns());
    for n in 0..scenario.ranges * scenario.watchers_each {
        let create = create(scenario.form, n % scenario.ranges);
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        run.shard
            .request(streams[n % streams.len()], &request, &run.history, 0);
        if n % 1_000 == 999 {
            run.poll_all();
        }
    }
    run.poll_all();
    let watches = (scenario.ranges * scenario.watchers_each) as u64;
    let per_watch = (resident_bytes() - before.0) / watches;
    let create_ns = (cpu_ns() - before.1) / watches;

    let value = Bytes::from(vec![b'v'; scenario.value_bytes]);
    let (mut publish, mut drain, mut deliver) = (0, 0, 0);
    let (mut revision, mut random) = (1_i64, 0x9e37_79b9_7f4a_7c15_u64);
    let mut wall = Instant::now();
    let timed = |total: &mut u64, from: Instant| *total += from.elapsed().as_nanos() as u64;
    let (mut cpu, mut sent_before) = (0, 0);
    let warm_up = (scenario.rounds / 5).max(4);
    for round in 0..warm_up + scenario.rounds {
        if round == warm_up {
            (publish, drain, deliver, run.bytes, run.pieces) = (0, 0, 0, 0, 0);
            (wall, cpu, sent_before) = (Instant::now(), cpu_ns(), run.shard.stats().events_sent);
        }
        let mut batch = Vec::with_capacity(scenario.lag);
        for _ in 0..scenario.lag {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            revision += 1;
            let range = (random % scenario.ranges as u64) as usize;
            batch.push((
                revision,
                vec![event(scenario.form, range, revision, &value)],
            ));
        }
        let at = Instant::now();
        run.hub.publish(batch);
        timed(&mut publish, at);
        let at = Instant::now();
        while run.shard.drain_inbox(&run.history) {}
        timed(&mut drain, at);
        let at = Instant::now();
        run.poll_all();
        timed(&mut deliver, at);
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_ns() - cpu);
    let published = (scenario.rounds * scenario.lag) as u64;
    let sent = run.shard.stats().events_sent - sent_before;
    // The phases are timed by the wall clock, which also runs while others use the CPU.
    let share = cpu as f64 / 1e9 / wall;
    let per = |total: u64, count: u64| total as f64 * share / count.max(1) as f64;
    let mean = |total: u64| total as f64 / sent.max(1) as f64;
    println!(
        "{:34} {:>4} B/watch {:>5} ns/create | per event: publish {:>5.0} ns, match {:>7.0} ns, \
         deliver {:>9.0} ns | per delivery: {:>6.1} ns in all, {:>5.0} B, {:.3} pieces",
        scenario.name,
        per_watch,
        create_ns,
        per(publish, published),
        per(drain, published),
        per(deliver, published),
        per(publish + drain + deliver, sent),
        mean(run.bytes),
        mean(run.pieces),
    );
}

/// Watches that start some revisions back, as after a reconnect: what it takes until each is level.
fn run_past(name: &str, distinct: usize) {
    const BACK: i64 = 1_000;
    const WATCHES: usize = 10_000;
    let (hub, mut seeds) = Hub::new(1, 1, HubOptions::default());
    let Some(seed) = seeds.pop() else { return };
    let mut shard = seed.start(|| {});
    let stream = shard.open_stream(0, 600_000);
    let history = NoHistory(1);
    let everything = WatchCreateRequest {
        key: Bytes::from_static(b"/"),
        range_end: Bytes::from_static(b"0"),
        ..Default::default()
    };
    let send = |shard: &mut Shard, create: WatchCreateRequest| {
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        shard.request(stream, &request, &history, 0);
    };
    send(&mut shard, everything);
    let value = Bytes::from(vec![b'v'; 256]);
    for revision in 2..=1 + BACK {
        let event = event(Form::Key, revision as usize % distinct, revision, &value);
        hub.publish(vec![(revision, vec![event])]);
    }
    while shard.drain_inbox(&history) {}
    let mut out = Vec::new();
    while shard.poll(stream, &history, &mut out, 64 << 10) != Poll::Idle {}
    let (cpu, before) = (cpu_ns(), shard.stats().events_sent);
    for n in 0..WATCHES {
        send(
            &mut shard,
            WatchCreateRequest {
                start_revision: 2,
                ..create(Form::Key, n % distinct)
            },
        );
        while shard.poll(stream, &history, &mut out, 64 << 10) != Poll::Idle {}
        out.clear();
    }
    let ns = (cpu_ns() - cpu) as f64;
    let sent = shard.stats().events_sent - before;
    println!(
        "{name:34} {:>6.0} ns/watch, {:.1} ns per delivery, {sent} delivered",
        ns / WATCHES as f64,
        ns / sent as f64
    );
}

const PAST: [(&str, usize); 2] = [
    ("10k watches, 1 key, 1,000 back", 1),
    ("10k keys, 1,000 back", 10_000),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, distinct) in PAST {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            run_past(name, distinct);
        }
    }
    for scenario in SCENARIOS {
        if wanted.is_empty() {
            let Ok(program) = std::env::current_exe() else {
                return;
            };
            let done = Command::new(program).arg(scenario.name).status();
            if !done.is_ok_and(|status| status.success()) {
                println!("{}: failed", scenario.name);
            }
        } else if wanted.iter().any(|w| w == scenario.name) {
            run(scenario);
        }
    }
}
