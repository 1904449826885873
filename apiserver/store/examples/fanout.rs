//! What an event costs when thousands watch: pods by node, as kubelets do, and the whole resource.
//!
//! `cargo run --release -p mainstay-apistore --example fanout [watchers…]`, with a store binary as the tests use it.
//! The writer has a thread of its own; its CPU time is left out.

#![expect(clippy::print_stdout, reason = "printing figures is its purpose")]

use bytes::Bytes;
use mainstay_apistore::{
    Attributes, CacheConfig, Client, ClientConfig, Freshness, ResourceCache, RingLimits, Scope,
    Start, Step, Updated, WatchRequest, Watcher,
};
use mainstay_tests::{Cluster, Options, Server};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const EVENTS: usize = 4_000;
const WRITERS: usize = 16;
const PODS_MIN: usize = 1_000;
const PREFIX: &str = "/registry/pods/";
/// About the size of a pod with its status.
const OBJECT_BYTES: usize = 3_000;

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).flat_map(|a| a.parse()).collect();
    let sizes = if given.is_empty() {
        vec![0, 1_000, 10_000]
    } else {
        given
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(async {
        let server = if std::env::var_os("MAINSTAY_TEST_SERVER").is_some() {
            Server::under_test()
        } else {
            Server::debian_etcd().unwrap_or_else(Server::under_test)
        };
        println!("store {} ({:?})", server.path().display(), server.version());
        let options = Options {
            server,
            tls: false,
            flags: Vec::new(),
        };
        let cluster = Cluster::start_with(1, options).await;
        for watchers in sizes {
            measure(&cluster, watchers, true).await;
            if watchers > 0 {
                measure(&cluster, watchers / 10, false).await;
            }
        }
    });
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("CPU time is not negative");
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).expect("nanoseconds are not negative"))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn node_of(pod: usize) -> String {
    format!("node-{pod:05}")
}

fn value(pod: usize, start: Instant) -> Bytes {
    let head = format!("{};{};", node_of(pod), start.elapsed().as_nanos());
    format!("{head:x<OBJECT_BYTES$}").into()
}

fn start_cache(client: Client) -> ResourceCache {
    let decode = |_: &Bytes, value: &Bytes| {
        let text = std::str::from_utf8(value).ok()?;
        let node = text.split(';').next()?;
        let attributes = Attributes::new([("app", "x")], [("spec.nodeName", node)], Some(node));
        Some((value.clone(), attributes))
    };
    let config = CacheConfig {
        prefix: PREFIX.into(),
        decode: Arc::new(decode),
        ring: RingLimits::default(),
    };
    ResourceCache::start(client, config)
}

#[derive(Default)]
struct Received {
    deliveries: AtomicUsize,
    encodings: AtomicUsize,
    latencies: Vec<AtomicU64>,
}

/// Reads until it is dropped, as a connection would: takes the shared frame of every event.
async fn serve(mut watcher: Watcher, received: Arc<Received>, start: Instant) {
    while let Ok(step) = watcher.next().await {
        let Step::Events(events) = step else { continue };
        for event in events {
            let frame = event.frame(1, |event| {
                received.encodings.fetch_add(1, Ordering::Relaxed);
                let mut frame = Vec::with_capacity(event.object().value.len() + 64);
                frame.extend_from_slice(b"{\"type\":\"MODIFIED\",\"object\":");
                frame.extend_from_slice(&event.object().value);
                frame.extend_from_slice(b"}\n");
                frame.into()
            });
            let text = std::str::from_utf8(&frame[..100]).unwrap_or_default();
            let sent: u64 = text
                .split(';')
                .nth(1)
                .and_then(|t| t.parse().ok())
                .unwrap_or(0);
            let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let at = received.deliveries.fetch_add(1, Ordering::Relaxed);
            if let Some(latency) = received.latencies.get(at) {
                latency.store(now.saturating_sub(sent), Ordering::Relaxed);
            }
        }
    }
}

