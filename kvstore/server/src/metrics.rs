//! Counters of this crate and the Prometheus page.
//!
//! Each serving thread writes its own counters, so that counting never moves a cache line between cores.

mod page;
mod process;

pub(crate) use page::{render, repairs};

use crate::grpc::Code;
use crate::route::Route;
use parking_lot::Mutex;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the handling-time histogram in seconds, as of grpc-go's Prometheus interceptor.
pub(crate) const HANDLING_BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Distinct client API versions counted; more are counted as `unknown`.
const API_VERSIONS_MAX: usize = 64;

/// One counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Only the owning thread may call this.
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Only the owning thread may call this.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Calls of one method.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    pub(crate) started: Counter,
    pub(crate) handled: [Counter; Code::COUNT],
    pub(crate) handling: [Counter; HANDLING_BOUNDS.len() + 1],
    pub(crate) handling_nanos: Counter,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

/// Counters of one serving thread.
#[derive(Debug)]
pub(crate) struct ThreadCounters {
    pub(crate) routes: Vec<RouteCounters>,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    /// Open watch streams and watchers, as last seen.
    pub(crate) watch_streams: Counter,
    pub(crate) watchers: Counter,
    pub(crate) api: Mutex<Vec<ApiCount>>,
}

impl Default for ThreadCounters {
    fn default() -> Self {
        Self {
            routes: Route::ALL
                .iter()
                .map(|_| RouteCounters::default())
                .collect(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            watch_streams: Counter::default(),
            watchers: Counter::default(),
            api: Mutex::default(),
        }
    }
}

impl ThreadCounters {
    pub(crate) fn started(&self, route: Route) {
        self.routes[route.index()].started.add(1);
        self.routes[route.index()].received.add(1);
    }

    pub(crate) fn handled(&self, route: Route, code: Code) {
        let counters = &self.routes[route.index()];
        counters.handled[code as usize].add(1);
        if code == Code::Ok {
            counters.sent.add(1);
        }
    }

    /// Time from a call's arrival to its end.
    pub(crate) fn handling(&self, route: Route, time: Duration) {
        let counters = &self.routes[route.index()];
        let seconds = time.as_secs_f64();
        let bucket = HANDLING_BOUNDS.iter().position(|bound| seconds <= *bound);
        counters.handling[bucket.unwrap_or(HANDLING_BOUNDS.len())].add(1);
        counters
            .handling_nanos
            .add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a request by its kind and the client's API version.
    pub(crate) fn api_version(&self, kind: &'static str, version: &str) {
        let mut api = self.api.lock();
        let found = |api: &[ApiCount], version: &str| {
            api.iter()
                .position(|c| c.kind == kind && c.version == version)
        };
        let at = match found(&api, version) {
            Some(at) => at,
            None => {
                let version = if api.len() < API_VERSIONS_MAX {
                    version
                } else {
                    "unknown"
                };
                found(&api, version).unwrap_or_else(|| {
                    api.push(ApiCount {
                        kind,
                        version: version.to_owned(),
                        count: 0,
                    });
                    api.len() - 1
                })
            }
        };
        api[at].count += 1;
    }
}

/// Requests of one kind and client API version.
#[derive(Debug, Clone)]
pub(crate) struct ApiCount {
    /// `unary` or `stream`.
    pub(crate) kind: &'static str,
    pub(crate) version: String,
    pub(crate) count: u64,
}

/// Bytes on client connections of one thread.
#[derive(Debug, Clone)]
pub(crate) struct Traffic(pub(crate) Arc<ThreadCounters>);

impl Traffic {
    pub(crate) fn new(counters: &Arc<ThreadCounters>) -> Rc<Self> {
        Rc::new(Self(Arc::clone(counters)))
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.0.received_bytes.add(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent_bytes.add(bytes as u64);
    }
}

/// All counters of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) threads: Vec<Arc<ThreadCounters>>,
    pub(crate) health_success: AtomicU64,
    pub(crate) health_failures: AtomicU64,
    pub(crate) slow_requests: AtomicU64,
}

impl Counters {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads: (0..threads)
                .map(|_| Arc::new(ThreadCounters::default()))
                .collect(),
            ..Self::default()
        }
    }
}