async fn measure(cluster: &Cluster, watchers: usize, by_node: bool) {
    let client = Client::new(&ClientConfig::new(cluster.endpoints())).expect("valid endpoints");
    let cache = start_cache(client);
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    cache.ready(until).await.expect("the store answers");
    let received = Arc::new(Received {
        latencies: (0..200_000).map(|_| AtomicU64::new(0)).collect(),
        ..Received::default()
    });
    let (start, before_kib) = (Instant::now(), resident_kib());
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..watchers {
        let scope = if by_node {
            Scope::index(&node_of(index))
        } else {
            Scope::All
        };
        let request = WatchRequest::new(scope, Start::After(cache.revision()));
        let watcher = cache
            .watch(request, until)
            .await
            .expect("the cache is ready");
        tasks.spawn(serve(watcher, received.clone(), start));
    }
    let each = (resident_kib().saturating_sub(before_kib) * 1024) / watchers.max(1) as u64;

    let process = cpu(ClockId::ProcessCPUTime);
    let endpoints = cluster.endpoints();
    let pods = watchers.max(PODS_MIN);
    let writer = std::thread::spawn(move || write(endpoints, pods, start));
    let (written, writer_cpu) = tokio::task::spawn_blocking(|| writer.join())
        .await
        .expect("the writer is waited for")
        .expect("the writer does not panic");
    let list = cache.list(
        &Scope::All,
        Freshness::Consistent,
        until + Duration::from_secs(60),
    );
    let objects = list.await.expect("the store answers").len();
    let expected = if by_node {
        (0..EVENTS).filter(|event| event % pods < watchers).count()
    } else {
        EVENTS * watchers
    };
    while received.deliveries.load(Ordering::Relaxed) < expected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let used = cpu(ClockId::ProcessCPUTime).saturating_sub(process + writer_cpu);
    report(&received, watchers, by_node, used, written, each, objects);
}

fn report(
    received: &Received,
    watchers: usize,
    by_node: bool,
    used: Duration,
    written: Duration,
    each: u64,
    objects: usize,
) {
    let deliveries = received.deliveries.load(Ordering::Relaxed);
    let kept = received.latencies.iter().take(deliveries);
    let mut latencies: Vec<u64> = kept.map(|l| l.load(Ordering::Relaxed)).collect();
    latencies.sort_unstable();
    let percentile = |part: usize| {
        let at = (latencies.len() * part / 100).min(latencies.len().saturating_sub(1));
        latencies.get(at).copied().unwrap_or(0) / 1_000
    };
    let micros = used.as_secs_f64() * 1e6;
    println!(
        "{watchers:>6} watchers {:<8} {objects:>6} objects | {EVENTS} events in {written:.1?} | CPU {:>7.1} µs/event \
         {:>7.2} µs/delivery | {deliveries} deliveries {} encodings | latency from before the write p50 {} µs p99 {} µs | {each} B/watcher",
        if by_node { "by node" } else { "of all" },
        micros / EVENTS as f64,
        micros / deliveries.max(1) as f64,
        received.encodings.load(Ordering::Relaxed),
        percentile(50),
        percentile(99),
    );
}

/// Writes all events from a thread of its own; returns how long it took, and its CPU time.
fn write(endpoints: Vec<String>, pods: usize, start: Instant) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be started");
    let (begun, before) = (Instant::now(), cpu(ClockId::ThreadCPUTime));
    runtime.block_on(async {
        let client = Client::new(&ClientConfig::new(endpoints)).expect("valid endpoints");
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let client = client.clone();
            tasks.spawn(async move {
                for event in (writer..EVENTS).step_by(WRITERS) {
                    put(&client, event % pods, start).await;
                }
            });
        }
        tasks.join_all().await;
    });
    (begun.elapsed(), cpu(ClockId::ThreadCPUTime) - before)
}

async fn put(client: &Client, pod: usize, start: Instant) {
    let key = Bytes::from(format!("{PREFIX}default/pod-{pod:05}"));
    let mut known = 0;
    // Another writer may have the same pod in hand; the conflict says at which revision it is now.
    loop {
        let done = client
            .update(key.clone(), known, value(pod, start), 0)
            .await;
        match done.expect("the store answers") {
            Updated::Done(_) => return,
            Updated::Conflict(now) => known = now.map_or(0, |stored| stored.revision),
        }
    }
}
